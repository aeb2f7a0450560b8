"""When a schedule ticks. Ticks are instants, in UTC; nothing here waits, or knows what time it is.

A cron expression says what the clock on a wall must show. A reading that the clock of its zone
skips stands for the instant as much later; one that it shows twice stands for the first time only,
or for both if the hour field begins with ``*``. Two readings may stand for one instant, which is
then one tick.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from asyncflow._core.walltime import next_wall
from asyncflow._model.cron import CronFields, read_cron
from asyncflow._model.schedule import Cron, Interval, Schedule

_SHORT: Final = timedelta(milliseconds=10)
"""No two ticks are closer together."""
_WIDEST: Final = timedelta(days=100_000)
_INSTANT: Final = timedelta.resolution
_NEAR: Final = timedelta(hours=25)
"""More than a clock was ever put forward or back: Samoa left out a day."""
_SIGHT: Final = timedelta(hours=26)
_FIRST: Final = datetime(2, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""After it there are no ticks; dates close by still have room for any offset."""


def next_after(schedule: Schedule, anchor: datetime, after: datetime) -> datetime | None:
    """Return the first tick after an instant; None: there is none before the year 9999.

    Args:
        schedule: what ticks.
        anchor: where it begins, aware, in UTC: ticks are after it, and intervals count from it.
        after: aware, in UTC.
    """
    after = max(after, anchor)
    if isinstance(schedule, Interval):
        return _at(schedule, anchor, (after - anchor) // schedule.every + 1)
    if after >= _END:
        return None
    tick = _Wall(schedule).next_after(max(after, _FIRST))
    return tick if tick is not None and tick < _END else None


def last_until(schedule: Schedule, anchor: datetime, until: datetime) -> datetime | None:
    """Return the latest tick that is not after ``until``; None: there is none since the anchor."""
    if isinstance(schedule, Interval):
        number = (min(until, _END - _INSTANT) - anchor) // schedule.every
        return _at(schedule, anchor, number) if number >= 1 else None
    tick = next_after(schedule, anchor, anchor)
    if tick is None or tick > until:
        return None
    # No tick is in (least, until], as far as is known; `tick` is one, and comes closer.
    least = until
    while True:
        following = next_after(schedule, anchor, tick)
        if following is None or following > until:
            return tick
        middle = tick + (least - tick) / 2
        found = next_after(schedule, anchor, middle)
        if found is None or found > until:
            tick, least = following, middle
        else:
            tick = max(found, following)


def newest(
    schedule: Schedule, anchor: datetime, after: datetime, until: datetime, most: int
) -> tuple[datetime, ...]:
    """Return the newest ticks in (after, until], the oldest first, and no more than ``most``.

    What it costs grows with ``most``, and not with how many ticks there are.
    """
    found: list[datetime] = []
    width = _SHORT
    while len(found) < most:
        last = last_until(schedule, anchor, until)
        if last is None or last <= after:
            break
        begin = max(after, last - width)
        limit = 4 * (most - len(found)) + 4
        chunk = _first(schedule, anchor, begin, last, limit)
        if len(chunk) == limit and width > _SHORT:
            width = max(_SHORT, width / 8)
            continue
        found = [*chunk, *found]
        width, until = min(width * 2, _WIDEST), begin
    return tuple(found[len(found) - min(most, len(found)) :])


def _at(interval: Interval, anchor: datetime, number: int) -> datetime | None:
    """Return a tick of an interval by its number, from 1."""
    room = (_END - _INSTANT - anchor) // interval.every
    return anchor + interval.every * number if number <= room else None


def _first(
    schedule: Schedule, anchor: datetime, after: datetime, until: datetime, most: int
) -> list[datetime]:
    found: list[datetime] = []
    tick = next_after(schedule, anchor, after)
    while tick is not None and tick <= until and len(found) < most:
        found.append(tick)
        tick = next_after(schedule, anchor, tick)
    return found


class _Wall:
    """The clock on a wall, and what a cron expression asks of it."""

    def __init__(self, cron: Cron) -> None:
        self._fields: CronFields = read_cron(cron.expression)
        self._zone = UTC if cron.timezone == "UTC" else ZoneInfo(cron.timezone)

    def next_after(self, after: datetime) -> datetime | None:
        while True:
            bound = self._bound(after)
            if bound is None:
                return None
            tick = self._least(after, bound)
            if tick - after <= _NEAR:
                return tick
            # The clock may be changed before then; not before this instant, or it was seen.
            after = tick - _NEAR

    def _bound(self, after: datetime) -> datetime | None:
        """Return a tick after an instant: the first, if the clock is not changed meanwhile."""
        for wall in self._walls(after + self._offset(after)):
            for tick in self._ticks(wall):
                if tick > after:
                    return tick
        return None

    def _least(self, after: datetime, tick: datetime) -> datetime:
        """Return the first tick after an instant, given one, and the changes of the clock."""
        offsets = {self._offset(after - _SIGHT), self._offset(after + _SIGHT)}
        if len(offsets) == 1:
            return tick
        for offset in offsets:
            for wall in self._walls(after + offset):
                sooner = (wall - offset).replace(tzinfo=UTC)
                if sooner >= tick:
                    break
                if sooner in self._ticks(wall):
                    tick = sooner
                    break
        return tick

    def _walls(self, after: datetime) -> Iterator[datetime]:
        wall = next_wall(self._fields, after.replace(tzinfo=None))
        while wall is not None:
            yield wall
            wall = next_wall(self._fields, wall)

    def _ticks(self, wall: datetime) -> tuple[datetime, ...]:
        """Return the instants for which a reading stands."""
        aware = wall.replace(tzinfo=self._zone)
        # Where the clock skips it, this is with the offset from before: as much later.
        tick = aware.astimezone(UTC)
        if not self._fields.every_hour:
            return (tick,)
        again = aware.replace(fold=1).astimezone(UTC)
        return (tick, again) if again > tick else (tick,)

    def _offset(self, at: datetime) -> timedelta:
        return at.astimezone(self._zone).utcoffset() or timedelta(0)
