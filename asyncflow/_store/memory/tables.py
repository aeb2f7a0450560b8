"""What a store in memory keeps: what SQLite has in tables, in dicts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from asyncflow._core.state import Head, Outcome, TaskState
from asyncflow._model.record import (
    EventRecord,
    FiringRecord,
    LogRecord,
    RuleRecord,
    ScheduleRecord,
    TickRecord,
    TriggerRecord,
)
from asyncflow._store.awaited import AwaitedTable
from asyncflow._store.batch import (
    Duty,
    FactRecord,
    InboxItem,
    NewExecution,
    RunnerRow,
    WorkflowCell,
)

TaskKey = tuple[str, int]
TaskRow = tuple[TaskState, Outcome | None]
Named = tuple[str, str]
OfWorkflow = tuple[str, str, str]


@dataclass(slots=True)
class Execution:
    """A row of an execution, and what hangs on it.

    Attributes:
        latest: the greatest sequence number of each task, in the order of these runs.
        awaited: ids of the events that its tasks have awaited, in order.
        cause: the offset of the event that started it.
    """

    id: int
    new: NewExecution
    fingerprint: str
    head: Head = field(default_factory=Head)
    owner: str | None = None
    tasks: dict[TaskKey, TaskRow] = field(default_factory=dict[TaskKey, TaskRow])
    latest: dict[str, int] = field(default_factory=dict[str, int])
    context: dict[str, str] = field(default_factory=dict[str, str])
    facts: list[FactRecord] = field(default_factory=list[FactRecord])
    cells: dict[str, str] = field(default_factory=dict[str, str])
    logs: list[LogRecord] = field(default_factory=list[LogRecord])
    task_ids: dict[TaskKey, int] = field(default_factory=dict[TaskKey, int])
    awaited: list[int] = field(default_factory=list[int])
    cause: int | None = None


@dataclass(slots=True)
class Tables:
    """Everything that is kept.

    Attributes:
        owned: ids of the unfinished executions of each runner; None has those of nobody.
        events: by offset, in order.
        causes: the namespace, the workflow and the offset of each event that started one.
        alone: the namespace, the workflow and `NewExecution.alone` of each unfinished execution.
        once: the namespace, the workflow and `NewExecution.once` of each execution ever.
        disabled: workflows that refuse to be started.
        inbox: each item with the runner that it is put before, if it is for a namespace.
        beats: how many each epoch has counted.
        duties: whose each is, and which keys of events its rules expect.
        firings: of each trigger, oldest first, without what its executions became.
        ticks: of each schedule, oldest first, without what their executions became.
    """

    executions: dict[int, Execution] = field(default_factory=dict[int, Execution])
    names: dict[str, int] = field(default_factory=dict[str, int])
    owned: dict[str | None, set[int]] = field(default_factory=dict[str | None, set[int]])
    events: dict[int, EventRecord] = field(default_factory=dict[int, EventRecord])
    causes: set[tuple[str, str, int]] = field(default_factory=set[tuple[str, str, int]])
    alone: dict[OfWorkflow, int] = field(default_factory=dict[OfWorkflow, int])
    once: set[OfWorkflow] = field(default_factory=set[OfWorkflow])
    disabled: set[Named] = field(default_factory=set[Named])
    cells: dict[WorkflowCell, str] = field(default_factory=dict[WorkflowCell, str])
    rules: dict[OfWorkflow, RuleRecord] = field(default_factory=dict[OfWorkflow, RuleRecord])
    triggers: dict[Named, TriggerRecord] = field(default_factory=dict[Named, TriggerRecord])
    firings: dict[Named, list[FiringRecord]] = field(
        default_factory=dict[Named, list[FiringRecord]]
    )
    schedules: dict[Named, ScheduleRecord] = field(default_factory=dict[Named, ScheduleRecord])
    ticks: dict[Named, list[TickRecord]] = field(default_factory=dict[Named, list[TickRecord]])
    schedules_version: int = 0
    awaited: AwaitedTable = field(default_factory=AwaitedTable)
    inbox: dict[int, tuple[InboxItem, str | None]] = field(
        default_factory=dict[int, tuple[InboxItem, str | None]]
    )
    runners: dict[str, RunnerRow] = field(default_factory=dict[str, RunnerRow])
    beats: dict[int, int] = field(default_factory=dict[int, int])
    duties: dict[Duty, tuple[str, frozenset[str]]] = field(
        default_factory=dict[Duty, tuple[str, frozenset[str]]]
    )
    last_execution: int = 0
    last_offset: int = 0
    last_awaited: int = 0
    last_fact: int = 0
    task_ids: Iterator[int] = field(default_factory=lambda: count(1))
    log_ids: Iterator[int] = field(default_factory=lambda: count(1))
    epochs: Iterator[int] = field(default_factory=lambda: count(1))
    letter_ids: Iterator[int] = field(default_factory=lambda: count(1))
    trigger_ids: Iterator[int] = field(default_factory=lambda: count(1))
    firing_ids: Iterator[int] = field(default_factory=lambda: count(1))
    schedule_ids: Iterator[int] = field(default_factory=lambda: count(1))
    tick_ids: Iterator[int] = field(default_factory=lambda: count(1))
