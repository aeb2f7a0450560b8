"""What the clock on a wall shows next that cron fields allow. It knows no time zones.

All datetimes are naive: they are readings of a clock, and no instants.
"""

from bisect import bisect_right
from datetime import date, datetime, time
from typing import Final

from asyncflow._model.cron import CronFields

_LAST_YEAR: Final = 9999


def next_wall(fields: CronFields, after: datetime) -> datetime | None:
    """Return the first reading after another, in whole seconds; None: there is none any more."""
    day = after.date()
    if day.month in fields.months and day.day in fields.days_of(day.year, day.month):
        later = _later(fields, after)
        if later is not None:
            return datetime.combine(day, later)
    following = _following(fields, day)
    if following is None:
        return None
    return datetime.combine(following, time(fields.hours[0], fields.minutes[0], fields.seconds[0]))


def _later(fields: CronFields, after: datetime) -> time | None:
    """Return the first time of the day after that of ``after``."""
    hour, minute, second = after.hour, after.minute, after.second
    if hour in fields.hours:
        if minute in fields.minutes:
            found = _above(fields.seconds, second)
            if found is not None:
                return time(hour, minute, found)
        found = _above(fields.minutes, minute)
        if found is not None:
            return time(hour, found, fields.seconds[0])
    found = _above(fields.hours, hour)
    return None if found is None else time(found, fields.minutes[0], fields.seconds[0])


def _following(fields: CronFields, day: date) -> date | None:
    """Return the first day after another."""
    if day.month in fields.months:
        found = _above(fields.days_of(day.year, day.month), day.day)
        if found is not None:
            return day.replace(day=found)
    for year in range(day.year, _LAST_YEAR + 1):
        for month in fields.months:
            days = fields.days_of(year, month) if (year, month) > (day.year, day.month) else ()
            if days:
                return date(year, month, days[0])
    return None


def _above(numbers: tuple[int, ...], number: int) -> int | None:
    place = bisect_right(numbers, number)
    return numbers[place] if place < len(numbers) else None
