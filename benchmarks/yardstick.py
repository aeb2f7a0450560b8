"""What benchmarks share: the machine's fsync, counts out of the database, a line per result.

A benchmark trusts no counter of the engine: it counts rows with the standard library's sqlite3.
"""

import os
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path


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


def report(name: str, rates: list[float], unit: str, wanted: float | None, fsync: float) -> None:
    """Print the median of several rounds beside what must be reached and the machine's fsync."""
    median = statistics.median(rates)
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    goal = "" if wanted is None else f", must reach {wanted:,.0f}"
    rounds = len(rates)
    print(
        f"{name}: {median:,.0f} {unit} (median of {rounds}: {spread}{goal}; fsync {fsync:.2f} ms)"
    )


def judge(name: str, found: float, unit: str, most: float) -> None:
    """Print a figure beside the most that it may be, and whether it is."""
    verdict = "" if found <= most else "  <- TOO MUCH"
    print(f"{name}: {found:,.2f} {unit} (at most {most:,g}){verdict}", flush=True)
