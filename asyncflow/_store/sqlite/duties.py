"""Who has which duty, inside the transaction of the caller."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from asyncflow._store.batch import Duty, DutyKind
from asyncflow._store.queries import Duties

# The condition keeps ON from being read as that of a join.
_TAKE: Final = (
    "INSERT INTO duty (kind, namespace, name, runner, keys) "
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]'), ?, json_extract(value, '$[3]') FROM json_each(?) WHERE true "
    "ON CONFLICT (kind, namespace, name) DO UPDATE SET keys = excluded.keys "
    "WHERE runner = excluded.runner AND keys <> excluded.keys"
)


def take(
    db: sqlite3.Connection, runner: str, wanted: Mapping[Duty, frozenset[str]]
) -> frozenset[Duty]:
    """Give a runner what it wants and nobody has; return what it has of this."""
    if not wanted:
        return frozenset()
    listed = [[each.kind, each.namespace, each.name, sorted(wanted[each])] for each in wanted]
    db.execute(_TAKE, (runner, json.dumps(listed)))
    sql = "SELECT kind, namespace, name FROM duty WHERE runner = ?"
    return wanted.keys() & {_duty(*row) for row in db.execute(sql, (runner,)).fetchall()}


def answer(db: sqlite3.Connection, _: Duties) -> Mapping[Duty, str]:
    """Return whose each duty is."""
    rows = db.execute("SELECT kind, namespace, name, runner FROM duty").fetchall()
    return {_duty(kind, namespace, name): runner for kind, namespace, name, runner in rows}


def _duty(kind: str, namespace: str, name: str) -> Duty:
    return Duty(DutyKind(kind), namespace, name)
