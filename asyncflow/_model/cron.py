"""Cron expressions, read once into the numbers that each field allows. It knows no time zones.

croniter reads the fields; here stands what of it is taken, and what is refused. How it searches
dates is not used.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from croniter import croniter

CRON_GRAMMAR: Final = (
    'a cron expression has five fields, "minute hour day month weekday" (Sunday is 0 or 7), or six '
    'with seconds first, or is "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly" '
    'or "@annually"; it has at most 256 characters, no random fields (R, H) and no nearest '
    "weekdays (W)"
)
_LONGEST: Final = 256
_FIELDS: Final = (5, 6)
_PLAIN: Final = re.compile(r"[ -~\t]+")
_CHANCE: Final = re.compile(r"[hr](\W.*)?", re.IGNORECASE | re.ASCII)
_NEAREST: Final = re.compile(r"\d*w\d*", re.IGNORECASE | re.ASCII)
_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY: Final = 2
_FIFTH: Final = 5
_LAST: Final = 0
"""What stands for the last day of a month, and for the last such weekday of it."""


@dataclass(frozen=True, slots=True, eq=False)
class CronFields:
    """What a cron expression allows, field by field, each in ascending order.

    If both the day of the month and the weekday are restricted, either is enough, as in cron.

    Attributes:
        days: of the month, 0 for the last; None: any.
        weekdays: 0 is Sunday; None: any.
        nths: pairs of a weekday and which of the month's it is, 0 for the last; instead of
            ``weekdays``.
        every_hour: the hour field begins with ``*``: it is a pattern, not a time of the day.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: tuple[int, ...]
    weekdays: frozenset[int] | None
    nths: frozenset[tuple[int, int]]
    every_hour: bool

    def days_of(self, year: int, month: int) -> tuple[int, ...]:
        """Return the days of a month that match, in ascending order; the month itself may not."""
        first, length = monthrange(year, month)
        return _days(self, (first + 1) % 7, length)

    def come(self) -> bool:
        """Say whether there is a date in any eight years: not so for the 31st of February."""
        if self.days is None and not self.nths:
            return True
        if self.weekdays is not None:
            return True
        # A fifth weekday of February comes once in 28 years.
        by_week = any(self.months != (_FEBRUARY,) or nth != _FIFTH for _, nth in self.nths)
        # The last day counts as 0, which every month has.
        return by_week or (self.days is not None and self._reach(min(self.days)))

    def _reach(self, day: int) -> bool:
        return any(day <= _LONGEST_MONTHS[month - 1] for month in self.months)


@lru_cache(maxsize=4096)
def _days(fields: CronFields, first: int, length: int) -> tuple[int, ...]:
    # There are 28 kinds of months; an expression meets few of them.
    found = range(1, length + 1)
    return tuple(day for day in found if _matches(fields, day, (first + day - 1) % 7, length))


def _matches(fields: CronFields, day: int, weekday: int, length: int) -> bool:
    days, weekdays = fields.days, fields.weekdays
    by_day = days is not None and (day in days or (day == length and _LAST in days))
    if fields.nths:
        nth = (day + 6) // 7
        last = day + 7 > length and (weekday, _LAST) in fields.nths
        by_week = last or (weekday, nth) in fields.nths
    else:
        by_week = weekdays is not None and weekday in weekdays
    if days is None:
        return by_week or (weekdays is None and not fields.nths)
    return by_day or by_week


def spelled(expression: object) -> str:
    """Return an expression with single spaces between its fields.

    Raises:
        ValueError: it cannot be one, whatever its fields are.
    """
    if not isinstance(expression, str):
        text = f"{expression!r} is no text: {CRON_GRAMMAR}"
        raise ValueError(text)  # noqa: TRY004  a declaration is refused with one kind of error
    if len(expression) > _LONGEST or _PLAIN.fullmatch(expression) is None:
        reason = "too long" if len(expression) > _LONGEST else "empty, or not plain ASCII text"
        text = f"{expression[:80]!r} is {reason}: {CRON_GRAMMAR}"
        raise ValueError(text)
    return " ".join(expression.split())


@lru_cache(maxsize=1024)
def read_cron(expression: str) -> CronFields:
    """Return what an expression, `spelled` already, allows.

    Raises:
        ValueError: it is none, or there is no date for it in eight years.
    """
    texts = _ALIASES.get(expression.lower(), expression).split()
    unread = [text for text in texts if _CHANCE.fullmatch(text) or _NEAREST.fullmatch(text)]
    if len(texts) not in _FIELDS or unread:
        text = f"{expression!r} is not understood: {CRON_GRAMMAR}"
        raise ValueError(text)
    try:
        expanded, nths = croniter.expand(" ".join(texts), second_at_beginning=True)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        text = f"{expression!r} is not understood ({error}): {CRON_GRAMMAR}"
        raise ValueError(text) from error
    fields = _fields(expanded, nths, every_hour=texts[-4].startswith("*"))
    if not fields.come():
        text = f"{expression!r} has no date in eight years"
        raise ValueError(text)
    return fields


def _fields(expanded: Iterable[Iterable[object]], nths: object, *, every_hour: bool) -> CronFields:
    minutes, hours, days, months, weekdays, *seconds = map(_numbers, expanded)
    pairs = _pairs(nths)
    return CronFields(
        seconds=tuple(sorted(seconds[0] or range(60))) if seconds else (0,),
        minutes=tuple(sorted(minutes or range(60))),
        hours=tuple(sorted(hours or range(24))),
        days=days,
        months=tuple(sorted(months or range(1, 13))),
        weekdays=None if pairs else weekdays,
        nths=pairs,
        every_hour=every_hour,
    )


def _numbers(field: Iterable[object]) -> frozenset[int] | None:
    """Return the numbers of a field, None for all of them."""
    found = list(field)
    if "*" in found:
        return None
    return frozenset(each if isinstance(each, int) else _LAST for each in found)


def _pairs(nths: object) -> frozenset[tuple[int, int]]:
    found = cast("Mapping[int, Iterable[object]]", nths)  # its stubs call the numbers texts
    return frozenset(
        (weekday, nth if isinstance(nth, int) else _LAST)
        for weekday, which in found.items()
        for nth in which
    )
