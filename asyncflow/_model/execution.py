"""Handles on workflow executions and task executions: snapshots of rows, and what to ask next.

They hold no live state: `WorkflowExecution.refresh` looks again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, cast

from asyncflow._dual import (
    Page,
    dual_classmethod,
    dual_iterator,
    dual_iterator_classmethod,
    dual_method,
)
from asyncflow._home import Home
from asyncflow._model.duration import parse_timeout
from asyncflow._model.log import LogLine
from asyncflow._model.naming import storable_name
from asyncflow._model.port import Port, current_port
from asyncflow._model.record import EndedExecution, ExecutionRecord, TaskExecutionRecord
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus, WorkflowStatus
from asyncflow._model.value import JsonValue, from_json_text
from asyncflow.errors import ExecutionNotFoundError, UsageError

LARGEST_PAGE: Final = 10_000
"""Executions, or lines, that a listing fetches at once, however many were asked for."""


@dataclass(frozen=True, slots=True)
class TaskExecutionKey:
    """What identifies a task execution; as text ``"{execution}_{task}_{n}"``."""

    workflow_execution_id: int
    task_name: str
    seq_num: int

    def __str__(self) -> str:
        """Return it as one word."""
        return f"{self.workflow_execution_id}_{self.task_name}_{self.seq_num}"


class _Asking:
    """Keeps who is asked for more out of the fields, so that `dataclasses.asdict` gives data."""

    __slots__ = ("_port",)


@dataclass(frozen=True, slots=True)
class TaskExecution(_Asking):
    """One run of a task in a workflow execution; a retry belongs to the same run.

    One that no client gave finds its client as `WorkflowExecution.get` does.

    Attributes:
        sequence_number: the n-th run of the task in this execution, from 1.
        try_number: the attempt it is at, from 1; one that a crash cut short counts.
        begin_date: when its first attempt began, aware, UTC; None before.
        end_date: when it ended for good.
        id: the number of its row.
        result: the JSON value that it returned, None if nothing.
        error_message: ``"ValueError: text"`` of its last attempt, if that failed.
        traceback: of the same error.
        abandoned: it was stopped and its thread did not end; the late result was refused.
        metrics: what its operator said of its last attempt; empty if nothing.
    """

    workflow_execution_id: int
    task_name: str
    sequence_number: int
    execution_type: ExecutionType
    begin_date: datetime | None = None
    end_date: datetime | None = None
    status: TaskStatus = TaskStatus.INIT
    id: int | None = None
    try_number: int = 1
    result: JsonValue = field(default=None, hash=False)
    error_message: str | None = None
    traceback: str | None = None
    abandoned: bool = False
    metrics: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue], hash=False)
    port: InitVar[Port | None] = None

    def __post_init__(self, port: Port | None) -> None:
        """Note who is asked for more."""
        object.__setattr__(self, "_port", port)

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        return self._asked("TaskExecution").__home__()

    def _asked(self, call: str) -> Port:
        port: Port | None = getattr(self, "_port", None)  # a copy has no port
        return current_port(call) if port is None else port

    @property
    def key(self) -> TaskExecutionKey:
        """What identifies it."""
        return TaskExecutionKey(self.workflow_execution_id, self.task_name, self.sequence_number)

    @classmethod
    def of(cls, record: TaskExecutionRecord, port: Port | None = None) -> "TaskExecution":
        """Return what the record says, its result decoded; ``port`` is asked for more."""
        metrics = {} if record.metrics is None else from_json_text(record.metrics)
        return cls(
            workflow_execution_id=record.execution,
            task_name=record.task_name,
            sequence_number=record.sequence_number,
            try_number=record.try_number,
            execution_type=record.execution_type,
            status=record.status,
            begin_date=record.begin,
            end_date=record.end,
            result=None if record.result is None else from_json_text(record.result),
            error_message=record.error,
            traceback=record.traceback,
            abandoned=record.abandoned,
            metrics=cast("Mapping[str, JsonValue]", metrics),
            id=record.id,
            port=port,
        )

    @dual_iterator
    async def logs(
        self, cursor: "tuple[Port, int] | None", /, limit: int = 1000
    ) -> "Page[LogLine, tuple[Port, int]]":
        """Iterate over what it has logged so far, in order; ``limit`` is the size of a page.

        A line is on disk 100 ms after it was logged, and before its attempt's end.
        """
        size = page_size(limit)
        port, after = (self._asked("TaskExecution.logs"), 0) if cursor is None else cursor
        records = await port.find_logs(
            self.workflow_execution_id,
            self.task_name,
            self.sequence_number,
            after=after,
            limit=size,
        )
        lines = [LogLine.of(record) for record in records]
        last = records[-1].id if len(records) == size else None
        return Page(lines, None if last is None else (port, last))


class WorkflowExecution:
    """One run of a workflow, as it was when it was asked for.

    `get`, `wait` and `refresh` give a new snapshot and never change this one.
    """

    __slots__ = ("_context", "_port", "_record")

    def __init__(
        self, port: Port, record: ExecutionRecord, context: dict[str, JsonValue] | None = None
    ) -> None:
        """Show a record; ``port`` is asked for more."""
        self._port = port
        self._record = record
        self._context = context

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        return self._port.__home__()

    @classmethod
    def __class_home__(cls) -> Home:
        """Return where its classmethods run: with the client that is found for the call."""
        return current_port("WorkflowExecution").__home__()

    def __repr__(self) -> str:
        """Name it and its status."""
        return f"<WorkflowExecution {self.name!r} of {self.workflow_name!r}: {self.status}>"

    @property
    def id(self) -> int:
        """The number of its row."""
        return self._record.id

    @property
    def name(self) -> str:
        """Its name, unique in the store; the ``run_name`` of its events."""
        return self._record.name

    @property
    def workflow_id(self) -> str:
        """What identifies its workflow in the namespace: the workflow's name."""
        return self._record.workflow

    @property
    def workflow_name(self) -> str:
        """The workflow that it runs."""
        return self._record.workflow

    @property
    def namespace(self) -> str:
        """The namespace of its workflow and its events."""
        return self._record.namespace

    @property
    def execution_type(self) -> ExecutionType:
        """Why it was started."""
        return self._record.execution_type

    @property
    def status(self) -> WorkflowStatus:
        """Its status."""
        return self._record.status

    @property
    def begin_date(self) -> datetime | None:
        """When it began, aware, UTC; None before."""
        return self._record.begin

    @property
    def end_date(self) -> datetime | None:
        """When it ended."""
        return self._record.end

    @property
    def error_message(self) -> str | None:
        """The first error of its tasks, with the task's name."""
        return self._record.error

    @property
    def parked_reason(self) -> str | None:
        """Why it cannot go on under what is declared; None if it can."""
        return self._record.parked_reason

    @property
    def final_context(self) -> dict[str, JsonValue]:
        """What its tasks left in the context, merged in order of their success.

        Raises:
            UsageError: `listall` leaves contexts in the store; `refresh` fetches this one.
        """
        if self._context is None:
            text = f"a listing leaves out the context of {self.name!r}: refresh() fetches it"
            raise UsageError(text)
        return self._context

    @dual_classmethod
    @classmethod
    async def get(cls, name: str) -> "WorkflowExecution | None":
        """Return the execution of that name, None if there is none.

        Raises:
            UsageError: outside a task, and none or several clients are open.
        """
        port = current_port("WorkflowExecution.get")
        record = await port.find_execution(name)
        return None if record is None else await snapshot(port, record)

    @dual_iterator_classmethod
    @classmethod
    async def listall(
        cls,
        cursor: "ListingPlace | None",
        /,
        workflow: str | None = None,
        namespace: str | None = None,
        status: WorkflowStatus | Iterable[WorkflowStatus] | None = None,
        limit: int = 100,
    ) -> "Page[WorkflowExecution, ListingPlace]":
        """Iterate over executions, newest first; ``limit`` is the size of a page."""
        port = current_port("WorkflowExecution.listall") if cursor is None else cursor.port
        return await executions_page(
            port, cursor, workflow=workflow, namespace=namespace, status=status, limit=limit
        )

    @dual_method
    async def refresh(self) -> "WorkflowExecution":
        """Return it as it is now.

        Raises:
            ExecutionNotFoundError: it was deleted with its workflow.
        """
        record = await self._port.find_execution(self.name)
        if record is None:
            raise ExecutionNotFoundError(self.name)
        return await snapshot(self._port, record)

    @dual_method
    async def task_executions(self) -> list[TaskExecution]:
        """Return every run of each of its tasks, in the order of their first start."""
        records = await self._port.find_task_executions(self.id)
        return [TaskExecution.of(record, self._port) for record in records]

    @dual_method
    async def wait(self, timeout: str | float | timedelta | None = None) -> "WorkflowExecution":
        """Return it once it has ended, however it ended.

        Args:
            timeout: a duration as in ``"1m30s"``, or seconds; None waits for ever.

        Raises:
            WaitTimeoutError: it has not ended in time; it goes on.
            ExecutionParkedError: it cannot end under what is declared.
        """
        patience = parse_timeout(timeout)
        return as_ended(self._port, await self._port.await_end(self.name, patience))

    @dual_method
    async def stop(self, wait: bool = False) -> None:
        """Start nothing more in it and stop what runs. On return the wish is on disk.

        Args:
            wait: return only once it has ended.
        """
        await self._port.request_stop(self.name)
        if wait:
            await self._port.await_end(self.name, None)

    @dual_method
    async def start_task(self, task_name: str) -> None:
        """Do as a rule does that STARTs the task; the guide says what that means in each status.

        On return the wish is on disk, and, if the execution is worked on here, decided. The run is
        ``MANUAL``.

        Raises:
            TaskNotFoundError: the workflow has no such task.
            ExecutionParkedError: the execution waits for a definition that is gone. One that is
                parked because its process ended too often is tried again.
            UsageError: the execution has ended.
        """
        await self._port.request_action(self.name, task_name, TaskAction.START)

    @dual_method
    async def stop_task(self, task_name: str) -> None:
        """Do as a rule does that STOPs the task; otherwise as `start_task`."""
        await self._port.request_action(self.name, task_name, TaskAction.STOP)

    @dual_method
    async def restart_task(self, task_name: str) -> None:
        """Do as a rule does that RESTARTs the task; otherwise as `start_task`."""
        await self._port.request_action(self.name, task_name, TaskAction.RESTART)


@dataclass(frozen=True, slots=True)
class ListingPlace:
    """Where a listing goes on: whom it asks, what for, and the last row that it has had.

    The first page finds these out; another client that opens meanwhile changes nothing.
    """

    port: Port
    statuses: frozenset[WorkflowStatus] | None
    before: int | None = None


async def snapshot(port: Port, record: ExecutionRecord) -> WorkflowExecution:
    """Return a handle that has its context."""
    return with_context(port, record, await port.find_context(record.id))


def as_ended(port: Port, ended: EndedExecution) -> WorkflowExecution:
    """Return a handle of an execution that has ended."""
    return with_context(port, ended.record, ended.context)


def with_context(
    port: Port, record: ExecutionRecord, texts: Mapping[str, str]
) -> WorkflowExecution:
    """Return a handle that has a context, given as JSON text by key; it lists them in order."""
    context = {key: from_json_text(text) for key, text in sorted(texts.items())}
    return WorkflowExecution(port, record, context)


def page_size(limit: int) -> int:
    """Return how many items a listing fetches at once."""
    if type(limit) is not int or limit < 1:
        text = f"limit is a whole number, at least 1, not {limit!r}"
        raise UsageError(text)
    return min(limit, LARGEST_PAGE)


async def executions_page(
    port: Port,
    place: ListingPlace | None,
    *,
    workflow: str | None,
    namespace: str | None,
    status: WorkflowStatus | Iterable[WorkflowStatus] | None,
    limit: int,
) -> Page[WorkflowExecution, ListingPlace]:
    """Return one page of executions, newest first."""
    size = page_size(limit)
    place = place or ListingPlace(port, _statuses(status))
    records = await port.find_executions(
        namespace=None if namespace is None else storable_name(namespace, "a namespace"),
        workflow=None if workflow is None else storable_name(workflow, "the name of a workflow"),
        statuses=place.statuses,
        before=place.before,
        limit=size,
    )
    items = [WorkflowExecution(port, record) for record in records]
    return Page(items, replace(place, before=records[-1].id) if len(records) == size else None)


def _statuses(
    status: WorkflowStatus | Iterable[WorkflowStatus] | None,
) -> frozenset[WorkflowStatus] | None:
    if status is None:
        return None
    try:
        return frozenset(map(WorkflowStatus, [status] if isinstance(status, str) else status))
    except (TypeError, ValueError) as error:
        text = f"status is one or more of {', '.join(WorkflowStatus)}, not {status!r}"
        raise ValueError(text) from error
