"""A program for `test_crowd`: it fires a trigger for many keys, each several times over.

Usage: firing.py DATABASE SEED COPIES KEYS.
"""

import asyncio
import sys
from random import Random

from asyncflow import Registry, Runner, TriggerResult, Workflow, task, trigger


def declare() -> Registry:
    with Registry() as registry:
        with Workflow("w"):

            @task()
            async def works() -> None:
                """End at once."""

        @trigger(workflow="w", poll_interval="1h", dedup="forever")
        async def fired() -> TriggerResult:
            return TriggerResult.skip()

    return registry


async def main(database: str, seed: str, copies: str, keys: str) -> None:
    """Fire them in an order of its own, twenty at once."""
    wanted = [number for number in range(int(keys)) for _ in range(int(copies))]
    Random(int(seed)).shuffle(wanted)
    todo = iter(wanted)

    async def fire() -> None:
        for number in todo:
            await runner.fire_trigger.aio("fired", {"number": number}, key=f"k{number}")

    async with Runner(f"sqlite:///{database}", registry=declare()) as runner:
        await asyncio.gather(*(fire() for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
