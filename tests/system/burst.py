"""Sends a burst of events to a runner of its own, and tells how that went: ``burst.py DATABASE N``.

Some executions have a rule for them, a workflow has one, and a pinger measures the loop meanwhile.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from asyncflow import (
    Condition,
    Context,
    Event,
    Registry,
    Runner,
    TaskAction,
    ValueStateDescriptor,
    Workflow,
    WorkflowRule,
    task,
)

AT_ONCE = 20_000
CHUNK = 250
EVERY = 1_000


class Counts(Condition):
    """Is met by each thousandth event; counts them in a state."""

    def is_met(self, event: Event, context: Context) -> bool:
        cell = context.get_state(ValueStateDescriptor("count"))
        count = int(str(cell.value() or 0)) + 1
        cell.update(count)
        return count % EVERY == 0


def declare() -> Registry:
    with Registry() as registry:
        with Workflow("hears"):

            @task()
            async def heard() -> None:
                """Start with each thousandth."""

            heard.action_on_condition(TaskAction.START, Counts(["said"]))

        with Workflow("starts"):

            @task()
            async def starts() -> None:
                """Start with each thousandth, too."""

    return registry


class Pinger:
    """Measures how long the loop is kept from what is due.

    By the clock, which on a busy machine shows what others do; and by the time that its thread
    worked meanwhile, without Python's garbage collections: they stop all threads of a process, the
    longer the more objects there are, and of 20,000 calls that wait there are many.
    """

    def __init__(self) -> None:
        self.late: list[float] = []
        self.worked: list[float] = []
        self.collected = [0.0]
        self._began = 0.0
        gc.callbacks.append(self._collect)

    def _collect(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        took = time.thread_time() - self._began
        self.collected.append(took)
        self._own -= took  # whichever thread it was in, the loop's is the one that works most

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, begin, self._own = loop.time() + 0.002, time.thread_time(), 0.0
            await asyncio.sleep(0.002)  # the ping: how late it comes is measured
            self.late.append(loop.time() - due)
            self.worked.append(time.thread_time() - begin + self._own)

    def worst(self) -> dict[str, float]:
        return {
            "late": max(self.late),
            "worked": max(self.worked),
            "collected": max(self.collected),
        }

    _own = 0.0


def most_resident() -> int:
    """Return the bytes that this program has had in memory at most.

    What getrusage(2) says is also of the process before it became this program.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def in_chunks(number: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Begin calls without blocking the loop by that alone, and await them all."""
    calls: list[asyncio.Future[object]] = []
    for begin in range(0, number, CHUNK):
        ends = min(begin + CHUNK, number)
        calls += [asyncio.ensure_future(call(each)) for each in range(begin, ends)]
        await asyncio.sleep(0)
    for each in calls:
        await each


async def main(database: str, events: int) -> None:
    rule = ("starts", WorkflowRule(Counts(["said"])))
    pinger = Pinger()
    async with Runner(f"sqlite:///{database}", registry=declare(), rules=[rule]) as runner:
        execution = await runner.start.aio("hears", name="hears")
        pinging = asyncio.ensure_future(pinger.run())
        begin = time.perf_counter()
        held_back = 0
        for first in range(0, events, AT_ONCE):
            sending = asyncio.ensure_future(
                in_chunks(
                    min(AT_ONCE, events - first),
                    lambda each: runner.send_event.aio("said", {"number": each}),
                )
            )
            while not sending.done():
                held_back = max(held_back, (await runner.statistics.aio()).queues.held_back)
                await asyncio.sleep(0.02)  # a look now and then
            await sending
        took = time.perf_counter() - begin
        worst = pinger.worst()
        pinging.cancel()
        found = {
            "stored": (await runner.statistics.aio()).store.events,
            "heard": len(await execution.task_executions.aio()),
            "started": len([each async for each in runner.executions.aio(workflow="starts")]),
            "held_back": held_back,
            "seconds": took,
            "waiting": (await runner.statistics.aio()).queues.inbox,
            **worst,
            "rss": most_resident(),
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
