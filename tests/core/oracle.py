"""A slow oracle for cron: it looks at a clock on a wall once a minute, or once a second.

It knows nothing of how asyncflow or croniter read or search: fields are numbers here from the
start, and changes of the clock are seen as they happen.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from asyncflow._core.timetable import next_after
from asyncflow._model.schedule import Schedule

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
START = datetime(1970, 1, 1, tzinfo=UTC)
"""An anchor before all windows."""


@dataclass(frozen=True)
class Field:
    """One field: how it is written, and what it allows."""

    text: str
    numbers: frozenset[int]


@dataclass(frozen=True)
class Fields:
    """A cron expression: how it is written, and what it allows."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    second: Field | None = None

    @property
    def text(self) -> str:
        given = (self.second, self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(field.text for field in given if field is not None)

    @property
    def any_day(self) -> bool:
        return self.day.numbers == frozenset(range(1, 32))

    @property
    def any_weekday(self) -> bool:
        return self.weekday.numbers == frozenset(range(7))

    def match(self, wall: datetime) -> bool:
        seconds = {0} if self.second is None else self.second.numbers
        if wall.second not in seconds or wall.minute not in self.minute.numbers:
            return False
        if wall.hour not in self.hour.numbers or wall.month not in self.month.numbers:
            return False
        by_day = wall.day in self.day.numbers
        by_weekday = wall.isoweekday() % 7 in self.weekday.numbers
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday


class Reading(NamedTuple):
    """What the clock shows at an instant; or what it skips, where it would have been shown."""

    at: datetime
    wall: datetime
    again: bool


class Window(NamedTuple):
    """A stretch of time: after its begin, up to its end."""

    begin: datetime
    end: datetime


@lru_cache(maxsize=500)  # of 600 zones the readings are a gigabyte
def readings(zone: str, window: Window, step: timedelta = MINUTE) -> tuple[Reading, ...]:
    """Look at the clock of a zone at each step of a window."""
    return tuple(each for each in _look(zone, window, step) if window.begin < each.at <= window.end)


def _look(zone: str, window: Window, step: timedelta) -> Iterator[Reading]:
    place = ZoneInfo(zone)
    at = window.begin - (2 * DAY if step == MINUTE else timedelta(hours=2))
    before = highest = at.astimezone(place).replace(tzinfo=None)
    while at <= window.end:
        at += step
        wall = at.astimezone(place).replace(tzinfo=None)
        skipped = before + step
        while skipped < wall:
            yield Reading(at + (skipped - before - step), skipped, again=False)
            skipped += step
        yield Reading(at, wall, again=wall <= highest)
        before, highest = wall, max(highest, wall)


def ticks(fields: Fields, zone: str, window: Window, step: timedelta = MINUTE) -> list[datetime]:
    """Return the ticks of an expression in a window."""
    both = fields.hour.text.startswith("*")
    minutes = fields.minute.numbers  # most readings go here: a property has millions of them
    return sorted(
        {
            each.at
            for each in readings(zone, window, step)
            if each.wall.minute in minutes and fields.match(each.wall) and (both or not each.again)
        }
    )


def all_ticks(schedule: Schedule, begin: datetime, end: datetime) -> list[datetime]:
    """Return the ticks after the begin and up to the end, as asyncflow has them."""
    found: list[datetime] = []
    tick = next_after(schedule, START, begin)
    while tick is not None and tick <= end:
        assert tick > (found[-1] if found else begin)
        assert tick.tzinfo is UTC
        found.append(tick)
        tick = next_after(schedule, START, tick)
    return found


@cache
def changes(zone: str, year: int) -> tuple[datetime, ...]:
    """Return the hours of a year in which the clock of a zone is changed."""
    place, found = ZoneInfo(zone), list[datetime]()
    at = datetime(year, 1, 1, tzinfo=UTC)
    while at.year == year:
        later = at + timedelta(hours=1)
        if at.astimezone(place).utcoffset() != later.astimezone(place).utcoffset():
            found.append(at)
        at = later
    return tuple(found)


@cache
def windows(zone: str, year: int) -> tuple[Window, ...]:
    """Return eight days around each change of the clock in a year, and twenty other days."""
    around = [Window(at - 4 * DAY, at + 4 * DAY) for at in changes(zone, year)]
    dice = random.Random(f"{zone} {year}")
    begins = (datetime(year, 1, 1, tzinfo=UTC) + DAY * dice.randrange(365) for _ in range(20))
    return (*around, *(Window(begin, begin + DAY) for begin in begins))
