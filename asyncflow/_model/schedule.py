"""Schedules as values: what users write down of when something is to happen. It reads no clock.

What is written is read once, at the edge: a `Cron` or an `Interval` that exists makes sense.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asyncflow._model.cron import CRON_GRAMMAR, read_cron, spelled
from asyncflow._model.duration import Duration, parse_duration
from asyncflow._model.period import parse_period

CatchUp: TypeAlias = Literal["one", "none", "all"]
"""What becomes of ticks that were missed: the newest runs; none does; all do, up to a number."""

Overlap: TypeAlias = Literal["skip", "allow", "restart"]
"""What a tick does while the execution of an earlier one runs: nothing; start; stop it first."""

LEAST_INTERVAL: Final = timedelta(milliseconds=10)

_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_NO_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})
_OTHER_CLOCKS: Final = ("posix/", "right/")
"""Where a system keeps copies of the zones; the second counts leap seconds."""

_SHOWN: Final = 80
_FORMS: Final = (
    'a schedule is text like "cron@0 3 * * *", "interval@days hours minutes seconds", "0 3 * * *", '
    '"@daily", "5s" or "1h30m", a timedelta, or a number of seconds'
)


@dataclass(frozen=True, slots=True)
class Cron:
    """Whenever the clock on a wall shows what an expression asks for.

    If both the day of the month and the weekday are restricted, either is enough; a field that
    allows all its values, like ``*``, ``*/1`` or ``1-31``, is not restricted. Where the
    wall clock skips an hour, a time in it happens as much later; where it repeats one, a time in it
    happens the first time only, unless the hour field begins with ``*``.

    Attributes:
        expression: five fields, six with seconds first, or ``"@daily"`` and friends. Sunday is 0
            and 7.
        timezone: where the wall is: an IANA name like ``"Europe/Paris"``.

    Raises:
        ValueError: a field makes no sense, or there is no date for it in eight years.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        expression = spelled(self.expression)
        read_cron(expression)
        object.__setattr__(self, "expression", expression)
        object.__setattr__(self, "timezone", _zone(self.timezone))


@dataclass(frozen=True, slots=True)
class Interval:
    """Again and again, so long after each other, counted from an anchor, without drift.

    Attributes:
        every: 10 milliseconds or more, at most 100 years.

    Raises:
        ValueError: it is no duration, or too short or too long.
    """

    every: timedelta

    def __post_init__(self) -> None:
        every = parse_duration(self.every, "an interval")
        if every < LEAST_INTERVAL:
            text = f"an interval is 10 milliseconds or more, not {every!r}"
            raise ValueError(text)
        object.__setattr__(self, "every", every)


Schedule: TypeAlias = Cron | Interval
"""When something happens by itself."""


def parse_schedule(
    value: str | timedelta | Cron | Interval | float, what: str, timezone: str | None = None
) -> Schedule:
    """Return a schedule, however it was written.

    Args:
        value: a schedule, cron text with or without ``"cron@"``, ``"interval@d h m s"``, or a
            duration, which becomes an interval.
        what: how errors call it.
        timezone: of cron text; None: UTC.

    Raises:
        ValueError: it is no schedule, or a time zone goes with what has none.
    """
    found = _parse(value, what, "UTC" if timezone is None else timezone)
    if timezone is not None and (isinstance(found, Interval) or found is value):
        text = f"{what}: a time zone goes with the text of a cron expression, not with {found!r}"
        raise ValueError(text)
    return found


def check_catchup(value: object, what: str) -> CatchUp:
    """Return a catch-up policy.

    Raises:
        ValueError: it is none.
    """
    for each in get_args(CatchUp):
        if isinstance(value, str) and value == each:
            found: CatchUp = each
            return found
    raise ValueError(_choices(value, what, get_args(CatchUp)))


def check_overlap(value: object, what: str) -> Overlap:
    """Return an overlap policy.

    Raises:
        ValueError: it is none.
    """
    for each in get_args(Overlap):
        if isinstance(value, str) and value == each:
            found: Overlap = each
            return found
    raise ValueError(_choices(value, what, get_args(Overlap)))


def _parse(value: object, what: str, timezone: str) -> Schedule:
    if isinstance(value, (Cron, Interval)):
        return value
    if not isinstance(value, str):
        return _interval(parse_duration(cast("Duration", value), what), what)
    kind, at, rest = value.partition("@")
    if at and kind == "interval":
        return _interval(parse_period(value, what), what)
    if at or " " in value.strip():
        return _cron(value, rest if kind == "cron" else value, what, timezone)
    try:
        every = parse_duration(value, what)
    except ValueError as error:
        text = f"{what} is {value[:_SHOWN]!r}, but {_FORMS}; {CRON_GRAMMAR}"
        raise ValueError(text) from error
    return _interval(every, what)


def _interval(every: timedelta, what: str) -> Interval:
    try:
        return Interval(every)
    except ValueError as error:
        text = f"{what}: {error}"
        raise ValueError(text) from error


def _cron(value: str, expression: str, what: str, timezone: str) -> Cron:
    try:
        return Cron(expression, timezone)
    except ValueError as error:
        text = f"{what} is {value[:_SHOWN]!r}, but {error}"
        raise ValueError(text) from error


def _zone(name: object) -> str:
    if isinstance(name, str) and name == "UTC":
        return "UTC"  # also where there are no other time zones
    if isinstance(name, str) and _ZONE.fullmatch(name) and name not in _NO_ZONES:
        try:
            if not name.startswith(_OTHER_CLOCKS):
                return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # it names a folder, another file, or nothing
    shown = repr(name)[:_SHOWN]
    text = f'a time zone has an IANA name like "Europe/Paris" or "UTC", which {shown} is not'
    raise ValueError(text)


def _choices(value: object, what: str, choices: tuple[str, ...]) -> str:
    return f"{what} is one of {', '.join(map(repr, choices))}, not {value!r}"
