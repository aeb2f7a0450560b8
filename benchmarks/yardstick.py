"""What benchmarks share: the machine's fsync, counts out of the database, limits of figures.

A benchmark trusts no counter of the engine: it counts rows with the standard library's sqlite3.
"""

import argparse
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NoReturn


def fsync_ms(folder: Path, times: int = 50) -> float:
    """Return the median milliseconds of one small write and its fsync in a folder."""
    path = folder / "fsync.probe"
    taken: list[float] = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            begin = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begin)
    path.unlink()
    return statistics.median(taken) * 1000


def check_counts(database: Path, executions: int, tasks: int) -> None:
    """Exit with an error unless so many executions and tasks are recorded as SUCCESS, in a WAL."""
    with closing(sqlite3.connect(database)) as connection:
        found = [
            connection.execute(f"SELECT count(*) FROM {table} WHERE status = 'SUCCESS'").fetchone()[
                0
            ]
            for table in ("execution", "task_execution")
        ]
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if found != [executions, tasks] or journal != "wal":
        sys.exit(f"{database}: {found} recorded, wanted {[executions, tasks]}; journal {journal}")


def judge(
    name: str, found: float, unit: str, limit: float, more: str = "", *, least: bool = False
) -> None:
    """Print a figure beside its limit, and keep in mind whether it is beyond it.

    Args:
        name: of the figure.
        found: the figure.
        unit: of both.
        limit: the most that it may be.
        more: what else is to be said.
        least: the limit is the least that it may be.
    """
    beyond = found < limit if least else found > limit
    said = f"at {'least' if least else 'most'} {limit:,g} {unit}"
    verdict = f"  <- TOO {'LITTLE' if least else 'MUCH'}" if beyond else ""
    shown = f"{found:,.{0 if found >= 100 else 2}f} {unit}"
    print(f"{name}: {shown} ({'; '.join(filter(None, (said, more)))}){verdict}", flush=True)
    if beyond:
        BEYOND.append(name)


BEYOND: Final[list[str]] = []
"""The figures of this process that are beyond their limits."""


def options(text: str | None) -> argparse.ArgumentParser:
    """Return what reads the command line of a part; the text is of its module."""
    first, _, _ = (text or "").partition("\n\n")
    name = Path(sys.argv[0]).stem
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=first,
        epilog="Exit status: 1 if a figure is beyond its limit or a count is wrong.",
    )


def count(text: str) -> int:
    """Return a number of a command line, which is at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def positive(text: str) -> float:
    """Return a number of a command line, which is more than 0."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return number


def run(main: Callable[[], None]) -> NoReturn:
    """Run a part; its exit status says whether every figure is within its limit."""
    try:
        main()
    except KeyboardInterrupt:
        if CHILD not in sys.argv:
            print("stopped before the end", file=sys.stderr)
        sys.exit(130)
    sys.exit(f"beyond the limit: {'; '.join(BEYOND)}" if BEYOND else 0)


CHILD: Final = "--child"
"""The option by which a part runs itself as another process, which says nothing of its end."""
