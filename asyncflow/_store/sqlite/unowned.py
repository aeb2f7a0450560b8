"""Which unfinished executions nobody owns: asked once a second, however many they are."""

import json
import sqlite3
from collections.abc import Iterable
from heapq import nsmallest
from typing import Final

from asyncflow._store.batch import LAST_FACTS
from asyncflow._store.sqlite.terms import UNFINISHED, last_id

_UNOWNED: Final = f"owner IS NULL AND {UNFINISHED}"  # word for word that of the partial index

# From one workflow to the next one in the index: DISTINCT would go through all their executions,
# and so would SQLite if it were free to choose the other partial index.
_BY_WORKFLOW: Final = f"SELECT id FROM execution INDEXED BY execution_unowned WHERE {_UNOWNED}"
_WORKFLOWS: Final = (
    "WITH RECURSIVE one (id) AS ("
    f"SELECT ({_BY_WORKFLOW} ORDER BY namespace, workflow, id LIMIT 1) "
    "UNION ALL SELECT coalesce("
    f"({_BY_WORKFLOW} AND namespace = last.namespace AND workflow > last.workflow "
    "ORDER BY workflow, id LIMIT 1), "
    f"({_BY_WORKFLOW} AND namespace > last.namespace ORDER BY namespace, workflow, id LIMIT 1)) "
    "FROM one CROSS JOIN execution last ON last.id = one.id) "
    "SELECT namespace, workflow, id FROM one CROSS JOIN execution USING (id)"
)
_ANY: Final = f"SELECT EXISTS ({_BY_WORKFLOW} AND namespace = ?)"
_OLDEST: Final = f"SELECT id FROM execution WHERE {_UNOWNED} ORDER BY id LIMIT ?"
_OLDEST_OF_WORKFLOW: Final = (
    f"SELECT id FROM execution WHERE namespace = ? AND workflow = ? AND {_UNOWNED} "
    "AND id < ? ORDER BY id LIMIT ?"
)
_WITH_LETTERS: Final = (
    "SELECT DISTINCT i.execution FROM inbox i "
    "CROSS JOIN execution x ON x.id = i.execution "
    f"WHERE i.execution IS NOT NULL AND {_UNOWNED} AND (x.namespace, x.workflow) IN "
    "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)) "
    "ORDER BY i.execution LIMIT ?"
)
# Plus signs keep SQLite from grouping by an index, through which it would go from end to end.
_WORKED_ON: Final = (
    "SELECT x.id FROM (SELECT execution, max(id) AS latest FROM fact "
    "WHERE id > (SELECT max(id) FROM fact) - ? GROUP BY +execution) f "
    "CROSS JOIN execution x ON x.id = f.execution "
    f"WHERE {_UNOWNED} AND (x.namespace, x.workflow) IN "
    "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)) "
    "ORDER BY f.latest DESC LIMIT ?"
)
_ENDLESS: Final = 2**63 - 1

Workflow = tuple[str, str]


def workflows(db: sqlite3.Connection) -> frozenset[Workflow]:
    """Return the namespaces and names of their workflows."""
    return frozenset((namespace, name) for namespace, name, _ in db.execute(_WORKFLOWS).fetchall())


def least(db: sqlite3.Connection) -> dict[str, int]:
    """Return the least id of them in each namespace."""
    found: dict[str, int] = {}
    for namespace, _, id_ in db.execute(_WORKFLOWS).fetchall():
        found[namespace] = min(id_, found.get(namespace, id_))
    return found


def until(db: sqlite3.Connection, namespace: str) -> int:
    """Return the greatest id of an execution ever, if there are any in this namespace; else 0."""
    there: bool = db.execute(_ANY, (namespace,)).fetchone()[0]
    return last_id(db, "execution") if there else 0


def first(db: sqlite3.Connection, wanted: frozenset[Workflow] | None, limit: int) -> list[int]:
    """Return the ids of those of some workflows, in the order of `Store.claim`."""
    there = workflows(db)
    return _first(db, there if wanted is None else there & wanted, there, limit)


def _first(
    db: sqlite3.Connection, own: frozenset[Workflow], there: frozenset[Workflow], limit: int
) -> list[int]:
    if not own:
        return []
    # So many of each that those who are found already leave enough.
    ids = dict.fromkeys(_with_letters(db, own, limit))
    if len(ids) < limit:
        ids |= dict.fromkeys(_worked_on(db, own, limit))
    if len(ids) < limit:
        ids |= dict.fromkeys(_oldest(db, None if own == there else own, limit))
    return list(ids)[:limit]


def _with_letters(db: sqlite3.Connection, own: Iterable[Workflow], limit: int) -> list[int]:
    rows = db.execute(_WITH_LETTERS, (json.dumps(list(own)), limit)).fetchall()
    return [row[0] for row in rows]


def _worked_on(db: sqlite3.Connection, own: Iterable[Workflow], limit: int) -> list[int]:
    rows = db.execute(_WORKED_ON, (LAST_FACTS, json.dumps(list(own)), limit)).fetchall()
    return [row[0] for row in rows]


def _oldest(db: sqlite3.Connection, own: Iterable[Workflow] | None, limit: int) -> list[int]:
    if own is None:
        return [row[0] for row in db.execute(_OLDEST, (limit,)).fetchall()]
    found: list[int] = []
    for workflow in own:
        before = found[-1] if len(found) == limit else _ENDLESS
        rows = db.execute(_OLDEST_OF_WORKFLOW, (*workflow, before, limit)).fetchall()
        found = nsmallest(limit, [*found, *(row[0] for row in rows)])
    return found
