"""What one transaction writes and what it answers: values only, the same for every store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from asyncflow._core.state import Head, Outcome, TaskState
from asyncflow._model.record import EventRecord, ExecutionRecord
from asyncflow._model.status import ExecutionType


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """A process that works on executions.

    Attributes:
        id: unique for ever, one per opened runner.
        pid: its process, on ``host``.
        process: tells the process from a later one with the same pid.
        since: when it registered.
        epoch: given by `Store.register`, 0 before; every commit names it.
    """

    id: str
    pid: int
    process: str
    host: str
    since: datetime
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes: refused with `FencedError` once the runner's row has another epoch or is gone."""

    runner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class NewExecution:
    """A workflow execution that has no row yet."""

    name: str
    workflow: str
    namespace: str
    execution_type: ExecutionType
    created: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TaskWrite:
    """The row of one task execution, keyed by execution, task and sequence number.

    An outcome of None keeps what the row says of the last attempt.
    """

    state: TaskState
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class FactWrite:
    """A line for the log of facts: evidence, never read to recover."""

    kind: str
    body: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ExecutionWrite:
    """Everything that one transaction changes in one execution.

    Attributes:
        target: the row's id, or the row to make. If its name is taken nothing of this write
            happens and the receipt has None in its place.
        head: the new head; None keeps the row's. A final head releases the execution's owner.
        tasks: rows to insert or replace, at most one for each task and sequence number.
        context: top-level keys and their JSON text; None deletes the key.
        fingerprint: of the plan it now runs under; None keeps the row's.
    """

    target: int | NewExecution
    head: Head | None = None
    tasks: tuple[TaskWrite, ...] = ()
    context: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    facts: tuple[FactWrite, ...] = ()
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction.

    Attributes:
        fence: of the runner that writes and comes to own new executions; None: a bare client,
            whose executions have no owner.
        events: to be stored, in this order; their offsets are in the receipt.
        taken: ids of inbox items that this transaction answers; they are removed with it.
    """

    fence: Fence | None = None
    executions: tuple[ExecutionWrite, ...] = ()
    events: tuple[EventRecord, ...] = ()
    taken: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction gave.

    Attributes:
        ids: one for each execution written, in order; None where a new one's name was taken.
        offsets: one for each event, in order.
    """

    ids: tuple[int | None, ...] = ()
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A letter as its reader finds it; ``id`` goes into `Batch.taken`."""

    id: int
    letter: Letter


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """All that is needed to go on with an execution: its latest task runs and its context."""

    record: ExecutionRecord
    head: Head
    tasks: tuple[TaskState, ...]
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FactRecord:
    """A line of the log of facts."""

    id: int
    execution: int
    kind: str
    body: str
    at: datetime
