"""The schedules of a runner: it waits for their ticks, and has each start its workflow.

A tick is answered in the transaction that stores its execution, or that it was dropped: what is
not answered when a runner ends is missed, and left to the catch-up policy of the next.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, assert_never, cast
from zoneinfo import ZoneInfo

from asyncflow._client.executions import new_execution
from asyncflow._client.schedule_views import read
from asyncflow._client.schedules import RESERVED
from asyncflow._core.catchup import Due, due
from asyncflow._core.timetable import next_after
from asyncflow._failpoint import hit
from asyncflow._model.port import Port
from asyncflow._model.record import ScheduleRecord
from asyncflow._model.schedule import Schedule
from asyncflow._model.status import ExecutionType
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow._runner.entries import Impulse, Wanted
from asyncflow._runner.poller import Polling
from asyncflow._store.batch import DroppedTicks, Duty, DutyKind, Refused, Tick
from asyncflow._store.queries import Schedules, SchedulesVersion, Ticks
from asyncflow._timer import Timer
from asyncflow.errors import (
    AsyncflowError,
    ExecutionNotFoundError,
    ExecutionParkedError,
    StoreError,
)

logger = logging.getLogger(__name__)

Place = tuple[str, str]
"""Namespace and name of a schedule."""

AFTER_ERROR: Final = timedelta(seconds=1)

MISSED: Final = "missed"
OVERLAPS: Final = "the execution of an earlier tick still runs"
DISABLED: Final = "the workflow is disabled"


@dataclass(slots=True, eq=False, repr=False)
class LiveSchedule:
    """A schedule that this runner waits for.

    Attributes:
        record: as it was read; its ``answered`` is kept up to date.
        timer: waits for the next tick; None while ticks are being answered.
        task: answers ticks.
        on_duty: whether this runner answers its ticks.
        warned: whether it was said that its workflow is not declared here.
    """

    record: ScheduleRecord
    schedule: Schedule
    timer: Timer | None = None
    task: asyncio.Task[None] | None = None
    gone: bool = False
    on_duty: bool = False
    warned: bool = False


class Timekeeper:
    """Waits for ticks. Everything is called on the home loop."""

    def __init__(
        self,
        shared: Polling,
        port: Port,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """Begin with no schedules; answer ticks in what ``spawn`` starts."""
        self._shared = shared
        self._port = port
        self._spawn = spawn
        self._schedules: dict[Place, LiveSchedule] = {}
        self._version: int | None = None
        self._refreshing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = False
        self._closed = False

    async def open(self) -> None:
        """Wait for the ticks of all stored schedules from now on."""
        self._opened = True
        await self.refresh()

    async def refresh(self) -> None:
        """Wait for what the store says, if that has changed since."""
        if not self._opened:
            return
        async with self._refreshing:
            version = await self._shared.store.read(SchedulesVersion())
            if version == self._version:
                return
            records = await self._shared.store.read(Schedules(enabled=True))
            self._version = version
            stored = {(each.namespace, each.name): each for each in records}
            for place in self._schedules.keys() | stored.keys():
                self._take(place, stored.get(place))

    async def come_on_duty(self, duties: frozenset[Duty]) -> None:
        """Answer the ticks of these schedules from now on; unanswered ones are missed."""
        async with self._refreshing:  # else what is changed meanwhile is taken up by nobody
            gained = {
                place: live
                for place, live in self._schedules.items()
                if not live.on_duty and _duty(place) in duties
            }
            if not gained:
                return
            for record in await self._shared.store.read(Schedules(enabled=True)):
                live = gained.get((record.namespace, record.name))
                if live is None or live.on_duty or live.record.version != record.version:
                    continue
                live.record = record  # it says what was answered meanwhile
            for live in gained.values():
                if not live.on_duty:
                    self._wait(live)

    async def changed(self, namespace: str, name: str) -> None:
        """Wait for what the store says of one schedule; of the others a look will tell."""
        if not self._opened:
            return
        async with self._refreshing:
            found = await self._shared.store.read(Schedules(namespace, name, enabled=True))
            self._take((namespace, name), next(iter(found), None))

    def declared(self) -> None:
        """Wait for the ticks of what may have been declared just now."""
        for live in self._schedules.values():
            if live.timer is None and (live.task is None or live.task.done()):
                self._wait(live)

    def close(self) -> None:
        """Begin nothing more; ticks that are not answered are missed."""
        self._closed = True
        for live in self._schedules.values():
            _stop_waiting(live)
        for task in self._tasks:
            task.cancel()

    async def drained(self) -> None:
        """Return when no tick is being answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _take(self, place: Place, record: ScheduleRecord | None) -> None:
        """Hold a schedule in this version, and no other; None: not at all."""
        old = self._schedules.get(place)
        if old is not None:
            if record is not None and old.record.version == record.version:
                return
            old.gone = True
            _stop_waiting(old)
            del self._schedules[place]
        if record is None or not self._declares(record):
            self._shared.duties.unwant(_duty(place))  # another runner may do it
        if record is None:
            return
        try:
            live = LiveSchedule(record, read(record))
        except ValueError as error:  # a zone that this machine does not have
            self._shared.duties.unwant(_duty(place))
            text = "schedule %r in namespace %r does not tick here: %s"
            logger.error(text, record.name, record.namespace, error)  # noqa: TRY400  the traceback would say nothing more
            return
        self._schedules[place] = live
        self._wait(live)

    def _wait(self, live: LiveSchedule) -> None:
        """Wait for the next tick; one that is missed is due at once.

        Not while its workflow is not declared here: another runner may know it.
        """
        record = live.record
        if not self._can_start(live):
            if not (live.warned or self._over or live.gone):
                live.warned = True
                text = "schedule %r does not tick here: workflow %r is not declared in namespace %r"
                logger.warning(text, record.name, record.workflow, record.namespace)
            return
        duty = _duty((record.namespace, record.name))
        self._shared.duties.want(duty)
        live.on_duty = self._shared.duties.has(duty)
        if not live.on_duty:  # another runner answers its ticks
            return
        tick = next_after(live.schedule, record.anchor, record.answered)
        if tick is not None:
            due = max(tick, self._shared.clock.now())  # what was missed is not late, but lost
            live.timer = self._shared.driver.call_at_time(tick, partial(self._begin, live, due))

    @property
    def _over(self) -> bool:
        return self._closed or self._shared.driver.over

    def _can_start(self, live: LiveSchedule) -> bool:
        return self._declares(live.record) and not (live.gone or self._over)

    def _declares(self, record: ScheduleRecord) -> bool:
        return self._shared.registry.find(record.workflow, record.namespace) is not None

    def _begin(self, live: LiveSchedule, due: datetime) -> None:
        clock, meters = self._shared.clock, self._shared.meters
        meters.ticks.add(clock.monotonic(), max((clock.now() - due).total_seconds(), 0.0))
        live.timer = None
        if not self._closed:
            live.task = task = self._spawn(self._answer(live))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, live: LiveSchedule) -> None:
        """Answer the ticks that are due, then wait for the next."""
        try:
            await self._answer_due(live)
        except StoreError as error:
            text = "ticks of schedule %r wait for the store: %s"
            logger.warning(text, live.record.name, error)
            # What reached the disk all the same is refused when it is put again.
            await self._shared.clock.pause(AFTER_ERROR)
        except AsyncflowError:
            if not self._over:
                raise
        self._wait(live)

    async def _answer_due(self, live: LiveSchedule) -> None:
        record = live.record
        if not self._can_start(live):
            return
        found: Due = due(
            live.schedule,
            record.anchor,
            record.answered,
            self._shared.clock.now(),
            catchup=record.catchup,
            max_catchup=record.max_catchup,
        )
        if found.dropped:
            await self._drop(live, found.dropped, MISSED, found.earlier)
        for tick in found.run:
            await self._start(live, tick)

    async def _start(self, live: LiveSchedule, tick: datetime) -> None:
        """Start the execution of a tick, or drop that, as the policy says."""
        while self._can_start(live):
            refused = await self._put(live, tick)
            match refused:
                case None | Refused.TICKED_ALREADY:
                    live.record = replace(live.record, answered=tick)
                    return
                case Refused.RUNS_ALREADY:
                    if not await self._make_room(live.record, tick):
                        await self._drop(live, (tick,), OVERLAPS)
                        return
                case Refused.DISABLED:
                    await self._drop(live, (tick,), DISABLED)
                    return
                case Refused.OUTDATED:  # somebody else has changed it
                    live.gone = True
                    await self.changed(live.record.namespace, live.record.name)
                case Refused.NAME_TAKEN | Refused.CAUSED_ALREADY | Refused.STARTED_ONCE:
                    pass  # of these only the name can be in the way: another one is made
                case _:
                    assert_never(refused)

    async def _put(self, live: LiveSchedule, tick: datetime) -> Refused | None:
        record, shared = live.record, self._shared
        workflow = shared.registry.workflow(record.workflow, record.namespace)
        plan = shared.plans.of(workflow)
        row = new_execution(
            plan,
            None,
            shared.clock.now(),
            kind=ExecutionType.PERIODIC,
            origin=Tick(record.namespace, record.name, record.version, tick),
            alone=None if record.overlap == "allow" else json.dumps(["schedule", record.id]),
        )
        wanted = Wanted.of(plan, workflow, row, _texts(record, tick))
        hit("schedule.tick.before")
        (refused,) = await self._impulse((wanted,), None)
        return refused

    async def _make_room(self, record: ScheduleRecord, tick: datetime) -> bool:
        """Wait for the end of the execution that runs, if the policies say so; say if it ended."""
        if record.overlap == "skip" and record.catchup != "all":
            return False
        name = await self._running(record, tick)
        if name is None:
            return True
        try:
            if record.overlap == "restart":
                await self._port.request_stop(name)
            await self._port.await_end(name, None)
        except ExecutionParkedError:
            return False
        except ExecutionNotFoundError:
            return True
        return True

    async def _running(self, record: ScheduleRecord, tick: datetime) -> str | None:
        """Return the newest execution of an earlier tick that has not ended.

        Another runner may have started one for this very tick: it is not in the way.
        """
        query = Ticks(record.namespace, record.name)
        while lines := await self._shared.store.read(query):
            for line in lines:
                if line.execution is not None and line.ended is None and line.at < tick:
                    return line.execution
            query = replace(query, offset=query.offset + len(lines))
        return None

    async def _drop(
        self,
        live: LiveSchedule,
        ticks: tuple[datetime, ...],
        reason: str,
        earlier: tuple[datetime, datetime] | None = None,
    ) -> None:
        record, now = live.record, self._shared.clock.now()
        place = (record.namespace, record.name, record.version)
        hit("schedule.drop.before")
        await self._impulse((), DroppedTicks(*place, ticks, reason, now, earlier))
        live.record = replace(record, answered=ticks[-1])

    async def _impulse(
        self, wanted: tuple[Wanted, ...], dropped: DroppedTicks | None
    ) -> tuple[Refused | None, ...]:
        done: asyncio.Future[tuple[Refused | None, ...]]
        done = asyncio.get_running_loop().create_future()
        self._shared.driver.put(Impulse(done, wanted, dropped=dropped))
        return await done


def _duty(place: Place) -> Duty:
    return Duty(DutyKind.SCHEDULE, *place)


def _texts(record: ScheduleRecord, tick: datetime) -> dict[str, str]:
    """Return the context of an execution: the schedule's own, and what is said of the tick."""
    own = cast("dict[str, object]", from_json_text(record.context))
    zone = ZoneInfo(record.timezone) if record.timezone is not None else UTC
    said = (
        tick.astimezone(zone).isoformat(),
        record.name,
        record.timezone,
        record.expression,
    )
    context = {**own, **dict(zip(RESERVED, said, strict=True))}
    return {key: to_json_text(value, key) for key, value in context.items()}


def _stop_waiting(live: LiveSchedule) -> None:
    if live.timer is not None:
        live.timer.cancel()
        live.timer = None
