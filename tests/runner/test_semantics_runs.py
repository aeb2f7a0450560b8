"""What started a run, which runs are counted, and which status is awaited."""

import asyncio
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    ExecutionType,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import forever, turns

MANUAL, EVENT, PERIODIC = ExecutionType
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


# --- execution types and sequence numbers ---


async def test_each_run_says_what_started_it_and_only_new_runs_are_counted() -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="interval@0 0 1 0", retries=1, retry_delay="1s", retry_jitter=0)
        async def tick(context: Context) -> None:
            if (context.sequence_number, context.try_number) == (2, 1):
                raise ConnectionError("no route")

        @task()
        async def follow() -> None:
            """Runs after each tick."""

        follow.start_after(tick)
        tick.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(MINUTE)
        await clock.advance(MINUTE / 2)
        await runner.send_event.aio("again")
        await clock.advance(MINUTE / 2)
        await execution.stop.aio(wait=True)
        runs = await execution.task_executions.aio()

    ticks = [run for run in runs if run.task_name == "tick"]
    follows = [run for run in runs if run.task_name == "follow"]
    assert execution.execution_type is MANUAL
    assert [(run.sequence_number, run.execution_type, run.try_number) for run in ticks] == [
        (1, EVENT, 1),
        (2, PERIODIC, 2),
        (3, EVENT, 1),
        (4, PERIODIC, 1),
    ]
    assert [(run.sequence_number, run.execution_type) for run in follows] == [
        (number, EVENT) for number in (1, 2, 3, 4)
    ]


async def test_a_start_that_waited_keeps_the_type_of_what_asked_for_it() -> None:
    clock, released = VirtualClock(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(periodic_expression="interval@0 0 1 0")
        async def tick(context: Context) -> None:
            if context.sequence_number == 1:
                try:
                    await forever()
                finally:
                    await released.wait()

        tick.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(MINUTE)  # its period asks first
        await runner.send_event.aio("again")
        waiting = await execution.task_executions.aio()
        released.set()
        await turns()
        runs = await execution.task_executions.aio()
        await execution.stop.aio(wait=True)

    assert [(run.status, run.execution_type) for run in waiting] == [(TaskStatus.STOPPING, EVENT)]
    assert [(run.sequence_number, run.execution_type) for run in runs] == [
        (1, EVENT),
        (2, PERIODIC),
    ]


@pytest.mark.parametrize(
    "status", [TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.RETRYING, TaskStatus.FAILED]
)
async def test_any_status_of_a_real_task_can_be_awaited(status: TaskStatus) -> None:
    clock = VirtualClock()
    seen: list[object] = []
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="10s", retry_jitter=0)
        async def first(context: Context) -> None:
            await clock.pause(SECOND)
            raise ConnectionError("no route")

        @task()
        async def second() -> None:
            seen.append(clock.now() - begin)

        second.action_on_task_status(TaskAction.START, {first: status})

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        begin = clock.now()
        execution = await runner.start.aio("w")
        await clock.advance(MINUTE)
        done = await execution.wait.aio()

    once = {TaskStatus.RETRYING: [SECOND], TaskStatus.FAILED: [12 * SECOND]}
    twice = [0 * SECOND, 11 * SECOND]  # each attempt is QUEUED and RUNNING anew
    assert seen == once.get(status, twice)
    assert done.status is WorkflowStatus.FAILED
