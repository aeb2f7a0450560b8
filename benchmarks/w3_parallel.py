"""W3: 1,000 parallel async tasks in one workflow, results on disk (FULL). Tasks per second."""

import asyncio
import tempfile
import time
from pathlib import Path

from asyncflow import Registry, Runner, Workflow, task
from benchmarks.yardstick import check_counts, fsync_ms, report

WIDTH = 1000
ROUNDS = 5
MUST_REACH = 2000


def declare() -> Registry:
    """Declare the tasks."""
    with Registry() as registry, Workflow("wide"):
        for number in range(WIDTH):

            @task(id=f"t{number}")
            async def one() -> int:
                return 1

    return registry


async def parallel(database: Path) -> float:
    """Return tasks per second of one execution on a fresh database."""
    async with Runner(database, registry=declare()) as runner:
        begin = time.perf_counter()
        await runner.execute.aio("wide")
        return WIDTH / (time.perf_counter() - begin)


def main() -> None:
    """Run the rounds and print their median."""
    with tempfile.TemporaryDirectory() as folder:
        fsync = fsync_ms(Path(folder))
        rates: list[float] = []
        for number in range(ROUNDS):
            database = Path(folder) / f"wide-{number}.db"
            rates.append(asyncio.run(parallel(database)))
            check_counts(database, 1, WIDTH)
    report("W3 1,000 parallel tasks", rates, "tasks/s", MUST_REACH, fsync)


if __name__ == "__main__":
    main()
