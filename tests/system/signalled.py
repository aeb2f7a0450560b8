"""A program for `test_signal_crash`: a task that asks and waits, and somebody who signals.

What is acknowledged is written down outside the database. Usage: signalled.py DATABASE LOG ROLE
[TIMEOUT]; the role is ``run``, ``signal``, or ``both`` at once.
"""

import asyncio
import sys
from pathlib import Path

from asyncflow import (
    Client,
    EventClosedError,
    EventTimedOutError,
    Registry,
    Runner,
    TaskAction,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from tests.system.fifty import write

NAME = "signalled-1"
PAYLOAD = 7


def declare(log: Path, timeout: str | None) -> Registry:
    """Declare what asks, and what hears the signal, each time anew."""
    with Registry() as registry, Workflow("signalled"):

        @task()
        async def asks() -> None:
            event = await new_event.aio("approve", data_type=int, timeout=timeout)
            await new_event.aio("other", timeout=timeout)
            try:
                write(log, f"got {await event.wait.aio()}")
            except EventTimedOutError:
                write(log, "timed out")

        if timeout is None:

            @task()
            async def hears() -> None:
                """Run once for each signal that is heard."""

            hears.action_on_event_received(TaskAction.START, "never")
            hears.action_on_event_received(TaskAction.RESTART, "approve")
    return registry


async def signal(port: Client, log: Path) -> None:
    """Signal the event as soon as it is there."""
    while (event := await port.event.aio("approve", NAME)) is None:  # noqa: ASYNC110  it is in another process
        await asyncio.sleep(0.002)
    try:
        await event.signal.aio(PAYLOAD)
    except EventClosedError:
        write(log, "refused")
    else:
        write(log, f"taken {PAYLOAD}")


async def run(database: str, log: Path, role: str, timeout: str | None) -> None:
    """Start the execution if it is not there yet, and see it through."""
    async with Runner(database, registry=declare(log, timeout)) as runner:
        execution = await runner.execution.aio(NAME)
        if execution is None:
            execution = await runner.start.aio("signalled", name=NAME)
        if role == "both":
            await signal(runner, log)
        done = await execution.wait.aio(timeout=30)
    if done.status is not WorkflowStatus.SUCCESS:
        sys.exit(f"{done.status}: {done.error_message}")


async def main(database: str, log: str, role: str, timeout: str | None = None) -> None:
    """Play a role."""
    if role == "signal":
        async with Client(database) as client:
            await signal(client, Path(log))
    else:
        await run(database, Path(log), role, timeout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
