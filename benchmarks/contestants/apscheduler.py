"""APScheduler 4, a pre-release, in memory or on SQLite: it knows jobs, not workflows."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Any, Final

from benchmarks.contest.course import LENGTH, first, latencies, rates
from benchmarks.contest.heat import Figures, Heat, finish, given, run
from benchmarks.contest.polls import INTERVAL, Polls

PEER: Final[Any] = import_module("apscheduler")  # no types: who checks them has no APScheduler
INTERVALS: Final[Any] = import_module("apscheduler.triggers.interval")
POLLS: Final = Polls()


async def one() -> int:
    """Do nothing; APScheduler finds its functions by their names."""
    return 1


async def poll(number: int) -> None:
    """Note a call."""
    due = PEER.current_job.get().scheduled_fire_time
    ago = (datetime.now(UTC) - due).total_seconds()
    POLLS.note(number, time.monotonic() - ago)


async def opened(stack: AsyncExitStack, heat: Heat) -> Any:  # noqa: ANN401  the peer's
    """Return a scheduler that may run as many jobs at once as are asked for."""
    store = None
    if heat.variant == "sqlite":
        stores = import_module("apscheduler.datastores.sqlalchemy")
        store = stores.SQLAlchemyDataStore(f"sqlite+aiosqlite:///{heat.database}")
    more = {} if store is None else {"data_store": store}
    scheduler = PEER.AsyncScheduler(max_concurrent_jobs=max(100, heat.many), **more)
    await stack.enter_async_context(scheduler)
    return scheduler


async def w1(heat: Heat) -> Figures:
    """Run a job, and have its result."""
    async with AsyncExitStack() as stack:
        scheduler = await opened(stack, heat)
        await scheduler.start_in_background()
        return await latencies(partial(scheduler.run_job, one), heat.many)


async def w2(heat: Heat) -> Figures:
    """Run jobs one after the other."""
    async with AsyncExitStack() as stack:
        scheduler = await opened(stack, heat)
        await scheduler.start_in_background()

        async def chain() -> None:
            for _ in range(LENGTH):
                await scheduler.run_job(one)

        return await rates(chain, LENGTH)


async def w4(heat: Heat) -> Figures:
    """Run many jobs beside one another."""
    async with AsyncExitStack() as stack:
        scheduler = await opened(stack, heat)
        await scheduler.start_in_background()

        async def all_of_them() -> None:
            await asyncio.gather(*(scheduler.run_job(one) for _ in range(heat.many)))

        return await rates(all_of_them, heat.many)


async def w7(heat: Heat) -> Figures:
    """Call by each of many schedules."""
    async with AsyncExitStack() as stack:
        scheduler = await opened(stack, heat)
        for number in range(heat.many):
            every = INTERVALS.IntervalTrigger(seconds=INTERVAL)
            await scheduler.add_schedule(poll, every, id=str(number), kwargs={"number": number})
        await scheduler.start_in_background()
        # Closed, it would go on with what is overdue, for longer than was measured.
        finish(await POLLS.observe(heat.many, heat.seconds))


async def w8(heat: Heat) -> Figures:
    """Run a first job."""
    async with AsyncExitStack() as stack:
        scheduler = await opened(stack, heat)
        await scheduler.start_in_background()
        return await first(partial(scheduler.run_job, one), heat)


if __name__ == "__main__":
    assert given().variant in {"memory", "sqlite"}
    run({"W1": w1, "W2": w2, "W4": w4, "W7": w7, "W8": w8})
