"""Giving space back: what is deleted leaves free pages in the file, and these go to its end."""

import logging
import sqlite3
from typing import Final

from asyncflow._store.sqlite.connection import BUSY_SECONDS

logger = logging.getLogger(__name__)

CONVERTED: Final = 64 * 2**20
"""Bytes up to which an older database is written anew, once somebody opens it alone."""

GIVEN_BACK: Final = 256
"""Pages of the file that are given back at once, at most."""

KEPT_FREE: Final = 16
"""One of so many pages stays free for what comes next."""

_INCREMENTAL: Final = (2,)


def begin(db: sqlite3.Connection) -> None:
    """Let a database that has no tables yet be one that can give space back."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")


def convert(db: sqlite3.Connection, path: str) -> None:
    """Let an older database give space back, unless it is large or somebody else has it open.

    It is written anew, in one transaction. What goes wrong leaves it as it was.
    """
    if db.execute("PRAGMA auto_vacuum").fetchone() == _INCREMENTAL or _size(db) > CONVERTED:
        return
    db.execute("PRAGMA busy_timeout = 0")
    try:
        # Who has a database to himself may end its WAL mode; the caller begins that again.
        db.execute("PRAGMA journal_mode = DELETE").fetchall()
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("VACUUM")
    except sqlite3.Error as error:
        logger.info("%s keeps the space of what is deleted: %s", path, error)
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def give_back(db: sqlite3.Connection) -> bool:
    """Shorten the file a little, if it can be; return whether more is to be given back."""
    free: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    spare = free - max(pages // KEPT_FREE, GIVEN_BACK)
    if spare <= 0 or db.execute("PRAGMA auto_vacuum").fetchone() != _INCREMENTAL:
        return False
    # `execute` would stop after the first page: it takes one step, and there are no rows to fetch.
    db.executescript(f"PRAGMA incremental_vacuum({min(spare, GIVEN_BACK)})")
    return spare > GIVEN_BACK


def _size(db: sqlite3.Connection) -> int:
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    page: int = db.execute("PRAGMA page_size").fetchone()[0]
    return pages * page
