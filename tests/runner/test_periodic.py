"""Periodic tasks, by virtual time: restarted each period, without drift, until stopped."""

import asyncio
from datetime import UTC, datetime, timedelta

from asyncflow import (
    Context,
    ExecutionType,
    Registry,
    Runner,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import forever

MINUTE = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=50)


async def test_a_periodic_task_and_its_follower_run_each_minute_until_stopped(url: str) -> None:
    clock = VirtualClock()
    at: list[timedelta] = []
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="interval@0 0 1 0")
        async def tick(context: Context) -> int:
            at.append(clock.now() - start)
            await clock.pause(timedelta(seconds=7))
            return context.sequence_number

        @task()
        async def follow() -> None:
            """Run after each tick."""

        follow.start_after(tick)

    async with Runner(url, registry=registry, clock=clock) as runner:
        start = clock.now()
        execution = await runner.start.aio("w")
        await clock.advance(5 * MINUTE + 30 * timedelta(seconds=1))
        await execution.stop.aio(wait=True)
        await clock.advance(5 * MINUTE)
        done = await execution.refresh.aio()
        runs = await done.task_executions.aio()

    assert at == [number * MINUTE for number in range(6)]
    assert done.status is WorkflowStatus.STOPPED
    ticks = [run for run in runs if run.task_name == "tick"]
    follows = [run for run in runs if run.task_name == "follow"]
    kinds = [run.execution_type for run in ticks]
    assert kinds == [ExecutionType.EVENT, *[ExecutionType.PERIODIC] * 5]
    assert len(follows) == 6
    assert clock.next_deadline() is None


async def test_a_run_that_is_not_over_when_its_period_is_is_stopped_first(url: str) -> None:
    clock = VirtualClock()
    alive: list[int] = []
    most: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="interval@0 0 1 0")
        async def tick(context: Context) -> None:
            alive.append(context.sequence_number)
            most.append(len(alive))
            try:
                await forever()
            finally:
                alive.remove(context.sequence_number)

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(3 * MINUTE + MOMENT)
        runs = await execution.task_executions.aio()

    assert max(most) == 1
    assert [run.status for run in runs] == [*[TaskStatus.STOPPED] * 3, TaskStatus.RUNNING]


async def test_periods_that_passed_while_no_runner_was_open_are_made_up_for_once(url: str) -> None:
    clock = VirtualClock()
    at: list[timedelta] = []
    start = clock.now()
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="interval@0 0 1 0")
        async def tick() -> None:
            at.append(clock.now() - start)

    async with Runner(url, registry=registry, clock=clock) as runner:
        await runner.start.aio("w", name="w-1")
        await clock.advance(MINUTE)
    await clock.advance(5 * MINUTE + 20 * timedelta(seconds=1))
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(MINUTE)
        await asyncio.wait_for(runner.stop.aio("w-1", wait=True), 10)

    late = 6 * MINUTE + timedelta(seconds=20)
    assert at == [timedelta(0), MINUTE, late, 7 * MINUTE]


async def test_a_task_with_a_cron_expression_runs_when_the_clock_on_the_wall_says_so(
    url: str,
) -> None:
    clock = VirtualClock(datetime(2026, 3, 28, 12, tzinfo=UTC))
    at: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="cron@30 2 * * *", periodic_timezone="Europe/Paris")
        async def tick() -> None:
            at.append(clock.now().isoformat(timespec="minutes"))

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(timedelta(days=3))
        runs = await execution.task_executions.aio()
        await execution.stop.aio(wait=True)

    # The clock skips 02:30 on the 29th: the run is as much later.
    days = ["2026-03-29T01:30+00:00", "2026-03-30T00:30+00:00", "2026-03-31T00:30+00:00"]
    assert at == ["2026-03-28T12:00+00:00", *days]
    kinds = [run.execution_type for run in runs]
    assert kinds == [ExecutionType.EVENT, *[ExecutionType.PERIODIC] * 3]
    assert clock.next_deadline() is None


async def test_ticks_that_passed_while_no_runner_was_open_are_made_up_for_once(url: str) -> None:
    clock = VirtualClock(datetime(2026, 3, 28, 12, tzinfo=UTC))
    at: list[timedelta] = []
    start = clock.now()
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="cron@* * * * *")
        async def tick() -> None:
            at.append(clock.now() - start)

    async with Runner(url, registry=registry, clock=clock) as runner:
        await runner.start.aio("w", name="w-1")
        await clock.advance(MINUTE)
    await clock.advance(5 * MINUTE + 20 * timedelta(seconds=1))
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(MINUTE)
        await asyncio.wait_for(runner.stop.aio("w-1", wait=True), 10)

    late = 6 * MINUTE + timedelta(seconds=20)
    assert at == [timedelta(0), MINUTE, late, 7 * MINUTE]
