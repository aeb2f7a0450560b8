"""What a store says about executions and events: rows as values, with nothing to call or change.

Values are JSON text here; the handles in `execution` and `event` decode them when asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncflow._frozen import value
from asyncflow._model.schedule import CatchUp, Overlap
from asyncflow._model.status import EventPhase, ExecutionType, TaskStatus, WorkflowStatus


@value(frozen=True, slots=True)
class ExecutionRecord:
    """A workflow execution as stored.

    Attributes:
        id: given by the store when the execution is created; grows.
        name: unique in the store; the ``run_name`` of its events.
        error: the first error of its tasks, with the task's name; None if there was none.
        parked_reason: why it cannot go on; None if it can.
        stopping: whether `stop` was asked for.
        owner: the runner that works on it; None if none does.
        heard: offset of the last event that it answered and that came by letter.
        recoveries: how often it began again after a crash, since a run of a task has ended.
    """

    id: int
    name: str
    workflow: str
    namespace: str
    execution_type: ExecutionType
    status: WorkflowStatus
    created: datetime
    begin: datetime | None
    end: datetime | None
    error: str | None
    parked_reason: str | None
    stopping: bool
    fingerprint: str
    owner: str | None
    heard: int = 0
    recoveries: int = 0


@value(frozen=True, slots=True)
class EndedExecution:
    """A workflow execution that has ended, and what it left in its context: JSON text by key."""

    record: ExecutionRecord
    context: Mapping[str, str]


@value(frozen=True, slots=True)
class TaskExecutionRecord:
    """One run of a task in a workflow execution, as stored.

    Attributes:
        sequence_number: the n-th run of this task in its execution, from 1; a retry keeps it.
        try_number: the n-th attempt of this run, from 1; a crash counts as one.
        result: JSON text of what the task returned; None if nothing.
        error: type and text of the exception of the last failed attempt.
        abandoned: it was stopped and did not end; its thread may still run.
        metrics: JSON object as text; None if its operator has none.
        id: of its row; grows.
    """

    execution: int
    task_name: str
    sequence_number: int
    try_number: int
    status: TaskStatus
    execution_type: ExecutionType
    begin: datetime | None
    end: datetime | None
    result: str | None
    error: str | None
    traceback: str | None
    abandoned: bool
    metrics: str | None = None
    id: int | None = None


@value(frozen=True, slots=True)
class LogRecord:
    """A line that a task wrote to its log.

    Attributes:
        id: its place among all lines of the store; None before it is stored.
        level: the number of the `logging` module.
    """

    execution: int
    task_name: str
    sequence_number: int
    try_number: int
    at: datetime
    level: int
    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True)  # users are given it
class RuleRecord:
    """A workflow rule as stored: its condition is code, and added anew in each process.

    Attributes:
        name: unique among the rules of its workflow.
    """

    namespace: str
    workflow: str
    name: str
    paused: bool


@value(frozen=True, slots=True)
class TriggerRecord:
    """A polled trigger as stored: its function is code, and loaded anew by each runner.

    Attributes:
        id: of its row; None before it has one.
        cursor: JSON text of what its last fire or skip asked to keep; None if it never did.
        created: when a runner first loaded it.
        updated: when its declaration or ``enabled`` last changed.
    """

    namespace: str
    name: str
    workflow: str
    poll_interval: timedelta
    allow_concurrent: bool
    created: datetime
    updated: datetime
    enabled: bool = True
    cursor: str | None = None
    id: int | None = None


@value(frozen=True, slots=True)
class FiringRecord:
    """A line of a trigger's history: an execution that it started, or a poll that failed.

    Attributes:
        started: when the poll began.
        ended: when the execution ended, or the poll failed; None while the execution runs.
        execution: name of the execution; None of a poll that failed.
        error: type and text of what went wrong; None if an execution was started.
    """

    id: int
    namespace: str
    trigger: str
    started: datetime
    ended: datetime | None
    context_hash: str | None
    key: str | None
    execution: str | None
    error: str | None


@value(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule as stored.

    Attributes:
        expression: what `parse_schedule` takes.
        timezone: of a cron expression; None of an interval.
        context: JSON object as text, what its executions find in their contexts.
        anchor: what an interval counts from.
        answered: every tick until then has been answered: it started an execution or was dropped.
        version: of its definition, changed with each change of it; greater than any before.
        last_run: the last tick that started an execution; None if none did.
        id: of its row; None before it has one.
    """

    namespace: str
    name: str
    workflow: str
    expression: str
    timezone: str | None
    context: str
    catchup: CatchUp
    max_catchup: int
    overlap: Overlap
    anchor: datetime
    answered: datetime
    created: datetime
    updated: datetime
    enabled: bool = True
    version: int = 0
    last_run: datetime | None = None
    id: int | None = None


@value(frozen=True, slots=True)
class TickRecord:
    """A line of a schedule's history: what became of a tick.

    Attributes:
        at: when it was due.
        until: of a line that stands for a run of dropped ticks: when the last one was due.
        noted: when it was answered.
        execution: name of the execution that it started; None if it was dropped.
        status: of that execution.
        ended: when that execution ended.
        dropped: why it started nothing; None if it did.
    """

    id: int
    namespace: str
    schedule: str
    at: datetime
    until: datetime | None
    noted: datetime
    execution: str | None
    status: WorkflowStatus | None
    ended: datetime | None
    dropped: str | None


@value(frozen=True, slots=True)
class EventRecord:
    """An event as stored; ``value`` and ``context`` are JSON text.

    Attributes:
        offset: its place among all events of the store; given at commit, None before.
        execution: the workflow execution to which it is confined; None: the whole namespace.
        sender: the task that sent it, as ``"{execution}/{task}"``, or what the sender said.
        awaited: the row of the awaited event that it answers; None of an event that was just sent.
        run_name: the name of ``execution``; read, never written.
    """

    offset: int | None
    key: str
    value: str
    namespace: str
    sender: str | None
    create_time: datetime
    context: str | None = None
    execution: int | None = None
    awaited: int | None = None
    run_name: str | None = None


@value(frozen=True, slots=True)
class AwaitedRecord:
    """An event that was born waiting, as stored: a task made it, and somebody may signal it.

    Attributes:
        id: of its row; grows.
        run_name: the name of its execution.
        place: an attempt finds it as the n-th of its name, from 1.
        label: that n where it was made; with a suffix where a retry made it after others.
        data_type: the text of a `PayloadType`.
        deadline: it cannot be signalled from then on.
        phase: RUNNING may be past its deadline, of which nobody has taken note yet.
        value: JSON text of the payload; None before.
        ended: when it was signalled, or closed.
        sender: who signalled it; None if they did not say.
        comment: what they added for people to read.
        offset: of the event as which rules and listeners saw the signal.
        notified: when its webhook answered, or failed with ``webhook_error``.
    """

    id: int
    execution: int
    run_name: str
    namespace: str
    task_name: str
    sequence_number: int
    name: str
    place: int
    data_type: str
    created: datetime
    prompt: str = ""
    prompt_type: str = "text"
    description: str = ""
    deadline: datetime | None = None
    phase: EventPhase = EventPhase.RUNNING
    value: str | None = None
    ended: datetime | None = None
    sender: str | None = None
    comment: str | None = None
    offset: int | None = None
    notified: datetime | None = None
    webhook_error: str | None = None
    label: str = "1"

    def phase_at(self, now: datetime) -> EventPhase:
        """Return its phase at a time; one whose time is over is TIMED_OUT, recorded or not."""
        waits = self.phase is EventPhase.RUNNING
        late = waits and self.deadline is not None and self.deadline <= now
        return EventPhase.TIMED_OUT if late else self.phase
