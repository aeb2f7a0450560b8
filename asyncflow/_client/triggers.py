"""A client's calls about triggers: what they are, what they did, and firing one by hand.

It polls nothing. A trigger is known to the store once a runner has loaded it.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypedDict

from asyncflow._client.executions import ExecutionCalls, new_execution, refusal
from asyncflow._core.plan import Plan
from asyncflow._dual import dual_method
from asyncflow._model.execution import WorkflowExecution, snapshot
from asyncflow._model.naming import storable_name
from asyncflow._model.record import FiringRecord, TriggerRecord
from asyncflow._model.status import ExecutionType
from asyncflow._model.trigger import AnyTrigger, Fire, TriggerResult
from asyncflow._model.value import byte_size
from asyncflow._store.batch import CursorWrite, Firing, NewExecution, Refused
from asyncflow._store.change import SetTriggerEnabled
from asyncflow._store.queries import Firings, Triggers
from asyncflow.errors import TriggerNotFoundError

SHOWN: Final = 10

ALL: Final = 1 << 62
"""More lines than a history can have."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_EQUAL: Final = (Refused.RUNS_ALREADY, Refused.STARTED_ONCE)


class TriggerSchedule(TypedDict):
    """A trigger as a runner loaded it. Times are in UTC.

    ``last_poll_at`` is known only to the runner that polls it, and not kept: None elsewhere.
    """

    id: int
    trigger_name: str
    workflow_name: str
    namespace: str
    poll_interval_ms: float
    allow_concurrent: bool
    enabled: bool
    last_poll_at: datetime | None
    created_at: datetime
    updated_at: datetime


class TriggerExecution(TypedDict):
    """An execution that a trigger started, or a poll that failed. Times are in UTC.

    ``workflow_execution_id`` is the execution's name, None for a failed poll, which has an
    ``error``; ``started_at`` is when the poll began, ``completed_at`` when the execution ended.
    """

    id: int
    schedule_id: int
    trigger_name: str
    context_hash: str | None
    key: str | None
    workflow_execution_id: str | None
    started_at: datetime
    completed_at: datetime | None
    created_at: datetime
    error: str | None


class TriggerCalls(ExecutionCalls):
    """Lists triggers and what they did, enables and disables them, and fires one by hand."""

    @dual_method
    async def list_trigger_schedules(
        self,
        enabled_only: bool | None = False,
        limit: int | None = None,
        offset: int | None = 0,
        *,
        namespace: str | None = None,
    ) -> list[TriggerSchedule]:
        """Return the triggers that runners have loaded, ordered by namespace and name.

        Args:
            enabled_only: leave out those that are disabled.
            limit: at most so many; None: all.
            offset: leave out so many first.
            namespace: None is any.
        """
        most, left_out = page(limit, offset)
        place = None if namespace is None else storable_name(namespace, "a namespace")
        query = Triggers(place, None, True if enabled_only else None, most, left_out)
        return [self._shown(record) for record in await self._store.read(query)]

    @dual_method
    async def get_trigger_schedule(
        self, name: str, *, namespace: str = "default"
    ) -> TriggerSchedule | None:
        """Return a trigger, None if no runner has loaded one of that name."""
        record = await self._trigger(name, namespace)
        return None if record is None else self._shown(record)

    @dual_method
    async def set_trigger_enabled(
        self, name: str, enabled: bool, *, namespace: str = "default"
    ) -> None:
        """Let a trigger poll, or not: in this process at once, in others within a second.

        On return it is on disk, and stays so when the trigger is loaded again. A poll that is
        under way still counts.

        Raises:
            TriggerNotFoundError: no runner has loaded one of that name.
            TypeError: ``enabled`` is no bool.
        """
        if not isinstance(enabled, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"enabled is True or False, not {enabled!r}"
            raise TypeError(text)
        if await self._trigger(name, namespace) is None:
            known = await self._store.read(Triggers(namespace, limit=SHOWN))
            raise TriggerNotFoundError(name, namespace, tuple(each.name for each in known))
        await self._store.change(
            SetTriggerEnabled(namespace, name, enabled, self._clock.now()), self._fence
        )
        await self._triggers_changed()

    @dual_method
    async def get_trigger_execution_history(
        self,
        name: str,
        limit: int | None = 100,
        offset: int | None = 0,
        *,
        namespace: str = "default",
    ) -> list[TriggerExecution]:
        """Return what a trigger started, and its polls that failed, newest first.

        A skip leaves nothing, nor does a fire while an equal execution runs. Empty if no runner
        has loaded a trigger of that name.
        """
        record = await self._trigger(name, namespace)
        if record is None:
            return []
        most, left_out = page(limit, offset)
        query = Firings(namespace, record.name, ALL if most is None else most, left_out)
        return [_told(line, record) for line in await self._store.read(query)]

    @dual_method
    async def fire_trigger(
        self,
        name: str,
        context: Mapping[str, object] | None = None,
        *,
        key: str | None = None,
        namespace: str = "default",
    ) -> WorkflowExecution | None:
        """Start the workflow of a trigger by hand, as if a poll had fired; also of a disabled one.

        On return the execution is on disk.

        Args:
            name: of a trigger that is declared in this process.
            context: as for `TriggerResult.fire`.
            key: as for `TriggerResult.fire`.
            namespace: of the trigger.

        Returns:
            None if an equal execution runs, or with ``dedup="forever"`` ever ran.

        Raises:
            TriggerNotFoundError: this process declares none of that name.
            WorkflowNotFoundError: its workflow is not declared.
            WorkflowDisabledError: its workflow is disabled.
            TypeError, ValueError: as `TriggerResult.fire`.
            TooLargeError: the context is over the limit.
        """
        namespace = storable_name(namespace, "a namespace")
        found = self._registry.find_trigger(storable_name(name, "a trigger"), namespace)
        if found is None:
            declared = self._registry.triggers()
            there = sorted(each.name for each in declared if each.namespace == namespace)
            raise TriggerNotFoundError(name, namespace, tuple(there[:SHOWN]))
        workflow = self._registry.workflow(found.workflow, namespace)
        (fire,) = TriggerResult.fire(context, key).fires
        self._limits.check("the context", size_of(fire))
        now = self._clock.now()
        plan = self._plans.of(workflow)
        row = firing(plan, found, fire, now, created=now, kind=ExecutionType.MANUAL)
        made = await self._admit(workflow, row, fire.texts)
        if not isinstance(made, Refused):
            return await snapshot(self, made)
        if made in _EQUAL:
            return None
        raise refusal(made, row)

    # --- inside ---

    async def _trigger(self, name: str, namespace: str) -> TriggerRecord | None:
        query = Triggers(storable_name(namespace, "a namespace"), storable_name(name, "a trigger"))
        return next(iter(await self._store.read(query)), None)

    def _shown(self, record: TriggerRecord) -> TriggerSchedule:
        milliseconds = record.poll_interval / _MILLISECOND
        return TriggerSchedule(
            id=record.id or 0,
            trigger_name=record.name,
            workflow_name=record.workflow,
            namespace=record.namespace,
            poll_interval_ms=int(milliseconds) if milliseconds.is_integer() else milliseconds,
            allow_concurrent=record.allow_concurrent,
            enabled=record.enabled,
            last_poll_at=self._last_poll(record),
            created_at=record.created,
            updated_at=record.updated,
        )

    def _last_poll(self, record: TriggerRecord) -> datetime | None:
        """Return when a trigger was polled last; a bare client polls none."""
        del record
        return None

    async def _triggers_changed(self) -> None:
        """Do what follows from a trigger that was enabled or disabled; a bare client has none."""


def firing(
    plan: Plan,
    trigger: AnyTrigger,
    fire: Fire,
    started: datetime,
    *,
    created: datetime,
    kind: ExecutionType = ExecutionType.EVENT,
    cursor: CursorWrite | None = None,
) -> NewExecution:
    """Return the execution that a fire starts, with what keeps an equal one from starting."""
    # As JSON, so that no name can be told for another name and a key.
    identity = json.dumps(["trigger", trigger.name, fire.identity])
    forever = trigger.dedup == "forever"
    place = (trigger.namespace, trigger.name)
    return new_execution(
        plan,
        None,
        created,
        kind=kind,
        origin=Firing(*place, started, fire.context_hash, fire.key, cursor),
        alone=None if forever or trigger.allow_concurrent else identity,
        once=identity if forever else None,
    )


def size_of(fire: Fire) -> int:
    """Return the bytes of a fire's context."""
    return sum(map(byte_size, (*fire.texts, *fire.texts.values())))


def page(limit: int | None, offset: int | None) -> tuple[int | None, int]:
    """Return a page's size, None without a bound, and what it leaves out, if they make sense.

    Raises:
        ValueError: one of them is negative or no whole number.
    """
    for name, value in (("limit", limit), ("offset", offset)):
        if value is not None and (type(value) is not int or value < 0):
            text = f"{name} is a whole number, 0 or more, or None, not {value!r}"
            raise ValueError(text)
    # More than a store can count is as good as all.
    return None if limit is None else min(limit, ALL), min(offset or 0, ALL)


def _told(line: FiringRecord, record: TriggerRecord) -> TriggerExecution:
    return TriggerExecution(
        id=line.id,
        schedule_id=record.id or 0,
        trigger_name=line.trigger,
        context_hash=line.context_hash,
        key=line.key,
        workflow_execution_id=line.execution,
        started_at=line.started,
        completed_at=line.ended,
        created_at=line.started,
        error=line.error,
    )
