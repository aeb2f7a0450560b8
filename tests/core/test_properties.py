"""What holds for every workflow and every log of facts."""

from hypothesis import given

from asyncflow._core.commands import EndExecution, StartTask, StopTask
from asyncflow._core.decide import TRIES, decide, gave_up
from asyncflow._core.execution import NOTHING, ExecutionState
from asyncflow._core.facts import (
    CellWritten,
    EventAwaited,
    EventSent,
    ExecutionRecovered,
    RecoverySurvived,
    RetryFellDue,
    StopRequested,
    TaskActionRequested,
    TaskEnded,
    TaskStarted,
)
from asyncflow._core.plan import Plan
from asyncflow._core.state import Outcome, TaskState
from asyncflow._model.status import EventPhase, TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import NOON, Play
from tests.core.strategies import PROPERTY, Script, Told, plans, scripts, told

NEW_EACH_TIME = (
    EventSent,
    CellWritten,
    TaskActionRequested,
    ExecutionRecovered,
    RecoverySurvived,
)  # a recovery: another crash


def essence(state: ExecutionState) -> tuple[object, ...]:
    """Return a state as values, without rules of which nothing is met."""
    met = {rule: count for rule, count in state.met.items() if count}
    return state.head, dict(state.tasks), dict(state.context), met, state.counts, dict(state.cells)


@PROPERTY
@given(plans(), scripts())
def test_the_same_log_gives_the_same_answer(plan: Plan, script: Script) -> None:
    log = list(told(plan, script))

    again = Play.of(plan)

    assert [again.tell(step.fact, step.verdicts) for step in log] == [s.decision for s in log]


@PROPERTY
@given(plans(), scripts())
def test_decide_leaves_the_state_as_it_was(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        state = step.before.copy()
        was = essence(state)

        first = decide(plan, state, step.fact, step.verdicts)

        assert essence(state) == was
        assert decide(plan, state, step.fact, step.verdicts) == first


@PROPERTY
@given(plans(), scripts())
def test_a_fact_told_again_at_once_changes_nothing(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        if isinstance(step.fact, NEW_EACH_TIME):
            continue

        assert decide(plan, step.after, step.fact, step.verdicts) == NOTHING


@PROPERTY
@given(plans(), scripts())
def test_a_fact_told_again_later_changes_nothing(plan: Plan, script: Script) -> None:
    log = list(told(plan, script))
    last = log[-1].after if log else ExecutionState.new(plan, {})
    heard = [step for step in log if step.decision != NOTHING]

    for step in heard:
        if not isinstance(step.fact, NEW_EACH_TIME):
            assert decide(plan, last, step.fact, step.verdicts) == NOTHING


@PROPERTY
@given(plans(), scripts())
def test_a_fact_about_another_attempt_changes_nothing(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        for task in step.after.tasks.values():
            number, attempt = task.sequence_number, task.try_number
            others = [(number, attempt - 1), (number, attempt + 1), (number - 1, attempt)]
            for other in [*others, (number + 1, attempt), (number + 1, 1)]:
                assert decides_nothing(plan, step.after, task.name, other)


def decides_nothing(plan: Plan, state: ExecutionState, name: str, attempt: tuple[int, int]) -> bool:
    done = Outcome(TaskStatus.SUCCESS)
    facts = (
        TaskStarted(NOON, name, *attempt),
        EventAwaited(NOON, name, *attempt, "e"),
        TaskEnded(NOON, name, *attempt, done, {"late": "1"}),
        RetryFellDue(NOON, name, *attempt),
    )
    return all(decide(plan, state, fact) == NOTHING for fact in facts)


@PROPERTY
@given(plans(), scripts())
def test_a_fact_that_does_not_fit_the_status_changes_nothing(plan: Plan, script: Script) -> None:
    working = {TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.STOPPING}
    for step in told(plan, script):
        for name in (*plan.tasks, "nobody"):
            task = step.after.task(name)
            at = (name, task.sequence_number, task.try_number)
            if task.status is not TaskStatus.QUEUED:
                assert decide(plan, step.after, TaskStarted(NOON, *at)) == NOTHING
            if task.status not in {TaskStatus.QUEUED, TaskStatus.RUNNING}:
                assert decide(plan, step.after, EventAwaited(NOON, *at, "e")) == NOTHING
            if task.status is not TaskStatus.RETRYING:
                assert decide(plan, step.after, RetryFellDue(NOON, *at)) == NOTHING
            if task.status not in working:
                late = TaskEnded(NOON, *at, Outcome(TaskStatus.SUCCESS), {"late": "1"})
                assert decide(plan, step.after, late) == NOTHING


@PROPERTY
@given(plans(), scripts())
def test_a_task_never_has_two_live_executions(plan: Plan, script: Script) -> None:
    live: dict[str, tuple[int, int]] = {}
    for step in told(plan, script):
        fact = step.fact
        if isinstance(fact, ExecutionRecovered):
            live.clear()  # the process that ran them is gone
        if isinstance(fact, TaskEnded) and live.get(fact.task) == attempt_of(fact):
            del live[fact.task]
        for command in step.decision.commands:
            if isinstance(command, StartTask):
                assert command.task not in live
                live[command.task] = attempt_of(command)
            if isinstance(command, StopTask) and step.before.head.parked_reason is None:
                assert live[command.task] == attempt_of(command)


def attempt_of(named: TaskEnded | StartTask | StopTask) -> tuple[int, int]:
    return named.sequence_number, named.try_number


@PROPERTY
@given(plans(), scripts())
def test_a_run_that_awaits_is_closed_with_its_end_and_no_other(plan: Plan, script: Script) -> None:
    awaits: set[tuple[str, int]] = set()
    closed: set[tuple[str, int]] = set()
    for step in told(plan, script):
        ended = {
            (row.state.name, row.state.sequence_number): row.state.status
            for row in step.decision.tasks
            if row.state.status.ended
        }
        if isinstance(step.fact, EventAwaited) and works(plan, step, step.fact):
            awaits.add((step.fact.task, step.fact.sequence_number))

        closings = {(each.task, each.sequence_number): each for each in step.decision.closings}
        assert len(closings) == len(step.decision.closings)
        assert set(closings) == {run for run in ended if run in awaits}
        assert closed.isdisjoint(closings)
        for run, closing in closings.items():
            failed = ended[run] is TaskStatus.FAILED
            assert closing.phase is (EventPhase.FAILED if failed else EventPhase.ABORTED)
            assert closing.at == step.fact.at
        closed.update(closings)


def works(plan: Plan, step: Told, fact: EventAwaited) -> bool:
    """Say whether that attempt is at work, as far as its rows say."""
    task, head = step.before.task(fact.task), step.before.head
    at_work = fact.task in plan.tasks and task.status in {TaskStatus.QUEUED, TaskStatus.RUNNING}
    same = (task.sequence_number, task.try_number) == (fact.sequence_number, fact.try_number)
    return at_work and same and not head.status.final


@PROPERTY
@given(plans(), scripts())
def test_numbers_grow_by_one(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        now = dict(step.before.tasks)
        for change in step.decision.tasks:
            new = change.state
            old = now.get(new.name, TaskState(new.name))
            tries = new.try_number - old.try_number
            assert (
                (new.sequence_number == old.sequence_number and tries in {0, 1})
                or (new.sequence_number == old.sequence_number + 1 and new.try_number == 1)
            )  # fmt: skip
            now[new.name] = new


@PROPERTY
@given(plans(), scripts())
def test_restored_rows_are_the_state_that_was_kept(plan: Plan, script: Script) -> None:
    play = Play.of(plan, {"c0": "0", "kept": "1"})
    for step in told(plan, script):
        play.tell(step.fact, step.verdicts)

        assert essence(play.taken_over().state) == essence(play.state)


@PROPERTY
@given(plans(), scripts())
def test_a_finished_execution_answers_nothing(plan: Plan, script: Script) -> None:
    finished = False
    for step in told(plan, script):
        ends = [c for c in step.decision.commands if isinstance(c, EndExecution)]
        if finished:
            assert step.decision == NOTHING
        assert len(ends) == (step.after.head.status.final and not finished)
        finished = step.after.head.status.final
        if finished:
            assert not any(task.status.alive for task in step.after.tasks.values())


@PROPERTY
@given(plans(), scripts())
def test_an_execution_ends_when_nothing_can_come_and_only_then(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        head = step.after.head
        if head.status is WorkflowStatus.INIT or head.parked_reason is not None:
            continue

        assert head.status == status_by_hand(plan, step)


def status_by_hand(plan: Plan, step: Told) -> WorkflowStatus:
    """Return the status that follows from the latest runs, counted anew."""
    latest = [step.after.task(name) for name in plan.tasks]
    stopping = step.after.head.stopping
    hopes = not (stopping or plan.finish_when_idle) and any(
        task.status is TaskStatus.INIT and rule.task == task.name and rule.action is not STOP
        for task in latest
        for rules in plan.by_key.values()
        for rule in rules
    )
    hopes = hopes or bool(plan.periodic and not stopping)
    if hopes or any(task.status.alive for task in latest):
        return WorkflowStatus.RUNNING
    found = {task.status for task in latest}
    if stopping or found.isdisjoint({TaskStatus.FAILED, TaskStatus.STOPPED}):
        return WorkflowStatus.STOPPED if stopping else WorkflowStatus.SUCCESS
    return WorkflowStatus.FAILED if TaskStatus.FAILED in found else WorkflowStatus.STOPPED


STOP = TaskAction.STOP


@PROPERTY
@given(plans(), scripts())
def test_a_stopping_execution_starts_nothing(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        if step.before.head.stopping or isinstance(step.fact, StopRequested):
            assert not any(isinstance(c, StartTask) for c in step.decision.commands)
            assert step.after.counts.pending == 0


@PROPERTY
@given(plans(), scripts())
def test_only_a_success_touches_the_context(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        fact = step.fact
        succeeded = isinstance(fact, TaskEnded) and fact.outcome.status is TaskStatus.SUCCESS
        merged = {**step.before.context, **step.decision.context}

        assert succeeded or step.after.context == step.before.context
        assert step.after.context == {key: text for key, text in merged.items() if text is not None}


@PROPERTY
@given(plans(), scripts())
def test_recoveries_are_counted_until_a_task_ends_or_somebody_helps(
    plan: Plan, script: Script
) -> None:
    for step in told(plan, script):
        before, after = step.before.head.recoveries, step.after.head.recoveries
        starts = any(isinstance(command, StartTask) for command in step.decision.commands)

        assert 0 <= after <= TRIES
        assert after <= before + (isinstance(step.fact, ExecutionRecovered) and starts)
        if after < before:
            assert isinstance(step.fact, TaskEnded | TaskActionRequested | RecoverySurvived)
        if after < before and isinstance(step.fact, TaskEnded):
            assert step.after.tasks[step.fact.task].status is not TaskStatus.RETRYING
        if gave_up(step.after.head):
            assert not step.decision.commands


@PROPERTY
@given(plans(), scripts())
def test_a_decision_names_only_what_changed(plan: Plan, script: Script) -> None:
    for step in told(plan, script):
        rows = [(row.state.name, row.state.sequence_number) for row in step.decision.tasks]

        assert len(rows) == len(set(rows))
        assert step.decision.head != step.before.head
        assert step.decision.counts != step.before.counts
        for row in step.decision.tasks:
            assert row.outcome is not None or row.state != step.before.tasks.get(row.state.name)
