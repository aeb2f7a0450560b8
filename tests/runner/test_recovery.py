"""What one runner leaves, the next one goes on with, or parks."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    ExecutionParkedError,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._runner.ownership import AT_FIRST
from tests.runner.scene import declare, forever, rows, turns

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=20)


async def test_a_running_task_runs_again_and_one_that_is_not_idempotent_has_failed(
    url: str, path: Path
) -> None:
    log: list[tuple[str, int]] = []
    told: list[str] = []
    hang = True
    with Registry() as registry, Workflow("w"):

        @task()
        async def twice(context: Context) -> str:
            log.append(("twice", context.try_number))
            if hang:
                await forever()
            return context.idempotency_key

        @task(idempotent=False, on_failure=lambda name, error, context: told.append(error))
        async def once(context: Context) -> None:
            log.append(("once", context.try_number))
            await forever()

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w", name="e")
        await clock.advance(MOMENT)
    left = rows(path, "SELECT task, status, try_number FROM task_execution ORDER BY task")
    owner = rows(path, "SELECT owner, status FROM execution")
    hang = False
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        runs = {run.task_name: run for run in await done.task_executions.aio()}

    assert left == [("once", "RUNNING", 1), ("twice", "RUNNING", 1)]
    assert owner == [(None, "RUNNING")]
    assert sorted(log) == [("once", 1), ("twice", 1), ("twice", 2)]
    assert (runs["twice"].status, runs["twice"].try_number) == (TaskStatus.SUCCESS, 2)
    assert runs["twice"].result == "e/twice/1"
    assert (runs["once"].status, runs["once"].try_number) == (TaskStatus.FAILED, 1)
    assert (runs["once"].error_message or "").startswith("CrashError")
    assert told == [runs["once"].error_message]
    assert done.status is WorkflowStatus.FAILED


async def test_what_was_worked_on_last_goes_on_before_what_waits(url: str) -> None:
    again: list[str] = []
    with Registry() as registry:
        with Workflow("waits"):

            @task()
            async def waits(context: Context) -> None:
                again.append(context.idempotency_key.split("/")[0])
                await new_event.aio("go", data_type=bool)
                await forever()

        with Workflow("works"):

            @task()
            async def works(context: Context) -> None:
                again.append(context.idempotency_key.split("/")[0])
                await forever()

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        for number in range(AT_FIRST + 1):
            await runner.start.aio("waits", name=f"waits-{number}")
        await runner.start.aio("works", name="works")
        await clock.advance(MOMENT)
    began = len(again)
    again.clear()
    async with Runner(url, registry=registry, clock=clock, grace=0):
        first = again.copy()
        await clock.advance(MOMENT)

    assert "works" in first
    assert len(first) <= AT_FIRST
    assert len(again) == began == AT_FIRST + 2


async def test_a_crash_takes_no_retry_from_a_task(url: str) -> None:
    log: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=0)
        async def works(context: Context) -> None:
            log.append(context.try_number)
            if len(log) == 1:
                await forever()
            if len(log) == 2:
                raise ConnectionError("no route")

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(MOMENT)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(MOMENT)
        done = await runner.wait.aio(execution.name)

    assert log == [1, 2, 3]
    assert done.status is WorkflowStatus.SUCCESS


async def test_a_retry_that_waits_comes_in_the_next_runner_and_never_early(url: str) -> None:
    clock = VirtualClock()
    at: list[timedelta] = []
    start = clock.now()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h", retry_jitter=0)
        async def fails() -> None:
            at.append(clock.now() - start)
            raise ConnectionError("no route")

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.settle()
    await clock.advance(HOUR / 2)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(HOUR / 2 - MOMENT)
        early = len(at)
        await clock.advance(MOMENT)
        done = await runner.wait.aio(execution.name)
        (run,) = await done.task_executions.aio()

    assert early == 1
    assert at == [timedelta(0), HOUR]
    assert (run.status, run.try_number) == (TaskStatus.FAILED, 2)


async def test_a_retry_that_fell_due_meanwhile_comes_at_once(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h")
        async def fails(context: Context) -> None:
            if context.try_number == 1:
                raise ConnectionError("no route")

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.settle()
    await clock.advance(3 * HOUR)
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)

    assert done.status is WorkflowStatus.SUCCESS
    assert done.end_date == clock.now()


async def test_a_stopping_task_is_stopped_and_its_restart_made(url: str) -> None:
    clock = VirtualClock()
    log: list[int] = []
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def again(context: Context) -> None:
            log.append(context.sequence_number)
            if len(log) == 1:
                begun.set()
                try:
                    await forever()
                except asyncio.CancelledError:
                    await forever()

        again.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await runner.send_event.aio("again")
        (left,) = await execution.task_executions.aio()
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        runs = await done.task_executions.aio()

    assert left.status is TaskStatus.STOPPING
    assert [(run.sequence_number, run.status) for run in runs] == [
        (1, TaskStatus.STOPPED),
        (2, TaskStatus.SUCCESS),
    ]
    assert log == [1, 2]


async def test_a_stop_that_was_asked_for_is_carried_out_by_the_next_runner(url: str) -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stubborn() -> None:
            begun.set()
            while True:
                try:
                    await forever()
                except asyncio.CancelledError:
                    if over:
                        raise

    over = False
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        ending = asyncio.create_task(runner.shutdown.aio())
        await turns()
        over = True
        await clock.advance(timedelta(seconds=5))
        await ending
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)

    assert done.status is WorkflowStatus.STOPPED


# --- parked ---


async def test_an_execution_whose_task_is_gone_is_parked_until_its_definition_is_back(
    url: str,
) -> None:
    ran: list[str] = []
    clock = VirtualClock()
    async with Runner(url, registry=declare("w", "a", "b"), clock=clock, grace=0) as runner:
        first = await runner.start.aio("w")
        await clock.advance(MOMENT)

    registry = declare("w", "b", body=lambda context: ran.append(context.task_name))
    async with Runner(url, registry=registry, clock=clock) as runner:
        with pytest.raises(ExecutionParkedError, match="'a', which has not ended"):
            await runner.wait.aio(first.name)
        parked = await first_or_fail(runner, first.name)
        other = await runner.execute.aio("w")
        before = list(ran)

    registry = declare("w", "a", "b", body=lambda context: ran.append(context.task_name))
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(first.name)

    assert parked == (WorkflowStatus.RUNNING, True)
    assert other.status is WorkflowStatus.SUCCESS
    assert before == ["b"]
    assert ran == ["b", "a", "b"]
    assert (done.status, done.parked_reason) == (WorkflowStatus.SUCCESS, None)


async def first_or_fail(runner: Runner, name: str) -> tuple[WorkflowStatus, bool]:
    found = await runner.execution.aio(name)
    assert found is not None
    return found.status, found.parked_reason is not None


async def test_an_execution_whose_workflow_is_not_declared_is_parked_and_can_be_stopped(
    url: str,
) -> None:
    clock = VirtualClock()
    async with Runner(url, registry=declare("w", "a"), clock=clock, grace=0) as runner:
        left = await runner.start.aio("w")
        await clock.advance(MOMENT)

    async with Runner(url, registry=declare("other", "b"), clock=clock) as runner:
        with pytest.raises(ExecutionParkedError, match="workflow 'w' is not declared"):
            await runner.wait.aio(left.name)
        await runner.send_event.aio("said", execution=left.name)
        await runner.stop.aio(left.name, wait=True)
        done = await runner.wait.aio(left.name)
        (run,) = await done.task_executions.aio()

    assert (done.status, run.status) == (WorkflowStatus.STOPPED, TaskStatus.STOPPED)


async def test_an_execution_that_never_began_is_parked_and_begins_when_it_is_declared(
    url: str,
) -> None:
    async with Client(url, registry=declare("w", "a", body=lambda context: None)) as client:
        left = await client.start.aio("w")
    async with Runner(url, registry=Registry()) as runner:
        with pytest.raises(ExecutionParkedError, match="workflow 'w' is not declared"):
            await runner.wait.aio(left.name)
    async with Runner(url, registry=declare("w", "a", body=lambda context: None)) as runner:
        done = await runner.wait.aio(left.name)

    assert done.status is WorkflowStatus.SUCCESS
