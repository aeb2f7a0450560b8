"""What can be asked of a store: one frozen class per question, typed by its answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, TypeVar

from asyncflow._frozen import value
from asyncflow._model.record import (
    AwaitedRecord,
    EventRecord,
    ExecutionRecord,
    FiringRecord,
    LogRecord,
    RuleRecord,
    ScheduleRecord,
    TaskExecutionRecord,
    TickRecord,
    TriggerRecord,
)
from asyncflow._model.status import WorkflowStatus
from asyncflow._store.batch import (
    Duty,
    FactRecord,
    InboxItem,
    RunnerRow,
    StoredExecution,
)
from asyncflow._store.sizes import StoreSizes

T_co = TypeVar("T_co", covariant=True)


class Query(Generic[T_co]):
    """A question; its type parameter is the type of the answer."""

    __slots__ = ()


@value(frozen=True, slots=True)
class ExecutionByName(Query[ExecutionRecord | None]):
    """The execution of that name, or None."""

    name: str


@value(frozen=True, slots=True)
class Executions(Query[tuple[ExecutionRecord, ...]]):
    """Executions, newest first; ``before`` is the id that the last page ended with."""

    namespace: str | None = None
    workflow: str | None = None
    statuses: frozenset[WorkflowStatus] | None = None
    before: int | None = None
    limit: int = 100


@value(frozen=True, slots=True)
class TaskExecutions(Query[tuple[TaskExecutionRecord, ...]]):
    """All task executions of one execution, in the order in which they were first stored."""

    execution: int


@value(frozen=True, slots=True)
class ContextOf(Query[Mapping[str, str]]):
    """The merged context of one execution, each value as JSON text; empty for an unknown id."""

    execution: int


@value(frozen=True, slots=True)
class Events(Query[tuple[EventRecord, ...]]):
    """Events in order of offset.

    ``begin`` and ``end`` are offsets, ``since`` and ``until`` are times; the first of each two is
    exclusive, the second inclusive. ``answers`` of False leaves out those that signals made.
    """

    namespace: str | None = None
    execution: int | None = None
    keys: frozenset[str] | None = None
    begin: int = 0
    end: int | None = None
    limit: int = 100
    sender: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    answers: bool = True
    newest_first: bool = False


@value(frozen=True, slots=True)
class AwaitedByIds(Query[tuple[AwaitedRecord, ...]]):
    """These awaited events, in the order of their ids; those that are not there are left out."""

    ids: tuple[int, ...]


@value(frozen=True, slots=True)
class AwaitedEvents(Query[tuple[AwaitedRecord, ...]]):
    """Awaited events in the order of their ids, or the other way round.

    ``after`` is the id that the last page ended with. ``waiting_at`` leaves out those that do not
    wait at that time.
    """

    namespace: str | None = None
    execution: int | None = None
    task: str | None = None
    sequence_number: int | None = None
    name: str | None = None
    waiting_at: datetime | None = None
    after: int | None = None
    limit: int = 100
    newest_first: bool = False


@value(frozen=True, slots=True)
class AwaitedByName(Query[AwaitedRecord | None]):
    """An awaited event of an execution: the newest of its name that waits then, else the newest.

    None if there is none, or no such execution.
    """

    run_name: str
    name: str
    waiting_at: datetime
    task: str | None = None
    sequence_number: int | None = None


@value(frozen=True, slots=True)
class LastOffset(Query[int]):
    """The offset of the last event, 0 if there is none; ``until`` counts older ones only.

    Times may repeat or go back: it is the greatest offset of an event not younger than ``until``.
    """

    until: datetime | None = None


@value(frozen=True, slots=True)
class WorkflowCells(Query[Mapping[str, str]]):
    """Users' states of a workflow, JSON text by name."""

    namespace: str
    workflow: str


@value(frozen=True, slots=True)
class DisabledWorkflows(Query[frozenset[tuple[str, str]]]):
    """The (namespace, name) of each workflow that refuses to be started."""


@value(frozen=True, slots=True)
class WorkflowRules(Query[tuple[RuleRecord, ...]]):
    """Workflow rules, ordered by namespace, workflow and the order of their adding."""

    namespace: str | None = None
    workflow: str | None = None


@value(frozen=True, slots=True)
class Triggers(Query[tuple[TriggerRecord, ...]]):
    """Triggers, ordered by namespace and name; ``enabled`` of True leaves the others out."""

    namespace: str | None = None
    name: str | None = None
    enabled: bool | None = None
    limit: int | None = None
    offset: int = 0


@value(frozen=True, slots=True)
class DisabledTriggers(Query[frozenset[tuple[str, str]]]):
    """The (namespace, name) of each trigger that does not poll."""


@value(frozen=True, slots=True)
class Firings(Query[tuple[FiringRecord, ...]]):
    """The history of a trigger, newest first."""

    namespace: str
    trigger: str
    limit: int = 100
    offset: int = 0


@value(frozen=True, slots=True)
class Schedules(Query[tuple[ScheduleRecord, ...]]):
    """Schedules, ordered by namespace and name."""

    namespace: str | None = None
    name: str | None = None
    workflow: str | None = None
    enabled: bool | None = None
    limit: int | None = None
    offset: int = 0


@value(frozen=True, slots=True)
class SchedulesVersion(Query[int]):
    """A number that grows with each change of any schedule; what ticks change does not count."""


@value(frozen=True, slots=True)
class Ticks(Query[tuple[TickRecord, ...]]):
    """The history of a schedule, newest first."""

    namespace: str
    schedule: str
    limit: int = 100
    offset: int = 0


@value(frozen=True, slots=True)
class TickCounts(Query[Mapping[str, int]]):
    """How many ticks became what: by the status of their execution, or ``"DROPPED"``.

    A line that stands for a run of dropped ticks counts once. ``since`` is inclusive.
    """

    namespace: str | None = None
    schedule: str | None = None
    since: datetime | None = None


@value(frozen=True, slots=True)
class TaskLogs(Query[tuple[LogRecord, ...]]):
    """The log of one run of a task, in order; ``after`` is the last id seen."""

    execution: int
    task_name: str
    sequence_number: int
    after: int = 0
    limit: int = 1000


@value(frozen=True, slots=True)
class Inbox(Query[tuple[InboxItem, ...]]):
    """What waits for a runner, oldest first.

    Letters to executions that it owns or that have ended, and letters to a namespace that are
    addressed to it. ``after`` is the id that the last page ended with.
    """

    runner: str
    after: int = 0
    limit: int = 512


@value(frozen=True, slots=True)
class LettersWait(Query[bool]):
    """Whether a letter to an execution waits for its owner, or for an owner."""

    execution: int


@value(frozen=True, slots=True)
class Runners(Query[tuple[RunnerRow, ...]]):
    """Every registered runner, the dead included, oldest first."""


@value(frozen=True, slots=True)
class Duties(Query[Mapping[Duty, str]]):
    """Every duty that somebody has, and whose it is."""


@value(frozen=True, slots=True)
class OwnedExecutions(Query[tuple[int, ...]]):
    """The ids of the unfinished executions that a runner owns."""

    runner: str


@value(frozen=True, slots=True)
class UnownedWorkflows(Query[frozenset[tuple[str, str]]]):
    """The (namespace, name) of each workflow with unfinished executions that nobody owns."""


@value(frozen=True, slots=True)
class StoredExecutions(Query[tuple[StoredExecution, ...]]):
    """All that is needed to go on with these executions, in the order of their ids."""

    ids: tuple[int, ...]


@value(frozen=True, slots=True)
class Facts(Query[tuple[FactRecord, ...]]):
    """The log of facts of one execution, in order; ``after`` is the last id seen."""

    execution: int
    after: int = 0
    limit: int = 1000


@value(frozen=True, slots=True)
class Sizes(Query[StoreSizes]):
    """How large the store is."""
