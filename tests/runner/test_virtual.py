"""Under a virtual clock an hour takes no time, and nothing comes early."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    ExecutionExistsError,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    VirtualClock,
    WaitTimeoutError,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import forever

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def test_a_retry_after_an_hour_comes_after_exactly_an_hour(url: str) -> None:
    clock = VirtualClock()
    at: list[timedelta] = []
    with Registry() as registry, Workflow("w"):

        @task(retries=2, retry_delay="1h", retry_backoff="fixed", retry_jitter=0)
        async def fails(context: Context) -> int:
            at.append(clock.now() - start)
            if context.try_number < 3:
                raise ConnectionError("no route")
            return context.try_number

    async with Runner(url, registry=registry, clock=clock) as runner:
        start = clock.now()
        execution = await runner.start.aio("w")
        await clock.advance(HOUR - MOMENT)
        (before,) = await execution.task_executions.aio()
        early = len(at)
        await clock.advance(MOMENT)
        await clock.advance(HOUR)
        done = await execution.wait.aio()
        (run,) = await done.task_executions.aio()

    assert (before.status, early) == (TaskStatus.RETRYING, 1)
    assert at == [timedelta(0), HOUR, 2 * HOUR]
    assert (run.status, run.try_number, run.result) == (TaskStatus.SUCCESS, 3, 3)
    assert done.begin_date is not None
    assert done.end_date is not None
    assert done.end_date - done.begin_date == 2 * HOUR


async def test_one_advance_sees_a_chain_of_retries_through(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):
        before: list[str] = []
        for number in range(4):

            @task(
                id=f"t{number}",
                dependencies=list(before),
                retries=1,
                retry_delay="10m",
                retry_jitter=0,
            )
            async def fails(context: Context) -> None:
                if context.try_number == 1:
                    raise ConnectionError("no route")

            before = [f"t{number}"]

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(timedelta(minutes=40))
        done = await execution.refresh.aio()

    assert done.status is WorkflowStatus.SUCCESS
    assert done.begin_date is not None
    assert done.end_date == done.begin_date + timedelta(minutes=40)


async def test_that_a_task_runs_is_on_disk_after_10_ms(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def runs() -> None:
            await forever()

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await clock.settle()
        (before,) = await execution.task_executions.aio()
        await clock.advance(timedelta(milliseconds=10))
        (after,) = await execution.task_executions.aio()

    assert before.status is TaskStatus.QUEUED
    assert after.status is TaskStatus.RUNNING


async def test_waiting_in_vain_ends_when_the_virtual_time_is_over(url: str) -> None:
    clock = VirtualClock()
    raised: list[WaitTimeoutError] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def runs() -> None:
            await forever()

        @task()
        async def waits() -> None:
            await clock.pause(HOUR)

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")

        async def wait() -> None:
            try:
                await execution.wait.aio(timeout="2h")
            except WaitTimeoutError as error:
                raised.append(error)

        waiting = asyncio.create_task(wait())
        while not waiting.done():  # its time begins when the store has answered
            await clock.advance(HOUR)
        runs_ = await execution.task_executions.aio()

    assert len(raised) == 1
    assert [(run.task_name, run.status) for run in runs_] == [
        ("runs", TaskStatus.RUNNING),
        ("waits", TaskStatus.SUCCESS),
    ]


async def test_a_closed_runner_holds_up_no_clock(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h")
        async def fails() -> None:
            raise ConnectionError

    async with Runner(url, registry=registry, clock=clock) as runner:
        await runner.start.aio("w")
        await clock.settle()
    await clock.advance(2 * HOUR)

    assert clock.next_deadline() is None


async def test_a_refused_execution_takes_nothing_from_the_one_that_has_its_name(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry:
        with Workflow("works"):

            @task()
            async def works() -> None:
                await forever()

        with Workflow("ends-at-once", finish_when_idle=True):

            @task()
            async def hears() -> None:
                """Never runs."""

            hears.action_on_event_received(TaskAction.START, "said")

    async with Runner(url, registry=registry, clock=clock) as runner:
        await runner.start.aio("works", name="taken")
        with pytest.raises(ExecutionExistsError):
            await runner.start.aio("ends-at-once", name="taken")
        # no time passes: the end is told, not looked for
        await runner.stop.aio("taken", wait=True)
