"""How events, and letters with them, are looked up."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from asyncflow._model.record import EventRecord
from asyncflow._store.batch import InboxItem, Letter
from asyncflow._store.codec import micros, micros_or_none, moment
from asyncflow._store.queries import Events, Inbox, LastOffset, LettersWait, Query
from asyncflow._store.sqlite.terms import AMONG, UNFINISHED, Clause, where

_Row = tuple[Any, ...]

_EVENT: Final = (
    'e."offset", e.key, e.value, e.namespace, e.sender, e.create_time, e.context, e.execution, '
    "e.awaited, (SELECT x.name FROM execution x WHERE x.id = e.execution)"
)


def _events(db: sqlite3.Connection, query: Events) -> tuple[EventRecord, ...]:
    condition, values = where(_clauses(query))
    direction = "DESC" if query.newest_first else "ASC"
    sql = f'SELECT {_EVENT} FROM event e {condition} ORDER BY "offset" {direction} LIMIT ?'
    return tuple(map(_event, db.execute(sql, (*values, query.limit)).fetchall()))


def _clauses(query: Events) -> list[Clause]:
    optional = (
        ('"offset" > ?', query.begin),
        ('"offset" <= ?', query.end),
        ("namespace = ?", query.namespace),
        ("execution = ?", query.execution),
        (f"key {AMONG}", None if query.keys is None else json.dumps(sorted(query.keys))),
        ("sender = ?", query.sender),
        ("create_time > ?", micros_or_none(query.since)),
        ("create_time <= ?", micros_or_none(query.until)),
    )
    clauses: list[Clause] = [(sql, value) for sql, value in optional if value is not None]
    if not query.answers:
        clauses.append(("awaited IS ?", None))
    return clauses


def _last_offset(db: sqlite3.Connection, query: LastOffset) -> int:
    clauses: list[Clause] = []
    if query.until is not None:
        clauses.append(("create_time <= ?", micros(query.until)))
    condition, values = where(clauses)
    sql = f'SELECT "offset" FROM event {condition} ORDER BY "offset" DESC LIMIT 1'
    row: tuple[int] | None = db.execute(sql, values).fetchone()
    return row[0] if row else 0


def _inbox(db: sqlite3.Connection, query: Inbox) -> tuple[InboxItem, ...]:
    rows = db.execute(
        f"SELECT i.id, i.namespace, i.kind, i.body, i.at, i.execution, {_EVENT} FROM inbox i "
        'LEFT JOIN event e ON e."offset" = i.event_offset '
        "WHERE i.id > :after AND CASE WHEN i.execution IS NULL "
        "THEN i.runner = :runner "
        "ELSE NOT EXISTS (SELECT 1 FROM execution x WHERE x.id = i.execution "
        f"AND {UNFINISHED} AND x.owner IS NOT :runner) END ORDER BY i.id LIMIT :limit",
        {"runner": query.runner, "after": query.after, "limit": query.limit},
    )
    return tuple(map(_item, rows.fetchall()))


def _letters_wait(db: sqlite3.Connection, query: LettersWait) -> bool:
    sql = "SELECT 1 FROM inbox WHERE execution = ? LIMIT 1"
    return db.execute(sql, (query.execution,)).fetchone() is not None


def _event(row: _Row) -> EventRecord:
    return EventRecord(
        offset=row[0],
        key=row[1],
        value=row[2],
        namespace=row[3],
        sender=row[4],
        create_time=moment(row[5]),
        context=row[6],
        execution=row[7],
        awaited=row[8],
        run_name=row[9],
    )


def _item(row: _Row) -> InboxItem:
    id_, namespace, kind, body, at, execution, *event = row
    sent = None if event[0] is None else _event(tuple(event))
    return InboxItem(id_, Letter(namespace, kind, body, moment(at), execution, sent))


ANSWERS: Final[dict[type[Query[Any]], Callable[[sqlite3.Connection, Any], Any]]] = {
    Events: _events,
    LastOffset: _last_offset,
    Inbox: _inbox,
    LettersWait: _letters_wait,
}
