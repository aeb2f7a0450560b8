"""How each query about schedules is answered; runs on the reader's thread."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from asyncflow._model.record import ScheduleRecord, TickRecord
from asyncflow._model.status import WorkflowStatus
from asyncflow._store.codec import micros, moment, moment_or_none
from asyncflow._store.queries import Query, Schedules, SchedulesVersion, TickCounts, Ticks
from asyncflow._store.sqlite.terms import Clause, equal, where

_Row = tuple[Any, ...]

SCHEDULES: Final = (
    "SELECT namespace, name, workflow, expression, timezone, context, catchup, max_catchup, "
    "overlap, anchor, answered, created, updated, enabled, version, last_run, id FROM schedule"
)
# `answered` only grows, and so do the ticks: this order is that of their ids.
TICKS: Final = (
    "SELECT t.id, s.namespace, s.name, t.at, t.until, t.noted, x.name, x.status, "
    'x."end", t.dropped FROM schedule s JOIN tick t ON t.schedule = s.id '
    "LEFT JOIN execution x ON x.id = t.execution WHERE s.namespace = ? AND s.name = ? "
    "ORDER BY t.at DESC LIMIT ? OFFSET ?"
)
COUNTS: Final = (
    "SELECT coalesce(x.status, 'DROPPED'), count(*) FROM schedule s "
    "JOIN tick t ON t.schedule = s.id LEFT JOIN execution x ON x.id = t.execution"
)


def _schedules(db: sqlite3.Connection, query: Schedules) -> tuple[ScheduleRecord, ...]:
    clauses, values = equal(
        namespace=query.namespace, name=query.name, workflow=query.workflow, enabled=query.enabled
    )
    page = (-1 if query.limit is None else query.limit, query.offset)
    sql = f"{SCHEDULES} {clauses} ORDER BY namespace, name LIMIT ? OFFSET ?"
    return tuple(map(_schedule, db.execute(sql, (*values, *page)).fetchall()))


def _schedules_version(db: sqlite3.Connection, _: SchedulesVersion) -> int:
    row: tuple[int] = db.execute("SELECT version FROM schedule_version").fetchone()
    return row[0]


def _ticks(db: sqlite3.Connection, query: Ticks) -> tuple[TickRecord, ...]:
    values = (query.namespace, query.schedule, query.limit, query.offset)
    return tuple(map(_tick, db.execute(TICKS, values).fetchall()))


def _tick_counts(db: sqlite3.Connection, query: TickCounts) -> Mapping[str, int]:
    clauses: list[Clause] = []
    if query.namespace is not None:
        clauses.append(("s.namespace = ?", query.namespace))
    if query.schedule is not None:
        clauses.append(("s.name = ?", query.schedule))
    if query.since is not None:
        clauses.append(("t.at >= ?", micros(query.since)))
    condition, values = where(clauses)
    return dict(db.execute(f"{COUNTS} {condition} GROUP BY 1", values).fetchall())


def _schedule(row: _Row) -> ScheduleRecord:
    return ScheduleRecord(
        namespace=row[0],
        name=row[1],
        workflow=row[2],
        expression=row[3],
        timezone=row[4],
        context=row[5],
        catchup=row[6],
        max_catchup=row[7],
        overlap=row[8],
        anchor=moment(row[9]),
        answered=moment(row[10]),
        created=moment(row[11]),
        updated=moment(row[12]),
        enabled=bool(row[13]),
        version=row[14],
        last_run=moment_or_none(row[15]),
        id=row[16],
    )


def _tick(row: _Row) -> TickRecord:
    return TickRecord(
        id=row[0],
        namespace=row[1],
        schedule=row[2],
        at=moment(row[3]),
        until=moment_or_none(row[4]),
        noted=moment(row[5]),
        execution=row[6],
        status=None if row[7] is None else WorkflowStatus(row[7]),
        ended=moment_or_none(row[8]),
        dropped=row[9],
    )


ANSWERS: Final[dict[type[Query[Any]], Callable[[sqlite3.Connection, Any], Any]]] = {
    Schedules: _schedules,
    SchedulesVersion: _schedules_version,
    Ticks: _ticks,
    TickCounts: _tick_counts,
}
