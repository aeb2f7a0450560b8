"""Cron expressions, read once into the numbers that each field allows. It knows no time zones.

croniter reads single values: numbers, names, the last day, n-th weekdays. Lists, ranges and steps
are read here: it takes ``9-9`` for every value, and some lists for all days. How it searches dates
is not used.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias, cast

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
_ONE: Final = re.compile(r"[0-9]+|[a-z]{3}|l[0-9]*|[0-9]+#[0-9]+")
_SEVERAL: Final = re.compile(r"(?:\*|([0-9]+|[a-z]{3})(?:-([0-9]+|[a-z]{3}|l))?)(?:/([0-9]+))?")
_NTHS: Final = re.compile(r"((?:[0-9]+|[a-z]{3})(?:-(?:[0-9]+|[a-z]{3}))?)#([0-9]+)")
_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_BOUNDS: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
"""Of seconds, minutes, hours, days, months and weekdays: a field is known by its place here."""
_NAMES: Final = ("second", "minute", "hour", "day of a month", "month", "weekday")
_DAY: Final = 3
_WEEKDAY: Final = 5
_WEEK: Final = 7
_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY: Final = 2
_FIFTH: Final = 5
_LAST: Final = 0
"""What stands for the last day of a month, and for the last such weekday of it."""

_Numbers: TypeAlias = frozenset[int]
_Pairs: TypeAlias = frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class CronFields:
    """What a cron expression allows, field by field, each in ascending order.

    If both the day of the month and the weekday are restricted, either is enough, as in cron. One
    that allows all its values is not restricted, however it is written.

    Attributes:
        days: of the month, 0 for the last; None: any.
        weekdays: 0 is Sunday; None: any.
        nths: pairs of a weekday and which of the month's it is, 0 for the last; they come beside
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
        if self.weekdays or (self.days is None and self.weekdays is None):
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
    last = day + 7 > length and (weekday, _LAST) in fields.nths
    by_nth = last or (weekday, (day + 6) // 7) in fields.nths
    by_week = by_nth or (weekdays is not None and weekday in weekdays)
    if days is None:
        return by_week or weekdays is None
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
    texts = _ALIASES.get(expression.lower(), expression).lower().split()
    if len(texts) not in _FIELDS:
        text = f"{expression!r} is not understood: {CRON_GRAMMAR}"
        raise ValueError(text)
    try:
        fields = _fields(texts)
    except ValueError as error:
        text = f"{expression!r} is not understood ({error}): {CRON_GRAMMAR}"
        raise ValueError(text) from error
    if not fields.come():
        text = f"{expression!r} has no date in eight years"
        raise ValueError(text)
    return fields


def _fields(texts: list[str]) -> CronFields:
    whole = texts if len(texts) == len(_BOUNDS) else ["0", *texts]
    found = [_field(place, text) for place, text in enumerate(whole)]
    seconds, minutes, hours, days, months, weekdays = (numbers for numbers, _ in found)
    any_weekday = _restricted(_WEEKDAY, weekdays) is None
    return CronFields(
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=_restricted(_DAY, days),
        months=tuple(sorted(months)),
        weekdays=_restricted(_WEEKDAY, weekdays),
        nths=frozenset() if any_weekday else found[_WEEKDAY][1],
        every_hour=texts[-4].startswith("*"),
    )


def _restricted(place: int, numbers: frozenset[int]) -> frozenset[int] | None:
    return None if numbers >= _all(place) else numbers


def _all(place: int) -> frozenset[int]:
    least, most = _BOUNDS[place]
    return frozenset(range(least, most + 1))


def _field(place: int, text: str) -> tuple[_Numbers, _Pairs]:
    """Return the numbers of a field, and its n-th weekdays."""
    if text == "?" and place in (_DAY, _WEEKDAY):
        return _all(place), frozenset()
    found = [_item(place, item) for item in text.split(",")]
    numbers = frozenset[int]().union(*(each for each, _ in found))
    return numbers, frozenset[tuple[int, int]]().union(*(pairs for _, pairs in found))


def _item(place: int, text: str) -> tuple[_Numbers, _Pairs]:
    if _ONE.fullmatch(text):
        return _one(place, text)
    nths, several = _NTHS.fullmatch(text), _SEVERAL.fullmatch(text)
    if nths is not None and place == _WEEKDAY:
        which = (f"{weekday}#{nths[2]}" for weekday in _item(place, nths[1])[0])
        return frozenset(), frozenset[tuple[int, int]]().union(*(_one(place, n)[1] for n in which))
    if several is None:
        reason = f"{text!r} is no value, range or step"
        raise ValueError(reason)
    return _several(place, text, several), frozenset()


def _several(place: int, text: str, match: re.Match[str]) -> _Numbers:
    low, high = _BOUNDS[place]
    size = high - low + 1
    first, last, step = match.groups()
    if first is not None:
        low = _number(place, first)
    if first is not None and last is not None:
        high = _end(place, first, low, last)
    if step is not None and (int(step) == 0 or high < low):
        reason = f"{text!r} has a step of 0, or one past the end of its field: list the values"
        raise ValueError(reason)
    reach = high if low <= high else high + size
    stride = 1 if step is None else int(step)
    least = _BOUNDS[place][0]
    return frozenset(least + (each - least) % size for each in range(low, reach + 1, stride))


def _end(place: int, first: str, low: int, last: str) -> int:
    """Return where a range ends. Sunday ends a week too: it is 7 then."""
    if place == _DAY and last == "l":
        return _BOUNDS[place][1]
    high = _number(place, last)
    if place != _WEEKDAY or high != 0:
        return high
    whole_week = _is_7(last) and not _is_7(first)
    return _WEEK if low or whole_week else high


def _is_7(text: str) -> bool:
    return text.isdecimal() and int(text) == _WEEK


def _number(place: int, text: str) -> int:
    (number,) = _one(place, text)[0]
    return number


@lru_cache(maxsize=1024)
def _one(place: int, text: str) -> tuple[_Numbers, _Pairs]:
    """Return what croniter reads in a single value: a number, 0 for the last day, or a pair."""
    alone = ["*"] * len(_BOUNDS)
    alone[place] = text
    try:
        expanded, nths = croniter.expand(" ".join(alone), second_at_beginning=True)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"{text!r} is no {_NAMES[place]}"
        raise ValueError(reason) from error
    pairs = _pairs(nths)
    if pairs:
        return frozenset(), pairs
    # It moves the seconds to the end.
    found = list[object](expanded[place - 1])
    return frozenset(each if isinstance(each, int) else _LAST for each in found), pairs


def _pairs(nths: object) -> _Pairs:
    found = cast("Mapping[int, Iterable[object]]", nths)  # its stubs call the numbers texts
    return frozenset(
        (weekday, nth if isinstance(nth, int) else _LAST)
        for weekday, which in found.items()
        for nth in which
    )
