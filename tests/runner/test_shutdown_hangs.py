"""Nothing that hangs holds up a shutdown for longer than the grace."""

import asyncio
import threading
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    Event,
    NotificationClient,
    Operator,
    Registry,
    Runner,
    TaskAction,
    UsageError,
    VirtualClock,
    Workflow,
    task,
)
from tests.runner.scene import When, closing, forever, until

GRACE = timedelta(seconds=5)
MOMENT = timedelta(milliseconds=100)


async def test_a_thread_that_never_ends_holds_up_no_shutdown_longer_than_the_grace(
    url: str,
) -> None:
    clock = VirtualClock()
    begun, gate, late = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    raised: list[type[BaseException]] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def deaf(context: Context) -> str:
            if context.try_number > 1:
                return "again"
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            try:
                NotificationClient().send_event("late")
            except BaseException as error:
                raised.append(type(error))
                raise
            finally:
                late.set()
            return "late"

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    await clock.advance(MOMENT)
    ending = await closing(runner)
    await clock.advance(GRACE)
    await ending
    gate.set()
    await until(late.is_set)
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        (run,) = await done.task_executions.aio()

    assert [each.__name__ for each in raised] == ["TaskStopped"]
    assert (run.result, run.try_number) == ("again", 2)


async def test_a_condition_that_hangs_holds_up_no_shutdown_longer_than_the_grace(
    url: str,
) -> None:
    clock = VirtualClock()
    asked = asyncio.Event()

    async def hangs(event: Event, context: Context) -> bool:
        asked.set()
        await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Never runs."""

        hears.action_on_condition(TaskAction.START, When(hangs))
        hears.action_on_condition(TaskAction.START, When(hangs))

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    await runner.start.aio("w")
    sending = asyncio.create_task(runner.send_event.aio("said"))
    await asked.wait()
    ending = await closing(runner)
    await clock.advance(GRACE)
    await ending

    with pytest.raises(UsageError, match="shut down"):
        await sending


async def test_a_stop_that_hangs_holds_up_no_shutdown_longer_than_the_grace(url: str) -> None:
    clock = VirtualClock()
    begun, told = asyncio.Event(), asyncio.Event()

    class Hangs(Operator):
        async def start(self, context: Context) -> None:
            begun.set()
            await forever()

        async def stop(self, context: Context) -> None:
            told.set()
            await forever()

    with Registry() as registry, Workflow("w"):
        Hangs("hangs")

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    await execution.stop.aio()
    await told.wait()
    ending = await closing(runner)
    await clock.advance(GRACE)
    await ending


async def test_a_task_that_swallows_its_cancellation_holds_up_no_shutdown_for_ever(
    url: str,
) -> None:
    clock = VirtualClock()
    begun, released, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stubborn() -> None:
            begun.set()
            try:
                await forever()
            except asyncio.CancelledError:
                await released.wait()
            over.set()

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    await runner.start.aio("w")
    await begun.wait()
    ending = await closing(runner)
    await clock.advance(2 * GRACE)
    await ending
    released.set()
    await over.wait()
