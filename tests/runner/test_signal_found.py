"""`Event.get` may wait for the event to be made: as after the start of its execution."""

import asyncio
from datetime import timedelta

from asyncflow import Event, Registry, Runner, VirtualClock, Workflow, new_event, task


async def test_an_event_that_is_not_there_yet_is_waited_for(url: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def ask() -> int:
            return await (await new_event.aio("go", data_type=int)).wait.aio()

    async with Runner(url, registry=registry) as runner:
        run = await runner.start.aio("w")
        event = await Event.get.aio("go", run.name, timeout="10s")
        assert event is not None
        await event.signal.aio(3)
        done = await run.wait.aio(timeout="10s")
        (asked,) = await done.task_executions.aio()

    assert asked.result == 3


async def test_one_that_does_not_come_in_time_is_none() -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def asks_nothing() -> None: ...

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        run = await runner.execute.aio("w")
        look = asyncio.create_task(runner.event.aio("go", run.name, timeout="1m"))
        await clock.advance(timedelta(seconds=59))
        early = look.done()
        await clock.advance(timedelta(seconds=2))
        found = await look

    assert not early
    assert found is None
