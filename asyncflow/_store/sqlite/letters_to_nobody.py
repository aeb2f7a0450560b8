"""Letters that are addressed to nobody: who inherits them, inside the transaction of the caller."""

import json
import sqlite3
from typing import Final

from asyncflow._store.heirs import Gains, Unheard, share

TO_NOBODY: Final = "execution IS NULL AND runner IS NULL"  # as in the partial index
_THERE: Final = f"SELECT EXISTS (SELECT 1 FROM inbox WHERE {TO_NOBODY})"
_UNHEARD: Final = (
    "SELECT i.id, i.namespace, coalesce(e.key, ''), i.body, e.execution IS NOT NULL FROM inbox i "
    'LEFT JOIN event e ON e."offset" = i.event_offset '
    "WHERE i.execution IS NULL AND i.runner IS NULL"
)
_NEW_BODIES: Final = (
    "UPDATE inbox SET body = json_extract(value, '$[1]') FROM json_each(?) "
    "WHERE inbox.id = json_extract(value, '$[0]')"
)
_ADDRESS: Final = (
    "UPDATE inbox SET runner = ?, body = json_extract(value, '$[1]') FROM json_each(?) "
    "WHERE inbox.id = json_extract(value, '$[0]')"
)
_COPY: Final = (
    "INSERT INTO inbox (namespace, runner, kind, body, at, event_offset) "
    "SELECT i.namespace, ?, i.kind, json_extract(value, '$[1]'), i.at, i.event_offset "
    "FROM json_each(?) CROSS JOIN inbox i ON i.id = json_extract(value, '$[0]')"
)


def there(db: sqlite3.Connection) -> bool:
    """Say whether there are any."""
    return bool(db.execute(_THERE).fetchone()[0])


def inherit(db: sqlite3.Connection, runner: str, gains: Gains) -> None:
    """Give a runner its share of them."""
    given, copied, kept = list[tuple[int, str]](), list[tuple[int, str]](), list[tuple[int, str]]()
    for id_, namespace, key, body, for_rules in db.execute(_UNHEARD).fetchall():
        came = share(Unheard((namespace, key), body, bool(for_rules)), gains)
        if came.left is not None and came.left != body:
            kept.append((id_, came.left))
        if came.own is not None:
            (given if came.left is None else copied).append((id_, came.own))
    if copied:
        db.execute(_COPY, (runner, json.dumps(copied)))
    if kept:
        db.execute(_NEW_BODIES, (json.dumps(kept),))
    if given:
        db.execute(_ADDRESS, (runner, json.dumps(given)))
