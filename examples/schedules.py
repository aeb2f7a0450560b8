"""Schedules of a workflow, by cron expressions and an interval, through a month of virtual time.

Run it with ``python examples/schedules.py``. The clock is what the tests of your own workflows can
use, too: it moves when it is told to, so that a month takes a second.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from asyncflow import Context, Runner, VirtualClock, Workflow, task

MONTH = timedelta(days=31)

with Workflow("report") as report:

    @task()
    async def write(context: Context) -> str:
        """Write a report; the context says for which moment, however late it is started."""
        return f"{context['what']} of {context['scheduled_time']}"


async def register(runner: Runner) -> None:
    """Register three schedules. The same name again changes one, and makes no second one."""
    await runner.register_schedule.aio(
        report, "30 2 * * *", name="nightly", timezone="Europe/Paris", context={"what": "stock"}
    )
    await runner.register_schedule.aio(
        report, "0 9 * * mon-fri", name="workdays", context={"what": "sales"}
    )
    await runner.register_schedule.aio(
        report, "6h", name="four times a day", context={"what": "weather"}
    )


async def main() -> None:
    """Let a month pass, then say what was started."""
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with Runner(":memory:", clock=clock) as runner:
        await register(runner)
        await clock.advance(MONTH)
        for schedule in await runner.list_schedules.aio("report"):
            numbers = await runner.get_schedule_statistics.aio(schedule["name"])
            print(f"{schedule['name']}: {numbers['succeeded']} of {numbers['ticks']} succeeded")
        # In Paris the clocks go from 2:00 to 3:00 on 29 March.
        for tick in await runner.get_schedule_history.aio("nightly", limit=4):
            run = await runner.execution.aio(tick["workflow_execution_id"] or "")
            if run is not None:
                print(run.final_context["scheduled_time"], run.status)


if __name__ == "__main__":
    asyncio.run(main())
