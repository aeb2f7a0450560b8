"""The client: opens a store and asks it, in both forms. It works on nothing itself.

What it starts belongs to nobody until a runner that has the workflow takes it.
"""

import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from os import PathLike
from typing import Final

from asyncflow._client.events import Envelopes
from asyncflow._client.plans import Plans
from asyncflow._clock import Clock, SystemClock
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import StopRequested
from asyncflow._core.plan import Plan
from asyncflow._dual import DualContext, Page, dual_iterator, dual_method
from asyncflow._home import Home
from asyncflow._model.context import Context
from asyncflow._model.duration import parse_duration
from asyncflow._model.event import Event
from asyncflow._model.execution import (
    ListingPlace,
    WorkflowExecution,
    executions_page,
    snapshot,
)
from asyncflow._model.naming import execution_name, storable_name
from asyncflow._model.port import TaskScope, announce, withdraw
from asyncflow._model.record import EventRecord, ExecutionRecord, LogRecord, TaskExecutionRecord
from asyncflow._model.registry import Registry, current_registry
from asyncflow._model.status import ExecutionType, WorkflowStatus
from asyncflow._model.value import SizeLimits, byte_size
from asyncflow._model.workflow import Workflow
from asyncflow._store.batch import Batch, ExecutionWrite, Letter, NewExecution
from asyncflow._store.fact_text import fact_body
from asyncflow._store.locate import open_store
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    ContextOf,
    ExecutionByName,
    Executions,
    TaskExecutions,
    TaskLogs,
)
from asyncflow.errors import (
    DefinitionError,
    ExecutionExistsError,
    ExecutionNotFoundError,
    ExecutionParkedError,
    UsageError,
    WaitTimeoutError,
)

FIRST_LOOK: Final = timedelta(milliseconds=10)
LAST_LOOK: Final = timedelta(milliseconds=500)
"""Pauses between looks at an execution that somebody else works on: from the first to the last."""


class Client(DualContext):
    """Asks a store: starts workflows, sends events, stops, waits and looks up.

    Open it with ``async with`` in a loop and with ``with`` elsewhere; used plainly it opens itself
    at its first blocking call, and `shutdown` closes it.

    Args:
        url: ``"sqlite:///relative.db"``, ``"sqlite:////absolute.db"``, a path, or ``":memory:"``.
        registry: where workflows are looked up by name; None: the one that is current now.
        clock: tells the time; a virtual one in tests.
        limits: sizes of values, in bytes of JSON, that are warned of and refused.
    """

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
        finally:
            await self._store.close()

    # --- asking, in both forms ---

    @dual_method
    async def start(
        self,
        workflow: str | Workflow,
        context: Mapping[str, object] | None = None,
        *,
        name: str | None = None,
        namespace: str | None = None,
    ) -> WorkflowExecution:
        """Start a workflow. On return its execution is on disk.

        Args:
            workflow: its name, or the workflow itself.
            context: what its tasks find in their `Context`; JSON values.
            name: of the execution, unique in the store; None makes one.
            namespace: where a name is looked up, None: in ``"default"``. A workflow itself has its
                own.

        Raises:
            WorkflowNotFoundError: no workflow of that name is declared.
            DefinitionError: the workflow's block is still open, or has failed.
            UsageError: the workflow itself is given, and is in another namespace.
            ExecutionExistsError: the name is taken.
            TypeError, ValueError: a name is none, or the context cannot be stored; names the place.
            TooLargeError: the context is over the limit.
        """
        wanted = self._wanted(workflow, namespace)
        record = await self._create(wanted, self._texts(context), name)
        return await snapshot(self, record)

    @dual_method
    async def execute(
        self,
        workflow: str | Workflow,
        context: Mapping[str, object] | None = None,
        *,
        name: str | None = None,
        namespace: str | None = None,
        timeout: str | float | timedelta | None = None,
    ) -> WorkflowExecution:
        """Start a workflow and return its execution once it has ended, however it ended.

        Raises what `start` and `WorkflowExecution.wait` raise.
        """
        patience = None if timeout is None else parse_duration(timeout, "timeout", zero=True)
        wanted = self._wanted(workflow, namespace)
        record = await self._create(wanted, self._texts(context), name)
        return await snapshot(self, await self.await_end(record.name, patience))

    @dual_method
    async def execution(self, name: str) -> WorkflowExecution | None:
        """Return the execution of that name, None if there is none."""
        record = await self.find_execution(name)
        return None if record is None else await snapshot(self, record)

    @dual_iterator
    async def executions(
        self,
        cursor: ListingPlace | None,
        /,
        workflow: str | None = None,
        namespace: str | None = None,
        status: WorkflowStatus | Iterable[WorkflowStatus] | None = None,
        limit: int = 100,
    ) -> Page[WorkflowExecution, ListingPlace]:
        """Iterate over executions, newest first; ``limit`` is the size of a page."""
        return await executions_page(
            self, cursor, workflow=workflow, namespace=namespace, status=status, limit=limit
        )

    @dual_method
    async def wait(
        self, name: str, timeout: str | float | timedelta | None = None
    ) -> WorkflowExecution:
        """Return the execution of that name once it has ended; see `WorkflowExecution.wait`."""
        patience = None if timeout is None else parse_duration(timeout, "timeout", zero=True)
        return await snapshot(self, await self.await_end(name, patience))

    @dual_method
    async def stop(self, name: str, wait: bool = False) -> None:
        """Stop the execution of that name; see `WorkflowExecution.stop`."""
        await self.request_stop(execution_name(name))
        if wait:
            await self.await_end(name, None)

    @dual_method
    async def send_event(
        self,
        key: str,
        value: object = None,
        *,
        execution: str | None = None,
        namespace: str | None = None,
        sender: str | None = None,
        context: object = None,
    ) -> Event:
        """Send an event. On return it is on disk, and whoever hears it and runs here has answered.

        Args:
            key: what it is about; a non-empty string.
            value: any JSON value.
            execution: the workflow execution that hears it alone; None: every running one of the
                namespace.
            namespace: None is the execution's, else ``"default"``.
            sender: who says so, for people to read.
            context: a further JSON value.

        Raises:
            ExecutionNotFoundError: there is no such execution.
            TypeError, ValueError: key, value, namespace, sender or context cannot be stored.
            UsageError: the execution is in another namespace.
            TooLargeError: the value is over the limit.
        """
        target = None if execution is None else await self._existing(execution)
        event = self._envelopes.sent(
            key,
            value,
            context,
            at=self._clock.now(),
            sender=sender,
            namespace=namespace,
            target=target,
        )
        return Event.of(await self.publish(event))

    # --- the port ---

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

    async def find_context(self, execution: int) -> Mapping[str, str]:
        """Return the merged context of an execution, JSON text by key."""
        return await self._store.read(ContextOf(execution))

    async def find_logs(
        self, execution: int, task_name: str, sequence_number: int, *, after: int, limit: int
    ) -> tuple[LogRecord, ...]:
        """Return lines that one run of a task logged, in order, those after an id."""
        return await self._store.read(TaskLogs(execution, task_name, sequence_number, after, limit))

    async def await_end(self, name: str, timeout: timedelta | None) -> ExecutionRecord:
        """Return an execution once it has ended."""
        record = await self._existing(name)  # what has ended already is in time for any timeout
        if record.status.final:
            return record
        try:
            async with self._clock.deadline(timeout):
                return await self._ended(name)
        except TimeoutError as error:
            text = f"workflow execution {name!r} has not ended within {timeout}; it goes on"
            raise WaitTimeoutError(text) from error

    async def request_stop(self, name: str) -> None:
        """Return once the wish to stop an execution is on disk."""
        record = await self._existing(name)
        if not record.status.final:
            fact = StopRequested(self._clock.now())
            kind = type(fact).__name__
            letter = Letter(record.namespace, kind, fact_body(fact), fact.at, record.id)
            await self._store.append([letter])

    async def publish(self, event: EventRecord) -> EventRecord:
        """Store an event for those who hear it, and return it with its offset."""
        (offset,) = await self._store.append([event_letter(event)])
        return replace(event, offset=offset)

    async def publish_from(
        self, scope: TaskScope, key: str, value: object, context: object
    ) -> EventRecord:
        """Publish an event of a task to its own workflow execution."""
        now = self._clock.now()
        return await self.publish(self._envelopes.of_task(scope, key, value, context, at=now))

    # --- inside ---

    async def _create(
        self, workflow: Workflow, texts: Mapping[str, str], name: str | None
    ) -> ExecutionRecord:
        """Store an execution that nobody owns."""
        row = self._row(self._plans.of(workflow), name)
        head = ExecutionState.new(self._plans.of(workflow), {}).head
        batch = Batch(executions=(ExecutionWrite(row, head, context=dict(texts)),))
        receipt = await self._store.commit(batch)
        if receipt.ids[0] is None:
            raise ExecutionExistsError(row.name)
        return await self._existing(row.name)

    def _wanted(self, workflow: str | Workflow, namespace: str | None) -> Workflow:
        if isinstance(workflow, Workflow):
            _check_start(workflow, namespace)
            return workflow
        if not isinstance(workflow, str):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"what is started is a Workflow or the name of one, not {workflow!r}"
            raise TypeError(text)
        place = "default" if namespace is None else storable_name(namespace, "a namespace")
        return self._registry.workflow(workflow, place)

    def _row(self, plan: Plan, name: str | None) -> NewExecution:
        if name is None:
            name = f"{plan.workflow}-{uuid.uuid4().hex[:12]}"
        return NewExecution(
            name=execution_name(name),
            workflow=plan.workflow,
            namespace=plan.namespace,
            execution_type=ExecutionType.MANUAL,
            created=self._clock.now(),
            fingerprint=plan.fingerprint,
        )

    def _texts(self, context: Mapping[str, object] | None) -> dict[str, str]:
        """Return a context as it is stored, if it can be."""
        if context is None:
            return {}
        texts = dict((context if isinstance(context, Context) else Context(context)).to_texts())
        self._limits.check("the context", sum(map(byte_size, (*texts, *texts.values()))))
        return texts

    async def _existing(self, name: str) -> ExecutionRecord:
        record = await self.find_execution(name)
        if record is None:
            raise ExecutionNotFoundError(name)
        return record

    async def _ended(self, name: str) -> ExecutionRecord:
        """Look again and again, less and less often."""
        pause = FIRST_LOOK
        while True:
            record = await self._end_of(name)
            if record is not None:
                return record
            await self._clock.pause(pause)
            pause = min(pause * 2, LAST_LOOK)

    async def _end_of(self, name: str) -> ExecutionRecord | None:
        """Return an execution if it has ended, None if that may still come."""
        record = await self._existing(name)
        if record.parked_reason is not None and not record.stopping and not record.status.final:
            raise ExecutionParkedError(name, record.parked_reason)
        return record if record.status.final else None


def event_letter(event: EventRecord) -> Letter:
    """Return the letter that brings an event to those who hear it."""
    return Letter(event.namespace, "EventSent", "{}", event.create_time, event.execution, event)


def _check_start(workflow: Workflow, namespace: str | None) -> None:
    if not workflow.declared:
        text = (
            f"workflow {workflow.name!r} cannot be started: its `with` block is still "
            "open or has failed, and must end well before"
        )
        raise DefinitionError(text)
    if namespace is not None and namespace != workflow.namespace:
        text = (
            f"workflow {workflow.name!r} is in namespace {workflow.namespace!r}, not in "
            f"{namespace!r}: leave the namespace out, or give the workflow's name"
        )
        raise UsageError(text)
