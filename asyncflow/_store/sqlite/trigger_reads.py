"""How each query about triggers is answered; runs on the reader's thread."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from asyncflow._model.record import FiringRecord, TriggerRecord
from asyncflow._store.codec import moment, moment_or_none
from asyncflow._store.queries import DisabledTriggers, Firings, Query, Triggers
from asyncflow._store.sqlite.terms import equal

_Row = tuple[Any, ...]

TRIGGERS: Final = (
    "SELECT namespace, name, workflow, poll_interval, allow_concurrent, created, updated, "
    "enabled, cursor, id FROM trigger_schedule"
)
DISABLED: Final = "SELECT namespace, name FROM trigger_schedule WHERE enabled = 0"
FIRINGS: Final = (
    'SELECT f.id, f.namespace, f.trigger, f.started, coalesce(f.ended, x."end"), f.context_hash, '
    "f.key, x.name, f.error FROM firing f LEFT JOIN execution x ON x.id = f.execution "
    "WHERE f.namespace = ? AND f.trigger = ? ORDER BY f.id DESC LIMIT ? OFFSET ?"
)


def _triggers(db: sqlite3.Connection, query: Triggers) -> tuple[TriggerRecord, ...]:
    clauses, values = equal(namespace=query.namespace, name=query.name, enabled=query.enabled)
    page = (-1 if query.limit is None else query.limit, query.offset)
    sql = f"{TRIGGERS} {clauses} ORDER BY namespace, name LIMIT ? OFFSET ?"
    return tuple(map(_trigger, db.execute(sql, (*values, *page)).fetchall()))


def _disabled_triggers(db: sqlite3.Connection, _: DisabledTriggers) -> frozenset[tuple[str, str]]:
    return frozenset((namespace, name) for namespace, name in db.execute(DISABLED).fetchall())


def _firings(db: sqlite3.Connection, query: Firings) -> tuple[FiringRecord, ...]:
    values = (query.namespace, query.trigger, query.limit, query.offset)
    return tuple(map(_firing, db.execute(FIRINGS, values).fetchall()))


def _trigger(row: _Row) -> TriggerRecord:
    return TriggerRecord(
        namespace=row[0],
        name=row[1],
        workflow=row[2],
        poll_interval=timedelta(microseconds=row[3]),
        allow_concurrent=bool(row[4]),
        created=moment(row[5]),
        updated=moment(row[6]),
        enabled=bool(row[7]),
        cursor=row[8],
        id=row[9],
    )


def _firing(row: _Row) -> FiringRecord:
    return FiringRecord(
        id=row[0],
        namespace=row[1],
        trigger=row[2],
        started=moment(row[3]),
        ended=moment_or_none(row[4]),
        context_hash=row[5],
        key=row[6],
        execution=row[7],
        error=row[8],
    )


ANSWERS: Final[dict[type[Query[Any]], Callable[[sqlite3.Connection, Any], Any]]] = {
    Triggers: _triggers,
    DisabledTriggers: _disabled_triggers,
    Firings: _firings,
}
