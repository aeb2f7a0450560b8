"""Taking the WAL into the database, never while anybody commits.

SQLite before 3.51.3 can damage a database when a checkpoint runs beside a commit that begins the
WAL anew (sqlite.org/wal.html#walresetbug). So no connection of ours makes checkpoints by itself
(`connect`), and here one holds the lock of writers while another makes it: see docs/decisions/0015.
"""

import logging
import os
import sqlite3
from contextlib import closing
from functools import cache
from typing import Final

from asyncflow._failpoint import hit
from asyncflow._store.sqlite.connection import BUSY_SECONDS, connect

logger = logging.getLogger(__name__)

LIMIT: Final = 4 * 2**20
"""Bytes of the WAL from which on it is taken into the database."""

AGAIN: Final = 2**20
"""By how much it grows before the next try, if readers have kept it from beginning anew."""

_PATIENCE: Final = 100  # milliseconds; the next commit tries again
_MENDED: Final = (3, 51, 3)


class Checkpoints:
    """Makes the checkpoints of one connection that writes, on its thread, after its commits."""

    def __init__(self, path: str, limit: int = LIMIT, again: int = AGAIN) -> None:
        """Take the path of the database, and the two sizes that are described above."""
        self._path = path
        self._wal = f"{path}-wal"
        self._limit = self._due_at = limit
        self._again = again
        self._seen = 0

    def look(self, db: sqlite3.Connection) -> None:
        """Make one if the WAL is large; what goes wrong is logged and tried again later.

        The WAL is shortened by the next commit, if nobody reads what is in it any more.
        """
        size, before = self._size(), self._seen
        self._seen = size
        if size < before:
            self._due_at = self._limit
        if size > self._due_at and self._make(db):
            self._due_at = size + self._again

    def _size(self) -> int:
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0  # whoever writes next finds out what is wrong

    def _make(self, db: sqlite3.Connection) -> bool:
        """Return whether it was tried: not if others kept the lock of writers from us."""
        db.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False
        finally:
            db.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        try:
            hit("store.checkpoint.before")
            with closing(connect(self._path)) as other:
                other.execute("PRAGMA busy_timeout = 0")
                other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            hit("store.checkpoint.after")
        except sqlite3.Error as error:
            logger.warning("%s was not taken into its database: %s", self._wal, error)
        finally:
            db.execute("COMMIT")  # of nothing
        return True


@cache
def tell_version() -> None:
    """Log once which SQLite this process has, and what follows from it."""
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _MENDED:
        text = (
            "SQLite %s can damage a database that is checkpointed beside a commit (before 3.51.3): "
            "asyncflow never does that; let no other program write to its databases"
        )
        logger.info(text, found)
    else:
        logger.info("SQLite %s keeps what is stored", found)
