"""What every group of a client's calls stands on: its store, its home, and what handles read.

It decides nothing, and works on nothing.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os import PathLike

from asyncflow._client.bell import Bell
from asyncflow._client.events import Envelopes
from asyncflow._client.listeners import Listeners
from asyncflow._client.plans import Plans
from asyncflow._clock import Clock, SystemClock
from asyncflow._dual import DualContext
from asyncflow._home import Home
from asyncflow._model.naming import execution_name
from asyncflow._model.port import Port, announce, withdraw
from asyncflow._model.record import ExecutionRecord, LogRecord, TaskExecutionRecord
from asyncflow._model.registry import Registry, current_registry
from asyncflow._model.status import WorkflowStatus
from asyncflow._model.value import SizeLimits
from asyncflow._store.batch import Fence
from asyncflow._store.locate import open_store
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    ContextOf,
    ExecutionByName,
    Executions,
    LettersWait,
    TaskExecutions,
    TaskLogs,
)
from asyncflow.errors import ExecutionNotFoundError, ExecutionParkedError


class ClientBase(DualContext, Port):
    """A store that is open for as long as its home; groups of calls are built on it."""

    def __init__(
        self,
        url: str | PathLike[str] = "sqlite:///asyncflow.db",
        *,
        registry: Registry | None = None,
        clock: Clock | None = None,
        limits: SizeLimits | None = None,
    ) -> None:
        """Note where the store is; nothing is opened yet."""
        self._store: Store = open_store(url)
        self._registry = registry if registry is not None else current_registry()
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._limits = limits if limits is not None else SizeLimits()
        self._envelopes = Envelopes(self._limits)
        self._plans = Plans()
        self._listeners = Listeners(self._store, self._clock)
        self._bell = Bell(self._store)
        self._fence: Fence | None = None  # of a runner: once it is replaced, it writes nothing more
        self._unnamed_schedules: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._home = Home(self._session, type(self).__name__)

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        return self._home

    def __repr__(self) -> str:
        """Name it and its store."""
        return f"<{self.label}>"

    @property
    def label(self) -> str:
        """Its class and its store, for messages."""
        return f"{type(self).__name__}({self._store.location!r})"

    @property
    def location(self) -> str:
        """Where its store is."""
        return self._store.location

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[None]:
        """Be open: entered and left in the root task of its home."""
        await self._store.open()
        try:
            announce(self)
            try:
                yield
            finally:
                withdraw(self)
                await self._listeners.close()
        finally:
            self._bell.close()
            await self._store.close()

    async def _ring(self) -> None:
        """Wake the other runners: something was put before one of them, and is on disk."""
        await self._bell.ring()

    # --- the port: what it reads ---

    async def find_execution(self, name: str) -> ExecutionRecord | None:
        """Return an execution as it is stored."""
        return await self._store.read(ExecutionByName(execution_name(name)))

    async def find_executions(
        self,
        *,
        namespace: str | None,
        workflow: str | None,
        statuses: frozenset[WorkflowStatus] | None,
        before: int | None,
        limit: int,
    ) -> tuple[ExecutionRecord, ...]:
        """Return executions, newest first."""
        query = Executions(namespace, workflow, statuses, before, limit)
        return await self._store.read(query)

    async def find_task_executions(self, execution: int) -> tuple[TaskExecutionRecord, ...]:
        """Return every run of every task of an execution, oldest first."""
        return await self._store.read(TaskExecutions(execution))

    async def find_logs(
        self, execution: int, task_name: str, sequence_number: int, *, after: int, limit: int
    ) -> tuple[LogRecord, ...]:
        """Return lines that one run of a task logged, in order, those after an id."""
        return await self._store.read(TaskLogs(execution, task_name, sequence_number, after, limit))

    async def find_context(self, execution: int) -> Mapping[str, str]:
        """Return the merged context of an execution, JSON text by key."""
        return await self._store.read(ContextOf(execution))

    async def _existing(self, name: str) -> ExecutionRecord:
        record = await self.find_execution(name)
        if record is None:
            raise ExecutionNotFoundError(name)
        return record

    async def _hopeful(self, name: str) -> ExecutionRecord:
        """Return an execution; raise if it is parked and no letter may help it."""
        record = await self._existing(name)
        if not _is_stuck(record) or await self._store.read(LettersWait(record.id)):
            return record
        record = await self._existing(name)  # a letter may have been answered in between
        if _is_stuck(record):
            raise ExecutionParkedError(name, record.parked_reason or "")
        return record


def _is_stuck(record: ExecutionRecord) -> bool:
    return record.parked_reason is not None and not (record.stopping or record.status.final)
