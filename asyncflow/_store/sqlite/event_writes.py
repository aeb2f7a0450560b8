"""How events and letters are inserted, inside the transaction of the caller."""

import sqlite3
from collections.abc import Sequence

from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Letter
from asyncflow._store.codec import micros
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.terms import last_id

_INSERT_EVENTS = Bulk(
    'INSERT INTO event ("offset", key, value, namespace, execution, sender, create_time, context, '
    "awaited) VALUES",
    9,
)
_INSERT_LETTERS = Bulk(
    "INSERT INTO inbox (execution, namespace, runner, kind, body, at, event_offset) VALUES", 7
)

Addressed = tuple[Letter, str | None, int | None]
"""A letter, the runner that it is put before, and the offset of its event."""


def insert_events(db: sqlite3.Connection, events: Sequence[EventRecord]) -> tuple[int, ...]:
    """Insert events and return their offsets, in order."""
    if not events:
        return ()
    first = last_id(db, "event") + 1
    _INSERT_EVENTS.run(
        db,
        [
            (
                offset,
                event.key,
                event.value,
                event.namespace,
                event.execution,
                event.sender,
                micros(event.create_time),
                event.context,
                event.awaited,
            )
            for offset, event in enumerate(events, first)
        ],
    )
    return tuple(range(first, first + len(events)))


def insert_letters(db: sqlite3.Connection, letters: Sequence[Addressed]) -> None:
    """Insert letters whose events are there."""
    _INSERT_LETTERS.run(
        db,
        [
            (x.execution, x.namespace, runner, x.kind, x.body, micros(x.at), offset)
            for x, runner, offset in letters
        ],
    )
