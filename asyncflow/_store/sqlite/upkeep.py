"""What the connection that writes does around each transaction: it looks where it writes to.

A file that was deleted or replaced while it is open takes writes still, and they go with it; a new
WAL at its place is another one than this process has, and two WALs damage a database.
"""

import os
import sqlite3
import time
from typing import Final

from asyncflow._store.sqlite.checkpoint import Checkpoints
from asyncflow.errors import StoreGoneError

_Identity = tuple[int, int] | None
_Entries = tuple[int, int, int, int] | None

_TICK: Final = 20_000_000
"""Nanoseconds in which a directory may change twice and show one time for it."""

_COARSE_TICK: Final = 2_500_000_000
"""The same where times are whole seconds, as on old file systems."""


class FileUpkeep:
    """Refuses to write to files that are not at their paths, and makes checkpoints.

    It looks at their directory, whose time says whether anything in it was made, deleted or
    renamed. To look at the WAL itself costs a commit 50 us and more where the kernel notes who
    asks for a file's times (Linux 6.13 and newer): the next write has to store a new one.
    """

    def __init__(self, path: str) -> None:
        """Take the path of the database, free of links; nothing is looked at yet."""
        self._path = path
        self._directory = os.path.dirname(path)
        self._paths = (path, f"{path}-wal", f"{path}-shm")
        self._opened: tuple[_Identity, ...] = ()
        self._entries: _Entries = None  # as they were when the files were looked at
        self._checkpoints = Checkpoints(path)

    def opened(self) -> None:
        """Note which files they are, once the connection has them open."""
        self._opened = tuple(map(_identity, self._paths))

    def before(self) -> None:
        """Raise `StoreGoneError` if one of the files is not the one that is open."""
        entries = _entries(self._directory)
        if entries is not None and entries == self._entries:
            return
        for path, opened in zip(self._paths, self._opened, strict=True):
            if _identity(path) != opened:
                message = (
                    f"{path} was deleted or replaced while it was open, so nothing is written any "
                    "more: end every process that uses it, put back what was moved, and start anew"
                )
                raise StoreGoneError(message)
        self._entries = entries if entries is not None and settled(max(entries[2:])) else None

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


def _entries(directory: str) -> _Entries:
    """Return what changes with the entries of a directory, and which one it is."""
    try:
        found = os.stat(directory)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def settled(changed: int) -> bool:
    """Say whether a change from now on would show another time than ``changed``."""
    tick = _TICK if changed % 1_000_000_000 else _COARSE_TICK
    return time.time_ns() - changed > tick
