"""W9: how soon a chain of 100 tasks goes on in a new process, after a kill -9 of its first one.

From entering ``async with Runner`` to the first line of a task. Beside the chain, nothing; or 1,000
executions that wait for an event and began before it. No task that was recorded may run again.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from asyncflow import Registry, Runner, Workflow, WorkflowExecution, new_event, task
from benchmarks.contest.heat import left_behind
from benchmarks.yardstick import CHILD, fsync_ms, judge, options, run

LENGTH = 100
KILLED_AFTER = 50
WAITING = (0, 1_000)
ROUNDS = 5
MUST_REACH_MS = 200
ENTERED = "entered"


def say(what: str) -> None:
    """Tell the process that measures what happens now, on the clock that all processes share."""
    os.write(1, f"{what} {time.monotonic_ns()}\n".encode())


def declare() -> Registry:
    """Declare the chain, and what waits beside it."""
    with Registry() as registry:
        with Workflow("chain"):
            for number in range(LENGTH):
                _declare_link(f"t{number}", [f"t{number - 1}"] if number else [])

        with Workflow("waiting"):

            @task(id="wait")
            async def wait_for_it() -> None:
                event = await new_event.aio("never", prompt="?", data_type=bool)
                await event.wait.aio()

    return registry


def _declare_link(name: str, before: list[str]) -> None:
    @task(id=name, dependencies=before)
    async def link() -> None:
        say(name)


async def work(database: str, waiting: int) -> None:
    """Start everything in a new file, or go on with what is in it, until killed."""
    registry = declare()
    begin = not Path(database).exists()
    say(ENTERED)
    async with Runner(database, registry=registry) as runner:
        if begin:
            for number in range(waiting):
                await runner.start.aio("waiting", name=f"waiting-{number}")
            await runner.execute.aio("chain", name="chain")
        else:
            execution = await WorkflowExecution.get.aio("chain")
            assert execution is not None
            await execution.wait.aio()


class Child:
    """A process that works on a file."""

    def __init__(self, database: Path, waiting: int) -> None:
        """Start it."""
        command = [sys.executable, "-m", "benchmarks.restart", CHILD, str(database), str(waiting)]
        # In a session of its own, so that it says nothing of a Ctrl-C.
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def said(self) -> tuple[str, int]:
        """Return what it says next, and when it said so, in nanoseconds."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a process ended before it was killed")
        what, when = line.split()
        return what, int(when)

    def __enter__(self) -> Self:
        """Leave it running."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, and wait for its end."""
        self._process.kill()
        self._process.communicate()


def recorded(database: Path) -> set[str]:
    """Return the tasks of the chain whose success is on disk."""
    sql = (
        "SELECT task FROM task_execution t JOIN execution e ON e.id = t.execution "
        "WHERE e.workflow = 'chain' AND t.status = 'SUCCESS'"
    )
    return {name for (name,) in left_behind(database, sql)}


def restart(database: Path, waiting: int) -> float:
    """Kill one process amid the chain; return after how many milliseconds the next goes on."""
    with Child(database, waiting) as first:
        while first.said()[0] != f"t{KILLED_AFTER}":
            pass
    before = recorded(database)
    with Child(database, waiting) as second:
        _, entered = second.said()
        name, began = second.said()
        ran = [name]
        while ran[-1] != f"t{LENGTH - 1}":
            ran.append(second.said()[0])
    if before & set(ran) or before | set(ran) != {f"t{number}" for number in range(LENGTH)}:
        sys.exit(f"{len(before)} tasks were recorded, and these ran afterwards: {ran}")
    return (began - entered) / 1e6


def main() -> None:
    """Run the rounds and print their medians, or be one of their processes."""
    parser = options(__doc__)
    parser.add_argument(CHILD, nargs=2, help=argparse.SUPPRESS)
    if child := parser.parse_args().child:
        asyncio.run(work(child[0], int(child[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(f"fsync {fsync_ms(Path(folder)):.2f} ms")
        for waiting in WAITING:
            taken = [
                restart(Path(folder) / f"{waiting}-{number}.db", waiting)
                for number in range(ROUNDS)
            ]
            spread = f"{min(taken):.0f} to {max(taken):.0f}"
            name = f"W9 the next task after a kill, beside {waiting:,} that wait"
            judge(name, statistics.median(taken), "ms", MUST_REACH_MS, spread)


if __name__ == "__main__":
    run(main)
