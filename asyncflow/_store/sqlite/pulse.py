"""What renews leases: a connection of its own, on whichever thread uses it first.

A beat need not survive a crash of the machine: then every runner of it is gone anyway. So it waits
for no disk.
"""

import sqlite3
from functools import partial
from typing import Final

from asyncflow._store.batch import Fence
from asyncflow._store.sqlite import owners
from asyncflow._store.sqlite.checkpoint import LIMIT, Checkpoints
from asyncflow._store.sqlite.connection import connect, in_transaction
from asyncflow._store.sqlite.fault import translated
from asyncflow._store.sqlite.upkeep import FileUpkeep

IDLE_LIMIT: Final = 2 * LIMIT
"""Bytes of the WAL that nobody else takes into the database: nobody commits, but for beats."""


class SqlitePulse:
    """A `Pulse` for the runners of one file."""

    def __init__(self, path: str, upkeep: FileUpkeep) -> None:
        """Take the path, and what knows which file that was; nothing is opened."""
        self._path = path
        self._upkeep = upkeep
        self._checkpoints = Checkpoints(path, limit=IDLE_LIMIT)
        self._db: sqlite3.Connection | None = None

    def renew(self, fence: Fence) -> None:
        """Count a beat; the first one connects. `StoreGoneError`: the file is another one now."""
        self._upkeep.before()
        with translated(self._path):
            if self._db is None:
                self._db = _make(self._path)
            in_transaction(self._db, partial(owners.renew, fence=fence), "store.renew")
            self._checkpoints.look(self._db)

    def close(self) -> None:
        """Disconnect; idempotent."""
        db, self._db = self._db, None
        if db is not None:
            self._checkpoints.close()
            db.close()


def _make(path: str) -> sqlite3.Connection:
    db = connect(path)
    try:
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:  # passed on: what cannot be used is not left open
        db.close()
        raise
    return db
