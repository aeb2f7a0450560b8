"""What is at the path, found out before SQLite may write there: it would create files.

Raises one clear error for what cannot become a database of ours and leaves it as it was. A new
database gets its application id in the transaction that makes its tables, before WAL mode is on,
so the header of the file tells ours from others.

Nothing here may open the file but SQLite itself: who closes a file gives up all locks that its
process has on it (fcntl(2)), those of other connections included, which then damage the database.
"""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

from asyncflow._store.sqlite.fault import as_store_error, translated
from asyncflow._store.sqlite.size_reads import size_of
from asyncflow.errors import StoreDamagedError, StoreError, StoreLocationError, StoreReadOnlyError

APPLICATION_ID = 0x61666C77  # "aflw"
LOOKS = 4
BETWEEN = 0.05
"""Seconds between two looks at a file that cannot be taken for ours."""

_EFFECTIVE_USER = os.access in os.supports_effective_ids


def inspect(path: str) -> None:
    """Raise a StoreError unless the absolute path can be opened, or made, as a database of ours."""
    try:
        _inspect_directory(path)
        if _exists(path):
            _inspect_file(path)
        elif size_of(f"{path}-wal"):
            raise _lost(path)
    except StoreError:
        raise
    except OSError as error:
        denied = isinstance(error, PermissionError)
        kind = StoreReadOnlyError if denied else StoreLocationError
        message = f"{path} cannot be read and written: {error.strerror}; name another file"
        raise kind(message) from error


def _inspect_directory(path: str) -> None:
    parent = os.path.dirname(path)
    if not _exists(parent):
        message = f"there is no directory {parent} for {path}: create it, or name another file"
        raise StoreLocationError(message)
    if not os.path.isdir(parent):
        message = f"{parent} is not a directory, so there can be no {path}: name another file"
        raise StoreLocationError(message)
    if not _may(parent, os.W_OK | os.X_OK):
        message = (
            f"the directory {parent} is read-only and the database {path} needs files beside it: "
            "make it writable, or name another file"
        )
        raise StoreReadOnlyError(message)


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=_EFFECTIVE_USER)


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except ValueError as error:
        message = f"{path!r} cannot be a file, {error}: name another one"
        raise StoreLocationError(message) from error
    return True


def _inspect_file(path: str) -> None:
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        message = f"{path} is a directory: name a file in it, for example {path}/flows.db"
        raise StoreLocationError(message)
    if not stat.S_ISREG(found.st_mode):
        message = f"{path} is not a regular file: name another one"
        raise StoreLocationError(message)
    if not _may(path, os.R_OK | os.W_OK):
        message = f"{path} is read-only for this user: make it writable, or name another file"
        raise StoreReadOnlyError(message)
    if found.st_size:
        _inspect_header(path)
    elif size_of(f"{path}-wal"):
        raise _lost(path)


def _inspect_header(path: str) -> None:
    """Look again a few times: who reads without a lock may see half of what is being written."""
    looks = 0
    while True:
        try:
            application = _application(path)
            if application in {None, APPLICATION_ID}:
                return
            if not application and _is_empty(path):
                return
            refusal: StoreError = _of_another_program(path, application or 0)
        except StoreDamagedError as error:
            refusal = error
        looks += 1
        if looks == LOOKS:
            raise refusal
        threading.Event().wait(BETWEEN)


def _application(path: str) -> int | None:
    """Return the application id; None if only the journal beside the file can tell."""
    # Looked at twice: whoever has it open may make it shorter in between.
    found: sqlite3.Error | None = None
    for _ in range(2):
        try:
            application, said = _read_header(path)
        except sqlite3.DatabaseError as error:
            found = _damage(error, path)
        else:
            if said <= size_of(path):
                return application
        if size_of(f"{path}-wal") or size_of(f"{path}-journal"):
            return None
    message = f"{path} is damaged, or was cut off: it is left as it is, restore it from a backup"
    if found is not None:
        message += f" (SQLite: {found})"
    raise StoreDamagedError(message) from found


def _damage(error: sqlite3.Error, path: str) -> sqlite3.Error:
    """Return an error that says that the file is damaged; raise what says something else."""
    match error.sqlite_errorcode & 0xFF:
        case sqlite3.SQLITE_CORRUPT:
            return error
        case sqlite3.SQLITE_NOTADB:
            message = f"{path} is not an SQLite database: name another file, or a new one"
            raise StoreLocationError(message) from error
        case _:
            raise as_store_error(error, path) from error


def _read_header(path: str) -> tuple[int, int]:
    """Return the application id, and how many bytes the file says that it has."""
    # Immutable: no lock, and no files beside it, also for a database in WAL mode.
    address = f"{Path(path).as_uri()}?mode=ro&immutable=1"
    pragmas = ("application_id", "page_size", "page_count")
    with closing(sqlite3.connect(address, uri=True)) as db:
        application, page, pages = (
            int(db.execute(f"PRAGMA {each}").fetchone()[0]) for each in pragmas
        )
    return application, page * pages


def _lost(path: str) -> StoreError:
    return StoreError(
        f"{path} is empty or gone, but {path}-wal beside it has what was stored last: restore both "
        "from a backup, or delete both to begin with nothing"
    )


def _of_another_program(path: str, application: int) -> StoreLocationError:
    return StoreLocationError(
        f"{path} is the database of another program (application id {application:#x}): "
        "name another file, or a new one"
    )


def _is_empty(path: str) -> bool:
    # Read-only, a database in WAL mode would still get its two files, unless it is declared
    # immutable; that hides what is in a WAL, so it is not if there is one.
    how = "mode=ro" if _exists(f"{path}-wal") else "mode=ro&immutable=1"
    address = f"{Path(path).as_uri()}?{how}"
    with translated(path), closing(sqlite3.connect(address, uri=True)) as db:
        tables: tuple[int] = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return tables == (0,)
