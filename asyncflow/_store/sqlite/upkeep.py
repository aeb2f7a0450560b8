"""What the connection that writes does beside each transaction: it looks where it writes to.

A file that was deleted or replaced while it is open takes writes still, and they go with it; a new
WAL at its place is another one than this process has, and two WALs damage a database.
"""

import os
import sqlite3
import time
from collections.abc import Iterable
from typing import Final

from asyncflow._store.sqlite.checkpoint import Checkpoints
from asyncflow.errors import StoreGoneError

_Identity = tuple[int, int] | None
_Entries = list[tuple[int, int, int, int]] | None

FEW: Final = 20
"""Transactions after which the WAL is made long. That takes 10 ms here, and each that makes the
file longer 0.15 ms more than one that does not: it pays after some 70."""

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

    def __init__(self, path: str, given: str) -> None:
        """Take the path of the database without links, and as it was given; nothing is looked at.

        A link that is turned to another file leads whoever comes next there.
        """
        self._until_room = 0  # transactions; none is wanted where nobody registers
        self._given = given
        self._path = path
        self._paths = (path, f"{path}-wal", f"{path}-shm", given)
        self._opened: tuple[_Identity, ...] = ()
        self._directories: list[str] = []
        self._entries: _Entries = None  # as they were when the files were looked at
        self._checkpoints = Checkpoints(path)

    def opened(self) -> None:
        """Note which files they are, once the connection has them open."""
        self._opened = tuple(map(_identity, self._paths))
        given, real = os.path.dirname(self._given), os.path.dirname(self._path)
        self._directories = [given] if _identity(given) == _identity(real) else [given, real]
        self._entries = None

    def expect_much(self) -> None:
        """Have the WAL made long enough for what is to come, once something has come."""
        self._until_room = FEW

    def before(self) -> None:
        """Raise `StoreGoneError` if one of the files is not the one that is open."""
        asked, entries = time.time_ns(), _entries(self._directories)
        if entries is not None and entries == self._entries:
            return
        for path, opened in zip(self._paths, self._opened, strict=True):
            if _identity(path) != opened:
                message = (
                    f"{path} was deleted or replaced while it was open, so nothing is written any "
                    "more: end every process that uses it, put back what was moved, and start anew"
                )
                raise StoreGoneError(message)
        known = entries is not None and all(settled(max(each[2:]), asked) for each in entries)
        self._entries = entries if known else None

    def closing(self) -> None:
        """Let go of the WAL."""
        self._checkpoints.close()

    def after(self, db: sqlite3.Connection) -> None:
        """Make a checkpoint if one is due, and room if it is wanted."""
        if self._until_room:
            self._until_room -= 1
            if not (self._until_room or self._checkpoints.make_room(db)):
                self._until_room = FEW  # others write: later
        self._checkpoints.look(db)


def _identity(path: str) -> _Identity:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _entries(directories: Iterable[str]) -> _Entries:
    """Return what changes with the entries of directories, and which ones they are."""
    entries: list[tuple[int, int, int, int]] = []
    try:
        for each in directories:
            found = os.stat(each)
            entries.append((found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns))
    except OSError:
        return None
    return entries


def settled(changed: int, asked: int) -> bool:
    """Say whether a change after ``asked`` would show another time than ``changed``."""
    tick = _TICK if changed % 1_000_000_000 else _COARSE_TICK
    return asked - changed > tick
