"""Names that are made for executions: nobody else makes the same."""

import random

from asyncflow import Registry, Runner, Workflow, task


async def test_a_users_seed_does_not_have_two_executions_named_alike() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def work() -> None: ...

    names = list[str]()
    async with Runner(":memory:", registry=registry) as runner:
        for _ in range(20):
            random.seed(42)
            names.append((await runner.start.aio("w")).name)

    assert len({name[-10:] for name in names}) == 20
