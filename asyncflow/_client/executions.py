"""A client's calls about workflow executions: start, wait, stop, and look up.

What it starts belongs to nobody until a runner that has the workflow takes it.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Final

from asyncflow._client.workflows import WorkflowCalls
from asyncflow._clock import Deadline
from asyncflow._core.decide import TRIES
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import StopRequested, TaskActionRequested
from asyncflow._core.plan import Plan
from asyncflow._dual import Page, dual_iterator, dual_method
from asyncflow._model.context import Context
from asyncflow._model.duration import parse_timeout
from asyncflow._model.execution import (
    ListingPlace,
    WorkflowExecution,
    as_ended,
    executions_page,
    snapshot,
    with_context,
)
from asyncflow._model.naming import execution_name, storable_name
from asyncflow._model.record import EndedExecution, ExecutionRecord
from asyncflow._model.status import ExecutionType, TaskAction, WorkflowStatus
from asyncflow._model.value import byte_size
from asyncflow._model.workflow import Workflow
from asyncflow._store.batch import (
    Batch,
    Cause,
    ExecutionWrite,
    Firing,
    Letter,
    NewExecution,
    Refused,
    Tick,
)
from asyncflow._store.fact_text import fact_body
from asyncflow.errors import (
    AsyncflowError,
    ExecutionExistsError,
    ExecutionParkedError,
    TaskNotFoundError,
    UsageError,
    WaitTimeoutError,
    WorkflowDisabledError,
)

FIRST_LOOK: Final = timedelta(milliseconds=10)
LAST_LOOK: Final = timedelta(milliseconds=500)
"""Pauses between looks at an execution that somebody else works on: from the first to the last."""

# Not that of the module `random`: two that seed it alike would make the same names.
_names: Final = Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_names.seed)


class ExecutionCalls(WorkflowCalls):
    """Starts workflows, and waits for, stops and looks up their executions."""

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
        texts = self._texts(context)
        return with_context(self, await self._create(wanted, texts, name), texts)

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
        deadline = self._clock.deadline(parse_timeout(timeout))
        wanted = self._wanted(workflow, namespace)
        return as_ended(self, await self._executed(wanted, self._texts(context), name, deadline))

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
        return as_ended(self, await self.await_end(name, parse_timeout(timeout)))

    @dual_method
    async def stop(self, name: str, wait: bool = False) -> None:
        """Stop the execution of that name; see `WorkflowExecution.stop`."""
        await self.request_stop(execution_name(name))
        if wait:
            await self.await_end(name, None)

    # --- the port ---

    async def await_end(self, name: str, timeout: timedelta | None) -> EndedExecution:
        """Return an execution once it has ended; its time begins now, before it is looked up."""
        deadline = self._clock.deadline(timeout)
        record = await self._existing(name)  # what has ended already is in time for any timeout
        if record.status.final:
            return await self._as_ended(record)
        return await self._end_in_time(record, deadline)

    async def request_stop(self, name: str) -> None:
        """Return once the wish to stop an execution is on disk."""
        record = await self._existing(name)
        if not record.status.final:
            await self._request(record, StopRequested(self._clock.now()))

    async def request_action(self, name: str, task_name: str, action: TaskAction) -> None:
        """Return once the wish to act on a task is on disk."""
        storable_name(task_name, "the name of a task")
        record = await self._existing(name)
        workflow = self._registry.find(record.workflow, record.namespace)
        if workflow is not None and task_name not in workflow.tasks:
            raise TaskNotFoundError(task_name, workflow.name, tuple(workflow.tasks))
        if record.status.final:
            text = f"workflow execution {name!r} has ended, no task of it can {action.lower()}"
            raise UsageError(f"{text}: start another execution")
        if record.parked_reason is not None and not _tries_again(record, action):
            raise ExecutionParkedError(name, record.parked_reason)
        await self._request(record, TaskActionRequested(self._clock.now(), task_name, action))

    # --- inside ---

    async def _request(
        self, record: ExecutionRecord, fact: StopRequested | TaskActionRequested
    ) -> None:
        """Put a wish before whoever owns the execution."""
        kind, body = type(fact).__name__, fact_body(fact)
        await self._store.append(
            [Letter(record.namespace, kind, body, fact.at, record.id)], self._fence
        )
        await self._ring()

    async def _executed(
        self, workflow: Workflow, texts: Mapping[str, str], name: str | None, deadline: Deadline
    ) -> EndedExecution:
        """Start a workflow; return its execution once that has ended."""
        return await self._end_in_time(await self._create(workflow, texts, name), deadline)

    async def _create(
        self, workflow: Workflow, texts: Mapping[str, str], name: str | None
    ) -> ExecutionRecord:
        row = new_execution(self._plans.of(workflow), name, self._clock.now())
        made = await self._admit(workflow, row, texts)
        if isinstance(made, Refused):
            raise refusal(made, row)
        return made

    async def _admit(
        self, workflow: Workflow, row: NewExecution, texts: Mapping[str, str]
    ) -> ExecutionRecord | Refused:
        """Store an execution that nobody owns, or say why it gets no row."""
        head = ExecutionState.new(self._plans.of(workflow), {}).head
        batch = Batch(executions=(ExecutionWrite(row, head, context=dict(texts)),))
        (made,) = (await self._store.commit(batch)).ids
        if isinstance(made, Refused):
            return made
        await self._ring()
        return await self._existing(row.name)

    def _texts(self, context: Mapping[str, object] | None) -> dict[str, str]:
        """Return a context as it is stored, if it can be."""
        if context is None:
            return {}
        texts = dict((context if isinstance(context, Context) else Context(context)).to_texts())
        self._limits.check("the context", sum(map(byte_size, (*texts, *texts.values()))))
        return texts

    async def _end_in_time(self, record: ExecutionRecord, deadline: Deadline) -> EndedExecution:
        """Return an execution once it has ended; ``record`` is how it was found."""
        if deadline.delay is None:
            return await self._ended(record)
        try:
            async with deadline:
                return await self._ended(record)
        except TimeoutError as error:
            raise WaitTimeoutError(_in_vain(record, deadline.delay)) from error

    async def _ended(self, record: ExecutionRecord) -> EndedExecution:
        """Look again and again, less and less often."""
        pause = FIRST_LOOK
        while True:
            found = await self._end_of(record.name)
            if found is not None:
                return await self._as_ended(found)
            await self._clock.pause(pause)
            pause = min(pause * 2, LAST_LOOK)

    async def _as_ended(self, record: ExecutionRecord) -> EndedExecution:
        return EndedExecution(record, await self.find_context(record.id))

    async def _end_of(self, name: str) -> ExecutionRecord | None:
        """Return an execution if it has ended, None if that may still come."""
        record = await self._hopeful(name)
        return record if record.status.final else None


def _tries_again(record: ExecutionRecord, action: TaskAction) -> bool:
    """Say whether an action is the way out for a parked execution."""
    return record.recoveries >= TRIES and action is not TaskAction.STOP


def new_execution(
    plan: Plan,
    name: str | None,
    created: datetime,
    *,
    kind: ExecutionType = ExecutionType.MANUAL,
    cause: Cause | None = None,
    origin: Firing | Tick | None = None,
    alone: str | None = None,
    once: str | None = None,
) -> NewExecution:
    """Return an execution that is to get a row; without a name one is made."""
    return NewExecution(
        name=_made_name(plan.workflow, created) if name is None else execution_name(name),
        workflow=plan.workflow,
        namespace=plan.namespace,
        execution_type=kind,
        created=created,
        fingerprint=plan.fingerprint,
        cause=cause,
        origin=origin,
        alone=alone,
        once=once,
    )


def _made_name(workflow: str, created: datetime) -> str:
    """Return a name that nobody else makes, greater than those of the milliseconds before.

    In that order an index of a million names grows at one end; where random ones come in between,
    each touches a page of its own, which goes through the WAL.
    """
    since = int(created.timestamp() * 1000) % 2**44
    return f"{workflow}-{since:011x}{_names.getrandbits(40):010x}"


def refusal(why: Refused, row: NewExecution) -> AsyncflowError:
    """Return the error for an execution that got no row."""
    if why is Refused.DISABLED:
        return WorkflowDisabledError(row.workflow, row.namespace)
    return ExecutionExistsError(row.name)


def _in_vain(record: ExecutionRecord, timeout: timedelta) -> str:
    text = f"workflow execution {record.name!r} has not ended within {timeout}"
    if record.status is WorkflowStatus.INIT and record.owner is None:
        return f"{text}; no runner had taken it up: open one that has workflow {record.workflow!r}"
    return f"{text}; it goes on"
