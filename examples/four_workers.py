"""Four processes on one file, as `uvicorn --workers 4` starts them; one of them is killed.

Each declares the same workflow and the same schedule. Every second there is one execution, whoever
starts it, also when the process that did it so far is gone.

    python examples/four_workers.py
"""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from asyncflow import Client, Context, Runner, Workflow, task

WORKERS = 4
SECONDS = 4

with Workflow("tick") as tick:

    @task()
    async def note(context: Context) -> None:
        """Say which process this is."""
        context["pid"] = os.getpid()


async def work(database: str) -> None:
    """Be one of the workers, until SIGTERM."""
    logging.getLogger("asyncflow").setLevel(logging.ERROR)  # it would warn that one is gone
    async with Runner(database) as runner:
        await runner.register_schedule.aio(tick, "* * * * * *", name="each-second")
        await runner.serve.aio()


async def watch(database: str, workers: list[subprocess.Popen[bytes]]) -> None:
    """Kill the worker that starts the executions, and count what each has started."""
    async with Client(database) as client:
        first = await executed(client, SECONDS)
        (busy,) = first
        print(f"one of {WORKERS} processes starts all executions; it is killed")
        next(each for each in workers if each.pid == busy).send_signal(signal.SIGKILL)

        both = await executed(client, 2 * SECONDS)
        (_,) = both.keys() - {busy}
        print("another process goes on with them")
        ticks = await client.get_schedule_history.aio("each-second")
        twice = len(ticks) - len({each["scheduled_time"] for each in ticks})
        print(f"seconds that started two: {twice}")


async def executed(client: Client, number: int) -> Counter[int]:
    """Wait for so many executions; return how many each process has worked on."""
    found = Counter[int]()
    while found.total() < number:
        await asyncio.sleep(0.2)
        done = [await client.execution.aio(each.name) async for each in client.executions.aio()]
        pids = (each.final_context.get("pid") for each in done if each is not None)
        found = Counter(pid for pid in pids if isinstance(pid, int))
    return found


def main() -> None:
    """Start the workers, watch them, and end them."""
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "flows.db")
        command = [sys.executable, __file__, database]
        workers = [subprocess.Popen(command) for _ in range(WORKERS)]
        try:
            asyncio.run(watch(database, workers))
        finally:
            for each in workers:
                each.terminate()
            ends = sorted(each.wait() for each in workers)
        print("the processes ended with", ends)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(work(sys.argv[1]))
    else:
        main()
