"""What SQLite's errors mean to the people who read them."""

import sqlite3
from types import TracebackType
from typing import Final

from asyncflow._store.sqlite.space import no_space
from asyncflow.errors import (
    StorageFullError,
    StoreDamagedError,
    StoreError,
    StoreLocationError,
    StoreReadOnlyError,
)

_Fault = tuple[type[StoreError], str]

_FULL: _Fault = (
    StorageFullError,
    "cannot grow, the disk is full: free some space, or raise the limit of its files",
)
_FAULTS: dict[int, _Fault] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: (
        StoreError,
        "stayed locked by another process: end the transaction that it holds open",
    ),
    sqlite3.SQLITE_LOCKED: (StoreError, "is locked inside this process: close its other users"),
    sqlite3.SQLITE_CORRUPT: (StoreDamagedError, "is damaged: restore it from a backup"),
    sqlite3.SQLITE_IOERR: (StoreError, "could not be read or written: check the disk"),
    sqlite3.SQLITE_NOTADB: (StoreLocationError, "is not a database: name another file"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreLocationError,
        "cannot be opened: its directory must exist and be writable",
    ),
    sqlite3.SQLITE_READONLY: (
        StoreReadOnlyError,
        "is read-only: make the file and its directory writable",
    ),
}
_PRIMARY = 0xFF
# SQLite asks the system for a reason and does not pass it on.
_PERHAPS_FULL = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})


TRANSLATED: Final = (sqlite3.Error, UnicodeEncodeError)
"""What `as_store_error` makes StoreErrors of."""


def as_store_error(error: sqlite3.Error | UnicodeEncodeError, location: str) -> StoreError:
    """Return the StoreError for what a store of SQLite's raised; it names the location."""
    if isinstance(error, UnicodeEncodeError):
        return StoreError(f"{location} keeps UTF-8 only, this text is not: {error}")
    code: int = getattr(error, "sqlite_errorcode", 0)
    kind, meaning = _FAULTS.get(
        code & _PRIMARY, (StoreError, "refused the operation, nothing of it is stored")
    )
    if code & _PRIMARY in _PERHAPS_FULL and no_space(location):
        kind, meaning = _FULL
    return kind(f"{location} {meaning} (SQLite: {error})")


class translated:  # noqa: N801  a context manager
    """Raise what SQLite raises inside as StoreErrors."""

    __slots__ = ("_location",)

    def __init__(self, location: str) -> None:
        """Name the location in each of them."""
        self._location = location

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Raise another error in the place of one of SQLite's."""
        if isinstance(error, TRANSLATED):
            raise as_store_error(error, self._location) from error
