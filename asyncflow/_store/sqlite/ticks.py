"""What a batch writes of ticks: the lines of their histories, and until when they are answered."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from asyncflow._store.batch import DroppedTicks, NewExecution, Refused, Tick
from asyncflow._store.codec import micros, micros_or_none, moment
from asyncflow._store.dropped import lines
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.numbered import Value

_SELECT = Bulk(
    "SELECT namespace, name, id, version, enabled, answered FROM (VALUES",
    2,
    ") AS v CROSS JOIN schedule ON namespace = v.column1 AND name = v.column2",
)
_INSERT = Bulk("INSERT INTO tick (schedule, at, until, noted, execution, dropped) VALUES", 6)
_UPDATE = Bulk(
    "UPDATE schedule SET answered = v.column2, last_run = coalesce(v.column3, last_run) "
    "FROM (VALUES",
    3,
    ") AS v WHERE schedule.id = v.column1",
)


@dataclass(slots=True)
class _Schedule:
    id: int
    version: int
    enabled: bool
    answered: datetime


class TickLines:
    """Reads once what the schedules of a batch have answered, then collects what is written."""

    def __init__(
        self, db: sqlite3.Connection, dropped: Sequence[DroppedTicks], new: Iterable[NewExecution]
    ) -> None:
        """Read it, and put the dropped ticks before all that are started."""
        started = [each.origin for each in new if isinstance(each.origin, Tick)]
        named = {(each.namespace, each.schedule) for each in dropped}
        named.update((each.namespace, each.schedule) for each in started)
        self._schedules = {
            (namespace, name): _Schedule(id_, version, bool(enabled), moment(answered))
            for namespace, name, id_, version, enabled, answered in _SELECT.select(db, named)
        }
        self._answered: dict[int, tuple[int, int | None]] = {}
        self._lines: list[tuple[Value, ...]] = []
        for each in dropped:
            self._add_dropped(each)

    def refusal(self, tick: Tick) -> Refused | None:
        """Say why a tick starts nothing."""
        schedule = self._schedules.get((tick.namespace, tick.schedule))
        if schedule is None or not schedule.enabled or schedule.version != tick.version:
            return Refused.OUTDATED
        return Refused.TICKED_ALREADY if schedule.answered >= tick.at else None

    def add_started(self, tick: Tick, execution: int, noted: datetime) -> None:
        """Add the line of a tick that was not refused."""
        schedule = self._schedules[tick.namespace, tick.schedule]
        line = (micros(tick.at), None, micros(noted), execution, None)
        self._lines.append((schedule.id, *line))
        schedule.answered = tick.at
        self._answered[schedule.id] = (micros(tick.at), micros(tick.at))

    def write(self, db: sqlite3.Connection) -> None:
        """Write all lines."""
        _INSERT.run(db, self._lines)
        _UPDATE.run(db, [(id_, *until) for id_, until in self._answered.items()])

    def _add_dropped(self, dropped: DroppedTicks) -> None:
        schedule = self._schedules.get((dropped.namespace, dropped.schedule))
        if schedule is None or schedule.version != dropped.version:
            return
        for at, until in lines(dropped, schedule.answered):
            line = (micros(at), micros_or_none(until), micros(dropped.noted), None, dropped.reason)
            self._lines.append((schedule.id, *line))
            schedule.answered = until or at
            self._answered[schedule.id] = (micros(schedule.answered), None)
