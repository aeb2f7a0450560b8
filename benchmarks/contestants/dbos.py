"""DBOS on SQLite: as installed, or tuned: in WAL mode, with short polls."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Any, Final

from benchmarks.contest.course import (
    LENGTH,
    Run,
    Trail,
    crowd,
    first,
    latencies,
    rates,
    signalled,
    until,
)
from benchmarks.contest.heat import Figures, Heat, check, left_behind, run
from benchmarks.contest.polls import Polls

PEER: Final[Any] = import_module("dbos").DBOS  # no types: who checks them has no DBOS
SHORTEST: Final = 0.001
"""Seconds between the looks of DBOS for messages, at least; as installed it is one second."""

WORKFLOWS: Final = "SELECT count(*) FROM workflow_status WHERE status = 'SUCCESS'"
STEPS: Final = "SELECT count(*) FROM operation_outputs WHERE function_name LIKE '%step'"


def prepare(heat: Heat) -> None:
    """Set DBOS up; `PEER.launch` is called after the workflows are declared."""
    config: dict[str, Any] = {
        "name": "benchmarks",
        "system_database_url": f"sqlite:///{heat.database}",
        "log_level": "ERROR",
    }
    if heat.variant == "tuned":
        config["notification_listener_polling_interval_sec"] = SHORTEST
        config["scheduler_polling_interval_sec"] = (
            1.0  # it finds new schedules so often, not after 30 s
        )
        with closing(sqlite3.connect(heat.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    PEER(config=config)


def chain(trail: Trail | None = None) -> Callable[[], Awaitable[None]]:
    """Declare a chain and launch."""

    @PEER.step()  # type: ignore[untyped-decorator, unused-ignore]
    async def step(number: int) -> int:
        return 1 if trail is None else trail.step(number)

    @PEER.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    async def chained() -> None:
        for number in range(LENGTH):
            await step(number)

    PEER.launch()
    workflow: Callable[[], Awaitable[None]] = chained
    return workflow


def wide(many: int) -> Callable[[], Awaitable[None]]:
    """Declare a workflow of many steps beside one another, and launch."""

    @PEER.step()  # type: ignore[untyped-decorator, unused-ignore]
    async def step() -> int:
        return 1

    @PEER.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    async def spread() -> None:
        await asyncio.gather(*(step() for _ in range(many)))

    PEER.launch()
    workflow: Callable[[], Awaitable[None]] = spread
    return workflow


async def w1(heat: Heat) -> Figures:
    """Run a workflow of one step."""
    prepare(heat)
    figures = await latencies(wide(1), heat.many)
    check(heat.database, {WORKFLOWS: figures["runs"], STEPS: figures["runs"]})
    return figures


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    prepare(heat)
    figures = await rates(chain(), LENGTH)
    check(heat.database, {WORKFLOWS: figures["runs"], STEPS: LENGTH * figures["runs"]})
    return figures


async def w3(heat: Heat) -> Figures:
    """Run many steps beside one another."""
    prepare(heat)
    figures = await rates(wide(heat.many), heat.many)
    check(heat.database, {WORKFLOWS: figures["runs"], STEPS: heat.many * figures["runs"]})
    return figures


async def w4(heat: Heat) -> Figures:
    """Run many workflows beside one another."""
    prepare(heat)
    one = wide(1)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(heat.many)))

    figures = await rates(all_of_them, heat.many)
    wanted = heat.many * figures["runs"]
    check(heat.database, {WORKFLOWS: wanted, STEPS: wanted})
    return figures


class Waiting:
    """A workflow that waits for a message, and who of it waits or has gone on."""

    def __init__(self) -> None:
        """Declare it and launch."""
        self.arrived: set[int] = set()
        self.stamps: dict[int, float] = {}
        self.handles: dict[int, Any] = {}

        @PEER.workflow()  # type: ignore[untyped-decorator, unused-ignore]
        async def waits(number: int) -> None:
            self.arrived.add(number)
            await PEER.recv_async("go", 600)
            self.stamps[number] = time.monotonic()

        self._waits: Any = waits
        PEER.launch()

    async def start(self, number: int) -> None:
        """Let one begin."""
        self.handles[number] = await PEER.start_workflow_async(self._waits, number)

    async def signal(self, number: int) -> None:
        """Send one its message."""
        await PEER.send_async(self.handles[number].get_workflow_id(), number, "go")


async def w5(heat: Heat) -> Figures:
    """Signal one workflow after the other."""
    prepare(heat)
    waiting = Waiting()

    async def wait(number: int) -> Run:
        await waiting.start(number)
        await until(partial(waiting.arrived.__contains__, number))
        return partial(waiting.signal, number)

    pause = 0.005 if heat.variant == "tuned" else 1.0
    figures = await signalled(heat.many, wait, waiting.stamps, pause)
    await asyncio.gather(*(each.get_result() for each in waiting.handles.values()))
    check(heat.database, {WORKFLOWS: figures["runs"]})
    return figures


async def w6(heat: Heat) -> Figures:
    """Let many wait, then signal them all."""
    prepare(heat)
    waiting = Waiting()
    return await crowd(
        heat.many,
        waiting.start,
        lambda: len(waiting.arrived),
        waiting.signal,
        lambda: len(waiting.stamps),
    )


async def w7(heat: Heat) -> Figures:
    """Start a workflow by each of many schedules; cron knows no shorter one than a second."""
    prepare(heat)
    polls = Polls()

    @PEER.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    def poll(scheduled: datetime, context: int) -> None:
        ago = (datetime.now(UTC) - scheduled).total_seconds()
        polls.note(context, time.monotonic() - ago)

    PEER.launch()
    schedules = [
        {
            "schedule_name": f"schedule {number}",
            "workflow_fn": poll,
            "schedule": "* * * * * *",
            "context": number,
        }
        for number in range(heat.many)
    ]
    await PEER.apply_schedules_async(schedules)
    return await polls.observe(heat.many, heat.seconds)


async def w8(heat: Heat) -> Figures:
    """Run a first workflow."""
    prepare(heat)
    figures = await first(wide(1), heat)
    check(heat.database, {WORKFLOWS: 1, STEPS: 1})
    return figures


async def crash(heat: Heat) -> Figures:
    """Run a chain of which one step kills this process."""
    prepare(heat)
    handle = await PEER.start_workflow_async(chain(Trail(heat)))
    await handle.get_result()
    return {}


async def w9(heat: Heat) -> Figures:
    """Go on after the crash: a launch recovers what is unfinished."""
    ((done,),) = left_behind(heat.database, STEPS)
    ((name,),) = left_behind(heat.database, "SELECT workflow_uuid FROM workflow_status")
    trail = Trail(heat)
    opened = time.monotonic()
    prepare(heat)
    chain(trail)
    await (await PEER.retrieve_workflow_async(name)).get_result()
    check(heat.database, {WORKFLOWS: 1, STEPS: LENGTH})
    return trail.figures(heat, opened, set(range(done)))


if __name__ == "__main__":
    workloads = {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W7": w7, "W8": w8}
    run({**workloads, "W9 crash": crash, "W9": w9})
