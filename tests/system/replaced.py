"""A program for `test_replaced`: tasks, a state, events and a cursor that are written late.

Usage: replaced.py DATABASE FOLDER ROLE. The role is ``owner``, whose tasks wait for a file ``go``
in the folder, or ``heir``, whose tasks do not. What is acknowledged is written to a log there. It
ends with 3 if it was replaced.
"""

import asyncio
import sys
from pathlib import Path

from asyncflow import (
    AsyncflowError,
    Context,
    FencedError,
    NotificationClient,
    Registry,
    Runner,
    TriggerResult,
    ValueStateDescriptor,
    Workflow,
    task,
    trigger,
)
from tests.system.fifty import write

TASKS = 25
NAME = "replaced-1"


async def late(folder: Path, role: str, context: Context, number: int) -> str:
    """Write what a task can, and say what was taken."""
    log = folder / "log"
    write(log, f"begun {role} {number}")
    while role == "owner" and not (folder / "go").exists():  # noqa: ASYNC110  the test makes it
        await asyncio.sleep(0.005)  # the test makes the file
    try:
        await NotificationClient().send_event.aio(f"e{number}", role)
        write(log, f"event {role} {number}")
        context.get_state(ValueStateDescriptor(f"s{number}")).update(role)
        write(log, f"cell {role} {number}")
    except AsyncflowError:
        write(log, f"refused {role} {number}")
    return role


def declare(folder: Path, role: str) -> Registry:
    with Registry() as registry:
        with Workflow("w"):
            for number in range(TASKS):

                @task(id=f"t{number}")
                async def work(context: Context, number: int = number) -> str:
                    return await late(folder, role, context, number)

        with Workflow("fired"):

            @task()
            async def fires() -> None:
                """End at once."""

        @trigger(workflow="fired", poll_interval="20ms")
        async def polled(cursor: str | None) -> TriggerResult:
            write(folder / "log", f"polled {role} {cursor}")
            while role == "owner" and (folder / "stopped").exists():
                await asyncio.sleep(0.005)  # the test takes the file away
                if (folder / "go").exists():
                    break
            return TriggerResult.skip(cursor=role)

    return registry


async def main(database: str, folder: str, role: str) -> int:
    """Work until the execution has ended."""
    registry = declare(Path(folder), role)
    url = f"sqlite:///{database}"
    try:
        async with Runner(url, registry=registry, lease="1s", grace=0) as runner:
            if role == "owner":
                await runner.start.aio("w", name=NAME)
            write(Path(folder) / "log", f"open {role} 0")
            await runner.wait.aio(NAME)
            while not (Path(folder) / "end").exists():  # noqa: ASYNC110  the test makes it
                await asyncio.sleep(0.01)  # the test makes the file
    except FencedError:
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
