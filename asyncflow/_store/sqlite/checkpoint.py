"""Taking the WAL into the database, never while anybody commits.

SQLite before 3.51.3 can damage a database when a checkpoint runs beside a commit that begins the
WAL anew (sqlite.org/wal.html#walresetbug). So no connection of ours makes checkpoints by itself
(`connect`), and here one holds the lock of writers while another makes it: see docs/decisions/0015.
"""

import logging
import os
import sqlite3
import sys
from bisect import bisect_left
from contextlib import closing, suppress
from functools import cache
from typing import Final

from asyncflow._failpoint import hit
from asyncflow._store.sqlite.connection import BUSY_SECONDS, KEPT, connect

logger = logging.getLogger(__name__)

LIMIT: Final = KEPT
"""Bytes of the WAL from which on it is taken into the database."""

AGAIN: Final = 2**20
"""By how much it grows before the next try, if readers have kept it from beginning anew."""

_PATIENCE: Final = 100  # milliseconds; the next commit tries again
_MENDED: Final = (3, 51, 3)
_HEADER: Final = 32  # bytes of a WAL before its frames; see sqlite.org/fileformat2.html#walformat


class Checkpoints:
    """Makes the checkpoints of one connection that writes, on its thread, after its commits."""

    def __init__(self, path: str, limit: int = LIMIT, again: int = AGAIN) -> None:
        """Take the path of the database, and the two sizes that are described above."""
        self._path = path
        self._wal = f"{path}-wal"
        self._limit = self._due_at = limit
        self._again = again
        self._salts = b""
        self._left: bytes | None = None  # of before it began anew, where the limit is
        self._file: Wal | None = None

    def look(self, db: sqlite3.Connection) -> None:
        """Make one if the WAL is large; what goes wrong is logged and tried again later.

        The next commit begins the WAL anew, if nobody reads what is in it any more.
        """
        try:
            if self._file is None:
                self._file = Wal(self._wal)
            there = self._file.there(self._limit)
            if there == self._left:
                return  # as most often: what was found not to count has not been written over
            self._file.look()
        except OSError:
            return  # whoever writes next finds out what is wrong
        self._left = None if self._look_into(self._file, db) else there

    def make_room(self, db: sqlite3.Connection) -> bool:
        """Make the WAL as long as it is kept, at once, so that few commits have to; see `KEPT`.

        What is behind the last frame does not count, whatever it is. Nobody may write there
        meanwhile; return whether it was tried: not if somebody does just now.
        """
        if not self._lock(db):
            return False
        try:
            with suppress(OSError):  # whose commit needs the space is told, if it is not there
                _lengthen(self._wal, KEPT)
        finally:
            db.execute("COMMIT")  # of nothing
        return True

    def close(self) -> None:
        """Close what it has open; call it on its thread, before the connection is closed."""
        if self._file is not None:
            self._file.close()
            self._file, self._left = None, None

    def _look_into(self, wal: "Wal", db: sqlite3.Connection) -> bool:
        """Return whether it is time for one, or was until somebody's reading is over."""
        if wal.salts != self._salts:  # it began anew
            self._salts, self._due_at = wal.salts, self._limit
        due = wal.reaches(self._due_at)
        if due and self._make(db):
            self._due_at = wal.used() + self._again
        return due or self._due_at > self._limit

    def _make(self, db: sqlite3.Connection) -> bool:
        """Return whether it was tried: not if others kept the lock of writers from us."""
        if not self._lock(db):
            return False
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

    @staticmethod
    def _lock(db: sqlite3.Connection) -> bool:
        """Take the lock of writers, unless others keep it; the end of the transaction frees it."""
        db.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False
        finally:
            db.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        return True


def _lengthen(path: str, size: int) -> None:
    """Fill a file with zeros up to a size; leave it as it was if there is no space for them."""
    with open(path, "r+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            missing = max(0, size - end)
            if file.write(bytes(missing)) < missing:
                file.truncate(end)
        except OSError:
            file.truncate(end)
            raise


class Wal:
    """How much of a WAL counts: behind that is what was there before it began anew.

    Each frame repeats the salts of the WAL's header, which are others each time. No lock of
    SQLite's is on this file: it may be opened and closed beside it.
    """

    def __init__(self, path: str) -> None:
        """Open it; `look` must be called before anything is asked."""
        self.salts = b""
        self._frame = 0
        self._file = _open(path)

    def look(self) -> None:
        """Read its header; raise OSError if it has none: somebody has cut it off just now."""
        header = _read(self._file, _HEADER, 0)
        if len(header) < _HEADER:
            raise OSError("this WAL has no header")
        if header[16:24] != self.salts:
            self.salts = header[16:24]
            self._frame = 24 + int.from_bytes(header[8:12], "big")

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def there(self, size: int) -> bytes:
        """Return what says whether the first so many bytes count, if `look` found the salts."""
        return self._mark((size - _HEADER) // self._frame) if self._frame else b""

    def reaches(self, size: int) -> bool:
        """Say whether the first so many bytes count."""
        return self._counts((size - _HEADER) // self._frame)

    def used(self) -> int:
        """Return how many bytes count."""
        size = os.lseek(self._file, 0, os.SEEK_END)  # its times are not asked for: see `FileUpkeep`
        most = (size - _HEADER) // self._frame
        frames = bisect_left(range(1, most + 1), True, key=lambda number: not self._counts(number))
        return _HEADER + frames * self._frame

    def _counts(self, frames: int) -> bool:
        """Say whether so many frames count: whether the last of them does."""
        return frames < 1 or self._mark(frames) == self.salts

    def _mark(self, frames: int) -> bytes:
        """Return the salts of the last of so many frames, b"" if there are none."""
        if frames < 1:
            return b""
        return _read(self._file, 8, _HEADER + (frames - 1) * self._frame + 8)


if sys.platform == "win32":

    def _read(file: int, length: int, place: int) -> bytes:
        os.lseek(file, place, os.SEEK_SET)
        return os.read(file, length)

else:
    _read = os.pread


def _open(path: str) -> int:
    """Open a file for reading, without a note of each read in it where that can be had."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # it is another user's
        return os.open(path, flags)


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
