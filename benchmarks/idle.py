"""How much CPU an open runner uses that has nothing to do, in per cent of one core."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from asyncflow import Registry, Runner, TaskAction, Workflow, task

LENGTH = 20.0
MOST = 1.0


def declare() -> Registry:
    """Declare a workflow that waits for an event."""
    with Registry() as registry, Workflow("waiting"):

        @task(id="waits")
        async def waits() -> None:
            """Never runs."""

        waits.action_on_event_received(action=TaskAction.START, event_key="never")
    return registry


async def idle(database: Path) -> float:
    """Return the share of one core that was used while 100 executions waited."""
    async with Runner(database, registry=declare()) as runner:
        for _ in range(100):
            await runner.start.aio("waiting")
        begin, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(LENGTH)
        return 100 * (time.process_time() - used) / (time.perf_counter() - begin)


def main() -> None:
    """Measure once and print."""
    with tempfile.TemporaryDirectory() as folder:
        share = asyncio.run(idle(Path(folder) / "idle.db"))
    print(
        f"idle runner, 100 waiting executions: {share:.2f} % of one core (must stay under {MOST} %)"
    )
    if share >= MOST:
        sys.exit(1)


if __name__ == "__main__":
    main()
