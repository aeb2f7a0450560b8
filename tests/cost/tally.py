"""Counts what work costs where it leaves our code: at the event loop, at SQLite, on the disk.

It watches the real loop, the real `sqlite3` and the real file, and changes nothing of what they do.
It knows nothing of the engine, so that a change inside cannot hide a cost. Benchmarks may use it.
"""

# ruff: noqa: ANN401  what is watched takes what asyncio and sqlite3 take

import asyncio
import sqlite3
import struct
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, Self, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_WAL_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")


@dataclass(slots=True)
class Transaction:
    """One transaction that was begun by hand, with the texts of its statements in between."""

    writing: bool
    statements: list[str] = field(default_factory=list[str])
    rows: int = 0


@dataclass
class Tally:
    """What was counted since it was made, or since `clear`.

    Attributes:
        passes: of the loop.
        handles: callbacks that the loop was asked to call soon, by its own thread.
        copies: of the context variables, for callbacks and for tasks that brought no context.
        tasks: asyncio tasks that were created.
        futures: asyncio futures that were created by the loop.
        answers: of other threads to the loop: each is the end of one round trip.
        prepared: how much SQLite was asked to allow while it compiled statements; none, no compile.
        loose: statements outside of transactions.
        transactions: those that have ended.
    """

    passes: int = 0
    handles: int = 0
    copies: int = 0
    tasks: int = 0
    futures: int = 0
    answers: int = 0
    prepared: int = 0
    loose: list[str] = field(default_factory=list[str])
    transactions: list[Transaction] = field(default_factory=list[Transaction])

    def clear(self) -> None:
        """Count from nothing."""
        vars(self).update(vars(Tally()))

    @property
    def written(self) -> list[Transaction]:
        """The transactions that changed rows."""
        return [each for each in self.transactions if each.rows]

    @property
    def commits(self) -> int:
        """How many transactions changed rows: each waits for the disk once."""
        return len(self.written)

    @property
    def rows(self) -> int:
        """How many rows were inserted, updated or deleted."""
        return sum(each.rows for each in self.transactions)

    @property
    def statements(self) -> list[str]:
        """The texts of the statements in transactions that write, without BEGIN and COMMIT."""
        return [sql for each in self.transactions if each.writing for sql in each.statements]

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run it on a loop of its own, which counts."""
        with asyncio.Runner(loop_factory=lambda: CountingLoop(self)) as runner:
            return runner.run(main)


class CountingLoop(asyncio.SelectorEventLoop):
    """The default loop, which counts what it is asked for."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        super().__init__()

    def _run_once(self) -> None:
        self.tally.passes += 1
        untyped: Any = super()
        untyped._run_once()

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.tally.handles += 1
        self.tally.copies += context is None
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.tally.answers += 1
        return super().call_soon_threadsafe(callback, *args, context=context)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        self.tally.tasks += 1
        self.tally.copies += options.get("context") is None
        return super().create_task(coro, **options)

    def create_future(self) -> asyncio.Future[Any]:
        self.tally.futures += 1
        return super().create_future()


class CountingConnection(sqlite3.Connection):
    """A connection that tells what it executes, whether by itself or by a cursor."""

    tally: Tally
    begun: Transaction | None = None

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or CountingCursor)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.cursor()
        return cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.cursor()
        return cursor.executemany(sql, parameters)

    def note(self, sql: str) -> None:
        """Count a statement: it is of the transaction that was begun, or stands alone."""
        verb = sql.split(None, 1)[0]
        if verb == "BEGIN":
            self.begun = Transaction("IMMEDIATE" in sql, rows=-self.total_changes)
        elif self.begun is None:
            self.tally.loose.append(sql)
        elif verb in {"COMMIT", "ROLLBACK"}:
            self.begun.rows += self.total_changes
            self.tally.transactions.append(self.begun)
            self.begun = None
        else:
            self.begun.statements.append(sql)

    def allow(self, *_: object) -> int:
        """Allow everything: it is asked whenever a statement is compiled."""
        self.tally.prepared += 1
        return sqlite3.SQLITE_OK


class CountingCursor(sqlite3.Cursor):
    """A cursor that tells its connection what it executes."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        self._note(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        rows = list(parameters)
        for _ in rows:  # SQLite is stepped for each
            self._note(sql)
        return super().executemany(sql, rows)

    def _note(self, sql: str) -> None:
        if isinstance(self.connection, CountingConnection):
            self.connection.note(sql)


@contextmanager
def counting() -> Generator[Tally]:
    """Count for all connections to databases that are made in the body."""
    tally, connect = Tally(), sqlite3.connect

    def watched(*args: Any, **options: Any) -> CountingConnection:
        db = connect(*args, factory=CountingConnection, **options)
        db.tally = tally
        db.set_authorizer(db.allow)
        return db

    with patch("sqlite3.connect", watched):
        yield tally


@dataclass(frozen=True, slots=True)
class Wal:
    """What is in the WAL of a database.

    Attributes:
        pages: how many it has.
        commits: that put them there.
        database: pages of the database itself after the last of these.
    """

    pages: int = 0
    commits: int = 0
    database: int = 0


def wal_of(path: Path) -> Wal:
    """Read the WAL of a database; it must not have begun anew, so let it stay below 4 MB."""
    content = Path(f"{path}-wal").read_bytes()
    if not content:
        return Wal()
    _, _, page, _, *salt, _, _ = _WAL_HEADER.unpack_from(content)
    pages = commits = database = 0
    for place in range(_WAL_HEADER.size, len(content), _FRAME_HEADER.size + page):
        _, size_after_commit, *marks, _, _ = _FRAME_HEADER.unpack_from(content, place)
        if marks != salt:
            break  # left over from before it began anew
        pages += 1
        commits += size_after_commit > 0
        database = size_after_commit or database
    return Wal(pages, commits, database)


@contextmanager
def counting_calls() -> Generator[dict[int, Counter[CodeType]]]:
    """Count the calls of Python functions by thread, on this one and on those that begin now.

    A coroutine or generator that goes on is one more call. What is taken out begins anew.
    """
    calls: defaultdict[int, Counter[CodeType]] = defaultdict(Counter)

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[threading.get_ident()][frame.f_code] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
