"""When executions end, how they are stopped, and what is deleted."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    ValueStateDescriptor,
    VirtualClock,
    Workflow,
    WorkflowDisabledError,
    WorkflowInUseError,
    WorkflowRule,
    WorkflowStatus,
    task,
)
from tests.runner.scene import When, ended, forever, rows, turns
from tests.runner.test_states import Sums

SUCCESS, FAILED, STOPPED = TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.STOPPED
SUM = ValueStateDescriptor("sum")


def ending(ends: Iterable[TaskStatus]) -> Registry:
    """Declare tasks that end so, once "end" is said; and one that none of these ends can start."""
    gate = asyncio.Event()
    with Registry() as registry, Workflow("w"):
        for number, end in enumerate(ends):

            @task(id=f"t{number}")
            async def works(end: TaskStatus = end) -> None:
                if end is STOPPED:
                    await forever()
                await gate.wait()
                if end is FAILED:
                    raise ValueError("no")

            if end is STOPPED:
                works.action_on_event_received(TaskAction.STOP, "end")

        @task()
        async def opens() -> None:
            gate.set()

        opens.action_on_event_received(TaskAction.START, "end")

        @task()
        async def never() -> None:
            """Waits for a status that can no longer come."""

        never.action_on_task_status(TaskAction.START, {opens: FAILED})
    return registry


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((SUCCESS, SUCCESS), WorkflowStatus.SUCCESS),
        ((SUCCESS, STOPPED), WorkflowStatus.STOPPED),
        ((STOPPED, FAILED, SUCCESS), WorkflowStatus.FAILED),
        ((FAILED, STOPPED), WorkflowStatus.FAILED),
    ],
)
async def test_failed_goes_before_stopped_before_success_and_what_never_ran_counts_for_nothing(
    ends: tuple[TaskStatus, ...], expected: WorkflowStatus
) -> None:
    async with Runner(":memory:", registry=ending(ends)) as runner:
        execution = await runner.start.aio("w")
        await turns()
        before = await execution.refresh.aio()
        await runner.send_event.aio("end")
        done, runs = await ended(execution)

    assert before.status is WorkflowStatus.RUNNING
    assert done.status is expected
    assert [run.status for run in runs if run.task_name.startswith("t")] == list(ends)
    assert "never" not in {run.task_name for run in runs}


async def test_a_task_that_failed_and_then_succeeded_in_a_later_run_has_succeeded() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def shaky(context: Context) -> None:
            if context.sequence_number == 1:
                raise ValueError("no")

        shaky.action_on_task_status(TaskAction.RESTART, {shaky: FAILED})

    async with Runner(":memory:", registry=registry) as runner:
        done, runs = await ended(await runner.start.aio("w"))

    assert [run.status for run in runs] == [FAILED, SUCCESS]
    assert done.status is WorkflowStatus.SUCCESS
    assert done.error_message == "task 'shaky': ValueError: no"


@pytest.mark.parametrize("idle", [True, False])
async def test_a_task_that_waits_for_an_event_holds_an_execution_unless_it_finishes_when_idle(
    *, idle: bool
) -> None:
    gate = asyncio.Event()
    with Registry() as registry, Workflow("w", finish_when_idle=idle):

        @task()
        async def works() -> None:
            await gate.wait()

        @task()
        async def hears() -> None:
            """Starts with the event."""

        hears.action_on_event_received(TaskAction.START, "go")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await turns()
        busy = await execution.refresh.aio()
        gate.set()
        await turns()
        quiet = await execution.refresh.aio()
        await runner.send_event.aio("go")
        done, runs = await ended(execution)

    assert busy.status is WorkflowStatus.RUNNING
    assert quiet.status is (WorkflowStatus.SUCCESS if idle else WorkflowStatus.RUNNING)
    assert done.status is WorkflowStatus.SUCCESS
    assert len(runs) == (1 if idle else 2)


async def test_final_is_final() -> None:
    with Registry() as registry, Workflow("w", finish_when_idle=True):

        @task()
        async def works() -> None:
            """End at once."""

        for action in TaskAction:
            works.action_on_event_received(action, action)

    async with Runner(":memory:", registry=registry) as runner:
        done, before = await ended(await runner.start.aio("w"))
        for action in TaskAction:
            await runner.send_event.aio(action)
            await runner.send_event.aio(action, execution=done.name)
        await done.stop.aio(wait=True)
        await turns()
        after, runs = await ended(done)

    assert (after.status, after.end_date) == (WorkflowStatus.SUCCESS, done.end_date)
    assert runs == before


@pytest.mark.parametrize("by", ["the execution", "a rule"])
async def test_a_stop_during_the_pause_before_a_retry_wins(url: str, by: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(retries=5, retry_delay="1h")
        async def fails() -> None:
            raise ConnectionError("no route")

        fails.action_on_event_received(TaskAction.STOP, "halt")

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await turns()
        await clock.settle()
        (before,) = await execution.task_executions.aio()
        await (execution.stop.aio() if by == "the execution" else runner.send_event.aio("halt"))
        done, (run,) = await ended(execution)
        await clock.advance(timedelta(hours=10))
        (after,) = await execution.task_executions.aio()

    assert (before.status, before.try_number) == (TaskStatus.RETRYING, 1)
    assert (done.status, run.status, run.try_number) == (WorkflowStatus.STOPPED, STOPPED, 1)
    assert run.error_message == "ConnectionError: no route"
    assert after == run


async def test_a_stop_during_an_attempt_that_then_fails_is_not_retried() -> None:
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(retries=5, retry_delay=0)
        async def fails() -> None:
            begun.set()
            try:
                await forever()
            finally:
                raise ConnectionError("no route")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        done, (run,) = await ended(execution)

    assert (done.status, run.status, run.try_number) == (WorkflowStatus.STOPPED, STOPPED, 1)


async def test_once_stop_has_returned_nothing_starts_any_more() -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stubborn() -> None:
            begun.set()
            try:
                await forever()
            finally:
                await released.wait()

        @task()
        async def hears() -> None:
            """Never runs."""

        @task(dependencies=["stubborn"])
        async def after() -> None:
            """Never runs."""

        hears.action_on_event_received(TaskAction.START, "go")
        hears.action_on_task_status(TaskAction.START, {stubborn: STOPPED})
        stubborn.action_on_event_received(TaskAction.RESTART, "go")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        await runner.send_event.aio("go")
        stopping = await execution.refresh.aio()
        released.set()
        done, runs = await ended(execution)

    assert stopping.status is WorkflowStatus.RUNNING
    assert done.status is WorkflowStatus.STOPPED
    assert [(run.task_name, run.status) for run in runs] == [("stubborn", STOPPED)]


# --- disabling and deleting ---


def summed() -> Registry:
    """Declare one whose condition counts, and whose last run is started by the tenth."""
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears(context: Context) -> None:
            context["sum"] = context.get_state(SUM).value()

        hears.action_on_condition(TaskAction.START, Sums(10))

    return registry


async def test_a_disabled_workflow_refuses_every_start_also_after_a_restart(url: str) -> None:
    async with Runner(url, registry=summed()) as runner:
        running = await runner.start.aio("w")
        await runner.disable_workflow.aio("w")
        await runner.send_event.aio("number", 10)
        done = await running.wait.aio()
    async with Runner(url, registry=summed()) as runner, Client(url, registry=summed()) as client:
        await runner.add_workflow_rule.aio("w", WorkflowRule(When(lambda event, context: True)))
        for caller in (runner, client):
            with pytest.raises(WorkflowDisabledError, match="'w'"):
                await caller.start.aio("w")
            with pytest.raises(WorkflowDisabledError, match="'w'"):
                await caller.execute.aio("w")
        await runner.send_event.aio("said")
        names = [each.name async for each in runner.executions.aio()]

    assert done.status is WorkflowStatus.SUCCESS
    assert names == [done.name]


async def test_deleting_leaves_no_state_no_event_and_no_history(url: str) -> None:
    async with Runner(url, registry=summed()) as runner:
        await runner.add_workflow_rule.aio("w", WorkflowRule(Sums(1000, key="number")), name="r")
        running = await runner.start.aio("w", name="w-1")
        await runner.send_event.aio("number", 4, execution="w-1")
        await runner.send_event.aio("number", 5)
        with pytest.raises(WorkflowInUseError, match="'w-1'"):
            await runner.delete_workflow.aio("w")
        kept = [event.value async for event in runner.list_events.aio()]
        await runner.send_event.aio("number", 6, execution="w-1")
        await running.wait.aio()
        await runner.delete_workflow.aio("w")
        events = [event.value async for event in runner.list_events.aio()]
        found = await runner.execution.aio("w-1")
        rules = await runner.list_workflow_rules.aio()

        # what is started and added anew begins from nothing
        seen: list[object] = []

        def looks(event: object, context: Context) -> bool:
            seen.append(context.get_state(SUM).value())
            return False

        await runner.add_workflow_rule.aio("w", WorkflowRule(When(looks)), name="r")
        again = await runner.start.aio("w", name="w-1")
        await runner.send_event.aio("said")
        await runner.send_event.aio("number", 7)
        after = await again.refresh.aio()
        await again.stop.aio(wait=True)

    assert kept == [4, 5]
    assert (events, found, rules) == ([5], None, [])  # what was said to all is not the workflow's
    assert seen == [None]
    assert after.status is WorkflowStatus.RUNNING


async def test_deleting_removes_every_row_of_the_workflow(url: str, path: Path) -> None:
    async with Runner(url, registry=summed()) as runner:
        await runner.add_workflow_rule.aio("w", WorkflowRule(Sums(1000)))
        running = await runner.start.aio("w", {"given": 1})
        await runner.send_event.aio("number", 10, execution=running.name)
        await running.wait.aio()
        await runner.delete_workflow.aio("w")
    names = rows(path, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    tables = [str(name) for (name,) in names if not str(name).startswith("sqlite_")]

    left = {table: rows(path, f"SELECT * FROM {table}") for table in tables}

    del left["schedule_version"]  # a count of changes, of no workflow
    assert {"execution", "cell", "task_log", "workflow_rule"} <= set(left)
    assert {table: found for table, found in left.items() if found} == {}
