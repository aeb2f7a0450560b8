"""How values look in a database that has no type for them: times as integers, text as UTF-8.

Enums are stored as their values and need nothing; JSON is text already.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

plain: Final[Callable[[str], str]] = str.__str__
"""Return a member of a `StrEnum` as a str and nothing more; `.value` is ten times as slow."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_PER_DAY = 86_400


def micros(at: datetime) -> int:
    """Return microseconds since 1970 UTC, exactly; a naive datetime is a TypeError."""
    since = at - _EPOCH
    return (since.days * _SECONDS_PER_DAY + since.seconds) * 1_000_000 + since.microseconds


def micros_or_none(at: datetime | None) -> int | None:
    """Return `micros`, or None for None."""
    return None if at is None else micros(at)


def moment(stored: int) -> datetime:
    """Return the time that `micros` gave, in UTC."""
    return _EPOCH + timedelta(microseconds=stored)


def moment_or_none(stored: int | None) -> datetime | None:
    """Return `moment`, or None for None."""
    return None if stored is None else moment(stored)


def utf8(text: str | None) -> str | None:
    r"""Return the text with lone surrogates written as ``\udcff``.

    The message of an exception may hold them (a file name that is not UTF-8), and it must not
    cost the other executions of its transaction their commit.
    """
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
