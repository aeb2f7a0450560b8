"""A program for `test_crowd`: one of several that run the same service on one database.

Usage: crowd.py DATABASE LOG. It has a schedule, a trigger and a workflow rule, and says at which
instants it polls. It ends at SIGTERM.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from asyncflow import (
    NotificationClient,
    Registry,
    Runner,
    SingleEventCondition,
    TriggerResult,
    Workflow,
    WorkflowRule,
    task,
    trigger,
)
from tests.system.fifty import write


def declare(log: Path) -> Registry:
    with Registry() as registry:
        with Workflow("ticked"):

            @task()
            async def says() -> None:
                await NotificationClient().send_event.aio("ticked")

        for name in ("ruled", "polled"):
            with Workflow(name):

                @task()
                async def works() -> None:
                    """End at once."""

        @trigger(workflow="polled", poll_interval="1s", allow_concurrent=True)
        async def polls(cursor: int | None) -> TriggerResult:
            number = 0 if cursor is None else cursor
            write(log, f"polled {os.getpid()} {time.time()} {number}")
            return TriggerResult.fire({"number": number}, cursor=number + 1)

    return registry


async def main(database: str, log: str) -> None:
    """Work until told to end."""
    registry = declare(Path(log))
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    rules = [("ruled", WorkflowRule(SingleEventCondition("ticked")))]
    async with Runner(f"sqlite:///{database}", registry=registry, rules=rules) as runner:
        await runner.register_schedule.aio("ticked", "* * * * * *", overlap="allow")
        write(Path(log), f"open {os.getpid()} {time.time()}")
        await over.wait()
        await runner.disable_schedule.aio("ticked")
        await asyncio.sleep(0.5)  # what was said is heard


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
