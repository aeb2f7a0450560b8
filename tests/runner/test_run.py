"""Workflows run end to end: declared, started, worked on, asked for. Both stores."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a fresh store."""
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def test_a_chain_runs_in_order_and_merges_its_contexts(url: str) -> None:
    with Registry() as registry, Workflow("chain"):

        @task(id="first")
        async def first(context: Context) -> int:
            context["path"] = ["first"]
            return 1

        @task(id="second", dependencies=["first"])
        def second(context: Context) -> None:
            context["path"] = [*context["path"], "second"]

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("chain", {"given": True})
        runs = await done.task_executions.aio()

    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"given": True, "path": ["first", "second"]}
    assert [(run.task_name, run.status, run.result) for run in runs] == [
        ("first", TaskStatus.SUCCESS, 1),
        ("second", TaskStatus.SUCCESS, None),
    ]


async def test_names_that_are_made_are_in_the_order_of_time(url: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def only() -> None: ...

    clock = VirtualClock()
    names: list[str] = []
    async with Runner(url, registry=registry, clock=clock) as runner:
        for _ in range(20):
            names.append((await runner.start.aio("w")).name)
            await clock.advance(timedelta(milliseconds=1))

    assert names == sorted(set(names))
    assert all(name.startswith("w-") for name in names)


async def test_names_that_are_made_differ_though_users_seed_their_random_numbers_alike() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def only() -> None: ...

    names: list[str] = []
    async with Runner(":memory:", registry=registry, clock=VirtualClock()) as runner:
        for _ in range(3):  # at one moment of the clock
            random.seed(7)
            names.append((await runner.start.aio("w")).name)

    assert len(set(names)) == 3


async def test_a_task_starts_on_an_event_that_another_task_sends(url: str) -> None:
    with Registry() as registry, Workflow("talk"):

        @task(id="speaker")
        async def speaker() -> None:
            sent = await NotificationClient().send_event.aio("said", {"word": "hello"})
            assert sent.offset is not None

        @task(id="hearer")
        async def hearer(context: Context) -> None:
            context["heard"] = True

        hearer.action_on_event_received(action=TaskAction.START, event_key="said")

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("talk")

    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"heard": True}


async def test_a_task_in_a_thread_sends_with_the_blocking_form(url: str) -> None:
    with Registry() as registry, Workflow("talk"):

        @task(id="speaker")
        def speaker() -> None:
            NotificationClient("localhost:50052").send_event("said", "a word")

        @task(id="hearer")
        def hearer(context: Context) -> None:
            context["heard"] = True

        hearer.action_on_event_received(action=TaskAction.START, event_key="said")

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("talk")

    assert done.final_context == {"heard": True}


async def test_a_task_that_fails_once_is_tried_again(url: str) -> None:
    with Registry() as registry, Workflow("shaky"):

        @task(id="shaky", retries=1, retry_delay="10ms")
        async def shaky(context: Context) -> None:
            context["tried"] = context.try_number
            if context.try_number == 1:
                raise ConnectionError("no route")

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("shaky")
        (run,) = await done.task_executions.aio()

    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"tried": 2}
    assert (run.sequence_number, run.try_number) == (1, 2)


async def test_a_task_that_fails_for_good_fails_its_execution_with_its_error(url: str) -> None:
    with Registry() as registry, Workflow("broken"):

        @task(id="broken")
        async def broken(context: Context) -> None:
            context["lost"] = True
            raise ValueError("no good")

        @task(id="after", dependencies=[broken])
        async def after() -> None:
            """Never runs."""

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("broken")
        (run,) = await done.task_executions.aio()

    assert done.status is WorkflowStatus.FAILED
    assert done.error_message == "task 'broken': ValueError: no good"
    assert done.final_context == {}
    assert run.error_message == "ValueError: no good"
    assert run.traceback is not None
    assert 'raise ValueError("no good")' in run.traceback


async def test_an_event_from_outside_reaches_every_running_execution_of_its_namespace(
    url: str,
) -> None:
    with Registry() as registry, Workflow("waiting"):

        @task(id="waits")
        async def waits(context: Context) -> None:
            context["came"] = True

        waits.action_on_event_received(action=TaskAction.START, event_key="go")

    async with Runner(url, registry=registry) as runner:
        started = [await runner.start.aio("waiting") for _ in range(3)]
        await runner.send_event.aio("go", namespace="elsewhere")
        assert [(await each.refresh.aio()).status for each in started] == ["RUNNING"] * 3

        event = await runner.send_event.aio("go", {"n": 1})
        ends = [await each.wait.aio(timeout=5) for each in started]

    assert event.value == {"n": 1}
    assert [end.final_context for end in ends] == [{"came": True}] * 3


async def test_stop_ends_what_runs_and_starts_nothing_more(url: str) -> None:
    begun = asyncio.Event()
    with Registry() as registry, Workflow("endless"):

        @task(id="endless")
        async def endless() -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        @task(id="after", dependencies=[endless])
        async def after() -> None:
            """Never runs."""

    async with Runner(url, registry=registry) as runner:
        execution = await runner.start.aio("endless")
        await begun.wait()
        await execution.stop.aio(wait=True)
        done = await execution.refresh.aio()
        (run,) = await done.task_executions.aio()

    assert done.status is WorkflowStatus.STOPPED
    assert run.status is TaskStatus.STOPPED


def test_the_blocking_form_does_the_same(url: str) -> None:
    with Registry() as registry, Workflow("plain"):

        @task(id="only")
        def only(context: Context) -> None:
            context["done"] = True

    with Runner(url, registry=registry) as runner:
        done = runner.execute("plain", {"a": 1})
        names = [each.name for each in runner.executions()]

    assert done.final_context == {"a": 1, "done": True}
    assert names == [done.name]


def test_plain_use_opens_itself_and_ends_with_shutdown(url: str) -> None:
    with Registry() as registry, Workflow("plain"):

        @task(id="only")
        def only() -> str:
            return "result"

    runner = Runner(url, registry=registry)
    try:
        done = runner.execute("plain")
        (run,) = done.task_executions()
    finally:
        runner.shutdown()

    assert run.result == "result"


async def test_1000_parallel_tasks_all_run_once(url: str) -> None:
    ran: list[int] = []
    with Registry() as registry, Workflow("wide"):
        for number in range(1000):

            @task(id=f"t{number}")
            async def one(number: int = number) -> None:
                ran.append(number)

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("wide", timeout=15)

    assert done.status is WorkflowStatus.SUCCESS
    assert sorted(ran) == list(range(1000))
