"""Events: from a task to the first line of another, and 10,000 to one stateful condition."""

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import cast

from asyncflow import (
    Condition,
    Context,
    Event,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    ValueStateDescriptor,
    Workflow,
    task,
)
from benchmarks.yardstick import fsync_ms, judge, options, run

TIMES = 100
MOST_MS = 5

MANY = 10_000
AT_ONCE = 500
ROUNDS = 3
MUST_REACH = 3_000

SUM = ValueStateDescriptor("sum")


async def latencies(database: Path) -> list[float]:
    """Return the milliseconds of each event from a task that runs to one that it starts."""
    taken: list[float] = []
    sent_at: list[float] = []
    began = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def sends() -> None:
            client = NotificationClient()
            for number in range(TIMES):
                began.clear()
                sent_at.append(time.perf_counter())
                await client.send_event.aio("go", number)
                await began.wait()
                await asyncio.sleep(0.005)  # so that the run that it started has ended

        @task()
        async def hears() -> None:
            taken.append((time.perf_counter() - sent_at[-1]) * 1000)
            began.set()

        hears.action_on_event_received(TaskAction.START, "go")

    async with Runner(database, registry=registry) as runner:
        await runner.execute.aio("w")
    check(database, "SELECT count(*) FROM task_execution WHERE task = 'hears'", TIMES)
    return taken


class Sums(Condition):
    """Sums what it hears, and is never met."""

    def is_met(self, event: Event, context: Context) -> bool:
        """Add the value to the state."""
        state = context.get_state(SUM)
        state.update((state.value() or 0) + cast("int", event.value))
        return False


async def rate(database: Path) -> float:
    """Return events per second, each stored with the state that it changed."""
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Never run."""

        hears.action_on_condition(TaskAction.START, Sums(["number"]))

    async with Runner(database, registry=registry, grace=0) as runner:
        execution = await runner.start.aio("w")
        begin = time.perf_counter()
        left = iter(range(MANY))

        async def send() -> None:
            for _ in left:
                await runner.send_event.aio("number", 1, execution=execution.name)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(send())
        taken = time.perf_counter() - begin
    check(database, "SELECT value FROM cell WHERE name = 'sum'", str(MANY))
    check(database, "SELECT count(*) FROM event", MANY)
    return MANY / taken


def check(database: Path, sql: str, wanted: object) -> None:
    """Exit with an error unless the database says so."""
    with closing(connect(database)) as connection:
        found = connection.execute(sql).fetchone()
    if found != (wanted,):
        sys.exit(f"{database}: {sql} gives {found}, wanted {wanted}")


def main() -> None:
    """Measure both, and print the medians."""
    options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fsync = fsync_ms(Path(folder))
        taken = asyncio.run(latencies(Path(folder) / "latency.db"))
        spread = f"{min(taken):.2f} to {max(taken):.2f}"
        more = f"median of {TIMES}: {spread}; fsync {fsync:.2f} ms"
        judge("event to a downstream task", statistics.median(taken), "ms", MOST_MS, more)
        rates = [asyncio.run(rate(Path(folder) / f"rate-{number}.db")) for number in range(ROUNDS)]
        name = f"{MANY:,} events to one stateful condition"
        more = f"median of {ROUNDS}: {min(rates):,.0f} to {max(rates):,.0f}"
        judge(name, statistics.median(rates), "events/s", MUST_REACH, more, least=True)


if __name__ == "__main__":
    run(main)
