"""The floor: a bare asyncio program that writes the rows that asyncflow writes, and nothing else.

It has asyncflow's tables (their SQL is read, no code is imported), WAL and synchronous=FULL. Facts
gather while one transaction is on its way, and the next one takes them all, in one round trip to
aiosqlite's thread. There are no rules, checks, retries, owners, limits or logs.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import aiosqlite
import uvloop

from benchmarks.contest.course import (
    LENGTH,
    Run,
    Trail,
    crowd,
    first,
    latencies,
    rates,
    signalled,
    until,
)
from benchmarks.contest.heat import Figures, Heat, check, left_behind, run
from benchmarks.contestants.bare_polls import w7

T = TypeVar("T")
Row: TypeAlias = tuple[str, tuple[Any, ...]]
"""A statement and its values."""

SCHEMA: Final = Path(__file__).resolve().parents[2] / "asyncflow" / "_store" / "sqlite" / "sql"
MOST: Final = 512
"""Entries of one transaction; asyncflow takes no more either."""

START: Final = (
    "INSERT INTO execution (id, name, workflow, namespace, execution_type, created, fingerprint,"
    ' owner, status, stopping, "begin", heard, recoveries)'
    " VALUES (?, ?, ?, 'default', 'MANUAL', ?, '2ac7e4e515220c35', ?, 'RUNNING', 0, ?, 0, 0)"
)
END: Final = "UPDATE execution SET owner = NULL, status = 'SUCCESS', \"end\" = ? WHERE id = ?"
QUEUED: Final = (
    "INSERT INTO task_execution (execution, task, seq, try_number, status, execution_type,"
    " failures) VALUES (?, ?, 1, 1, 'QUEUED', 'EVENT', 0)"
)
SUCCESS: Final = (
    "UPDATE task_execution SET status = 'SUCCESS', \"begin\" = ?, \"end\" = ?, outcome = 'SUCCESS',"
    " result = ? WHERE execution = ? AND task = ? AND seq = 1"
)
FACT: Final = "INSERT INTO fact (execution, kind, body, at) VALUES (?, ?, ?, ?)"
AWAITED: Final = (
    "INSERT INTO awaited_event (id, execution, namespace, task, seq, name, place, label, failures,"
    " data_type, prompt, prompt_type, description, created, phase) VALUES (?, ?, 'default',"
    " 'waits', 1, 'go', 1, '1', 0, 'int', 'Approve?', 'text', '', ?, 'RUNNING')"
)
RUNNING: Final = (
    "UPDATE task_execution SET status = 'RUNNING', \"begin\" = ?, awaits = 1"
    " WHERE execution = ? AND task = 'waits' AND seq = 1"
)
EVENT: Final = (
    'INSERT INTO event ("offset", key, value, namespace, execution, create_time, awaited)'
    " VALUES (?, 'go', ?, 'default', ?, ?, ?)"
)
SIGNALLED: Final = (
    "UPDATE awaited_event SET phase = 'SUCCEEDED', value = ?, ended = ?, \"offset\" = ?"
    " WHERE id = ? AND phase = 'RUNNING'"
)
ORDER: Final = (START, END, QUEUED, SUCCESS, FACT, AWAITED, RUNNING, EVENT, SIGNALLED)
SUCCEEDED: Final = {
    table: f"SELECT count(*) FROM {table} WHERE status = 'SUCCESS'"
    for table in ("execution", "task_execution")
}


class Connection(aiosqlite.Connection):
    """A connection on whose thread a whole transaction is one round trip."""

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run something on the thread."""
        untyped: Any = self
        result: T = await untyped._execute(partial(work, self._conn))  # noqa: SLF001  without types
        return result

    async def transact(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Run something on the thread, from BEGIN to COMMIT."""

        def whole(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            work(db)
            db.execute("COMMIT")

        await self.call(whole)


def prepare(db: sqlite3.Connection) -> None:
    """Set the connection up, and make the tables if they are not there."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'execution'").fetchone():
        for path in sorted(SCHEMA.glob("*.sql")):
            db.executescript(path.read_text(encoding="utf-8"))


def now() -> int:
    """Return the time as it is stored."""
    return time.time_ns() // 1000


def ended(task: str, begin: int) -> str:
    """Return the body of the fact that a task has ended."""
    began = datetime.fromtimestamp(begin / 1e6, UTC).isoformat()
    return json.dumps([task, 1, 1, "SUCCESS", None, began])


async def nothing() -> int:
    """Be a task."""
    return 1


class Floor:
    """What a program needs in order to write rows durably: a connection, and a list of rows."""

    def __init__(self, connection: Connection) -> None:
        """Begin with nothing to write."""
        self._connection = connection
        self._pending: list[tuple[Sequence[Row], asyncio.Future[None]]] = []
        self._bell = asyncio.Event()
        self.executions = 0

    @classmethod
    @asynccontextmanager
    async def at(cls, path: Path) -> AsyncGenerator["Floor"]:
        """Open a file."""
        make = partial(sqlite3.connect, path, isolation_level=None, check_same_thread=False)
        connection = Connection(make, 64)
        async with connection:
            await connection.call(prepare)
            floor = cls(connection)
            writing = asyncio.create_task(floor._write())
            try:
                yield floor
            finally:
                writing.cancel()

    async def write(self, rows: Sequence[Row]) -> None:
        """Return when rows are on disk."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((rows, future))
        self._bell.set()
        await future

    async def _write(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            while self._pending:
                batch, self._pending = self._pending[:MOST], self._pending[MOST:]
                by_statement: dict[str, list[tuple[Any, ...]]] = {}
                for rows, _ in batch:
                    for statement, values in rows:
                        by_statement.setdefault(statement, []).append(values)
                await self._connection.transact(partial(insert, by_statement))
                for _, future in batch:
                    future.set_result(None)

    async def start(self, workflow: str, tasks: Sequence[str], name: str | None = None) -> int:
        """Start an execution, and return its id."""
        self.executions = number = self.executions + 1
        at = now()
        name = name or f"{workflow}-{number:012x}"
        rows: list[Row] = [(START, (number, name, workflow, at, "floor", at))]
        rows += [(QUEUED, (number, task)) for task in tasks]
        await self.write([*rows, (FACT, (number, "ExecutionStarted", "{}", at))])
        return number

    async def do(
        self, execution: int, task: str, following: Sequence[str] = (), *, last: bool = False
    ) -> None:
        """Do a task and write its end, what follows, and the end of the execution."""
        begin = now()
        await nothing()
        await self.end(execution, task, begin, following, last=last)

    async def end(
        self,
        execution: int,
        task: str,
        begin: int,
        following: Sequence[str] = (),
        *,
        last: bool = False,
    ) -> None:
        """Write the end of a task, what follows, and the end of the execution."""
        end = now()
        rows: list[Row] = [
            (SUCCESS, (begin, end, "1", execution, task)),
            (FACT, (execution, "TaskEnded", ended(task, begin), end)),
        ]
        rows += [(QUEUED, (execution, each)) for each in following]
        if last:
            rows.append((END, (end, execution)))
        await self.write(rows)

    async def one(self) -> None:
        """Run a workflow of one task."""
        await self.do(await self.start("one", ["only"]), "only", last=True)

    async def chain(self) -> None:
        """Run a chain."""
        await self.links(await self.start("chain", ["t0"]), 0)

    async def links(self, execution: int, begin: int, trail: Trail | None = None) -> None:
        """Run a chain from some task on."""
        for number in range(begin, LENGTH):
            if trail is not None:
                trail.step(number)
            last = number + 1 == LENGTH
            following = [] if last else [f"t{number + 1}"]
            await self.do(execution, f"t{number}", following, last=last)

    async def wide(self, many: int) -> None:
        """Run many tasks beside one another."""
        execution = await self.start("wide", [f"t{number}" for number in range(many)])
        left = many

        async def one(number: int) -> None:
            nonlocal left
            begin = now()
            await nothing()
            left -= 1
            await self.end(execution, f"t{number}", begin, last=left == 0)

        await asyncio.gather(*(one(number) for number in range(many)))


def insert(by_statement: dict[str, list[tuple[Any, ...]]], db: sqlite3.Connection) -> None:
    """Write what was gathered, a statement at a time."""
    for statement in ORDER:
        if statement in by_statement:
            db.executemany(statement, by_statement[statement])


def check_success(heat: Heat, executions: int, tasks: int) -> None:
    """End with an error unless so many are recorded as SUCCESS."""
    check(heat.database, {SUCCEEDED["execution"]: executions, SUCCEEDED["task_execution"]: tasks})


async def w1(heat: Heat) -> Figures:
    """Run a workflow of one task."""
    async with Floor.at(heat.database) as floor:
        figures = await latencies(floor.one, heat.many)
    check_success(heat, figures["runs"], figures["runs"])
    return figures


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    async with Floor.at(heat.database) as floor:
        figures = await rates(floor.chain, LENGTH)
    check_success(heat, figures["runs"], LENGTH * figures["runs"])
    return figures


async def w3(heat: Heat) -> Figures:
    """Run many tasks beside one another."""
    async with Floor.at(heat.database) as floor:
        figures = await rates(partial(floor.wide, heat.many), heat.many)
    check_success(heat, figures["runs"], heat.many * figures["runs"])
    return figures


async def w4(heat: Heat) -> Figures:
    """Run many workflows beside one another."""
    async with Floor.at(heat.database) as floor:

        async def all_of_them() -> None:
            await asyncio.gather(*(floor.one() for _ in range(heat.many)))

        figures = await rates(all_of_them, heat.many)
    check_success(heat, heat.many * figures["runs"], heat.many * figures["runs"])
    return figures


class Waiting:
    """Executions that wait for a signal, each in a coroutine."""

    def __init__(self, floor: Floor) -> None:
        """Begin with none."""
        self.stamps: dict[int, float] = {}
        self.futures: dict[int, asyncio.Future[int]] = {}
        self.ended = 0
        self._floor = floor
        self._running: set[asyncio.Task[None]] = set()

    def start(self, number: int) -> None:
        """Let an execution begin."""
        each = asyncio.create_task(self._run(number))
        self._running.add(each)
        each.add_done_callback(self._running.discard)

    async def _run(self, number: int) -> None:
        execution = await self._floor.start("waits", ["waits"], f"e{number}")
        at, run = now(), ["waits", 1, 1]
        rows: list[Row] = [(AWAITED, (number + 1, execution, at)), (RUNNING, (at, execution))]
        rows.append((FACT, (execution, "TaskStarted", json.dumps(run), at)))
        await self._floor.write(
            [*rows, (FACT, (execution, "EventAwaited", json.dumps([*run, "go"]), at))]
        )
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.futures[number] = future
        signalled_with = await future
        self.stamps[signalled_with] = time.monotonic()
        await self._floor.end(execution, "waits", at, last=True)
        self.ended += 1

    async def signal(self, number: int) -> None:
        """Write a signal, and wake who waits for it."""
        at, awaited = now(), number + 1
        rows: list[Row] = [(EVENT, (awaited, str(number), number + 1, at, awaited))]
        await self._floor.write([*rows, (SIGNALLED, (str(number), at, awaited, awaited))])
        self.futures[number].set_result(number)


async def w5(heat: Heat) -> Figures:
    """Signal one execution after the other."""
    async with Floor.at(heat.database) as floor:
        waiting = Waiting(floor)

        async def wait(number: int) -> Run:
            waiting.start(number)
            await until(partial(waiting.futures.__contains__, number))
            return partial(waiting.signal, number)

        figures = await signalled(heat.many, wait, waiting.stamps)
        await until(lambda: waiting.ended == figures["runs"])
    check_success(heat, figures["runs"], figures["runs"])
    return figures


async def w6(heat: Heat) -> Figures:
    """Let many wait, then signal them all."""
    async with Floor.at(heat.database) as floor:
        waiting = Waiting(floor)

        async def start(number: int) -> None:
            waiting.start(number)

        figures = await crowd(
            heat.many,
            start,
            lambda: len(waiting.futures),
            waiting.signal,
            lambda: len(waiting.stamps),
        )
    check(
        heat.database,
        {"SELECT count(*) FROM awaited_event WHERE phase = 'SUCCEEDED'": heat.many},
    )
    return figures


async def w8(heat: Heat) -> Figures:
    """Run a first workflow."""
    async with Floor.at(heat.database) as floor:
        figures = await first(floor.one, heat)
    check_success(heat, 1, 1)
    return figures


async def crash(heat: Heat) -> Figures:
    """Run a chain of which one task kills this process."""
    async with Floor.at(heat.database) as floor:
        await floor.links(await floor.start("chain", ["t0"]), 0, Trail(heat))
    return {}


async def w9(heat: Heat) -> Figures:
    """Go on after the crash, with the first task that is not done."""
    sql = "SELECT task FROM task_execution WHERE status = 'SUCCESS'"
    recorded = {int(name[1:]) for (name,) in left_behind(heat.database, sql)}
    trail = Trail(heat)
    opened = time.monotonic()
    async with Floor.at(heat.database) as floor:
        await floor.links(1, len(recorded), trail)
    check_success(heat, 1, LENGTH)
    return trail.figures(heat, opened, recorded)


if __name__ == "__main__":
    workloads = {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W7": w7, "W8": w8}
    loops = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    run({**workloads, "W9 crash": crash, "W9": w9}, loops)
