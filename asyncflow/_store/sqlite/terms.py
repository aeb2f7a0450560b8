"""Pieces of statements that several modules need in the same words."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from asyncflow._store.sqlite.numbered import Value

UNFINISHED: Final = "status IN ('INIT', 'RUNNING')"  # word for word that of the partial indexes
AMONG: Final = "IN (SELECT value FROM json_each(?))"

Clause = tuple[str, Value]


def where(clauses: Iterable[Clause]) -> tuple[str, tuple[Value, ...]]:
    """Return the condition that all of them hold, and the values in it."""
    listed = list(clauses)
    if not listed:
        return "", ()
    return (
        "WHERE " + " AND ".join(sql for sql, _ in listed),
        tuple(value for _, value in listed),
    )


def equal(**columns: Value) -> tuple[str, tuple[Value, ...]]:
    """Return the condition that these columns have these values; None is any value."""
    return where((f"{name} = ?", value) for name, value in columns.items() if value is not None)


def last_id(db: sqlite3.Connection, table: str) -> int:
    """Return the greatest id that a table with AUTOINCREMENT ever had."""
    found: tuple[int] | None = db.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)
    ).fetchone()
    return found[0] if found else 0
