"""What a caller asks of one task: the same as a rule does, and MANUAL."""

from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    ExecutionType,
    Registry,
    Runner,
    TaskAction,
    TaskNotFoundError,
    TaskStatus,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    task,
)
from tests.runner.scene import declare, forever, turns

STATUS = TaskStatus


def hanging() -> Registry:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> None:
            await forever()

        @task()
        async def waits() -> int:
            return 1

        waits.action_on_event_received(TaskAction.START, "never")
    return registry


async def runs(execution: WorkflowExecution) -> list[tuple[str, TaskStatus, ExecutionType]]:
    await turns()
    found = await execution.task_executions.aio()
    return [(run.task_name, run.status, run.execution_type) for run in found]


async def test_a_task_is_started_stopped_and_restarted_by_calls(url: str) -> None:
    async with Runner(url, registry=hanging(), grace=0) as runner:
        execution = await runner.start.aio("w")
        await execution.start_task.aio("works")
        await execution.start_task.aio("waits")
        await turns()
        await execution.restart_task.aio("works")
        await turns()
        await execution.stop_task.aio("works")
        while (found := await runs(execution))[-1][1] is STATUS.STOPPING:
            """Look again: the body ends in a moment."""

    assert found == [
        ("works", STATUS.STOPPED, ExecutionType.EVENT),
        ("waits", STATUS.SUCCESS, ExecutionType.MANUAL),
        ("works", STATUS.STOPPED, ExecutionType.MANUAL),
    ]


async def test_a_client_asks_the_runner_that_owns_the_execution(path: Path) -> None:
    async with (
        Runner(path, registry=hanging(), clock=VirtualClock(), grace=0) as runner,
        Client(path, registry=hanging()) as client,
    ):
        await runner.start.aio("w", name="w-1")
        asked = await client.execution.aio("w-1")
        assert asked is not None
        await asked.start_task.aio("waits")
        await asked.stop_task.aio("works")
        await runner._working_engine.ownership.look()
        done = await client.wait.aio("w-1", timeout="10s")

    assert done.status is WorkflowStatus.STOPPED


async def test_what_cannot_be_asked_of_a_task_is_refused_by_name(url: str) -> None:
    registry = declare("ends", "one", body=lambda context: None)
    async with Runner(url, registry=registry) as runner, Client(url, registry=registry) as client:
        ended = await runner.execute.aio("ends", name="e-1")
        asked = await client.execution.aio("e-1")
        assert asked is not None
        for execution in (ended, asked):
            for call in (execution.start_task, execution.stop_task, execution.restart_task):
                with pytest.raises(UsageError, match="'e-1' has ended, no task of it can "):
                    await call.aio("one")
                with pytest.raises(TaskNotFoundError, match="no task 'x'; its tasks are: 'one'"):
                    await call.aio("x")
