"""Forgetting what is old, a little in each transaction; runs on the database thread.

Ids grow with time. So each table is walked from its lowest id until a row is young; what is on the
way and must stay is walked over once in a pass, in however many transactions it takes.
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

# Who a letter with an event is about must be there when it is read; so must whom its event started.
_NEEDED: Final = (
    "id IN (SELECT execution FROM inbox WHERE event_offset IS NOT NULL AND execution IS NOT NULL) "
    "OR id IN (SELECT e.execution FROM inbox CROSS JOIN event e "
    'ON e."offset" = event_offset WHERE e.execution IS NOT NULL) '
    "OR (cause IS NOT NULL AND cause IN "
    "(SELECT event_offset FROM inbox WHERE event_offset IS NOT NULL))"
)


def _walk(table: str, key: str, age: str, old: str) -> str:
    return (
        f"SELECT {key}, {age}, {old} FROM {table} WHERE {key} > :after ORDER BY {key} LIMIT :rows"
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
        'execution IS NULL AND "offset" NOT IN '
        "(SELECT event_offset FROM inbox WHERE event_offset IS NOT NULL)",
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
    looked_at = 0
    for id_, age, old in db.execute(_WALKS[table], values).fetchall():
        if age >= before or len(found) == limit:
            break
        looked_at += 1
        places.after[table] = id_
        if old:
            found.append(id_)
    if looked_at < rows and len(found) < limit:
        places.done.add(table)
    return found
