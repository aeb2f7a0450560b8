"""The store over one SQLite file: one connection writes, one reads, each on its own thread."""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from asyncflow._store.batch import (
    Batch,
    Claimed,
    Dead,
    Duty,
    Fence,
    Letter,
    Receipt,
    RunnerRow,
    Swept,
)
from asyncflow._store.change import Change
from asyncflow._store.queries import Query
from asyncflow._store.refusal import not_open
from asyncflow._store.sqlite import changes, owners, reads, sweep, vacuum, writes
from asyncflow._store.sqlite.checkpoint import tell_version
from asyncflow._store.sqlite.connection import Connection, connect
from asyncflow._store.sqlite.fault import TRANSLATED, as_store_error, translated
from asyncflow._store.sqlite.file import inspect
from asyncflow._store.sqlite.migrate import migrate, migrations, version
from asyncflow._store.sqlite.pulse import SqlitePulse
from asyncflow._store.sqlite.upkeep import FileUpkeep
from asyncflow.errors import StoreError

T = TypeVar("T")

_WAL_TRIES = 100
_OLDEST_SQLITE = (3, 33)  # UPDATE ... FROM, and more than 999 values in a statement


class SqliteStore:
    """A `Store` in a file, which several processes of one machine may have open.

    A commit is on the disk when it returns: WAL with ``synchronous=FULL``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Take a path; a relative one, and a link, is looked up now. Nothing is opened.

        SQLite, too, keeps the WAL beside the file that a link leads to.
        """
        given = os.path.abspath(path)
        self._path = _free_of_links(given)
        self._translated = translated(self._path)
        self._places = sweep.Places()
        self._writer: Connection | None = None
        self._upkeep = FileUpkeep(self._path, given)
        self._reader: Connection | None = None

    @property
    def shared(self) -> bool:
        """Always: other processes may open the file."""
        return True

    @property
    def location(self) -> str:
        """The absolute path, without links."""
        return self._path

    async def open(self) -> None:
        """Make the file or upgrade its schema; no effect when it is open.

        Raises:
            StoreLocationError: there is something else at the path, or no directory for it.
            StoreVersionError: a newer asyncflow wrote it.
            StoreReadOnlyError: the file or its directory cannot be written.
        """
        if self._writer is not None:
            return
        upkeep = self._upkeep
        writer = Connection(partial(_make_writer, self._path, upkeep), upkeep)
        await writer.open()
        reader = Connection(partial(_make_reader, self._path))
        try:
            await reader.open()
        except BaseException:  # a cancelled open, too, leaves no thread
            await writer.close()
            raise
        self._writer, self._reader = writer, reader

    async def close(self) -> None:
        """Finish what was begun and end both threads; idempotent."""
        writer, reader = self._writer, self._reader
        self._writer = self._reader = None
        try:
            if reader is not None:
                await reader.close()
        finally:
            if writer is not None:
                await writer.close()  # the last: it takes the WAL into the file

    async def register(self, runner: RunnerRow) -> Fence:
        """Add a runner's row under a fresh epoch."""
        self._upkeep.expect_much()
        return await self._write(partial(owners.register, runner=runner), "store.register")

    async def release(self, fence: Fence) -> None:
        """Remove a runner's row, if the fence holds."""
        await self._write(partial(owners.release, fence=fence), "store.release")

    async def commit(self, batch: Batch) -> Receipt:
        """Write a batch; cancelling the call does not cancel the transaction."""
        # Without `_write`, a coroutine less: all that happens waits for this call.
        work, writer = partial(writes.commit, batch=batch), self._opened(self._writer)
        try:
            return await writer.transact(work, "store.commit")
        except TRANSLATED as error:
            raise as_store_error(error, self._path) from error

    async def append(
        self, letters: Sequence[Letter], fence: Fence | None = None
    ) -> tuple[int | None, ...]:
        """Put letters into the inbox."""
        work = partial(writes.append, letters=letters, fence=fence)
        return await self._write(work, "store.append")

    async def claim(
        self,
        fence: Fence,
        dead: Sequence[Dead],
        workflows: Sequence[tuple[str, str]] | None,
        limit: int,
        duties: Mapping[Duty, frozenset[str]] | None = None,
    ) -> Claimed:
        """Come to own what nobody does."""
        work = partial(
            owners.claim,
            fence=fence,
            dead=dead,
            workflows=workflows,
            limit=limit,
            wanted=duties,
        )
        return await self._write(work, "store.claim")

    async def sweep(self, fence: Fence, before: datetime, limit: int) -> Swept:
        """Forget some of what is old; what must stay is walked over once in a pass."""
        work = partial(sweep.sweep, fence=fence, before=before, limit=limit, places=self._places)
        swept = await self._write(work, "store.sweep")
        with self._translated:
            shortened = await self._opened(self._writer).outside(vacuum.give_back)
        return replace(swept, more=swept.more or shortened)

    async def change(self, change: Change, fence: Fence | None = None) -> tuple[str, ...]:
        """Make a change that somebody asked for by a call."""
        work = partial(changes.change, change=change, fence=fence)
        return await self._write(work, "store.change")

    async def read(self, query: Query[T]) -> T:
        """Answer a question from what is committed; writers do not hold it up."""
        with self._translated:
            return await self._opened(self._reader).query(partial(reads.answer, query=query))

    def pulse(self) -> SqlitePulse:
        """Return what renews leases, by a connection of its own."""
        return SqlitePulse(self._path, self._upkeep)

    async def _write(self, work: Callable[[sqlite3.Connection], T], point: str) -> T:
        with self._translated:
            return await self._opened(self._writer).transact(work, point)

    def _opened(self, connection: Connection | None) -> Connection:
        if connection is None:
            raise not_open(self._path)
        return connection


def _free_of_links(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # nobody can have such a path; to open it says so
        return path


def _make_writer(path: str, upkeep: FileUpkeep) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        message = (
            f"SQLite {sqlite3.sqlite_version} cannot keep {path}: use a Python with 3.33 or later"
        )
        raise StoreError(message)
    inspect(path)
    with translated(path):
        db = connect(path, make=True)
        try:
            found = version(db)
            if not found:
                vacuum.begin(db)
            migrate(db, path, migrations())
            if found:  # it may have been open elsewhere when it was upgraded
                vacuum.convert(db, path)
            _switch_to_wal(db)
            db.execute("PRAGMA synchronous = FULL")
            version(db)  # it opens the WAL
            upkeep.opened()
            tell_version()
        except BaseException:  # passed on: no open fails and leaves the file open
            db.close()
            raise
        return db


def _make_reader(path: str) -> sqlite3.Connection:
    with translated(path):
        db = connect(path)
        db.execute("PRAGMA query_only = ON")
        version(db)  # it opens the WAL, the one that the writer has open, too
        return db


def _switch_to_wal(db: sqlite3.Connection) -> None:
    # The switch does not wait for other connections, a transaction does.
    for _ in range(_WAL_TRIES):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            db.execute("BEGIN EXCLUSIVE")
            db.execute("COMMIT")
        else:
            return
    db.execute("PRAGMA journal_mode = WAL")
