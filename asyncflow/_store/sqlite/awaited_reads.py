"""How awaited events are looked up."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._store.codec import micros, moment, moment_or_none
from asyncflow._store.queries import AwaitedByIds, AwaitedByName, AwaitedEvents, Query
from asyncflow._store.sqlite.terms import AMONG, Clause, where

COLUMNS: Final = (
    "a.id, a.execution, (SELECT x.name FROM execution x WHERE x.id = a.execution), a.namespace, "
    "a.task, a.seq, a.name, a.place, a.data_type, a.created, a.prompt, a.prompt_type, "
    "a.description, a.deadline, a.phase, a.value, a.ended, a.sender, a.comment, "
    'a."offset", a.notified, a.webhook_error, a.label'
)
_IN_TIME: Final = "(deadline IS NULL OR deadline > ?)"
WAITS: Final = "phase = 'RUNNING'"  # word for word that of the partial indexes


def record(row: tuple[Any, ...]) -> AwaitedRecord:
    """Return what `COLUMNS` selects."""
    return AwaitedRecord(
        id=row[0],
        execution=row[1],
        run_name=row[2],
        namespace=row[3],
        task_name=row[4],
        sequence_number=row[5],
        name=row[6],
        place=row[7],
        data_type=row[8],
        created=moment(row[9]),
        prompt=row[10],
        prompt_type=row[11],
        description=row[12],
        deadline=moment_or_none(row[13]),
        phase=EventPhase(row[14]),
        value=row[15],
        ended=moment_or_none(row[16]),
        sender=row[17],
        comment=row[18],
        offset=row[19],
        notified=moment_or_none(row[20]),
        webhook_error=row[21],
        label=row[22],
    )


def _by_ids(db: sqlite3.Connection, query: AwaitedByIds) -> tuple[AwaitedRecord, ...]:
    sql = f"SELECT {COLUMNS} FROM awaited_event a WHERE id {AMONG} ORDER BY id"
    return tuple(map(record, db.execute(sql, (json.dumps(query.ids),)).fetchall()))


def _by_name(db: sqlite3.Connection, query: AwaitedByName) -> AwaitedRecord | None:
    clauses: list[Clause] = [
        ("execution = (SELECT x.id FROM execution x WHERE x.name = ?)", query.run_name),
        ("name = ?", query.name),
    ]
    if query.task is not None:
        clauses.append(("task = ?", query.task))
    if query.sequence_number is not None:
        clauses.append(("seq = ?", query.sequence_number))
    waits = (f"{WAITS} AND {_IN_TIME}", micros(query.waiting_at))
    for each in ([*clauses, waits], clauses):
        condition, values = where(each)
        sql = f"SELECT {COLUMNS} FROM awaited_event a {condition} ORDER BY id DESC LIMIT 1"
        row = db.execute(sql, values).fetchone()
        if row is not None:
            return record(row)
    return None


def _listed(db: sqlite3.Connection, query: AwaitedEvents) -> tuple[AwaitedRecord, ...]:
    condition, values = where(_clauses(query))
    direction = "DESC" if query.newest_first else "ASC"
    sql = f"SELECT {COLUMNS} FROM awaited_event a {condition} ORDER BY id {direction} LIMIT ?"
    return tuple(map(record, db.execute(sql, (*values, query.limit)).fetchall()))


def _clauses(query: AwaitedEvents) -> list[Clause]:
    # The plus keeps SQLite from an index: an execution has few rows, a namespace may have many.
    namespace = "namespace" if query.execution is None else "+namespace"
    after = "id < ?" if query.newest_first else "id > ?"
    optional = (
        ("execution = ?", query.execution),
        (f"{namespace} = ?", query.namespace),
        ("task = ?", query.task),
        ("seq = ?", query.sequence_number),
        ("name = ?", query.name),
        (after, query.after),
    )
    clauses: list[Clause] = [(sql, value) for sql, value in optional if value is not None]
    if query.waiting_at is not None:
        clauses.append((f"{WAITS} AND {_IN_TIME}", micros(query.waiting_at)))
    return clauses


ANSWERS: Final[dict[type[Query[Any]], Callable[[sqlite3.Connection, Any], Any]]] = {
    AwaitedByIds: _by_ids,
    AwaitedByName: _by_name,
    AwaitedEvents: _listed,
}
