"""Durations as people write them, parsed once, at the edge: inside, they are timedeltas."""

import re
from datetime import timedelta
from typing import Final, TypeAlias

Duration: TypeAlias = str | float | timedelta
"""``"1h30m"``, a number of seconds, or a timedelta."""

MAX_DURATION: Final = timedelta(days=36_525)
"""A hundred years."""

_GRAMMAR: Final = (
    'a duration is text like "100ms", "5s", "1m", "1h", "2d" or "1h30m" (largest unit first), '
    "a number of seconds, or a timedelta; {least}, and at most 100 years"
)
_TEXT: Final = re.compile(
    # Thirteen digits are a hundred years of milliseconds.
    r"(?:([0-9]{1,13})d)?(?:([0-9]{1,13})h)?(?:([0-9]{1,13})m)?"
    r"(?:([0-9]{1,13})s)?(?:([0-9]{1,13})ms)?"
)
_SHOWN: Final = 80
_UNITS: Final = ("days", "hours", "minutes", "seconds", "milliseconds")


def parse_duration(value: Duration, what: str, *, zero: bool = False) -> timedelta:
    """Return a duration as a timedelta.

    Args:
        value: how it was written.
        what: how errors call it.
        zero: whether it may be zero; an interval may not.

    Raises:
        ValueError: it is no duration, negative, zero where that means nothing, or too long.
    """
    found = _read(value)
    least = timedelta(0) if zero else timedelta.resolution
    if found is None or not least <= found <= MAX_DURATION:
        grammar = _GRAMMAR.format(least="not negative" if zero else "more than zero")
        text = f"{what} is {_shown(value)}, but {grammar}"
        raise ValueError(text)
    return found


def parse_timeout(value: Duration | None) -> timedelta | None:
    """Return how long a caller waits at most, from 0 on; None: for ever."""
    return None if value is None else parse_duration(value, "timeout", zero=True)


def duration_text(duration: timedelta) -> str:
    """Return a duration as `parse_duration` takes it: ``"1h30m"``.

    Raises:
        ValueError: it is not positive, or no whole number of milliseconds.
    """
    rest, parts = duration, list[str]()
    for unit, sign in zip(_UNITS, ("d", "h", "m", "s", "ms"), strict=True):
        number, rest = divmod(rest, timedelta(**{unit: 1}))
        if number:
            parts.append(f"{number}{sign}")
    if rest or duration <= timedelta(0):
        text = f"a duration of whole milliseconds, more than zero, is wanted, not {duration!r}"
        raise ValueError(text)
    return "".join(parts)


def _read(value: object) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # The comparison comes first: it is right for NaN and for any number of digits.
        fits = 0 <= value <= MAX_DURATION.total_seconds()
        return timedelta(seconds=value) if fits else None
    return None


def _read_text(text: str) -> timedelta | None:
    match = _TEXT.fullmatch(text)
    if not text or match is None:
        return None
    total = timedelta(0)
    for unit, digits in zip(_UNITS, match.groups(), strict=True):
        if digits is not None:
            try:
                total += timedelta(**{unit: int(digits)})
            except OverflowError:
                return None
    return total


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**_SHOWN:
        return "a number of more than 80 digits"  # its repr may be refused by the interpreter
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
