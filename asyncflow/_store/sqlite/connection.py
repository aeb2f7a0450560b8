"""One connection and its thread: whatever is done on it is one round trip to that thread.

It never leaves a transaction open: cancelling the await does not reach the thread.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import aiosqlite

from asyncflow._failpoint import hit
from asyncflow.errors import AsyncflowError

T = TypeVar("T")

BUSY_SECONDS = 10.0
KEPT: Final = 4 * 2**20
"""Bytes of the WAL that are kept when it begins anew: to write over them costs a commit less than
to make the file longer, which the file system has to note, too."""

_CACHED_STATEMENTS = 256


class Upkeep(Protocol):
    """What a connection that writes does beside its transactions, on its thread."""

    def before(self) -> None:
        """Raise a StoreError if nothing must be written now; also inside of a transaction."""
        ...

    def after(self, db: sqlite3.Connection) -> None:
        """Do what is due after a commit; raises nothing on purpose."""
        ...

    def closing(self) -> None:
        """Let go of everything, before the connection is closed."""
        ...


class Connection(aiosqlite.Connection):
    """A connection that runs functions of the plain `sqlite3.Connection` on its thread."""

    def __init__(
        self, make: Callable[[], sqlite3.Connection], upkeep: Upkeep | None = None
    ) -> None:
        """Make nothing yet; ``make`` is called on the thread and raises StoreErrors."""
        super().__init__(partial(self._keep, make), iter_chunk_size=64)
        self._upkeep = upkeep
        self._thread.daemon = True  # a forgotten close must not keep the process from ending
        self._made: sqlite3.Connection | None = None
        self._abandoned = False

    async def open(self) -> None:
        """Start the thread and connect; after an error the thread has ended."""
        try:
            await self
        except AsyncflowError:
            self._thread.join()
            raise
        finally:
            if self._connection is None:
                self._abandon()

    async def close(self) -> None:
        """Finish what was queued, disconnect and end the thread."""
        if self._upkeep is not None:
            untyped: Any = self
            untyped._tx.put_nowait((None, self._upkeep.closing))  # noqa: SLF001  nobody waits for it
        await super().close()
        self._thread.join()  # it has nothing left to do: microseconds

    # They return what is awaited, and are no coroutines of their own: each would be gone through
    # on the way there and on the way back.

    def transact(self, work: Callable[[sqlite3.Connection], T], point: str) -> Awaitable[T]:
        """Run ``work`` from BEGIN IMMEDIATE to COMMIT, or ROLLBACK if it raises.

        The failpoints ``{point}.before`` and ``{point}.after`` are around the COMMIT.
        """
        return self._call(partial(_transacted, self._conn, self._upkeep, work, point))

    def outside(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        """Run ``work`` outside of any transaction but those of its single statements."""
        return self._call(partial(_kept_up, self._conn, self._upkeep, work))

    def query(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        """Run ``work`` on one snapshot of what is committed."""
        return self._call(partial(_on_snapshot, self._conn, work))

    def _call(self, function: Callable[[], T]) -> Awaitable[T]:
        untyped: Any = self
        result: Awaitable[T] = untyped._execute(function)  # noqa: SLF001  inherited, without types
        return result

    def _keep(self, make: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        self._made = made = make()
        if self._abandoned:
            made.close()
        return made

    def _abandon(self) -> None:
        # Nobody waits any more for the connection, which the thread may still be making.
        self._abandoned = True
        if self._made is not None:
            self._made.close()


def connect(path: str, *, make: bool = False) -> sqlite3.Connection:
    """Connect to a file; transactions are begun and ended by hand.

    No commit is followed by a checkpoint: `Checkpoints` says when there is one.

    Args:
        path: of the file, absolute.
        make: make it if there is none.
    """
    db = sqlite3.connect(
        f"{Path(path).as_uri()}?mode={'rwc' if make else 'rw'}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        cached_statements=_CACHED_STATEMENTS,
        check_same_thread=False,  # only `Connection._abandon` closes it from another one
    )
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {KEPT}")
    return db


def in_transaction(
    db: sqlite3.Connection,
    work: Callable[[sqlite3.Connection], T],
    point: str,
    check: Callable[[], None] | None = None,
) -> T:
    """Run ``work`` in a transaction; call it on the connection's thread.

    Args:
        db: the connection.
        work: what is done between BEGIN and COMMIT.
        point: of the failpoints around the COMMIT.
        check: raises if nothing must be written. It is called behind the BEGIN, which writes
            nothing itself. To ask the system lets go of the interpreter lock; by then the event
            loop, which has just handed this over, has gone to sleep and does not take it.
    """
    _begin(db, check)
    try:
        if check is not None:
            check()
        result = work(db)
        hit(f"{point}.before")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    hit(f"{point}.after")
    return result


def _begin(db: sqlite3.Connection, check: Callable[[], None] | None) -> None:
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.Error:
        if check is not None:
            check()  # it says why, where it knows
        raise


def _transacted(
    db: sqlite3.Connection,
    upkeep: Upkeep | None,
    work: Callable[[sqlite3.Connection], T],
    point: str,
) -> T:
    if upkeep is None:
        return in_transaction(db, work, point)
    result = in_transaction(db, work, point, upkeep.before)
    upkeep.after(db)
    return result


def _kept_up(
    db: sqlite3.Connection,
    upkeep: Upkeep | None,
    work: Callable[[sqlite3.Connection], T],
) -> T:
    if upkeep is None:
        return work(db)
    upkeep.before()
    result = work(db)
    upkeep.after(db)
    return result


def _on_snapshot(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN")
    try:
        return work(db)
    finally:
        if db.in_transaction:  # some errors have ended it
            db.execute("COMMIT")
