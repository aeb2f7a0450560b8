"""What the connection that writes does around each transaction: it looks where it writes to.

A file that was deleted or replaced while it is open takes writes still, and they go with it; a new
WAL at its place is another one than this process has, and two WALs damage a database.
"""

import os
import sqlite3

from asyncflow._store.sqlite.checkpoint import Checkpoints
from asyncflow.errors import StoreGoneError

_Identity = tuple[int, int] | None


class FileUpkeep:
    """Refuses to write to files that are not at their paths, and makes checkpoints."""

    def __init__(self, path: str) -> None:
        """Take the path of the database; nothing is looked at yet."""
        self._path = path
        self._paths = (path, f"{path}-wal", f"{path}-shm")
        self._opened: tuple[_Identity, ...] = ()
        self._checkpoints = Checkpoints(path)

    def opened(self) -> None:
        """Note which files they are, once the connection has them open."""
        self._opened = tuple(map(_identity, self._paths))

    def before(self) -> None:
        """Raise `StoreGoneError` if one of the files is not the one that is open."""
        for path, opened in zip(self._paths, self._opened, strict=True):
            if _identity(path) != opened:
                message = (
                    f"{path} was deleted or replaced while it was open, so nothing is written any "
                    "more: end every process that uses it, put back what was moved, and start anew"
                )
                raise StoreGoneError(message)

    def closing(self) -> None:
        """Let go of the WAL."""
        self._checkpoints.close()

    def after(self, db: sqlite3.Connection) -> None:
        """Make a checkpoint if one is due."""
        self._checkpoints.look(db)


def _identity(path: str) -> _Identity:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
