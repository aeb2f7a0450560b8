"""What a new definition changes, and what starts with a workflow."""

import asyncio

import pytest

from asyncflow import (
    Context,
    ExecutionParkedError,
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
from tests.runner.scene import declare, ended, forever, turns


def version(number: int, registry: Registry) -> None:
    """Declare the workflow whose second task starts on an event of its version."""
    with registry, Workflow("w", owner=f"version {number}"):

        @task()
        async def first() -> int:
            return number

        @task()
        async def second() -> int:
            return number

        second.action_on_event_received(TaskAction.START, f"go {number}")


async def test_declared_again_a_workflow_is_new_for_new_executions_only() -> None:
    registry = Registry()
    version(1, registry)
    async with Runner(":memory:", registry=registry) as runner:
        old = await runner.start.aio("w")
        version(2, registry)
        new = await runner.start.aio("w")
        await runner.send_event.aio("go 1", execution=new.name)
        await runner.send_event.aio("go 2", execution=old.name)
        await turns()
        before = [(await each.refresh.aio()).status for each in (old, new)]
        await runner.send_event.aio("go 1")
        _, first = await ended(old)
        await runner.send_event.aio("go 2")
        _, second = await ended(new)

    assert before == [WorkflowStatus.RUNNING] * 2
    assert [run.result for run in first] == [1, 1]
    assert [run.result for run in second] == [2, 2]


async def test_after_a_restart_tasks_go_on_under_the_newest_definition_of_their_name(
    url: str,
) -> None:
    clock = VirtualClock()
    async with Runner(url, registry=declare("w", "a", "b"), grace=0) as runner:
        await runner.start.aio("w", name="w-1")
        await turns()

    registry = Registry()
    with registry, Workflow("w"):

        @task(id="a")
        async def newer(context: Context) -> str:
            return f"newer, try {context.try_number}"

        @task(id="c", dependencies=["a"])
        async def added() -> str:
            return "added"

    async with Runner(url, registry=registry, clock=clock) as runner:
        done, runs = await ended(await runner.wait.aio("w-1"))

    assert done.status is WorkflowStatus.SUCCESS
    assert [(run.task_name, run.result) for run in runs][1:] == [("c", "added")]
    assert str(runs[0].result).startswith("newer, try ")


async def test_one_that_is_parked_raises_can_be_stopped_and_hinders_no_other(url: str) -> None:
    for name in ("w", "other"):
        async with Runner(url, registry=declare(name, "gone"), grace=0) as runner:
            await runner.start.aio(name, name=f"{name}-1")
            await turns()

    def ends(context: Context) -> None:
        context["ended"] = True

    registry = declare("w", "another")
    with registry, Workflow("other"):

        @task(id="gone")
        async def found(context: Context) -> None:
            ends(context)

    async with Runner(url, registry=registry) as runner:
        other = await runner.wait.aio("other-1")
        parked = await runner.execution.aio("w-1")
        assert parked is not None
        with pytest.raises(ExecutionParkedError, match="'gone'"):
            await parked.wait.aio()
        await parked.stop.aio(wait=True)
        stopped = await parked.refresh.aio()

    assert other.final_context == {"ended": True}
    assert parked.status is WorkflowStatus.RUNNING
    assert "'gone'" in (parked.parked_reason or "")
    assert stopped.status is WorkflowStatus.STOPPED


async def test_current_workflows_of_tasks_of_one_loop_do_not_mix() -> None:
    registry = Registry()

    async def declares(name: str) -> None:
        with registry, Workflow(name):
            await turns(3)

            @task(id=f"of {name}")
            async def works() -> None:
                """Belongs to the block of its own task."""

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(declares(name))

    assert {each.name: list(each.tasks) for each in registry.workflows()} == {
        name: [f"of {name}"] for name in ("a", "b", "c")
    }


async def test_a_workflow_of_event_tasks_only_starts_and_gives_its_execution() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def waits() -> None:
            """Starts with the event."""

        waits.action_on_event_received(TaskAction.START, "go")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("go", execution=execution.name)
        done, (run,) = await ended(execution)

    assert execution.status is WorkflowStatus.RUNNING
    assert (done.status, run.status) == (WorkflowStatus.SUCCESS, TaskStatus.SUCCESS)
    assert (done.execution_type, run.execution_type) == (
        ExecutionType.MANUAL,
        ExecutionType.EVENT,
    )


async def test_a_task_with_stop_or_restart_rules_only_starts_with_the_workflow() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def stopped() -> None:
            await forever()

        @task()
        async def restarted() -> None:
            await forever()

        stopped.action_on_event_received(TaskAction.STOP, "halt")
        restarted.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        runs = await execution.task_executions.aio()
        await execution.stop.aio(wait=True)

    assert {run.task_name for run in runs} == {"stopped", "restarted"}
