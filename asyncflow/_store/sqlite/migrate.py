"""The schema and its versions: numbered SQL files, applied forward only, each in one transaction.

The version is the database's ``user_version``. Never edit a file that was released.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

from asyncflow._store.sqlite.connection import in_transaction
from asyncflow._store.sqlite.file import APPLICATION_ID
from asyncflow.errors import StoreVersionError

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """What brings a database from the version before ``number`` to it."""

    number: int
    script: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Return those that are part of this package, in order."""
    folder = files("asyncflow._store.sqlite").joinpath("sql")
    named = ((_FILE_NAME.fullmatch(file.name), file) for file in folder.iterdir())
    found = [Migration(int(m[1]), file.read_text("utf-8")) for m, file in named if m]
    return tuple(sorted(found, key=lambda migration: migration.number))


def migrate(db: sqlite3.Connection, path: str, steps: Sequence[Migration]) -> None:
    """Apply the steps that the database lacks; several processes may do it at once."""
    found, newest = version(db), steps[-1].number
    if found > newest:
        raise StoreVersionError(path, found, newest)
    for step in steps:
        if step.number > found:
            in_transaction(db, partial(_apply, step=step), "migration")


def version(db: sqlite3.Connection) -> int:
    """Return the schema version of the database, 0 for an empty one."""
    row: tuple[int] = db.execute("PRAGMA user_version").fetchone()
    return row[0]


def _apply(db: sqlite3.Connection, step: Migration) -> None:
    if version(db) >= step.number:
        return  # another process was faster, while this one waited for the lock
    for statement in _statements(step.script):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {step.number}")


def _statements(script: str) -> Iterator[str]:
    # executescript would commit the transaction first.
    pending = ""
    for part in re.split(r"(?<=;)", script):
        pending += part
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
