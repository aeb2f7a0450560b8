"""What is at the path, found out before SQLite is let near it: it would create files.

Raises one clear error for what cannot become a database of ours and leaves it as it was. A new
database gets its application id in the transaction that makes its tables, before WAL mode is on,
so the header of the file tells ours from others.
"""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from asyncflow._store.sqlite.fault import translated
from asyncflow._store.sqlite.size_reads import size_of
from asyncflow.errors import StoreError, StoreLocationError, StoreReadOnlyError

APPLICATION_ID = 0x61666C77  # "aflw"
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_APPLICATION_AT = slice(68, 72)
_PAGE_SIZE_AT, _PAGES_AT = slice(16, 18), slice(28, 32)
_CHANGES_AT, _PAGES_VALID_AT = slice(24, 28), slice(92, 96)
_LARGEST_PAGE = 65_536
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
        # Looked at twice: whoever has it open may make it shorter in between.
        if _cut_off(path) and _cut_off(path):
            message = (
                f"{path} was cut off, it is shorter than it says: it is left as it is, restore it "
                "from a backup"
            )
            raise StoreError(message)
    elif size_of(f"{path}-wal"):
        raise _lost(path)


def _inspect_header(path: str) -> None:
    application = _application(path)
    if not application and not _is_empty(path):
        application = _application(path)  # another process may have made it ours just now
        if not application:
            raise _of_another_program(path, application)
    if application not in (0, APPLICATION_ID):
        raise _of_another_program(path, application)


def _cut_off(path: str) -> bool:
    """Say whether a file has fewer pages than its header says, and no journal has the others."""
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if header[_CHANGES_AT] != header[_PAGES_VALID_AT]:
        return False  # it does not say
    pages, page = (int.from_bytes(header[at], "big") for at in (_PAGES_AT, _PAGE_SIZE_AT))
    said = pages * (_LARGEST_PAGE if page == 1 else page)
    journals = size_of(f"{path}-wal") or size_of(f"{path}-journal")
    return not journals and size_of(path) < said


def _lost(path: str) -> StoreError:
    return StoreError(
        f"{path} is empty or gone, but {path}-wal beside it has what was stored last: restore both "
        "from a backup, or delete both to begin with nothing"
    )


def _application(path: str) -> int:
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        message = f"{path} is not an SQLite database: name another file, or a new one"
        raise StoreLocationError(message)
    return int.from_bytes(header[_APPLICATION_AT], "big")


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
