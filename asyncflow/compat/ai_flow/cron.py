"""Cron expressions as AIFlow reads them, written for asyncflow. They differ in the weekdays.

Days become names, which mean the same in both. What cannot be said here is refused, never guessed.
"""

import re
from typing import Final

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In AIFlow's order: Monday is 0."""

_CRON: Final = "cron@"
_FIELDS: Final = (5, 6)
_SEVERAL: Final = re.compile(r"\*/([0-9]{1,2})|([a-z0-9]+)(?:-([a-z0-9]+)(?:/([0-9]{1,2}))?)?")
_ANY: Final = ("*", "?")


def translated(expression: str) -> str:
    """Return a schedule that means here what an expression means in AIFlow.

    Raises:
        ValueError: a weekday is none, or both the day of the month and the weekday are restricted:
            there both must match, here either is enough.
    """
    fields = expression.split() if isinstance(expression, str) else []  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
    if len(fields) not in _FIELDS or not expression.startswith(_CRON):
        return expression
    if fields[-1] in _ANY:
        return expression
    if fields[-3] not in _ANY:
        text = (
            f"the schedule is {expression!r}: AIFlow starts when the day of the month and the "
            "weekday both match, which cannot be said here: restrict one of them"
        )
        raise ValueError(text)
    days = {day for part in fields[-1].lower().split(",") for day in _days(part, expression)}
    named = [name for day, name in enumerate(WEEKDAYS) if day in days]
    return " ".join([*fields[:-1], ",".join(named)])


def _days(part: str, expression: str) -> range:
    match = _SEVERAL.fullmatch(part)
    if match is None:
        raise ValueError(_no_weekday(part, expression))
    step, first, last, last_step = match.groups()
    begin = 0 if first is None else _day(first, expression)
    end = _day(last, expression) if last else begin if first else len(WEEKDAYS) - 1
    stride = int(step or last_step or 1)
    if stride < 1 or end < begin:
        raise ValueError(_no_weekday(part, expression))
    return range(begin, end + 1, stride)


def _day(text: str, expression: str) -> int:
    if text in WEEKDAYS:
        return WEEKDAYS.index(text)
    if text.isdecimal() and int(text) < len(WEEKDAYS):
        return int(text)
    raise ValueError(_no_weekday(text, expression))


def _no_weekday(part: str, expression: str) -> str:
    return (
        f"the schedule is {expression!r}, where {part!r} is no weekday: AIFlow has 0 to 6 from "
        "Monday on, mon to sun, and ranges from an earlier to a later day"
    )
