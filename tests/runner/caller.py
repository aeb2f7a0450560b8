"""A program for `test_doorbell`: a client that calls once. Usage: caller.py DATABASE CALL NAME."""

import asyncio
import sys

from asyncflow import Client, Registry, TaskAction, Workflow, task


def waiting() -> Registry:
    """Declare a workflow that waits for an event."""
    registry = Registry()
    with registry, Workflow("w"):

        @task()
        async def hears() -> str:
            return "heard"

        hears.action_on_event_received(TaskAction.START, "said")
    return registry


async def main(database: str, call: str, name: str, *more: str) -> None:
    """Call once."""
    async with Client(f"sqlite:///{database}", registry=waiting()) as client:
        match call:
            case "send_event":
                await client.send_event.aio(name, execution=more[0] if more else None)
            case "stop":
                await client.stop.aio(name)
            case _:
                await client.start.aio(name, name=more[0])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
