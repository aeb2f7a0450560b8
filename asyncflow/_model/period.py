"""Periods as the AIFlow documents write them, parsed once, at the edge."""

import re
from datetime import timedelta
from typing import Final

from asyncflow._model.duration import MAX_DURATION

_GRAMMAR: Final = (
    'a period is text like "interval@0 1 30 0", for days, hours, minutes and seconds; it is more '
    "than zero and at most 100 years"
)
_NUMBERS: Final = re.compile(r"([0-9]{0,13}) ([0-9]{0,13}) ([0-9]{0,13}) ([0-9]{0,13})")


def parse_period(expression: object, what: str) -> timedelta:
    """Return how long a period is; a number that is left out is 0.

    Args:
        expression: ``"interval@days hours minutes seconds"``.
        what: how errors call it.

    Raises:
        ValueError: it is something else, zero, or too long.
    """
    kind, _, rest = expression.partition("@") if isinstance(expression, str) else ("", "", "")
    numbers = _NUMBERS.fullmatch(rest) if kind == "interval" else None
    period = None if numbers is None else _period(*(int(each or 0) for each in numbers.groups()))
    if not period:
        text = f"{what} is {expression!r}, but {_GRAMMAR}"
        raise ValueError(text)
    return period


def _period(days: int, hours: int, minutes: int, seconds: int) -> timedelta | None:
    # Compared as whole numbers: a timedelta refuses the longest of them.
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return timedelta(seconds=total) if total <= MAX_DURATION.total_seconds() else None
