"""States: written with the event that changed them, in order, isolated, and through restarts."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from asyncflow import (
    Condition,
    Context,
    Event,
    MeetAllCondition,
    Registry,
    Runner,
    SingleEventCondition,
    SizeLimits,
    TaskAction,
    TaskStatus,
    TooLargeError,
    ValueStateDescriptor,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    task,
)
from tests.runner.scene import ended, forever, turns

SUM = ValueStateDescriptor("sum")


class Sums(Condition):
    """Met when the values of its events have come to a limit; then it starts again."""

    def __init__(self, limit: int, key: str = "number", fail_at: object = None) -> None:
        super().__init__(expect_event_keys=[key])
        self.limit = limit
        self.fail_at = fail_at

    def is_met(self, event: Event, context: Context) -> bool:
        state = context.get_state(SUM)
        total = (state.value() or 0) + cast("int", event.value)
        state.update(total)
        if event.value == self.fail_at:
            raise LookupError("no such number")
        if total < self.limit:
            return False
        state.clear()
        return True


class SumsLater(Sums):
    """The same, asynchronous: it gives way before it looks."""

    async def is_met(self, event: Event, context: Context) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  a hook may be either
        await turns(3)
        return super().is_met(event, context)


def summing(*conditions: Condition, holds: bool = True) -> Registry:
    """Declare a task that each of the conditions starts, and one that holds the execution."""
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears(context: Context) -> int:
            return context.sequence_number

        for condition in conditions:
            hears.action_on_condition(TaskAction.START, condition)
        if holds:

            @task()
            async def never() -> None:
                """Waited for in vain."""

            never.action_on_event_received(TaskAction.START, "never")
    return registry


async def runs(execution: WorkflowExecution) -> int:
    await turns()
    return len(await execution.task_executions.aio())


@pytest.mark.parametrize("kind", [Sums, SumsLater])
async def test_a_condition_sums_over_events(kind: Callable[[int], Condition]) -> None:
    async with Runner(":memory:", registry=summing(kind(100))) as runner:
        execution = await runner.start.aio("w")
        for _ in range(25):
            await runner.send_event.aio("number", 10)
        counted = await runs(execution)

    assert counted == 2


@pytest.mark.parametrize("kind", [Sums, SumsLater])
async def test_events_sent_at_once_are_all_counted(kind: Callable[[int], Condition]) -> None:
    async with Runner(":memory:", registry=summing(kind(1000))) as runner:
        execution = await runner.start.aio("w")
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(runner.send_event.aio("number", 10))
        counted = await runs(execution)

    assert counted == 1


@pytest.mark.parametrize("kind", [Sums, SumsLater])
async def test_what_a_condition_that_raised_changed_is_undone(
    kind: type[Sums], caplog: pytest.LogCaptureFixture
) -> None:
    registry = summing(kind(30, fail_at=7))
    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        for number in (10, 7, 7, 7, 10):
            await runner.send_event.aio("number", number)
        before = await runs(execution)
        await runner.send_event.aio("number", 10)
        after = await runs(execution)
        seen = await execution.refresh.aio()

    assert (before, after) == (0, 1)
    assert seen.error_message == "condition of task 'hears': LookupError: no such number"
    assert "condition of task 'hears' in " in caplog.text


async def test_each_condition_sees_what_the_one_before_it_left() -> None:
    seen: list[object] = []

    class Sees(Sums):
        def is_met(self, event: Event, context: Context) -> bool:
            seen.append(context.get_state(SUM).value())
            return False

    registry = summing(Sees(0), Sums(100), Sees(0), SumsLater(100), Sees(0))
    async with Runner(":memory:", registry=registry) as runner:
        await runner.start.aio("w")
        await runner.send_event.aio("number", 10)
        await runner.send_event.aio("number", 10)

    assert seen == [None, 10, 20, 20, 30, 40]


async def test_a_rule_that_is_met_does_not_keep_the_event_from_the_next_condition() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Run by the first rule; the second counts all the same."""

        @task()
        async def counts() -> None:
            """Run when the sum is there."""

        hears.action_on_event_received(TaskAction.START, "number")
        hears.action_on_condition(TaskAction.STOP, Sums(1000))
        counts.action_on_condition(TaskAction.START, Sums(20, key="look"))

    async with Runner(":memory:", registry=registry) as runner:
        await runner.start.aio("w", name="w-1")
        await runner.send_event.aio("number", 10)
        await runner.send_event.aio("number", 5)
        await runner.send_event.aio("look", 5)
        done = await runner.wait.aio("w-1")

    assert done.status is WorkflowStatus.SUCCESS


async def test_executions_have_states_of_their_own() -> None:
    async with Runner(":memory:", registry=summing(Sums(20))) as runner:
        one, two = [await runner.start.aio("w") for _ in range(2)]
        await runner.send_event.aio("number", 15, execution=one.name)
        await runner.send_event.aio("number", 15, execution=two.name)
        before = await runs(one), await runs(two)
        await runner.send_event.aio("number", 15, execution=one.name)
        after = await runs(one), await runs(two)

    assert (before, after) == ((0, 0), (1, 0))


async def test_states_are_stored_with_their_event_and_outlive_their_runner(url: str) -> None:
    for number, expected in ((10, 0), (10, 0), (10, 1)):
        async with Runner(url, registry=summing(Sums(30))) as runner:
            execution = await runner.execution.aio("w-1") or await runner.start.aio("w", name="w-1")
            await runner.send_event.aio("number", number)
            assert await runs(execution) == expected


async def test_a_task_and_its_conditions_share_the_states_of_their_execution() -> None:
    seen: list[object] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def counts(context: Context) -> None:
            state = context.get_state(SUM)
            state.update(90)
            seen.append(state.value())
            await runner.send_event.aio("number", 5, execution=context.execution_name)
            seen.append(state.value())
            state.clear()
            seen.append(state.value())
            state.update(99)

        @task()
        def hears(context: Context) -> None:
            state = context.get_state(SUM)
            seen.append(state.value())
            state.update(1)
            seen.append(state.value())

        hears.action_on_condition(TaskAction.START, Sums(1000))
        hears.start_after(counts)

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")

    assert done.status is WorkflowStatus.SUCCESS
    assert seen == [90, 95, None, 99, 1]


async def test_what_a_task_remembers_stays_although_it_fails(url: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task(retries=2, retry_delay=0)
        async def counts(context: Context) -> int:
            state = context.get_state(SUM)
            seen = (state.value() or 0) + 1
            state.update(seen)
            if seen < 3:
                raise ConnectionError("no route")
            return seen

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()

    assert (run.status, run.result) == (TaskStatus.SUCCESS, 3)


async def test_a_state_that_is_too_large_is_refused() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def large(context: Context) -> None:
            context.get_state(SUM).update("x" * 2000)

    limits = SizeLimits(warn=500, refuse=1000)
    async with Runner(":memory:", registry=registry, limits=limits) as runner:
        done, (run,) = await ended(await runner.execute.aio("w"))

    assert done.status is WorkflowStatus.FAILED
    assert run.error_message is not None
    assert run.error_message.startswith(f"{TooLargeError.__name__}: state 'sum' has 2,002 bytes")


async def test_a_set_that_was_half_complete_when_the_runner_closed_is_completed_by_the_next(
    path: Path,
) -> None:
    def registry() -> Registry:
        keys = [SingleEventCondition("x"), SingleEventCondition("y")]
        return summing(MeetAllCondition("both", keys), holds=False)

    async with Runner(path, registry=registry()) as runner:
        execution = await runner.start.aio("w", name="w-1")
        await runner.send_event.aio("x")
        before = await runs(execution)
    async with Runner(path, registry=registry()) as runner:
        await runner.send_event.aio("y")
        done = await runner.wait.aio("w-1")
        (run,) = await done.task_executions.aio()

    assert before == 0
    assert run.result == 1


async def test_a_stopped_task_remembers_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    late: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> None:
            try:
                await forever()
            finally:
                try:
                    context.get_state(SUM).update(1)
                except BaseException as error:
                    late.append(type(error).__name__)
                    raise

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await turns()
        await execution.stop.aio(wait=True)

    assert late == ["TaskStopped"]
