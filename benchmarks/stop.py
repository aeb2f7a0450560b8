"""STOP: from the request to STOPPED on disk (FULL), for an async task and a shell command."""

import asyncio
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

from asyncflow import BashOperator, PythonOperator, Registry, Runner, Workflow
from benchmarks.yardstick import fsync_ms, judge, options, run

TIMES = 20
MOST_MS = 100

log = logging.getLogger("asyncflow.task")


class Begin(logging.Handler):
    """Hears a task say that it has begun."""

    def __init__(self) -> None:
        """Wait for the first word."""
        super().__init__()
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take any word for it."""
        self.heard.set()


async def hang() -> None:
    """Say that it has begun, and wait for the end."""
    log.info("begun")
    await asyncio.get_running_loop().create_future()


KINDS: dict[str, Callable[[], object]] = {
    "async": lambda: PythonOperator("t", hang),
    "bash": lambda: BashOperator("t", "sleep 1000 & echo begun; wait"),
}


async def stops(kind: str, database: Path) -> list[float]:
    """Return the milliseconds of each STOP."""
    with Registry() as registry, Workflow("w"):
        KINDS[kind]()
    taken: list[float] = []
    begin = Begin()
    log.addHandler(begin)
    async with Runner(database, registry=registry) as runner:
        for _ in range(TIMES):
            execution = await runner.start.aio("w")
            await begin.heard.wait()
            begin.heard.clear()
            since = time.perf_counter()
            await execution.stop.aio(wait=True)
            taken.append((time.perf_counter() - since) * 1000)
    log.removeHandler(begin)
    return taken


def check_stopped(database: Path) -> None:
    """Exit with an error unless every run is recorded as STOPPED."""
    with closing(connect(database)) as connection:
        found = connection.execute(
            "SELECT status, count(*) FROM task_execution GROUP BY status"
        ).fetchall()
    if found != [("STOPPED", TIMES)]:
        sys.exit(f"{database}: {found} recorded, wanted {TIMES} STOPPED")


def main() -> None:
    """Stop each kind so many times, and print the medians."""
    options(__doc__).parse_args()
    log.setLevel(logging.INFO)
    log.propagate = False
    with tempfile.TemporaryDirectory() as folder:
        fsync = fsync_ms(Path(folder))
        for kind in KINDS:
            database = Path(folder) / f"{kind}.db"
            taken = asyncio.run(stops(kind, database))
            check_stopped(database)
            spread = f"{min(taken):.1f} to {max(taken):.1f}"
            more = f"median of {TIMES}: {spread}; fsync {fsync:.2f} ms"
            judge(f"STOP of a task, {kind}", statistics.median(taken), "ms", MOST_MS, more)


if __name__ == "__main__":
    run(main)
