"""A program for `test_replaced`: a task that lasts, and perhaps blocks its loop.

Usage: holding.py DATABASE LOG ROLE [SECONDS]. The role is ``owner``, which starts it, or ``heir``.
The first attempt blocks the loop for so many seconds, if any, and ends; else each lasts for ever.
SIGTERM shuts the program down; before that it writes what has blocked its loop.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

from asyncflow import Registry, Runner, Workflow, task
from tests.system.fifty import write

NAME = "holding-1"


def declare(log: Path, role: str, seconds: float) -> Registry:
    with Registry() as registry, Workflow("w"):

        @task()
        async def lasts() -> None:
            write(log, f"begun {role} {time.time()}")
            if not seconds:
                await asyncio.get_running_loop().create_future()
            time.sleep(seconds)  # noqa: ASYNC251  it is what is tested

    return registry


async def main(database: str, log: str, role: str, seconds: str = "0") -> None:
    """Work until told to end."""
    registry = declare(Path(log), role, float(seconds))
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with Runner(f"sqlite:///{database}", registry=registry, lease="1s", grace=0) as runner:
        if role == "owner":
            await runner.start.aio("w", name=NAME)
        write(Path(log), f"open {role} {time.time()}")
        await over.wait()
        loop = (await runner.statistics.aio()).loop
        if loop is not None and loop.place is not None:
            place, _, _ = loop.place.partition(" ")
            write(Path(log), f"blocked {role} {loop.longest.total_seconds():.1f} {place}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
