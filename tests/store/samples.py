"""Values that the tests of the stores write."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Head, TaskState
from asyncflow._model.record import EventRecord, LogRecord, ScheduleRecord, TriggerRecord
from asyncflow._model.status import ExecutionType, TaskStatus, WorkflowStatus
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    FactWrite,
    Fence,
    Letter,
    NewAwaited,
    NewExecution,
    RunnerRow,
    Signal,
)
from asyncflow._store.change import PutSchedule
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    AwaitedByIds,
    AwaitedByName,
    AwaitedEvents,
    ContextOf,
    DisabledTriggers,
    DisabledWorkflows,
    Duties,
    Events,
    ExecutionByName,
    Executions,
    Facts,
    Firings,
    Inbox,
    LastOffset,
    LettersWait,
    OwnedExecutions,
    Query,
    Runners,
    Schedules,
    SchedulesVersion,
    Sizes,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    TickCounts,
    Ticks,
    Triggers,
    UnownedWorkflows,
    WorkflowCells,
    WorkflowRules,
)
from asyncflow._store.sizes import StoreSizes

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = NOON + timedelta(hours=1, microseconds=1)
RUNNING = Head(WorkflowStatus.RUNNING, begin=NOON)
ENDED = Head(WorkflowStatus.SUCCESS, begin=NOON, end=LATER)

EVERYTHING: tuple[Query[Any], ...] = (
    ExecutionByName("a"),
    Executions(),
    TaskExecutions(1),
    ContextOf(1),
    Events(),
    Inbox("r1"),
    Runners(),
    Duties(),
    StoredExecutions((1, 2, 3)),
    Facts(1),
    LastOffset(),
    WorkflowCells("default", "release"),
    DisabledWorkflows(),
    WorkflowRules(),
    TaskLogs(1, "t", 1),
    LettersWait(1),
    OwnedExecutions("r1"),
    UnownedWorkflows(),
    Triggers(),
    DisabledTriggers(),
    Firings("default", "poll"),
    Schedules(),
    SchedulesVersion(),
    Ticks("default", "nightly"),
    TickCounts(),
    AwaitedByIds((1,)),
    AwaitedByName("a", "go", NOON),
    AwaitedEvents(),
    Sizes(),
)


def runner(name: str) -> RunnerRow:
    return RunnerRow(name, 4711, "boot-1", "localhost", NOON)


def new(name: str, workflow: str = "release", namespace: str = "default") -> NewExecution:
    return NewExecution(name, workflow, namespace, ExecutionType.MANUAL, NOON, "print-1")


def event(key: str, namespace: str = "default", execution: int | None = None) -> EventRecord:
    return EventRecord(None, key, '"v"', namespace, "cli", NOON, '{"a": 1}', execution)


def letter(kind: str, execution: int | None = None, sent: EventRecord | None = None) -> Letter:
    return Letter("default", kind, "{}", NOON, execution, sent)


def fact(kind: str) -> FactWrite:
    return FactWrite(kind, '{"n": 1}', NOON)


def task(name: str, number: int = 1, status: TaskStatus = TaskStatus.QUEUED) -> TaskChange:
    return TaskChange(TaskState(name, number, 1, status, begin=NOON))


def awaited(
    execution: int, name: str = "ok", place: int = 1, deadline: datetime | None = None
) -> NewAwaited:
    return NewAwaited(
        execution, "a", "default", "t", 1, name, place, 0, "bool", NOON, deadline=deadline
    )


def signal(
    awaited: int, execution: int, at: datetime = NOON, value: str = "true", *, letter: bool = False
) -> Signal:
    sent = EventRecord(None, "ok", value, "default", "ops", at, execution=execution)
    return Signal(awaited, sent, "fine", by_letter=letter)


def line(execution: int, text: str, task: str = "t", number: int = 1) -> LogRecord:
    return LogRecord(execution, task, number, 1, NOON, 20, text)


async def start(
    store: Store,
    *names: str,
    fence: Fence | None = None,
    head: Head = RUNNING,
    workflow: str = "release",
) -> tuple[int, ...]:
    """Store executions of these names and return their ids."""
    writes = tuple(ExecutionWrite(new(name, workflow), head) for name in names)
    receipt = await store.commit(Batch(fence, writes))
    return tuple(id_ for id_ in receipt.ids if isinstance(id_, int))


async def everything(store: Store) -> list[Any]:
    """Return what is there to be known, but for the bytes that it takes."""
    answers = [await store.read(query) for query in EVERYTHING]
    return [
        replace(each, file_bytes=0, wal_bytes=0, free_bytes=0)
        if isinstance(each, StoreSizes)
        else each
        for each in answers
    ]


def trigger(
    name: str = "poll", workflow: str = "release", namespace: str = "default"
) -> TriggerRecord:
    return TriggerRecord(namespace, name, workflow, timedelta(seconds=5), False, NOON, NOON)


def schedule(
    name: str = "nightly", workflow: str = "release", namespace: str = "default"
) -> ScheduleRecord:
    return ScheduleRecord(
        namespace=namespace,
        name=name,
        workflow=workflow,
        expression="0 2 * * *",
        timezone="Europe/Berlin",
        context='{"a": 1}',
        catchup="one",
        max_catchup=100,
        overlap="skip",
        anchor=NOON,
        answered=NOON,
        created=NOON,
        updated=NOON,
    )


def due(minutes: int) -> datetime:
    """Return when a tick was due: so long after what the schedule above has answered."""
    return NOON + timedelta(minutes=minutes)


async def put(store: Store, made: ScheduleRecord, instead_of: int | None = None) -> int:
    """Store a schedule and return its version."""
    assert await store.change(PutSchedule(made, instead_of)) == ()
    (found,) = await store.read(Schedules(made.namespace, made.name))
    return found.version
