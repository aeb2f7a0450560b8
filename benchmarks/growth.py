"""What grows with what is kept: the speed at a million finished executions, tasks, memory.

The million is written by SQL, as copies of one execution that the engine made. That file and an
empty one are worked on by turns.
"""

import asyncio
import gc
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

from asyncflow import Registry, Runner, Workflow, WorkflowStatus, task
from benchmarks.yardstick import fsync_ms, judge, options, run

FINISHED = 1_000_000
BURST = 1_000
BURSTS = 2
ALONE = 100
ROUNDS = 5
LEAST_RATE = 80  # per cent of that of an empty file
OPENED_MS = 200

SIZES = (100, 10_000)
MOST_PER_TASK = 1.3

KEPT_FLAT = 100_000
BLOCKS_PER_THOUSAND = 50

_COPIED = ("execution", "task_execution", "fact")
_COPIES = "WITH RECURSIVE copy (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copy LIMIT ?)"


def declare() -> Registry:
    """Declare a workflow of one task that does nothing."""
    with Registry() as registry, Workflow("one"):

        @task(id="only")
        async def only() -> None:
            """Do nothing: what is measured is all around it."""

    return registry


def fill(database: Path) -> None:
    """Copy the only execution that is there a million times, with all that is its own."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN IMMEDIATE")
        for table in _COPIED:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            owner = "id" if table == "execution" else "execution"
            values = [f'x."{name}"' for name in names]
            values[names.index(owner)] += " + number"
            if table == "execution":
                values[names.index("name")] = "'one-' || lower(hex(randomblob(6)))"
            else:
                values[names.index("id")] = "NULL"
            listed = ", ".join(f'"{name}"' for name in names)
            connection.execute(
                f"INSERT INTO {table} ({listed}) {_COPIES} "
                f"SELECT {', '.join(values)} FROM copy CROSS JOIN {table} x ON x.{owner} = 1",
                (FINISHED - 1,),
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def counted(database: Path) -> tuple[int, int]:
    """Return how many executions and tasks are recorded as SUCCESS."""
    with closing(sqlite3.connect(database)) as connection:
        executions, tasks = (
            connection.execute(f"SELECT count(*) FROM {each} WHERE status = 'SUCCESS'").fetchone()[
                0
            ]
            for each in _COPIED[:2]
        )
        return executions, tasks


async def finish(database: Path, number: int) -> None:
    """Run so many executions."""
    async with Runner(database, registry=declare()) as runner:
        for _ in range(number):
            await runner.execute.aio("one")


async def opening(database: Path) -> float:
    """Return the milliseconds that it takes to open a file with a runner."""
    begin = time.perf_counter()
    async with Runner(database, registry=declare()):
        return (time.perf_counter() - begin) * 1000


async def burst(runner: Runner) -> float:
    """Return the seconds that executions take which are started at once."""
    begin = time.perf_counter()
    ended = await asyncio.gather(*(runner.execute.aio("one") for _ in range(BURST)))
    taken = time.perf_counter() - begin
    if any(each.status is not WorkflowStatus.SUCCESS for each in ended):
        sys.exit("an execution has not succeeded")
    return taken


async def alone(runner: Runner) -> float:
    """Return the milliseconds that one execution takes."""
    begin = time.perf_counter()
    await runner.execute.aio("one")
    return (time.perf_counter() - begin) * 1000


async def compare(databases: list[Path]) -> None:
    """Print how long executions take in the first file and in the second, by turns."""
    bursts, singles = list[list[float]](), list[list[float]]()
    async with AsyncExitStack() as stack:
        runners = [
            await stack.enter_async_context(Runner(database, registry=declare()))
            for database in databases
        ]
        for _ in range(ROUNDS):
            for _ in range(ALONE):
                singles.append([await alone(runner) for runner in runners])
            for _ in range(BURSTS):
                bursts.append([await burst(runner) for runner in runners])
    few, many = (statistics.median(column) for column in zip(*bursts, strict=True))
    print(f"{BURST / few:,.0f} executions/s in an empty file, {BURST / many:,.0f} in a full one")
    most = 100 / LEAST_RATE
    judge("growth: time of a burst, beside an empty file", many / few, "x", most)
    few, many = (statistics.median(column) for column in zip(*singles, strict=True))
    print(f"{few:.2f} ms for one execution alone in an empty file, {many:.2f} in a full one")
    judge("growth: time of one alone, beside an empty file", many / few, "x", most)


def history(folder: Path) -> None:
    """Compare a file with a million finished executions with an empty one."""
    empty, full = folder / "empty.db", folder / "full.db"
    for database in (empty, full):
        asyncio.run(finish(database, 1))
    begin = time.perf_counter()
    fill(full)
    size = full.stat().st_size / 2**20
    print(f"{FINISHED:,} written in {time.perf_counter() - begin:.0f} s, {size:.0f} MB", flush=True)
    few, many = (
        statistics.median(asyncio.run(opening(database)) for _ in range(ROUNDS))
        for database in (empty, full)
    )
    print(f"{few:.0f} ms to open an empty file")
    judge("growth: to open a full one", many, "ms", OPENED_MS)
    asyncio.run(compare([empty, full]))
    more = ROUNDS * (ALONE + BURSTS * BURST)
    for database, before in ((empty, 1), (full, FINISHED)):
        number = before + more
        if counted(database) != (number, number):
            sys.exit(f"{database} has {counted(database)}")


def chain(size: int, name: str) -> None:
    """Declare a chain."""
    with Workflow(name):
        for number in range(size):
            before = [f"t{number - 1}"] if number else []

            @task(id=f"t{number}", dependencies=before)
            async def link() -> None:
                """Do nothing."""


def wide(size: int, name: str) -> None:
    """Declare tasks that all begin at once, and one that waits for all others."""
    with Workflow(name):
        names = [f"t{number}" for number in range(size - 1)]
        for each in names:

            @task(id=each)
            async def one() -> None:
                """Do nothing."""

        @task(id="last", dependencies=names)
        async def last() -> None:
            """Do nothing."""


async def per_task(
    folder: Path, shape: Callable[[int, str], None], size: int, workflows: int, times: int
) -> float:
    """Return the microseconds for each task, from its declaration on.

    Args:
        folder: where the database goes.
        shape: declares a workflow.
        size: of each workflow.
        workflows: how many are declared.
        times: how often each of them is run.
    """
    database = Path(tempfile.mkdtemp(dir=folder)) / "tasks.db"
    begin = time.perf_counter()
    with Registry() as registry:
        for number in range(workflows):
            shape(size, f"shape{number}")
    async with Runner(database, registry=registry) as runner:
        for number in range(workflows * times):
            await runner.execute.aio(f"shape{number % workflows}")
        taken = time.perf_counter() - begin
    tasks = workflows * times * size
    if counted(database) != (workflows * times, tasks):
        sys.exit(f"{database} has {counted(database)}")
    shutil.rmtree(database.parent)
    return taken / tasks * 1e6


def tasks(folder: Path) -> None:
    """Compare workflows of few and of many tasks: as many tasks are declared, stored and run.

    And one of few tasks that is declared once and run as often, which declares and holds less.
    """
    few, many = SIZES
    runs = [(few, many // few, 1), (many, 1, 1), (few, 1, many // few)]
    for shape in (chain, wide):
        rounds = [
            [asyncio.run(per_task(folder, shape, *each)) for each in runs] for _ in range(ROUNDS)
        ]
        small, large, again = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"{shape.__name__}: {small:.0f} us a task of {few:,}, {large:.0f} of {many:,}; "
            f"{again:.0f} of one of {few:,} that is run again and again"
        )
        ratio = statistics.median(row[1] / row[0] for row in rounds)
        name = f"growth: a task of {many:,}, beside one of {few:,}, {shape.__name__}"
        judge(name, ratio, "x", MOST_PER_TASK)


async def blocks(database: Path) -> list[int]:
    """Return the allocated blocks after a tenth of the executions, and after all of them."""
    found: list[int] = []
    async with Runner(database, registry=declare()) as runner:
        for number in range(1, KEPT_FLAT // BURST + 1):
            await asyncio.gather(*(runner.execute.aio("one") for _ in range(BURST)))
            if number in {KEPT_FLAT // BURST // 10, KEPT_FLAT // BURST}:
                gc.collect()
                found.append(sys.getallocatedblocks())
    return found


def memory(folder: Path) -> None:
    """Count blocks while executions finish."""
    database = folder / "memory.db"
    begin = time.perf_counter()
    first, last = asyncio.run(blocks(database))
    print(f"{KEPT_FLAT:,} executions finished in {time.perf_counter() - begin:.0f} s")
    if counted(database)[0] != KEPT_FLAT:
        sys.exit(f"{database} has {counted(database)}")
    grown = (last - first) / (KEPT_FLAT * 0.9 / 1_000)
    print(f"{first:,} blocks after a tenth of them, {last:,} at the end")
    judge("growth: of 1,000 finished executions", grown, "blocks", BLOCKS_PER_THOUSAND)


PARTS: dict[str, Callable[[Path], None]] = {"history": history, "tasks": tasks, "memory": memory}


def chosen() -> Sequence[str]:
    """Return the parts that are asked for."""
    parser = options(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to run (default: all)")
    parts: list[str] = parser.parse_args().parts
    # By hand: where none is given, argparse of 3.11 looks for the empty list among the choices.
    for part in parts:
        if part not in PARTS:
            known = ", ".join(map(repr, PARTS))
            parser.error(f"argument PART: invalid choice: {part!r} (choose from {known})")
    return parts or list(PARTS)


def main() -> None:
    """Run them."""
    parts = chosen()
    with tempfile.TemporaryDirectory() as folder:
        print(f"fsync {fsync_ms(Path(folder)):.2f} ms")
        for part in parts:
            PARTS[part](Path(folder))


if __name__ == "__main__":
    run(main)
