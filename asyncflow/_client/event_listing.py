"""Which events a caller means: keys, bounds and times, checked; and a listing of them, by pages."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from asyncflow._dual import Page
from asyncflow._model.event import Event
from asyncflow._model.execution import page_size
from asyncflow._model.naming import event_key
from asyncflow._model.port import EventFilter, Port
from asyncflow.errors import UsageError

LARGEST_OFFSET: Final = 2**63 - 1
"""The largest that a store can be asked for."""


async def events_page(port: Port, wanted: EventFilter, limit: int) -> Page[Event, EventFilter]:
    """Return one page of events, in order of offset."""
    size = page_size(limit)
    records = await port.find_events(wanted, size)
    items = [Event.of(record) for record in records]
    last = records[-1].offset if len(records) == size else None
    return Page(items, None if last is None else replace(wanted, begin=last))


def checked_filter(
    key: str | Iterable[str] | None,
    begin_offset: int,
    end_offset: int | None,
    begin_time: datetime | None,
    end_time: datetime | None,
) -> EventFilter:
    """Return what a listing's arguments mean, in every namespace."""
    return EventFilter(
        keys=None if key is None else checked_keys(key),
        begin=checked_offset(begin_offset, "begin_offset"),
        end=None if end_offset is None else checked_offset(end_offset, "end_offset"),
        since=None if begin_time is None else checked_time(begin_time, "begin_time"),
        until=None if end_time is None else checked_time(end_time, "end_time"),
    )


def checked_keys(keys: str | Iterable[str]) -> frozenset[str]:
    """Return keys as a set; a single one may be given alone."""
    return frozenset(map(event_key, [keys] if isinstance(keys, str) else keys))


def checked_offset(offset: int, what: str) -> int:
    """Return an offset that a store can be asked for.

    Raises:
        UsageError: it is no whole number, or a negative one.
    """
    if type(offset) is not int or offset < 0:
        text = f"{what} is the offset of an event, a whole number from 0, not {offset!r}"
        raise UsageError(text)
    return min(offset, LARGEST_OFFSET)


def checked_time(time: datetime, what: str) -> datetime:
    """Return a time in UTC.

    Raises:
        TypeError: it is no datetime.
        ValueError: it has no time zone.
    """
    if not isinstance(time, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"{what} is a datetime with a time zone, not {time!r}"
        raise TypeError(text)
    if time.tzinfo is None or time.utcoffset() is None:
        text = f"{what} is {time!r}, which has no time zone: say which is meant, as in tzinfo=UTC"
        raise ValueError(text)
    return time.astimezone(UTC)
