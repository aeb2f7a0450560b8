"""Users' own operators: how they are awaited, and stopped by their own `stop`."""

import asyncio
import threading
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    Operator,
    Registry,
    Runner,
    TaskStatus,
    TaskStopped,
    VirtualClock,
    Workflow,
    WorkflowStatus,
)
from tests.runner.scene import ended, forever, until

PATIENCE = timedelta(seconds=10)
MOMENT = timedelta(milliseconds=100)


class Process(Operator):
    """Works in a thread until its own `stop` ends it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.begun = threading.Event()
        self.told = threading.Event()
        self.cleaned = False

    def start(self, context: Context) -> None:
        """Nothing to do."""

    def await_termination(self, context: Context, timeout: float | None = None) -> None:
        self.begun.set()
        self.told.wait()
        self.cleaned = True

    def stop(self, context: Context) -> None:
        self.told.set()


async def test_a_users_operator_is_stopped_by_its_own_stop_and_may_end_its_work() -> None:
    with Registry() as registry, Workflow("w"):
        process = Process("process")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await until(process.begun.is_set)
        await execution.stop.aio()
        _, (run,) = await ended(execution)

    assert process.cleaned
    assert (run.status, run.abandoned) == (TaskStatus.STOPPED, False)


async def test_await_termination_gets_the_timeout_and_its_return_is_the_end() -> None:
    given: list[float | None] = []

    class Waits(Operator):
        async def start(self, context: Context) -> None:
            context["started"] = True

        async def await_termination(self, context: Context, timeout: float | None = None) -> str:
            given.append(timeout)
            return "result"

    with Registry() as registry, Workflow("w"):
        Waits("waits", timeout="1m")

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()

    assert given == [60.0]
    assert (run.status, run.result) == (TaskStatus.SUCCESS, "result")
    assert done.final_context == {"started": True}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, TaskStopped])
async def test_a_stop_that_raises_still_ends_the_task_and_nothing_else(
    error: type[BaseException], kind: str
) -> None:
    begun = asyncio.Event()

    class Breaks(Operator):
        async def start(self, context: Context) -> None:
            begun.set()
            await forever()

        def stop(self, context: Context) -> Awaitable[None] | None:
            raise error

    class BreaksOnTheLoop(Breaks):
        async def stop(self, context: Context) -> None:
            raise error

    with Registry() as registry, Workflow("w"):
        (Breaks if kind == "sync" else BreaksOnTheLoop)("breaks")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        done, (run,) = await ended(execution)

    assert (done.status, run.status) == (WorkflowStatus.STOPPED, TaskStatus.STOPPED)


async def test_a_stop_that_hangs_is_given_10_s() -> None:
    clock = VirtualClock()
    begun = asyncio.Event()

    class Hangs(Operator):
        async def start(self, context: Context) -> None:
            begun.set()
            await forever()

        async def stop(self, context: Context) -> None:
            await forever()

    with Registry() as registry, Workflow("w"):
        Hangs("hangs")

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        await clock.advance(PATIENCE - MOMENT)
        (before,) = await execution.task_executions.aio()
        await clock.advance(MOMENT)
        _, (run,) = await ended(execution)

    assert before.status is TaskStatus.STOPPING
    assert run.status is TaskStatus.STOPPED
