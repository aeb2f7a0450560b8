"""Sends a burst of events to a runner of its own, and tells how that went: ``burst.py DATABASE N``.

Some executions have a rule for them, a workflow has one, and a pinger measures the loop meanwhile.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable

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


async def pinged(worst: list[float]) -> None:
    """Measure how late the loop comes to what is due."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        worst.append(loop.time() - due)


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
    late: list[float] = []
    async with Runner(f"sqlite:///{database}", registry=declare(), rules=[rule]) as runner:
        execution = await runner.start.aio("hears", name="hears")
        pinging = asyncio.ensure_future(pinged(late))
        await asyncio.sleep(0.1)
        late.clear()
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
                await asyncio.sleep(0.02)
            await sending
        took = time.perf_counter() - begin
        worst = sorted(late)[-5:]
        pinging.cancel()
        while len(await execution.task_executions.aio()) < events // EVERY:
            await asyncio.sleep(0.01)
        found = {
            "stored": (await runner.statistics.aio()).store.events,
            "heard": len(await execution.task_executions.aio()),
            "started": len([each async for each in runner.executions.aio(workflow="starts")]),
            "held_back": held_back,
            "seconds": took,
            "worst": worst[::-1],
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
