"""How large a database is, found out without reading all that is in it."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from asyncflow._model.status import WorkflowStatus
from asyncflow._store.queries import Query, Sizes
from asyncflow._store.sizes import RECENT, StoreSizes
from asyncflow._store.sqlite.terms import UNFINISHED

# A count of all would read all: unfinished ones have an index, of the others the newest are read.
_STATUSES = (
    f"SELECT status, count(*) FROM execution WHERE {UNFINISHED} GROUP BY status UNION ALL "
    "SELECT status, count(*) FROM (SELECT status FROM execution ORDER BY id DESC "
    f"LIMIT {RECENT}) WHERE NOT ({UNFINISHED}) GROUP BY status"
)
_NUMBERS = (
    'SELECT coalesce((SELECT max("offset") FROM event) - (SELECT min("offset") FROM event) + 1, 0),'
    " (SELECT count(*) FROM inbox), (SELECT count(*) FROM runner)"
)


def _sizes(db: sqlite3.Connection, _: Sizes) -> StoreSizes:
    path: str = db.execute("PRAGMA database_list").fetchone()[2]
    executions = Counter[WorkflowStatus]()
    for status, number in db.execute(_STATUSES).fetchall():
        executions[WorkflowStatus(status)] += number
    events, letters, runners = db.execute(_NUMBERS).fetchone()
    free: tuple[int] = db.execute("PRAGMA freelist_count").fetchone()
    page: tuple[int] = db.execute("PRAGMA page_size").fetchone()
    return StoreSizes(
        file_bytes=size_of(path),
        wal_bytes=size_of(f"{path}-wal"),
        free_bytes=free[0] * page[0],
        executions=dict(executions),
        events=events,
        letters=letters,
        runners=runners,
    )


def size_of(path: str) -> int:
    """Return the bytes of a file, 0 if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


ANSWERS: Final[dict[type[Query[Any]], Callable[[sqlite3.Connection, Any], Any]]] = {Sizes: _sizes}
