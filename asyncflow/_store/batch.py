"""What one transaction writes and what it answers: values only, the same for every store."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Closing, Head, TaskState
from asyncflow._frozen import value
from asyncflow._model.record import (
    AwaitedRecord,
    EventRecord,
    ExecutionRecord,
    LogRecord,
)
from asyncflow._model.status import ExecutionType

LAST_FACTS: Final = 1_000
"""How many of the last facts tell what was being worked on, for the order of `Store.claim`."""


@value(frozen=True, slots=True)
class RunnerRow:
    """A process that works on executions.

    Attributes:
        id: unique for ever, one per opened runner.
        pid: its process, on ``host``.
        process: tells the process from a later one with the same pid.
        since: when it registered.
        epoch: given by `Store.register`, 0 before; every commit names it.
        address: of the UDP socket, as ``"127.0.0.1:4711"``, at which it hears that something was
            put before it; None if it only looks now and then.
        lease: without a beat for so long it is taken for dead; zero if it counts none.
        beat: how often it has renewed its lease.
    """

    id: str
    pid: int
    process: str
    host: str
    since: datetime
    epoch: int = 0
    address: str | None = None
    lease: timedelta = timedelta()
    beat: int = 0


@value(frozen=True, slots=True)
class Dead:
    """A runner that is taken for dead, unless it has counted another beat since."""

    runner: str
    beat: int


class DutyKind(StrEnum):
    """What one runner of all does alone, for all of them."""

    RULES = "RULES"
    TRIGGER = "TRIGGER"
    SCHEDULE = "SCHEDULE"
    RETENTION = "RETENTION"


@value(frozen=True, slots=True)
class Duty:
    """One thing that one runner does alone.

    RULES: judge events by the rules of a workflow, whose namespace and name these are. TRIGGER:
    poll it. SCHEDULE: answer its ticks. RETENTION: forget what is old; both names are empty.
    """

    kind: DutyKind
    namespace: str = ""
    name: str = ""


@value(frozen=True, slots=True)
class Claimed:
    """What a runner came to own.

    Attributes:
        executions: ids of those that nobody owned, in the order in which they are to go on.
        duties: of those that it asked for, all that it has now.
    """

    executions: tuple[int, ...] = ()
    duties: frozenset[Duty] = frozenset()


@value(frozen=True, slots=True)
class Swept:
    """How much of what is old was forgotten in one transaction; ``more`` if some is left."""

    executions: int = 0
    events: int = 0
    lines: int = 0
    more: bool = False


@value(frozen=True, slots=True)
class Fence:
    """Who writes: refused with `FencedError` once the runner's row has another epoch or is gone."""

    runner: str
    epoch: int


class Refused(StrEnum):
    """Why a new execution got no row."""

    NAME_TAKEN = "NAME_TAKEN"
    CAUSED_ALREADY = "CAUSED_ALREADY"
    DISABLED = "DISABLED"
    RUNS_ALREADY = "RUNS_ALREADY"
    STARTED_ONCE = "STARTED_ONCE"
    TICKED_ALREADY = "TICKED_ALREADY"
    OUTDATED = "OUTDATED"


@value(frozen=True, slots=True)
class Cause:
    """An event: its offset, or, with ``fresh``, its place in `Batch.events`."""

    event: int
    fresh: bool = False


@value(frozen=True, slots=True)
class CursorWrite:
    """What a trigger wants to find at its next poll, as JSON text; None clears.

    Not written while ``workflow``, in the trigger's namespace, refuses to be started, nor if the
    stored cursor is not ``instead_of``, the one that the poll was given: another runner was faster.
    """

    namespace: str
    trigger: str
    workflow: str
    cursor: str | None
    instead_of: str | None = None


@value(frozen=True, slots=True)
class Firing:
    """A poll of a trigger that starts an execution: a line of its history, stored with that.

    Attributes:
        cursor: what is written with it; refused with `Refused.OUTDATED` if that is not
            ``instead_of`` the stored one.
    """

    namespace: str
    trigger: str
    started: datetime
    context_hash: str
    key: str | None = None
    cursor: CursorWrite | None = None


@value(frozen=True, slots=True)
class Tick:
    """A tick of a schedule that starts an execution: a line of its history, stored with that.

    Refused with `Refused.OUTDATED` if the schedule is gone, disabled or has another version, and
    with `Refused.TICKED_ALREADY` if its ``answered`` is not before ``at``; that becomes ``at``.
    """

    namespace: str
    schedule: str
    version: int
    at: datetime


@value(frozen=True, slots=True)
class NewExecution:
    """A workflow execution that has no row yet.

    Attributes:
        cause: the event that starts it. One event starts a workflow at most once: the second is
            refused.
        origin: what else starts it.
        alone: refused with `Refused.RUNS_ALREADY` while an unfinished execution of the workflow
            has the same.
        once: refused with `Refused.STARTED_ONCE` if an execution of the workflow ever had the same,
            also if that was deleted since.
    """

    name: str
    workflow: str
    namespace: str
    execution_type: ExecutionType
    created: datetime
    fingerprint: str
    cause: Cause | None = None
    origin: Firing | Tick | None = None
    alone: str | None = None
    once: str | None = None


@value(frozen=True, slots=True)
class FactWrite:
    """A line for the log of facts: evidence, never read to recover, but for the order in it."""

    kind: str
    body: str
    at: datetime


@value(frozen=True, slots=True)
class ExecutionWrite:
    """Everything that one transaction changes in one execution.

    Attributes:
        target: the row's id, or the row to make. If it is refused nothing of this write happens
            and the receipt says why in its place.
        head: the new head; None keeps the row's. A final head releases the execution's owner.
        tasks: rows to insert or replace, at most one for each task and sequence number; an outcome
            of None keeps what the row says of the last attempt. New rows get their ids in order;
            one that has an outcome already, which the engine never writes, may come out of order.
        context: top-level keys and their JSON text; None deletes the key.
        fingerprint: of the plan it now runs under; None keeps the row's.
        cells: users' states by name and their JSON text; None clears.
        closings: runs of tasks that are over, and await nothing any more.
    """

    target: int | NewExecution
    head: Head | None = None
    tasks: tuple[TaskChange, ...] = ()
    context: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    facts: tuple[FactWrite, ...] = ()
    fingerprint: str | None = None
    cells: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    closings: tuple[Closing, ...] = ()


@value(frozen=True, slots=True)
class NewAwaited:
    """An event that a task comes to await, or finds as an earlier attempt of its run has left it.

    Found is the newest row of the same execution, task, sequence number, name and place. Not one
    that has timed out under fewer failed attempts: a retry makes a new one, or finds another of
    the name that waits since then. Refused is a second of one name, while the run waits for the
    first.

    Attributes:
        run_name, namespace: of the execution, as its owner has them in memory.
        failures: how many attempts of the run have failed by now.
    """

    execution: int
    run_name: str
    namespace: str
    task: str
    sequence_number: int
    name: str
    place: int
    failures: int
    data_type: str
    created: datetime
    prompt: str = ""
    prompt_type: str = "text"
    description: str = ""
    deadline: datetime | None = None


@value(frozen=True, slots=True)
class Signal:
    """A payload for an awaited event. Refused unless that waits at the event's ``create_time``.

    Letters to the namespace tell each runner whose RULES expect the event's key, but for the
    writer if it owns the execution.

    Attributes:
        awaited: the row that it answers, of the execution to which ``event`` is confined.
        event: stored with it; its value is the payload, its sender the one who signals.
        comment: kept with the awaited event.
        by_letter: whether the owner of the execution finds a letter about it in its inbox, of the
            kind ``EventSignalled``, with ``{"awaited": id}`` and the event; then it is no matter
            who writes, and ``"told"`` in it are the runners that find one to the namespace.
    """

    awaited: int
    event: EventRecord
    comment: str | None = None
    by_letter: bool = False


@value(frozen=True, slots=True)
class Expiry:
    """Time passed: an awaited event that waits still, and whose deadline is over, is TIMED_OUT."""

    awaited: int
    at: datetime


@value(frozen=True, slots=True)
class Notified:
    """The webhook of an awaited event has answered, or failed with an error."""

    awaited: int
    at: datetime
    error: str | None = None


WorkflowCell: TypeAlias = tuple[str, str, str]
"""The namespace, the workflow and the name of a user's state that belongs to a workflow."""


@value(frozen=True, slots=True)
class FailedPoll:
    """A poll that failed: a line of its trigger's history."""

    namespace: str
    trigger: str
    started: datetime
    ended: datetime
    error: str


@value(frozen=True, slots=True)
class DroppedTicks:
    """Ticks that start nothing, each a line of the schedule's history.

    Nothing is written if the schedule is gone or has another version; none of those that are not
    after its ``answered``, which becomes the latest of them.

    Attributes:
        ticks: when each was due, oldest first.
        earlier: the first and the last of a run of ticks before them, which get one line.
    """

    namespace: str
    schedule: str
    version: int
    ticks: tuple[datetime, ...]
    reason: str
    noted: datetime
    earlier: tuple[datetime, datetime] | None = None


@value(frozen=True, slots=True)
class Batch:
    """One transaction.

    Attributes:
        fence: of the runner that writes and comes to own new executions; None: a bare client,
            whose executions have no owner.
        events: to be stored, in this order; their offsets are in the receipt.
        taken: ids of inbox items that this transaction answers; they are removed with it.
        cells: users' states of workflows and their JSON text; None clears.
        logs: lines to be kept, in this order; none of an execution that is gone.
        dropped: ticks that start nothing; written before ``executions``.
        signals: written before what is ``expired``, and both before what ``executions`` close.
        for_rules: places in ``events``, ascending, of those that are also put before each other
            runner whose RULES in the event's namespace expect its key.
    """

    fence: Fence | None = None
    executions: tuple[ExecutionWrite, ...] = ()
    events: tuple[EventRecord, ...] = ()
    taken: tuple[int, ...] = ()
    cells: Mapping[WorkflowCell, str | None] = field(default_factory=dict[WorkflowCell, str | None])
    logs: tuple[LogRecord, ...] = ()
    cursors: tuple[CursorWrite, ...] = ()
    failed_polls: tuple[FailedPoll, ...] = ()
    dropped: tuple[DroppedTicks, ...] = ()
    awaited: tuple[NewAwaited, ...] = ()
    signals: tuple[Signal, ...] = ()
    expired: tuple[Expiry, ...] = ()
    notified: tuple[Notified, ...] = ()
    for_rules: tuple[int, ...] = ()


@value(frozen=True, slots=True)
class Receipt:
    """What a transaction gave.

    Attributes:
        ids: one for each execution written, in order; why not, where a new one was refused.
        offsets: one for each event, in order.
        awaited: one for each event that is awaited, in order, new or found; None if refused.
        signals: the offset of each signal's event, in order; None if it was refused.
        expired: for each expiry whether it was so.
    """

    ids: tuple[int | Refused, ...] = ()
    offsets: tuple[int, ...] = ()
    awaited: tuple[AwaitedRecord | None, ...] = ()
    signals: tuple[int | None, ...] = ()
    expired: tuple[bool, ...] = ()


@value(frozen=True, slots=True)
class Letter:
    """A fact for executions that somebody else owns.

    Attributes:
        execution: whom it is for; None: every running execution of the namespace.
        kind: name of the fact.
        body: JSON object with the fact's other fields.
        event: stored with the letter in one transaction, which gives its offset.
    """

    namespace: str
    kind: str
    body: str
    at: datetime
    execution: int | None = None
    event: EventRecord | None = None


@value(frozen=True, slots=True)
class InboxItem:
    """A letter as its reader finds it; ``id`` goes into `Batch.taken`."""

    id: int
    letter: Letter


@value(frozen=True, slots=True)
class StoredExecution:
    """All that is needed to go on with an execution: its latest task runs, context and states."""

    record: ExecutionRecord
    head: Head
    tasks: tuple[TaskState, ...]
    context: Mapping[str, str]
    cells: Mapping[str, str] = field(default_factory=dict[str, str])


@value(frozen=True, slots=True)
class FactRecord:
    """A line of the log of facts."""

    id: int
    execution: int
    kind: str
    body: str
    at: datetime
