"""What follows from a fact. Pure: same state, same fact, same answer; never raises on a fact.

A fact that is late, doubled or out of order finds that what it names has moved on, and changes
nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from asyncflow._core.commands import CancelPeriods, Command, SetTimer, StartTask, StopTask
from asyncflow._core.draft import Draft
from asyncflow._core.execution import NOTHING, Decision, ExecutionState
from asyncflow._core.facts import (
    CellWritten,
    EventAwaited,
    EventSent,
    ExecutionRecovered,
    ExecutionStarted,
    Fact,
    PeriodPassed,
    RecoverySurvived,
    RetryFellDue,
    StopRequested,
    TaskActionRequested,
    TaskEnded,
    TaskStarted,
)
from asyncflow._core.periods import end_of, newest_passed
from asyncflow._core.plan import Plan
from asyncflow._core.state import Head, Outcome, TaskState
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus, WorkflowStatus

NO_VERDICTS: Final = frozenset[int]()

TRIES: Final = 5
"""So often an execution begins again after crashes, and no run of a task of it has ended since."""

GAVE_UP: Final = (
    f"its process has ended each of {TRIES} times that it began again, before a task of it had "
    "ended for good: start or restart one of its tasks to try it again, or stop it"
)

_QUEUED: Final = TaskStatus.QUEUED
_RUNNING: Final = TaskStatus.RUNNING

_TOO_FAR: Final = timedelta(days=1)
"""A counted period that ends so far ahead was counted under another definition of its task; a
clock that was put back would not explain it."""


def decide(  # noqa: C901, PLR0912  one arm for each fact, and no more in it
    plan: Plan, state: ExecutionState, fact: Fact, verdicts: frozenset[int] = NO_VERDICTS
) -> Decision:
    """Return what changes and what is to be done because of ``fact``.

    Args:
        plan: the workflow of the execution.
        state: where it stands; stays as it is.
        fact: what happened.
        verdicts: numbers of the event rules whose own condition the event met.
    """
    if state.head.status.final:
        return NOTHING
    draft = Draft(plan, state, fact.at)
    match fact:  # the frequent ones first
        case TaskStarted():
            _note_start(draft, fact)
        case TaskEnded():
            _end_attempt(draft, fact)
        case ExecutionStarted():
            _start(draft)
        case ExecutionRecovered():
            _recover(draft, fact)
        case RecoverySurvived():
            _survive(draft)
        case EventSent():
            _receive(draft, fact, verdicts)
        case EventAwaited():
            _note_await(draft, fact)
        case RetryFellDue():
            _retry(draft, fact)
        case CellWritten():
            draft.remember({fact.name: fact.text})
        case PeriodPassed():
            _pass_period(draft, fact)
        case TaskActionRequested():
            _act(draft, fact)
        case StopRequested():
            _stop(draft, state)
        case _:
            assert_never(fact)
    return draft.settle()


def standing(plan: Plan, state: ExecutionState, at: datetime) -> tuple[Command, ...]:
    """Return the commands that a state still asks for, told before or not. Pure, like `decide`.

    For the case that it is not known whether those of the last decisions were carried out.
    """
    if state.head.parked_reason is not None and not state.head.stopping:
        return ()
    draft = Draft(plan, state, at)
    for task in state.tasks.values():
        if task.status is TaskStatus.QUEUED and task.name in plan.tasks:
            draft.dispatch(task)
        elif task.status is TaskStatus.RETRYING:
            _set_timer(draft, task)
        elif task.status is TaskStatus.STOPPING:
            stop = StopTask(task.name, task.sequence_number, task.try_number)
            draft.commands.append(stop)
    _resume_periods(draft)
    return tuple(draft.commands)


def may_await(task: TaskState, fact: EventAwaited) -> bool:
    """Say whether the attempt that came to await an event is the one that works."""
    works = task.status is TaskStatus.QUEUED or task.status is TaskStatus.RUNNING
    return works and _is_at(task, fact)


def _receive(draft: Draft, fact: EventSent, verdicts: frozenset[int]) -> None:
    if not _works(draft):
        return
    if fact.offset is not None:
        if fact.offset <= draft.head.heard:
            return
        draft.head = replace(draft.head, heard=fact.offset)
    if fact.faults and draft.head.error is None:
        draft.head = replace(draft.head, error=fact.faults[0])
    draft.remember(fact.cells)
    draft.receive(draft.plan.by_key.get(fact.key, ()), verdicts)


def _works(draft: Draft) -> bool:
    """Say whether the execution has begun and can go on."""
    return draft.head.status is WorkflowStatus.RUNNING and draft.head.parked_reason is None


def _start(draft: Draft) -> None:
    if draft.head.status is not WorkflowStatus.INIT:
        return
    reason = _reason(draft.plan, ())
    if reason is not None:
        draft.head = replace(draft.head, parked_reason=reason)
        return
    draft.head = draft.head.begun(draft.at)
    for task in draft.plan.tasks.values():
        if task.alone:
            draft.act(task.name, TaskAction.START, ExecutionType.EVENT)
    for task in draft.plan.periodic:
        draft.await_period_after(task, 0)


def _stop(draft: Draft, state: ExecutionState) -> None:
    if draft.head.stopping:
        return
    draft.head = replace(draft.head, stopping=True)
    for task in state.tasks.values():
        draft.stop(task.name)
    if draft.plan.periodic:
        draft.commands.append(CancelPeriods())


def gave_up(head: Head) -> bool:
    """Say whether an execution is parked because it may be what ends its processes."""
    return head.parked_reason is not None and head.recoveries >= TRIES and not head.stopping


def _recover(draft: Draft, fact: ExecutionRecovered) -> None:
    """Give every task that was alive its next step, or park what cannot or may not go on."""
    if draft.head.status is not WorkflowStatus.RUNNING:
        return
    alive = [task for task in draft.alive() if _was_alive(task, fact)]
    begins = any(task.status is _QUEUED or task.status is _RUNNING for task in alive)
    recoveries = 0 if fact.redefined else draft.head.recoveries
    reason = None if draft.head.stopping else _reason(draft.plan, alive)
    if reason is None and begins:
        if recoveries >= TRIES:
            reason = GAVE_UP
        else:
            recoveries += 1
    if (reason, recoveries) != (draft.head.parked_reason, draft.head.recoveries):
        draft.head = replace(draft.head, parked_reason=reason, recoveries=recoveries)
    if reason is None:
        _go_on(draft, alive)


def _was_alive(task: TaskState, fact: ExecutionRecovered) -> bool:
    """Say whether an attempt was alive when the execution was taken over."""
    attempt = (task.name, task.sequence_number, task.try_number)
    return fact.attempts is None or attempt in fact.attempts


def _go_on(draft: Draft, alive: Iterable[TaskState]) -> None:
    for task in alive:
        _recover_task(draft, task)
    _resume_periods(draft)


def _survive(draft: Draft) -> None:
    if draft.head.recoveries and _works(draft):
        draft.head = replace(draft.head, recoveries=draft.head.recoveries - 1)


def _act(draft: Draft, fact: TaskActionRequested) -> None:
    """Do what a caller asks of a task; whoever starts one in what was given up means to go on."""
    starts = fact.action is not TaskAction.STOP and fact.task in draft.plan.tasks
    if starts and gave_up(draft.head) and _reason(draft.plan, draft.alive()) is None:
        _try_again(draft, fact)
    if _works(draft):
        draft.act(fact.task, fact.action, ExecutionType.MANUAL)


def _try_again(draft: Draft, fact: TaskActionRequested) -> None:
    """Let go on what was given up; a run that is to be another one does not work, and ends."""
    draft.head = replace(draft.head, parked_reason=None, recoveries=0)
    task = draft.task(fact.task)
    if fact.action is TaskAction.RESTART and (task.status is _QUEUED or task.status is _RUNNING):
        draft.finish(task, Outcome(TaskStatus.STOPPED))
    _go_on(draft, draft.alive())


def _reason(plan: Plan, alive: Iterable[TaskState]) -> str | None:
    """Return why these tasks cannot go on under what is declared, None if they can."""
    if not plan.tasks:
        return f"workflow {plan.workflow!r} is not declared: {_WAY_OUT}"
    unknown = [repr(task.name) for task in alive if task.name not in plan.tasks]
    if not unknown:
        return None
    gone = ", ".join(unknown)
    what = f"workflow {plan.workflow!r} is not declared with task {gone}, which has not ended"
    return f"{what}: {_WAY_OUT}"


_WAY_OUT: Final = "declare it and start the runner again, or stop the execution"


def _recover_task(draft: Draft, task: TaskState) -> None:
    match task.status:
        case TaskStatus.QUEUED:
            draft.dispatch(task)
        case TaskStatus.RUNNING if draft.plan.tasks[task.name].idempotent:
            draft.queue(task.next_attempt())
        case TaskStatus.RUNNING:
            number, attempt = task.sequence_number, task.try_number
            draft.commands.append(StartTask(task.name, number, attempt, last=True, lost=True))
        case TaskStatus.STOPPING:
            draft.finish(task, Outcome(TaskStatus.STOPPED))
        case TaskStatus.RETRYING:
            _set_timer(draft, task)
        case TaskStatus.INIT | TaskStatus.SUCCESS | TaskStatus.FAILED | TaskStatus.STOPPED:
            pass
        case _:
            assert_never(task.status)


def _note_start(draft: Draft, fact: TaskStarted) -> None:
    task = draft.task(fact.task)
    if _is_at(task, fact) and task.status is TaskStatus.QUEUED:
        draft.put(task.running(fact.at))


def _note_await(draft: Draft, fact: EventAwaited) -> None:
    task = draft.task(fact.task)
    if may_await(task, fact) and not task.awaits:
        draft.put(task.awaiting())


def _end_attempt(draft: Draft, fact: TaskEnded) -> None:
    task = draft.task(fact.task)
    if not _is_at(task, fact):
        return
    works = task.status.alive and task.status is not TaskStatus.RETRYING
    if task.status is TaskStatus.STOPPING:
        # Whatever the body made of it: it was told to stop, and a later run may
        # already count on its having changed nothing.
        ended = fact.outcome
        stopped = Outcome(TaskStatus.STOPPED, abandoned=ended.abandoned, metrics=ended.metrics)
        draft.finish(task, stopped, fact.began)
    elif task.status is TaskStatus.QUEUED or task.status is TaskStatus.RUNNING:
        if fact.outcome.status is TaskStatus.SUCCESS:
            draft.merge(fact.context)
        if fact.outcome.status is TaskStatus.FAILED:
            _fail(draft, task, fact)
        else:
            draft.finish(task, fact.outcome, fact.began)
    # One that fails and is tried again says nothing about what ends processes beside it.
    if works and draft.head.recoveries and draft.task(fact.task).status is not TaskStatus.RETRYING:
        draft.head = replace(draft.head, recoveries=0)


def _fail(draft: Draft, task: TaskState, fact: TaskEnded) -> None:
    """Let a failed attempt be followed by another, if the task has one left."""
    plan = draft.plan.tasks.get(task.name)
    task = replace(task, failures=task.failures + 1, begin=task.begin or fact.began)
    if plan is None or not fact.retryable or task.failures > plan.retry.retries:
        draft.finish(task, fact.outcome)
        return
    due = fact.at + plan.retry.delay_for(task.failures, fact.dice)
    retrying = replace(task, status=TaskStatus.RETRYING, due=due)
    draft.put(retrying, replace(fact.outcome, status=TaskStatus.RETRYING))
    _set_timer(draft, retrying)


def _set_timer(draft: Draft, task: TaskState) -> None:
    if task.due is not None:
        timer = SetTimer(task.name, task.sequence_number, task.try_number, task.due)
        draft.commands.append(timer)


def _retry(draft: Draft, fact: RetryFellDue) -> None:
    task = draft.task(fact.task)
    known = task.name in draft.plan.tasks
    if known and _works(draft) and _is_at(task, fact) and task.status is TaskStatus.RETRYING:
        draft.queue(task.next_attempt())


def _pass_period(draft: Draft, fact: PeriodPassed) -> None:
    """Restart a periodic task; of several periods that passed unheard only one is made up for."""
    task = draft.plan.tasks.get(fact.task)
    begin = draft.head.begin
    if task is None or task.period is None or begin is None or not _works(draft):
        return
    if not draft.head.stopping and fact.number > draft.task(fact.task).period:
        number = newest_passed(task.period, begin, draft.at, fact.number)
        draft.act(fact.task, TaskAction.RESTART, ExecutionType.PERIODIC)
        draft.put(replace(draft.task(fact.task), period=number))
        draft.await_period_after(task, number)


def _resume_periods(draft: Draft) -> None:
    """Go on with the periods where the state is; the last that was not counted is due at once.

    Not while a run goes on that a crash cut short: it has just begun again.
    """
    begin = draft.head.begin
    if draft.head.stopping or begin is None or draft.head.status is not WorkflowStatus.RUNNING:
        return
    for plan in draft.plan.periodic:
        if plan.period is None:
            continue
        passed, task = newest_passed(plan.period, begin, draft.at), draft.task(plan.name)
        if end_of(plan.period, begin, task.period) > draft.at + _TOO_FAR:
            task = replace(task, period=passed)
            draft.put(task)
        if passed > task.period and not task.status.alive:
            draft.await_period(plan, passed)
        else:
            draft.await_period_after(plan, max(passed, task.period))


def _is_at(task: TaskState, fact: TaskStarted | EventAwaited | TaskEnded | RetryFellDue) -> bool:
    """Say whether the fact is about the attempt that the task is at."""
    return (task.sequence_number, task.try_number) == (fact.sequence_number, fact.try_number)
