"""Forgetting what is old, a little in each transaction; runs on the database thread.

Ids grow with time, but for clocks that are put back. So each table is walked from its lowest id
until many rows are young; what is on the way and must stay is walked over once in a pass, in
however many transactions it takes.
"""

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asyncflow._store.batch import Fence, Swept
from asyncflow._store.codec import micros
from asyncflow._store.sqlite.deletions import with_executions
from asyncflow._store.sqlite.letters_to_nobody import TO_NOBODY
from asyncflow._store.sqlite.owners import check_fence
from asyncflow._store.sqlite.terms import AMONG, UNFINISHED

LOOKED_AT: Final = 20
"""Rows that are walked over in one transaction, for each that may be deleted in it."""

YOUNG: Final = 100
"""Young rows, one after the other, after which all are taken for young.

Not one: a clock may have been ahead.
"""

# Who a letter with an event is about must be there when it is read, and whom its event started.
_NEEDED: Final = (
    "EXISTS (SELECT 1 FROM inbox i WHERE i.execution = x.id AND i.event_offset IS NOT NULL) "
    'OR EXISTS (SELECT 1 FROM event e CROSS JOIN inbox i ON i.event_offset = e."offset" '
    "WHERE e.execution = x.id) "
    "OR (x.cause IS NOT NULL AND EXISTS (SELECT 1 FROM inbox i WHERE i.event_offset = x.cause))"
)


def _walk(table: str, key: str, age: str, old: str) -> str:
    return (
        f"SELECT {key}, {age}, {old} FROM {table} x WHERE {key} > :after ORDER BY {key} LIMIT :rows"
    )


_WALKS: Final = {
    "execution": _walk(
        "execution",
        "id",
        "created",
        f'NOT ({UNFINISHED}) AND "end" < :before AND NOT ({_NEEDED})',
    ),
    "event": _walk(
        "event",
        '"offset"',
        "create_time",
        "execution IS NULL AND "
        'NOT EXISTS (SELECT 1 FROM inbox i WHERE i.event_offset = x."offset")',
    ),
    "firing": _walk("firing", "id", "started", "execution IS NULL"),
    "tick": _walk("tick", "id", "noted", "execution IS NULL"),
}
_LETTERS: Final = f"SELECT id FROM inbox WHERE {TO_NOBODY} AND at < ? LIMIT ?"
_DELETE_EXECUTIONS: Final = with_executions("SELECT value FROM json_each(:ids)")


@dataclass(slots=True)
class Places:
    """How far the pass has come in each table; lost, it begins anew.

    Attributes:
        after: the last id that was looked at, 0 for none.
        done: tables in which this pass has come to what is young.
    """

    after: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WALKS, 0))
    done: set[str] = field(default_factory=set[str])


def sweep(
    db: sqlite3.Connection, fence: Fence, before: datetime, limit: int, places: Places
) -> Swept:
    """Delete some of what is old."""
    check_fence(db, fence)
    at = micros(before)
    executions = _old(db, "execution", at, limit, places)
    if executions:
        ids = {"ids": json.dumps(executions)}
        for sql in _DELETE_EXECUTIONS:
            db.execute(sql, ids)
    letters = [row[0] for row in db.execute(_LETTERS, (at, limit)).fetchall()]
    if letters:
        db.execute(f"DELETE FROM inbox WHERE id {AMONG}", (json.dumps(letters),))
    events = _old(db, "event", at, limit, places)
    if events:
        db.execute(f'DELETE FROM event WHERE "offset" {AMONG}', (json.dumps(events),))
    lines = 0
    for table in ("firing", "tick"):
        gone = _old(db, table, at, limit - lines, places)
        lines += len(gone)
        if gone:
            db.execute(f"DELETE FROM {table} WHERE id {AMONG}", (json.dumps(gone),))
    walking = len(places.done) < len(_WALKS)
    if not walking:
        places.after, places.done = dict.fromkeys(_WALKS, 0), set()
    more = walking or len(letters) == limit
    return Swept(len(executions), len(events), lines, more=more)


def _old(db: sqlite3.Connection, table: str, before: int, limit: int, places: Places) -> list[int]:
    """Walk on in a table; return the ids of what may be deleted, at most so many."""
    found: list[int] = []
    if table in places.done or not limit:
        return found
    rows = limit * LOOKED_AT
    values = {"after": places.after[table], "before": before, "rows": rows}
    looked_at = young = 0
    for id_, age, old in db.execute(_WALKS[table], values).fetchall():
        if young == YOUNG or len(found) == limit:
            break
        looked_at += 1
        young = young + 1 if age >= before else 0
        if not young:
            places.after[table] = id_
            if old:
                found.append(id_)
    if young == YOUNG or (looked_at < rows and len(found) < limit):
        places.done.add(table)
    return found
