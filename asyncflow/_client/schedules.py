"""A client's calls about schedules: cron expressions and intervals that start workflows.

It waits for no tick. Whoever registers a schedule needs not run it: any runner does that has the
workflow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from asyncflow._client.event_listing import checked_time
from asyncflow._client.executions import ExecutionCalls
from asyncflow._client.schedule_views import (
    ScheduleStatistics,
    ScheduleTick,
    WorkflowSchedule,
    read,
    shown,
    told,
    written,
)
from asyncflow._client.triggers import ALL, page
from asyncflow._core.catchup import DEFAULT_MAX_CATCHUP, due
from asyncflow._dual import dual_method
from asyncflow._model.naming import storable_name
from asyncflow._model.record import ScheduleRecord
from asyncflow._model.schedule import (
    CatchUp,
    Cron,
    Overlap,
    Schedule,
    check_catchup,
    check_overlap,
    parse_schedule,
)
from asyncflow._model.status import WorkflowStatus
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow._model.workflow import Workflow
from asyncflow._store.batch import Batch, DroppedTicks
from asyncflow._store.change import DropSchedule, PutSchedule
from asyncflow._store.queries import Schedules, TickCounts, Ticks
from asyncflow.errors import ScheduleNotFoundError, UsageError

RESERVED: Final = (
    "scheduled_time",
    "schedule_name",
    "schedule_timezone",
    "schedule_expression",
)
"""What every execution by a schedule finds in its context."""

MOST_CATCHUP: Final = 1000

CHANGED: Final = "the schedule was changed while it waited"
DISABLED: Final = "the schedule was disabled while it waited"
SHOWN: Final = 10


class ScheduleCalls(ExecutionCalls):
    """Registers, lists, changes and deletes schedules, and says what they did."""

    @dual_method
    async def register_schedule(
        self,
        workflow: str | Workflow,
        schedule: str | float | timedelta | Schedule,
        *,
        name: str | None = None,
        timezone: str | None = None,
        context: Mapping[str, object] | None = None,
        catchup: CatchUp = "one",
        max_catchup: int = DEFAULT_MAX_CATCHUP,
        overlap: Overlap = "skip",
        namespace: str | None = None,
    ) -> WorkflowSchedule:
        """Start a workflow at the ticks of a schedule, from now on. On return it is on disk.

        The same name again changes the schedule: a program may register it each time it starts.
        Its history, and whether it is enabled, stay; with other ticks it begins anew.

        Args:
            workflow: its name, or the workflow itself.
            schedule: ``"0 3 * * *"``, six fields with the seconds first, ``"@daily"``,
                ``"cron@..."``, ``"interval@days hours minutes seconds"``, ``"1h"``, a timedelta.
            name: unique in the namespace; None: that of the workflow, for its only schedule.
            timezone: of a cron expression, as ``"Europe/Paris"``; None: UTC.
            context: what its executions find beside ``scheduled_time`` (ISO text, in the zone),
                ``schedule_name``, ``schedule_timezone`` and ``schedule_expression``.
            catchup: of missed ticks ``"one"`` runs, the newest; or ``"all"`` do, in order; or
                ``"none"`` that is over 10 s late.
            max_catchup: at most so many, the newest, run with ``"all"``; 1 to 1,000.
            overlap: while an execution by it runs, a tick is dropped (``"skip"``; with
                ``catchup="all"`` it waits), starts another (``"allow"``), or stops that first
                (``"restart"``).
            namespace: where a workflow's name is looked up; None: in ``"default"``.

        Raises:
            WorkflowNotFoundError: no workflow of that name is declared.
            UsageError: without a name, the workflow has another schedule already.
            ValueError: the schedule, the zone or a policy makes no sense; says what was expected.
            TypeError, ValueError, TooLargeError: the context cannot be stored or sets such a key.
        """
        wanted, now = self._wanted(workflow, namespace), self._clock.now()
        label = wanted.name if name is None else storable_name(name, "the name of a schedule")
        expression, zone = _written(schedule, timezone, label)
        record = ScheduleRecord(
            namespace=wanted.namespace,
            name=label,
            workflow=wanted.name,
            expression=expression,
            timezone=zone,
            context=self._schedule_context(context),
            catchup=check_catchup(catchup, "catchup"),
            max_catchup=_checked_most(max_catchup),
            overlap=check_overlap(overlap, "overlap"),
            anchor=now,
            answered=now,
            created=now,
            updated=now,
        )
        return await self._register(record, unnamed=name is None)

    @dual_method
    async def list_schedules(
        self,
        workflow: str | None = None,
        *,
        enabled_only: bool | None = False,
        limit: int | None = None,
        offset: int | None = 0,
        namespace: str | None = None,
    ) -> list[WorkflowSchedule]:
        """Return schedules, ordered by namespace and name.

        Args:
            workflow: those of this one only.
            enabled_only: leave out those that are disabled.
            limit: at most so many; None: all.
            offset: leave out so many first.
            namespace: None is any.
        """
        most, left_out = page(limit, offset)
        enabled = True if enabled_only else None
        place = _named_or_any(namespace, "a namespace")
        wanted = _named_or_any(workflow, "the name of a workflow")
        query = Schedules(place, None, wanted, enabled, most, left_out)
        return [shown(record) for record in await self._store.read(query)]

    @dual_method
    async def get_schedule(
        self, name: str, *, namespace: str = "default"
    ) -> WorkflowSchedule | None:
        """Return a schedule, None if there is none of that name."""
        record = await self._schedule(name, namespace)
        return None if record is None else shown(record)

    @dual_method
    async def update_schedule(
        self,
        name: str,
        schedule: str | float | timedelta | Schedule | None = None,
        *,
        timezone: str | None = None,
        context: Mapping[str, object] | None = None,
        catchup: CatchUp | None = None,
        max_catchup: int | None = None,
        overlap: Overlap | None = None,
        namespace: str = "default",
    ) -> WorkflowSchedule:
        """Change what is given of a schedule; None leaves it. One with other ticks begins anew.

        Raises:
            ScheduleNotFoundError: there is none of that name.
            TypeError, ValueError, TooLargeError: as `register_schedule`.
        """
        new = _Changes(
            schedule,
            timezone,
            None if context is None else self._schedule_context(context),
            None if catchup is None else check_catchup(catchup, "catchup"),
            None if max_catchup is None else _checked_most(max_catchup),
            None if overlap is None else check_overlap(overlap, "overlap"),
        )
        while True:
            old = await self._known_schedule(name, namespace)
            kept = await self._keep(old, new.of(old, self._clock.now()))
            if kept is not None:
                self._unnamed_schedules.pop((namespace, name), None)
                return kept

    @dual_method
    async def enable_schedule(self, name: str, *, namespace: str = "default") -> None:
        """Let a schedule tick again, from now on: what it missed while disabled is not made up for.

        Raises:
            ScheduleNotFoundError: there is none of that name.
        """
        await self._set_schedule_enabled(name, namespace, enabled=True)

    @dual_method
    async def disable_schedule(self, name: str, *, namespace: str = "default") -> None:
        """Let a schedule start nothing, until it is enabled; on return that is on disk.

        Raises:
            ScheduleNotFoundError: there is none of that name.
        """
        await self._set_schedule_enabled(name, namespace, enabled=False)

    @dual_method
    async def delete_schedule(self, name: str, *, namespace: str = "default") -> None:
        """Forget a schedule and its history; executions that it started stay.

        Raises:
            ScheduleNotFoundError: there is none of that name.
        """
        await self._known_schedule(name, namespace)
        await self._store.change(DropSchedule(namespace, name), self._fence)
        await self._schedule_changed(namespace, name)

    @dual_method
    async def get_schedule_history(
        self,
        name: str,
        limit: int | None = 100,
        offset: int | None = 0,
        *,
        namespace: str = "default",
    ) -> list[ScheduleTick]:
        """Return what became of the ticks of a schedule, newest first; [] for an unknown name."""
        record = await self._schedule(name, namespace)
        if record is None:
            return []
        most, left_out = page(limit, offset)
        query = Ticks(namespace, record.name, ALL if most is None else most, left_out)
        return [told(line) for line in await self._store.read(query)]

    @dual_method
    async def get_schedule_statistics(
        self,
        name: str | None = None,
        *,
        since: datetime | None = None,
        namespace: str | None = None,
    ) -> ScheduleStatistics:
        """Count what became of ticks.

        Args:
            name: of one schedule; None: of all.
            since: only ticks from then on; aware.
            namespace: None is any.
        """
        begin = None if since is None else checked_time(since, "since")
        place = _named_or_any(namespace, "a namespace")
        label = _named_or_any(name, "the name of a schedule")
        counts = await self._store.read(TickCounts(place, label, begin))
        ended = {each: counts.get(each, 0) for each in WorkflowStatus}
        dropped = counts.get("DROPPED", 0)
        started = sum(ended.values())
        return ScheduleStatistics(
            ticks=started + dropped,
            started=started,
            running=ended[WorkflowStatus.INIT] + ended[WorkflowStatus.RUNNING],
            succeeded=ended[WorkflowStatus.SUCCESS],
            failed=ended[WorkflowStatus.FAILED],
            stopped=ended[WorkflowStatus.STOPPED],
            dropped=dropped,
        )

    # --- inside ---

    async def _keep(
        self, old: ScheduleRecord | None, record: ScheduleRecord
    ) -> WorkflowSchedule | None:
        """Store a schedule in place of an old one, if it differs; return it as stored.

        None if somebody else has changed the old one meanwhile.
        """
        new = record if old is None else _over(old, record)
        if old is not None and new == replace(old, updated=new.updated):
            return shown(old)
        if old is not None and new.answered != old.answered:
            await self._drop_due(old, CHANGED)
        if await self._store.change(
            PutSchedule(new, None if old is None else old.version), self._fence
        ):
            return None
        await self._schedule_changed(record.namespace, record.name)
        return shown(await self._known_schedule(record.name, record.namespace))

    async def _register(self, record: ScheduleRecord, *, unnamed: bool) -> WorkflowSchedule:
        """Keep a schedule in the place of an older one of its name and workflow."""
        place, given = (record.namespace, record.name), (record.expression, record.timezone)
        while True:
            old = await self._schedule(record.name, record.namespace)
            if old is not None and old.workflow != record.workflow:
                text = (
                    f"schedule {old.name!r} starts workflow {old.workflow!r}: give this one "
                    f"another name, or delete_schedule({old.name!r}) before"
                )
                raise UsageError(text)
            if unnamed and old and self._unnamed_schedules.get(place, given) != given:
                # It would silently replace the first.
                text = (
                    f"workflow {record.workflow!r} has a schedule of its own name already: give "
                    "each of several a name=, or change that one with update_schedule()"
                )
                raise UsageError(text)
            kept = await self._keep(old, record)
            if kept is not None:
                if unnamed:
                    self._unnamed_schedules[place] = given
                return kept

    async def _drop_due(self, old: ScheduleRecord, reason: str) -> None:
        """Say in the history of a schedule what becomes of the ticks that are due and wait."""
        if not old.enabled:
            return
        now = self._clock.now()
        found = due(read(old), old.anchor, old.answered, now, catchup="none")
        ticks = (*found.dropped, *found.run)
        if ticks:
            place = (old.namespace, old.name, old.version)
            dropped = DroppedTicks(*place, ticks, reason, now, found.earlier)
            await self._store.commit(Batch(self._fence, dropped=(dropped,)))

    async def _set_schedule_enabled(self, name: str, namespace: str, *, enabled: bool) -> None:
        while True:
            old = await self._known_schedule(name, namespace)
            if old.enabled is enabled:
                return
            if not enabled:
                await self._drop_due(old, DISABLED)
            now = self._clock.now()
            new = replace(old, enabled=enabled, updated=now)
            if enabled:
                new = replace(new, answered=max(now, old.answered))
            if not await self._store.change(PutSchedule(new, old.version), self._fence):
                await self._schedule_changed(namespace, name)
                return

    async def _schedule(self, name: str, namespace: str) -> ScheduleRecord | None:
        place = storable_name(namespace, "a namespace")
        query = Schedules(place, storable_name(name, "the name of a schedule"))
        return next(iter(await self._store.read(query)), None)

    async def _known_schedule(self, name: str, namespace: str) -> ScheduleRecord:
        record = await self._schedule(name, namespace)
        if record is None:
            known = await self._store.read(Schedules(namespace, limit=SHOWN))
            raise ScheduleNotFoundError(name, namespace, tuple(each.name for each in known))
        return record

    def _schedule_context(self, context: Mapping[str, object] | None) -> str:
        """Return a context as JSON text, if it can be stored."""
        texts = self._texts(context)
        taken = [key for key in RESERVED if key in texts]
        if taken:
            text = f"a schedule sets context[{taken[0]!r}] itself: give yours another name"
            raise ValueError(text)
        return to_json_text({key: from_json_text(text) for key, text in texts.items()}, "context")

    async def _schedule_changed(self, namespace: str, name: str) -> None:
        """Do what follows from a changed schedule; a bare client runs none."""


@dataclass(frozen=True, slots=True)
class _Changes:
    """What is to be changed of a schedule; None leaves it."""

    schedule: str | float | timedelta | Schedule | None
    timezone: str | None
    context: str | None
    catchup: CatchUp | None
    max_catchup: int | None
    overlap: Overlap | None

    def of(self, old: ScheduleRecord, now: datetime) -> ScheduleRecord:
        """Return a schedule as it is with them; it begins now if its ticks are others."""
        expression, zone = old.expression, old.timezone
        if self.schedule is not None or self.timezone is not None:
            given = expression if self.schedule is None else self.schedule
            place = (
                zone if self.timezone is None and _is_cron_text(given, old.name) else self.timezone
            )
            expression, zone = _written(given, place, old.name)
        return replace(
            old,
            expression=expression,
            timezone=zone,
            context=old.context if self.context is None else self.context,
            catchup=self.catchup or old.catchup,
            max_catchup=self.max_catchup or old.max_catchup,
            overlap=self.overlap or old.overlap,
            anchor=now,
            answered=now,
            updated=now,
        )


def _written(
    schedule: str | float | timedelta | Schedule, timezone: str | None, name: str
) -> tuple[str, str | None]:
    return written(parse_schedule(schedule, f"the schedule of {name!r}", timezone))


def _named_or_any(name: str | None, what: str) -> str | None:
    return None if name is None else storable_name(name, what)


def _over(old: ScheduleRecord, new: ScheduleRecord) -> ScheduleRecord:
    """Return a new definition over an old one; one with the same ticks goes on where that was."""
    ticks = (old.workflow, old.expression, old.timezone)
    goes_on = ticks == (new.workflow, new.expression, new.timezone)
    return replace(
        new,
        enabled=old.enabled,
        anchor=old.anchor if goes_on else new.anchor,
        answered=old.answered if goes_on else max(new.answered, old.answered),
        created=old.created,
        version=old.version,
        last_run=old.last_run,
        id=old.id,
    )


def _is_cron_text(given: object, name: str) -> bool:
    what = f"the schedule of {name!r}"
    return isinstance(given, str) and isinstance(parse_schedule(given, what), Cron)


def _checked_most(most: object) -> int:
    if type(most) is not int or not 1 <= most <= MOST_CATCHUP:
        text = f"max_catchup is a whole number from 1 to {MOST_CATCHUP:,}, not {most!r}"
        raise ValueError(text)
    return most
