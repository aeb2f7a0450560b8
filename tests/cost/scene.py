"""What is counted: a few workflows, run by a real runner on a real file.

The clock stands still, so that only the work is counted: no turn of 5 ms is over, and nothing that
the engine does from time to time comes in between.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from asyncflow import Event, Registry, Runner, VirtualClock, Workflow, new_event, task
from tests.cost.tally import Tally, Wal, counting, wal_of

LENGTH = 100
"""Tasks of a chain."""

MANY = 1000
"""Tasks side by side, executions at once."""

SECOND = timedelta(seconds=1)

SEVERAL = 200
"""Executions at once, where counting is slow."""

T = TypeVar("T")
Work = Callable[[Runner], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Cost:
    """What some work cost: what was counted, and by how much the WAL and the database grew."""

    tally: Tally
    wal: Wal


def declared() -> Registry:
    """Declare a workflow of one task, chains, and tasks side by side."""
    with Registry() as registry:
        with Workflow("one"):
            task(id="t")(nothing)
        for length in (30, LENGTH):
            with Workflow(f"chain of {length}"):
                for number in range(length):
                    before = [f"t{number - 1}"] if number else []
                    task(id=f"t{number}", dependencies=before)(nothing)
        with Workflow("wide"):
            for number in range(MANY):
                task(id=f"t{number}")(nothing)
    return registry


async def nothing() -> None:
    """Do nothing: what is counted is all around it."""


def waits(asked: list[Event], ask: asyncio.Event | None = None) -> Registry:
    """Declare "waits", which adds what it waits for to a list, once it may ask for it."""
    with Registry() as registry, Workflow("waits"):

        @task(id="t")
        async def waits() -> None:
            if ask is not None:
                await ask.wait()
            event = await new_event.aio("go", data_type=bool)
            asked.append(event)
            await event.wait.aio()
            await asyncio.get_running_loop().create_future()

    return registry


async def one(runner: Runner) -> None:
    """Run a workflow of one task."""
    await runner.execute.aio("one")


async def short_chain(runner: Runner) -> None:
    """Run a short chain."""
    await runner.execute.aio("chain of 30")


async def chain(runner: Runner) -> None:
    """Run a chain."""
    await runner.execute.aio(f"chain of {LENGTH}")


async def wide(runner: Runner) -> None:
    """Run tasks side by side."""
    await runner.execute.aio("wide")


async def many(runner: Runner) -> None:
    """Run workflows of one task at once."""
    await asyncio.gather(*(runner.execute.aio("one") for _ in range(MANY)))


async def several(runner: Runner) -> None:
    """Run fewer of them at once."""
    await asyncio.gather(*(runner.execute.aio("one") for _ in range(SEVERAL)))


@asynccontextmanager
async def opened(
    database: Path, registry: Registry, clock: VirtualClock | None = None
) -> AsyncGenerator[Runner]:
    """Open a runner; its lease is not renewed meanwhile."""
    clock = VirtualClock() if clock is None else clock
    async with Runner(database, registry=registry, clock=clock, lease="1h", grace=0) as runner:
        yield runner


async def counted(tally: Tally, database: Path, work: Awaitable[object]) -> Cost:
    """Return what it costs."""
    before = wal_of(database)
    tally.clear()
    await work
    found, after = copy(tally), wal_of(database)
    tally.clear()  # what comes later is not added to the lists of what was found
    grown = (
        after.pages - before.pages,
        after.commits - before.commits,
        after.database - before.database,
    )
    return Cost(found, Wal(*grown))


def on_a_file(main: Callable[[Tally, Path], Coroutine[Any, Any, T]]) -> T:
    """Run it on a loop that counts, with the path of a database that there is not yet."""
    with TemporaryDirectory() as folder, counting() as tally:
        return tally.run(main(tally, Path(folder) / "flows.db"))


@cache
def cost(work: Work, after: Work) -> Cost:
    """Return what some work costs a runner that did something alike; it is done only once."""

    async def main(tally: Tally, database: Path) -> Cost:
        clock = VirtualClock()
        async with opened(database, declared(), clock) as runner:
            await after(runner)
            await clock.settle()  # nothing of before is still on its way
            return await counted(tally, database, work(runner))

    return on_a_file(main)


def cost_of_one() -> Cost:
    """Return what a workflow of one task costs."""
    return cost(one, one)


def cost_of_chain() -> Cost:
    """Return what a chain of `LENGTH` tasks costs."""
    return cost(chain, short_chain)


def cost_of_wide() -> Cost:
    """Return what `MANY` tasks side by side cost."""
    return cost(wide, short_chain)


def cost_of_many() -> Cost:
    """Return what `MANY` workflows of one task cost that are started at once."""
    return cost(many, one)


@cache
def _costs_of_waiting() -> tuple[Cost, Cost]:
    """Return what it costs that a task awaits its first event, and that this is signalled."""
    asked: list[Event] = []
    ask = asyncio.Event()

    async def main(tally: Tally, database: Path) -> tuple[Cost, Cost]:
        clock = VirtualClock()
        async with opened(database, waits(asked, ask), clock) as runner:

            async def waited() -> None:
                ask.set()
                await clock.settle()

            await runner.start.aio("waits")
            await clock.advance(SECOND)
            awaited = await counted(tally, database, waited())
            (event,) = asked
            signalled = await counted(tally, database, event.signal.aio(True))
            return awaited, signalled

    return on_a_file(main)


def cost_of_new_event() -> Cost:
    """Return what the first event costs that a task awaits."""
    return _costs_of_waiting()[0]


def cost_of_signal() -> Cost:
    """Return what a signal costs."""
    return _costs_of_waiting()[1]
