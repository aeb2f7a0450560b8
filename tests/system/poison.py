"""A program for `test_crash_loop`: workflows of which one may end the process whenever it runs.

Usage: poison.py DATABASE LOG POISON SHORT SECONDS. POISON and SHORT are how many of these there
are, and one lasts for so many seconds. The program ends when all have ended that can.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from asyncflow import ExecutionParkedError, Registry, Runner, Workflow, task
from tests.system.fifty import write


def declare(log: Path, seconds: float) -> Registry:
    with Registry() as registry:
        with Workflow("long"):

            @task()
            async def lasts() -> None:
                write(log, "begun long")
                await asyncio.sleep(seconds)

        with Workflow("short"):

            @task()
            async def ends() -> None:
                await asyncio.sleep(0.05)  # so that it runs when the process dies

        with Workflow("poison"):

            @task()
            async def kills() -> None:
                write(log, "begun poison")
                os.kill(os.getpid(), signal.SIGKILL)

    return registry


async def main(database: str, log: str, poison: str, short: str, seconds: str) -> None:
    """Start what is not there yet, and see it through."""
    registry = declare(Path(log), float(seconds))
    numbers = {"long": 1, "short": int(short), "poison": int(poison)}
    names = [(each, f"{each}-{number}") for each in numbers for number in range(numbers[each])]
    async with Runner(f"sqlite:///{database}", registry=registry) as runner:
        for workflow, name in names:
            if await runner.execution.aio(name) is None:
                await runner.start.aio(workflow, name=name)
        for _, name in names:
            try:
                await runner.wait.aio(name)
            except ExecutionParkedError as error:
                write(Path(log), f"parked {error.execution}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
