"""What the tests of schedules share: workflows that note their ticks, and histories in short."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from asyncflow import Client, Context, Registry, Runner, VirtualClock, Workflow, task
from asyncflow._model.schedule import CatchUp, Overlap
from tests.runner.scene import turns

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
BREATH = timedelta(milliseconds=20)

MISSED = "missed"
OVERLAPS = "the execution of an earlier tick still runs"
DISABLED = "the workflow is disabled"


def noting(log: list[str], *names: str) -> Registry:
    """Declare workflows that note the time of their ticks."""
    registry = Registry()
    for name in names or ("w",):
        with registry, Workflow(name):

            @task()
            async def note(context: Context) -> None:
                log.append(context["scheduled_time"])

    return registry


class Policy(TypedDict, total=False):
    """What a schedule says of ticks that were missed, or come while an execution runs."""

    catchup: CatchUp
    max_catchup: int
    overlap: Overlap


class Held:
    """A workflow "w" whose executions note when they begin and end, and end when they are let."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.log: list[str] = []
        self.seen: tuple[str, ...] = ()
        self.released = asyncio.Event()
        with self.registry, Workflow("w"):

            @task()
            async def hold(context: Context) -> None:
                name = context["scheduled_time"][11:16]
                self.log.append(f"begin {name}")
                try:
                    await self.released.wait()
                    self.log.append(f"end {name}")
                except asyncio.CancelledError:
                    await turns(3)
                    self.log.append(f"stop {name}")
                    raise


@asynccontextmanager
async def working(log: list[str], *names: str) -> AsyncGenerator[tuple[Runner, VirtualClock]]:
    clock = VirtualClock(START)
    async with Runner(":memory:", registry=noting(log, *names), clock=clock) as runner:
        yield runner, clock


def iso(times: Iterable[datetime]) -> list[str]:
    return [each.isoformat() for each in times]


def after(count: int, every: timedelta, start: datetime = START) -> list[datetime]:
    """Return the first ticks of an interval."""
    return [start + every * number for number in range(1, count + 1)]


async def became(client: Client, name: str, unit: timedelta = MINUTE) -> list[tuple[float, str]]:
    """Return what became of the ticks of a schedule, oldest first."""
    lines = await client.get_schedule_history.aio(name, None)
    return [
        ((line["scheduled_time"] - START) / unit, line["dropped"] or str(line["status"]))
        for line in reversed(lines)
    ]


async def answered(runner: Runner, clock: VirtualClock, name: str, count: int) -> None:
    """Return once so many ticks are in the history, and what they started has ended."""
    while True:
        await clock.advance(BREATH)
        lines = await runner.get_schedule_history.aio(name, None)
        if len(lines) >= count and all(each["dropped"] or each["completed_at"] for each in lines):
            return
