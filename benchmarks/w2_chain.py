"""W2: a chain of 100 tasks, each on disk (FULL) before the next begins. Tasks per second."""

import asyncio
import tempfile
import time
from pathlib import Path

from asyncflow import Registry, Runner, Workflow, task
from benchmarks.yardstick import check_counts, fsync_ms, report

LENGTH = 100
ROUNDS = 5
MUST_REACH = 300


def declare() -> Registry:
    """Declare the chain."""
    with Registry() as registry, Workflow("chain"):
        for number in range(LENGTH):
            before = [f"t{number - 1}"] if number else []

            @task(id=f"t{number}", dependencies=before)
            async def link() -> None:
                """Do nothing: what is measured is all around it."""

    return registry


async def chain(database: Path) -> float:
    """Return tasks per second of one chain on a fresh database."""
    async with Runner(database, registry=declare()) as runner:
        begin = time.perf_counter()
        await runner.execute.aio("chain")
        return LENGTH / (time.perf_counter() - begin)


def main() -> None:
    """Run the rounds and print their median."""
    with tempfile.TemporaryDirectory() as folder:
        fsync = fsync_ms(Path(folder))
        rates: list[float] = []
        for number in range(ROUNDS):
            database = Path(folder) / f"chain-{number}.db"
            rates.append(asyncio.run(chain(database)))
            check_counts(database, 1, LENGTH)
    report("W2 chain of 100", rates, "tasks/s", MUST_REACH, fsync)


if __name__ == "__main__":
    main()
