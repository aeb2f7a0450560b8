"""What an execution that waits keeps in memory: objects and blocks, counted and not weighed."""

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncflow import Event, VirtualClock
from tests.cost.scene import MANY, on_a_file, opened, waits
from tests.cost.tally import Tally

pytestmark = pytest.mark.timeout(60)  # a count is the same on a busy machine

Record = Callable[[str, object], None]

# Each is what it is now, and a few percent; what makes the engine cheaper lowers it.
OBJECTS = 31  # that the garbage collector goes through
BLOCKS = 42  # of memory, those of objects included


def test_an_execution_that_waits_is_one_asyncio_task_and_a_few_objects(
    record_property: Record,
) -> None:
    asked: list[Event] = []

    async def main(_: Tally, database: Path) -> tuple[float, float, float]:
        clock = VirtualClock()
        async with opened(database, waits(asked), clock) as runner:

            async def start() -> None:
                await asyncio.gather(*(runner.start.aio("waits") for _ in range(MANY)))
                await clock.settle()
                asked.clear()
                gc.collect()

            await start()  # as many: what the last transaction holds on to is in both counts
            before = held()
            await start()
            objects, blocks, tasks = (
                (later - earlier) / MANY for later, earlier in zip(held(), before, strict=True)
            )
            return objects, blocks, tasks

    objects, blocks, tasks = on_a_file(main)

    text = f"one of 1,000 that wait: {objects:.1f} objects, {blocks:.1f} blocks of memory"
    record_property("figure", text)
    assert tasks == 1
    assert objects <= OBJECTS
    assert blocks <= BLOCKS


def held() -> tuple[int, int, int]:
    """Count what there is: objects, blocks of memory, asyncio tasks."""
    return len(gc.get_objects()), sys.getallocatedblocks(), len(asyncio.all_tasks())
