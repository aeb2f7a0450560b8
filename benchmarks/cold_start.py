"""W8: how long a new process needs until asyncflow is imported, and until work of it is on disk.

Each figure is of whole processes, less those that do nothing, in turns; bytecode is cached, as it
is wherever a package was run once.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.yardstick import check_counts, fsync_ms, judge, options, run

ROUNDS = 9
IMPORT_MS = 400
FIRST_MS = 700

NOTHING = "pass"
BESIDE = "import asyncio, sqlite3, pydantic, anyio, aiosqlite"
IMPORT = "import asyncflow"
FIRST = """
import asyncio, sys
from asyncflow import Runner, Workflow, task

with Workflow("first"):

    @task(id="only")
    async def only() -> str:
        return "done"

async def main() -> None:
    async with Runner(sys.argv[1]) as runner:
        await runner.execute.aio("first")
        print("done", flush=True)

asyncio.run(main())
"""


def spent(code: str, cache: Path, *arguments: str) -> tuple[float, float]:
    """Return the milliseconds until a process that runs some code says something, or ends.

    And those of processors that it used until its end.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begin, used = time.perf_counter(), _used()
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # so that it says nothing of a Ctrl-C
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        taken = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"a process failed: {code}")
    return taken * 1000, (_used() - used) * 1000


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    """Run the rounds, after one that fills the caches, and print their medians."""
    options(__doc__).parse_args()
    taken: dict[str, list[tuple[float, float]]] = {
        each: [] for each in (NOTHING, BESIDE, IMPORT, FIRST)
    }
    with tempfile.TemporaryDirectory() as folder:
        fsync = fsync_ms(Path(folder))
        for number in range(ROUNDS + 1):
            database = Path(folder) / f"first-{number}.db"
            for code, times in taken.items():
                times.append(spent(code, Path(folder) / "cache", str(database)))
            check_counts(database, 1, 1)
    (nothing, beside, imported, first), used = (
        [statistics.median(times[which] for times in of[1:]) for of in taken.values()]
        for which in (0, 1)
    )
    print(f"a process that does nothing: {nothing:.0f} ms; fsync {fsync:.2f} ms")
    print(f"import of what asyncflow stands on: {beside - nothing:.0f} ms more")
    print("processor time of all four:", ", ".join(f"{each:.0f} ms" for each in used))
    judge("W8 import asyncflow, beside doing nothing", imported - nothing, "ms", IMPORT_MS)
    judge("W8 first durable workflow, since its process began", first, "ms", FIRST_MS)


if __name__ == "__main__":
    run(main)
