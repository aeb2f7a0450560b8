"""A program for `test_soak`: a thousand triggers, a hundred executions in a second, for a while.

Each tenth execution never ends and is stopped. Each second a line of figures is written down.
Usage: main(DATABASE, FIGURES, SECONDS).
"""

import asyncio
import gc
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

from asyncflow import Context, Registry, Runner, TriggerResult, Workflow, task, trigger

TRIGGERS: Final = 1000
INTERVAL: Final = 10
"""Seconds between two polls of a trigger, each of which starts an execution."""
STOPPED: Final = 10
"""One of so many executions is stopped."""
KEPT: Final = "5s"
"""How long an execution that has ended is kept."""
WATCHDOG: Final = "5s"
"""A collection of everything, once a second, may well keep the loop for longer than the default."""


def declare(started: "asyncio.Queue[str]") -> Registry:
    """Declare what ends, what does not and tells so, and what starts them."""
    with Registry() as registry:
        with Workflow("ends"):

            @task()
            async def first(context: Context) -> int:
                return int(str(context["number"]))

            @task(dependencies=[first])
            async def last(context: Context) -> str:
                return context.task_name

        with Workflow("hangs"):

            @task()
            async def hangs(context: Context) -> None:
                started.put_nowait(context.execution_name)
                await asyncio.get_running_loop().create_future()

        for number in range(TRIGGERS):
            declare_trigger(number)
    return registry


def declare_trigger(number: int) -> None:
    numbers = itertools.count()

    @trigger(
        "hangs" if number % STOPPED == 0 else "ends",
        name=f"trigger-{number}",
        poll_interval=INTERVAL,
        allow_concurrent=True,
    )
    async def fires() -> TriggerResult:
        return TriggerResult.fire({"number": next(numbers)})


async def stop_each(runner: Runner, started: "asyncio.Queue[str]") -> None:
    """Stop what is started, one after the other."""
    while True:
        await runner.stop.aio(await started.get(), wait=True)


def note(path: str, line: dict[str, float]) -> None:
    """Write a line down."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def figures(database: str, began: float) -> dict[str, float]:
    """Return what must not grow, of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "seconds": time.monotonic() - began,
        "blocks": sys.getallocatedblocks(),
        "resident": pages * resource.getpagesize(),
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "file": Path(database).stat().st_size,
    }


async def main(database: str, path: str, seconds: str) -> None:
    """Work for so many seconds."""
    started: asyncio.Queue[str] = asyncio.Queue()
    registry, began = declare(started), time.monotonic()
    async with Runner(
        database, registry=registry, grace="5s", retention=KEPT, watchdog=WATCHDOG
    ) as runner:
        stoppers = [asyncio.create_task(stop_each(runner, started)) for _ in range(4)]
        while time.monotonic() - began < float(seconds):
            await asyncio.sleep(1)
            note(path, figures(database, began))
        for each in stoppers:
            each.cancel()
