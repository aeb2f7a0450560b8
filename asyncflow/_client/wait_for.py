"""Waiting from outside for a condition: asked about each event that is sent, or about statuses.

It acts on nothing and stores nothing; what a stateful condition remembers ends with the call.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, overload

from asyncflow._client.awaited_calls import AwaitedCalls
from asyncflow._client.event_listing import checked_offset
from asyncflow._client.executions import FIRST_LOOK, LAST_LOOK
from asyncflow._dual import Homed
from asyncflow._home import GATE
from asyncflow._model.condition import Condition, TaskStatusCondition, checked_condition
from asyncflow._model.context import Context, KnownStatuses
from asyncflow._model.duration import parse_timeout
from asyncflow._model.event import Event
from asyncflow._model.execution import WorkflowExecution, snapshot
from asyncflow._model.naming import storable_name
from asyncflow._model.port import ListenerWish
from asyncflow._model.record import ExecutionRecord
from asyncflow._model.status import TaskStatus
from asyncflow.errors import (
    ListenerNotFoundError,
    TaskNotFoundError,
    UsageError,
    WaitTimeoutError,
)

logger = logging.getLogger(__name__)

_NOTHING: Final = Event("")


class WaitCalls(AwaitedCalls):
    """Waits until a condition is met."""

    @property
    def wait_for(self) -> "WaitFor":
        """Wait until a condition is met: `wait_for(...)` blocks, `wait_for.aio(...)` awaits.

        A `TaskStatusCondition` is looked at as the tasks of ``execution`` stand now, and then
        whenever that changes; a status that passes within one transaction may be missed. Any other
        condition is asked about each event of its keys that is sent or signalled from now on. One
        that raises counts as not met, which is logged. Nothing is stored: what it remembers in
        states ends with the call.

        Args:
            condition: any `Condition`, like ``SingleEventCondition("key")``, or
                ``TaskStatusCondition({"task": TaskStatus.SUCCESS})``.
            execution: the name of the workflow execution whose context the condition sees; then
                only events that it may hear count. None: the context is empty.
            namespace: of the events, ``"default"`` if None; with ``execution`` it is that one's.
            begin_offset: first ask about what was sent after this offset.
            timeout: a duration or seconds; None waits for ever.

        Returns:
            The event that met it; of a `TaskStatusCondition` the workflow execution.

        Raises:
            WaitTimeoutError: it was not met in time.
            ExecutionNotFoundError: there is no such execution.
            ExecutionParkedError: it cannot go on, and its task statuses are waited for.
            UsageError: statuses are waited for without an execution, or it ended without them.
            DefinitionError: it is no condition.
        """
        return WaitFor(self, self._met, f"{type(self).__name__}.wait_for")

    async def _met(
        self,
        condition: Condition,
        execution: str | None,
        namespace: str | None,
        begin_offset: int | None,
        timeout: str | float | timedelta | None,
    ) -> Any:  # noqa: ANN401  the overloads of `WaitFor` say which
        checked_condition(condition)
        deadline = self._clock.deadline(parse_timeout(timeout))
        run = None if execution is None else await self._existing(execution)
        if run is not None and namespace not in {None, run.namespace}:
            text = f"workflow execution {run.name!r} is in namespace {run.namespace!r}, not in"
            raise UsageError(f"{text} {namespace!r}: leave the namespace out")
        try:
            async with deadline:
                if isinstance(condition, TaskStatusCondition):
                    return await self._statuses_met(condition, run)
                space = storable_name(namespace or "default", "a namespace")
                return await self._event_met(
                    condition, run, space if run is None else run.namespace, begin_offset
                )
        except TimeoutError as error:
            text = f"{_named(condition)} was not met within {timeout}: it may be later"
            raise WaitTimeoutError(text) from error

    async def _event_met(
        self,
        condition: Condition,
        run: ExecutionRecord | None,
        namespace: str,
        begin_offset: int | None,
    ) -> Event:
        met: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        cells = _Cells()

        async def process(events: list[Event]) -> None:
            for event in events:
                if met.done():
                    return
                if run is None or event.run_name in {"", run.name}:
                    context = await self._context_of(run, cells)
                    if await _is_met(condition, event, context) and not met.done():
                        met.set_result(event)

        begin = None if begin_offset is None else checked_offset(begin_offset, "begin_offset")
        keys = frozenset(condition.expect_event_keys)
        listener = await self.listen(ListenerWish(process, namespace, keys, begin=begin))
        try:
            await self._until(met, run, listener)
            return await met
        finally:
            with suppress(ListenerNotFoundError):  # the client was closed
                await self.stop_listening(listener)

    async def _until(
        self, met: asyncio.Future[Event], run: ExecutionRecord | None, listener: str
    ) -> None:
        """Return once a condition is met; raise if it cannot be any more."""
        execution, pause = None if run is None else run.id, FIRST_LOOK
        while not met.done():
            with self._news(execution) as news:
                met.add_done_callback(news.tell)
                record = None if run is None else await self._existing(run.name)
                if record is not None and record.status.final:
                    await self._listeners.drain(listener)
                    if met.done():
                        return
                    text = f"workflow execution {record.name!r} has ended {record.status}"
                    raise UsageError(f"{text}: it hears nothing any more, and no condition is met")
                if not met.done():
                    await news.within(self._patience(execution, pause))
            pause = min(pause * 2, LAST_LOOK)

    async def _statuses_met(
        self, condition: TaskStatusCondition, run: ExecutionRecord | None
    ) -> WorkflowExecution:
        if run is None:
            text = "wait_for() of task statuses needs to know where: give execution=name"
            raise UsageError(text)
        workflow = self._registry.find(run.workflow, run.namespace)
        if workflow is not None:
            for name in condition.statuses.keys() - workflow.tasks.keys():
                raise TaskNotFoundError(name, workflow.name, tuple(workflow.tasks))
        pause = FIRST_LOOK
        while True:
            with self._news(run.id) as news:
                found = await self._look_at(condition, run.name)
                if found is not None:
                    return found
                await news.within(self._patience(run.id, pause))
            pause = min(pause * 2, LAST_LOOK)

    async def _look_at(self, condition: TaskStatusCondition, name: str) -> WorkflowExecution | None:
        """Return the execution if its tasks stand as wanted, None if that may still come."""
        record = await self._existing(name)
        if await _is_met(condition, _NOTHING, await self._context_of(record, _Cells())):
            return await snapshot(self, record)
        if record.status.final:
            text = (
                f"workflow execution {name!r} has ended {record.status}, and its tasks do not come "
                f"to {_listed(condition.statuses)} any more"
            )
            raise UsageError(text)
        if record.parked_reason is not None:
            await self._hopeful(name)
        return None

    async def _context_of(self, run: ExecutionRecord | None, cells: "_Cells") -> Context:
        if run is None:
            return Context.of({}, cells=cells, frozen=True)
        texts = await self.find_context(run.id)
        runs = await self.find_task_executions(run.id)
        statuses = {each.task_name: each.status for each in runs}  # the last of each task counts
        return Context.of(texts, statuses=KnownStatuses(statuses), cells=cells, frozen=True)


class WaitFor:
    """Both forms of `Client.wait_for`; see there."""

    __slots__ = ("_homed", "_name", "_wait")

    def __init__(
        self, homed: Homed, wait: Callable[..., Coroutine[Any, Any, Any]], name: str
    ) -> None:
        """Call ``wait`` where ``homed`` is at home."""
        self._homed = homed
        self._wait = wait
        self._name = name

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the narrower one comes first
        self,
        condition: TaskStatusCondition,
        *,
        execution: str,
        timeout: str | float | timedelta | None = None,
    ) -> WorkflowExecution: ...
    @overload
    def __call__(
        self,
        condition: Condition,
        *,
        execution: str | None = None,
        namespace: str | None = None,
        begin_offset: int | None = None,
        timeout: str | float | timedelta | None = None,
    ) -> Event: ...
    def __call__(
        self,
        condition: Condition,
        *,
        execution: str | None = None,
        namespace: str | None = None,
        begin_offset: int | None = None,
        timeout: str | float | timedelta | None = None,
    ) -> WorkflowExecution | Event:
        """Block until it is met."""
        wait = partial(self._wait, condition, execution, namespace, begin_offset, timeout)
        found: WorkflowExecution | Event = self._homed.__home__().run(wait, self._name)
        return found

    @overload
    async def aio(  # type: ignore[overload-overlap]  # as above
        self,
        condition: TaskStatusCondition,
        *,
        execution: str,
        timeout: str | float | timedelta | None = None,
    ) -> WorkflowExecution: ...
    @overload
    async def aio(
        self,
        condition: Condition,
        *,
        execution: str | None = None,
        namespace: str | None = None,
        begin_offset: int | None = None,
        timeout: str | float | timedelta | None = None,
    ) -> Event: ...
    async def aio(
        self,
        condition: Condition,
        *,
        execution: str | None = None,
        namespace: str | None = None,
        begin_offset: int | None = None,
        timeout: str | float | timedelta | None = None,
    ) -> WorkflowExecution | Event:
        """Await it."""
        wait = partial(self._wait, condition, execution, namespace, begin_offset, timeout)
        found: WorkflowExecution | Event = await self._homed.__home__().arun(wait, self._name)
        return found


class _Cells:
    """States of a condition that nobody keeps."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self._texts.get(name)

    def put(self, name: str, text: str | None) -> None:
        if text is None:
            self._texts.pop(name, None)
        else:
            self._texts[name] = text


async def _is_met(condition: Condition, event: Event, context: Context) -> bool:
    gate = GATE.set(_refuse)
    try:
        met = condition.is_met(event, context)
        return bool(await met if isinstance(met, Awaitable) else met)
    except Exception:  # user code: a condition that raises is not met
        text = "wait_for(): %s counts as not met by event %r: it raised"
        logger.exception(text, type(condition).__name__, event.key)
        return False
    finally:
        GATE.reset(gate)


def _refuse() -> None:
    text = "a condition looks at its event and its context only: asyncflow cannot be called in it"
    raise UsageError(text)


def _named(condition: Condition) -> str:
    name = type(condition).__name__
    if isinstance(condition, TaskStatusCondition):
        return f"{name} ({_listed(condition.statuses)})"
    return f"{name} ({', '.join(map(repr, condition.expect_event_keys))})"


def _listed(statuses: Mapping[str, TaskStatus]) -> str:
    return ", ".join(f"{task!r}: {status}" for task, status in statuses.items())
