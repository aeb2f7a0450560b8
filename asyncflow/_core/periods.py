"""How the periods of a task are numbered, so that each counts once, also after a restart.

Those of an interval are counted from the begin of the execution. A period of a cron expression has
its tick as its number: whole seconds since 1970, so that what was counted stays so whatever comes
between. 0 is none.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from asyncflow._core.timetable import last_until, next_after
from asyncflow._model.schedule import Interval, Schedule

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def end_of(schedule: Schedule, begin: datetime, number: int) -> datetime:
    """Return when a period is over; the end of time if that is later."""
    if isinstance(schedule, Interval):
        origin, unit = begin, schedule.every
    else:
        origin, unit = _EPOCH, _SECOND
    return origin + unit * number if number <= (_LAST - origin) // unit else _LAST


def number_after(schedule: Schedule, begin: datetime, number: int) -> int:
    """Return the number of the period that comes after another, or of the first."""
    if isinstance(schedule, Interval):
        return number + 1
    tick = next_after(schedule, begin, end_of(schedule, begin, number))
    return max(number, ((tick or _LAST) - _EPOCH) // _SECOND)


def newest_passed(schedule: Schedule, begin: datetime, at: datetime, known: int = 0) -> int:
    """Return the number of the newest period that is over, or ``known``, if that is greater."""
    if isinstance(schedule, Interval):
        return max(known, (at - begin) // schedule.every)
    tick = last_until(schedule, max(begin, end_of(schedule, begin, known)), at)
    return known if tick is None else (tick - _EPOCH) // _SECOND
