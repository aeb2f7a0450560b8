"""A program that leaves executions which ended so long ago that the scene's runners forget them.

They are more than one transaction forgets. Usage: main(DATABASE).
"""

import asyncio
from datetime import UTC, datetime
from typing import Final

from asyncflow import Context, Registry, Runner, VirtualClock, Workflow, task

NUMBER: Final = 60
LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)


async def main(database: str) -> None:
    """Execute them."""
    with Registry() as registry, Workflow("past"):

        @task()
        async def only(context: Context) -> None:
            context["past"] = context.execution_name

    async with Runner(database, registry=registry, clock=VirtualClock(LONG_AGO)) as runner:
        names = [f"past-{number}" for number in range(NUMBER)]
        await asyncio.gather(*(runner.execute.aio("past", name=name) for name in names))
