"""What AIFlow's own tests check from end to end, as it is here."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from asyncflow import (
    BashOperator,
    Client,
    Condition,
    Context,
    Event,
    ExecutionType,
    MeetAllCondition,
    Operator,
    PythonOperator,
    Registry,
    Runner,
    SingleEventCondition,
    TaskAction,
    TaskStatus,
    ValueStateDescriptor,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowNotFoundError,
    WorkflowRule,
    WorkflowStatus,
    task,
)
from tests.runner.scene import When, ended, forever, turns

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
COUNT = ValueStateDescriptor("count")


class EverySecond(Condition):
    """Met by every second event, as its state says."""

    def __init__(self, key: str) -> None:
        super().__init__([key])

    def is_met(self, event: Event, context: Context) -> bool:
        state = context.get_state(COUNT)
        state.update((state.value() or 0) + 1)
        return bool(state.value() % 2 == 0)


class Endless(Operator):
    """Goes on until it is stopped."""

    async def start(self, context: Context) -> None:
        await forever()


class Short(Operator):
    """Ends at once."""

    async def start(self, context: Context) -> int:
        return context.sequence_number


def declared(declare: Callable[[], object], registry: Registry | None = None) -> Registry:
    """Declare the workflow "w" of a keeper, which holds it, and what a test adds."""
    registry = registry or Registry()
    with registry, Workflow("w"):
        Short("keeper").action_on_event_received(TaskAction.START, "never")
        declare()
    return registry


async def runs_of(execution: WorkflowExecution, name: str) -> list[tuple[int, TaskStatus]]:
    await turns()
    runs = await execution.task_executions.aio()
    return [(run.sequence_number, run.status) for run in runs if run.task_name == name]


# --- the rules of executions and workflows ---


async def test_several_workflows_and_several_rules_of_one_key_each_hear_it_once() -> None:
    with Registry() as registry:
        for workflow in ("one", "two"):
            with Workflow(workflow):
                for name in ("a", "b"):
                    subject = Short(name)
                    subject.action_on_event_received(TaskAction.START, "go")
                    subject.action_on_event_received(TaskAction.RESTART, "go")

    async with Runner(":memory:", registry=registry) as runner:
        executions = [await runner.start.aio(name) for name in ("one", "two", "two")]
        await runner.send_event.aio("go")
        found = [await ended(each) for each in executions]

    assert [[(run.task_name, run.sequence_number) for run in runs] for _, runs in found] == [
        [("a", 1), ("b", 1)]
    ] * 3


async def test_a_start_after_a_success_is_a_second_run_and_one_while_it_runs_is_none() -> None:
    def declare() -> None:
        for subject in (Short("short"), Endless("endless")):
            subject.action_on_event_received(TaskAction.START, "go")

    async with Runner(":memory:", registry=declared(declare), grace=0) as runner:
        execution = await runner.start.aio("w")
        for _ in range(3):
            await runner.send_event.aio("go")
            await turns()
        short, endless = [await runs_of(execution, name) for name in ("short", "endless")]
        await execution.stop.aio(wait=True)

    assert short == [(number, TaskStatus.SUCCESS) for number in (1, 2, 3)]
    assert [number for number, _ in endless] == [1]


async def test_a_stop_ends_the_run_that_there_is_and_a_restart_makes_a_second_one() -> None:
    def declare() -> None:
        for name, action in (("stopped", TaskAction.STOP), ("again", TaskAction.RESTART)):
            Endless(name).action_on_event_received(action, "go")

    async with Runner(":memory:", registry=declared(declare), grace=0) as runner:
        execution = await runner.start.aio("w")
        await turns()
        await runner.send_event.aio("go")
        stopped, again = [await runs_of(execution, name) for name in ("stopped", "again")]
        await execution.stop.aio(wait=True)

    assert stopped == [(1, TaskStatus.STOPPED)]
    assert [again[0], again[1][0]] == [(1, TaskStatus.STOPPED), 2]


async def test_a_condition_with_a_state_acts_on_every_second_event_of_its_own_execution() -> None:
    def declare() -> None:
        Short("subject").action_on_condition(TaskAction.RESTART, EverySecond("n"))

    async with Runner(":memory:", registry=declared(declare)) as runner:
        one, two = [await runner.start.aio("w") for _ in range(2)]
        for number in range(5):
            await runner.send_event.aio("n", number)
        await runner.send_event.aio("n", 5, execution=one.name)
        counts = [len(await runs_of(each, "subject")) for each in (one, two)]

    assert counts == [1 + 3, 1 + 2]  # it starts with the workflow, too


async def test_a_workflow_rule_with_a_state_starts_it_at_every_second_event() -> None:
    registry = declared(lambda: None)
    async with Runner(":memory:", registry=registry) as runner:
        await runner.add_workflow_rule.aio("w", WorkflowRule(EverySecond("n")))
        counts: list[int] = []
        for _ in range(4):
            await runner.send_event.aio("n")
            await turns()
            counts.append(len([each async for each in runner.executions.aio()]))

    assert counts == [0, 1, 1, 2]


async def test_a_set_is_not_complete_when_one_of_its_conditions_turns_false_again() -> None:
    def large(event: Event, context: Context) -> bool:
        return isinstance(event.value, int) and event.value > 10

    both = MeetAllCondition("both", [When(large, "x"), SingleEventCondition("y")])

    def declare() -> None:
        Short("subject").action_on_condition(TaskAction.START, both)

    async with Runner(":memory:", registry=declared(declare)) as runner:
        execution = await runner.start.aio("w")
        for key, value in (("x", 11), ("x", 1), ("y", None)):
            await runner.send_event.aio(key, value)
        before = await runs_of(execution, "subject")
        await runner.send_event.aio("x", 12)
        after = await runs_of(execution, "subject")

    assert (before, after) == ([], [(1, TaskStatus.SUCCESS)])


# --- the life of an execution ---


async def test_three_of_five_tasks_start_with_the_workflow_and_stop_stops_all_three() -> None:
    with Registry() as registry, Workflow("w"):
        one, two, three = [Endless(f"t{number}") for number in (1, 2, 3)]
        Endless("t4").start_after([one, two])
        Endless("t5").action_on_event_received(TaskAction.START, "go")
        three.action_on_event_received(TaskAction.STOP, "halt")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await turns()
        before = await execution.task_executions.aio()
        await execution.stop.aio()
        done, after = await ended(execution)

    assert [run.task_name for run in before] == ["t1", "t2", "t3"]
    assert [(run.task_name, run.status) for run in after] == [
        (f"t{number}", TaskStatus.STOPPED) for number in (1, 2, 3)
    ]
    assert done.status is WorkflowStatus.STOPPED


async def test_running_has_a_begin_and_success_has_an_end() -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            await clock.pause(MINUTE)

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        begin = clock.now()
        execution = await runner.start.aio("w")
        await clock.advance(MINUTE / 2)
        (half,) = await execution.task_executions.aio()
        running = await execution.refresh.aio()
        await clock.advance(MINUTE / 2)
        done, (run,) = await ended(execution)

    assert (half.status, half.begin_date, half.end_date) == (TaskStatus.RUNNING, begin, None)
    assert (running.status, running.end_date) == (WorkflowStatus.RUNNING, None)
    assert (run.status, run.begin_date, run.end_date) == (
        TaskStatus.SUCCESS,
        begin,
        begin + MINUTE,
    )
    assert (done.status, done.begin_date, done.end_date) == (
        WorkflowStatus.SUCCESS,
        begin,
        begin + MINUTE,
    )


async def test_a_task_whose_process_died_has_failed_and_its_execution_ends(url: str) -> None:
    """AIFlow's execution stays RUNNING for ever, because a task after the lost one never ran."""
    with Registry() as registry, Workflow("w"):

        class Once(Operator):
            async def start(self, context: Context) -> None:
                begun.set()
                await forever()

        once = Once("once", idempotent=False)
        Short("after").start_after(once)
        Short("mends").action_on_task_status(TaskAction.START, {once: TaskStatus.FAILED})

    begun = asyncio.Event()
    async with Runner(url, registry=registry, grace=0) as runner:
        await runner.start.aio("w", name="w-1")
        await begun.wait()
    async with Runner(url, registry=registry) as runner:
        done, runs = await ended(await runner.wait.aio("w-1"))

    assert done.status is WorkflowStatus.FAILED
    assert [(run.task_name, run.status) for run in runs] == [
        ("once", TaskStatus.FAILED),
        ("mends", TaskStatus.SUCCESS),
    ]


async def test_events_that_were_answered_before_a_restart_are_not_answered_again(url: str) -> None:
    seen: list[object] = []

    def notes(event: Event, context: Context) -> bool:
        seen.append(event.value)
        return True

    def declare() -> None:
        Short("subject").action_on_condition(TaskAction.START, When(notes, "n"))

    counts: list[int] = []
    for number in range(3):
        async with Runner(url, registry=declared(declare)) as runner:
            if number == 0:
                await runner.start.aio("w", name="w-1")
            execution = await runner.execution.aio("w-1")
            assert execution is not None
            await runner.send_event.aio("n", number)
            counts.append(len(await runs_of(execution, "subject")))
        async with Client(url) as client:  # between two runners: the next one hears it
            await client.send_event.aio("n", f"letter {number}", execution="w-1")

    assert seen == [0, "letter 0", 1, "letter 1", 2]
    assert counts == [1, 3, 5]


async def test_200_periods_of_two_hundred_tasks_are_all_kept_and_end_with_their_execution() -> None:
    clock = VirtualClock()
    ran: dict[str, int] = {}
    with Registry() as registry, Workflow("w"):
        for number in range(200):

            @task(id=f"t{number}", periodic_expression=f"interval@0 0 {1 + number % 2} 0")
            async def ticks(context: Context) -> None:
                ran[context.task_name] = context.sequence_number

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(4 * MINUTE)
        counted = dict(ran)
        await execution.stop.aio(wait=True)
        await clock.advance(10 * MINUTE)

    assert counted == {f"t{number}": (3 if number % 2 else 5) for number in range(200)}
    assert ran == counted
    assert clock.next_deadline() is None


# --- operators ---


def total(a: int, b: int, c: int) -> int:
    return a + b + c


async def test_a_command_that_fails_fails_its_task_and_one_that_takes_too_long_too() -> None:
    with Registry() as registry, Workflow("w"):
        BashOperator("fine", "exit 0")
        BashOperator("fails", "exit 7")
        BashOperator("slow", "sleep 60", timeout="50ms")
        PythonOperator("sums", total, op_args=[1, 2], op_kwargs={"c": 3})

    async with Runner(":memory:", registry=registry) as runner:
        done, runs = await ended(await runner.start.aio("w"))

    by_name = {run.task_name: run for run in runs}
    assert done.status is WorkflowStatus.FAILED
    assert by_name["fine"].status is TaskStatus.SUCCESS
    assert by_name["sums"].result == 6
    assert "return code 7" in (by_name["fails"].error_message or "")
    assert (by_name["slow"].error_message or "").startswith("TimeoutError")


# --- what is not there, and what is asked twice ---


async def test_what_is_not_there_is_an_error_or_none_and_nothing_breaks(url: str) -> None:
    async with Runner(url, registry=declared(lambda: None)) as runner:
        with pytest.raises(WorkflowNotFoundError, match="'nobody'"):
            await runner.start.aio("nobody")
        assert await runner.execution.aio("nobody") is None
        assert [each async for each in runner.executions.aio(workflow="nobody")] == []
        for call in (runner.delete_workflow, runner.disable_workflow, runner.enable_workflow):
            with pytest.raises(WorkflowNotFoundError, match="'nobody'"):
                await call.aio("nobody")
        for _ in range(2):
            await runner.disable_workflow.aio("w")
        for _ in range(2):
            await runner.enable_workflow.aio("w")
        for _ in range(2):
            name = await runner.add_workflow_rule.aio("w", WorkflowRule(EverySecond("n")))
            for _ in range(2):
                await runner.pause_workflow_rule.aio("w", name)
            for _ in range(2):
                await runner.resume_workflow_rule.aio("w", name)
        execution = await runner.start.aio("w")

    assert execution.status is WorkflowStatus.RUNNING


async def test_an_execution_that_an_event_started_says_so() -> None:
    registry = declared(lambda: None)
    async with Runner(":memory:", registry=registry) as runner:
        await runner.add_workflow_rule.aio("w", WorkflowRule(SingleEventCondition("go")))
        await runner.start.aio("w", name="by hand")
        await runner.send_event.aio("go")
        await turns()
        types = [each.execution_type async for each in runner.executions.aio()]

    assert types == [ExecutionType.EVENT, ExecutionType.MANUAL]
