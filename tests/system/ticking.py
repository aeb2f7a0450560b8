"""A program for `test_crash_ticks`: a schedule of a second on a virtual clock, for some seconds.

Usage: ticking.py DATABASE FIRST SECONDS. It stands at second FIRST when it begins.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from asyncflow import Context, Runner, VirtualClock, Workflow, task

START = datetime(2026, 3, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)

with Workflow("w"):

    @task()
    async def note(context: Context) -> str:
        return str(context["scheduled_time"])


async def main(database: str, first: str, seconds: str) -> None:
    """Tick for so many seconds, and see the executions through."""
    clock = VirtualClock(START + int(first) * SECOND)
    async with Runner(f"sqlite:///{database}", clock=clock) as runner:
        await runner.register_schedule.aio("w", "1s", catchup="all", overlap="allow")
        await clock.advance(int(seconds) * SECOND)
        ticks = await runner.get_schedule_history.aio("w", None)
        while len(ticks) < int(first) + int(seconds) or not all(x["completed_at"] for x in ticks):
            await clock.advance(SECOND / 100)
            ticks = await runner.get_schedule_history.aio("w", None)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
