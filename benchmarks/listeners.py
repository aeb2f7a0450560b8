"""What an idle listener costs, and how long an event takes from `send_event` to `process`."""

import asyncio
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

from asyncflow import Event, ListenerProcessor, Registry, Runner
from benchmarks.yardstick import judge, options, run

MANY = 1_000
ROUNDS = 200
MOST = 20.0  # KB


class Idle(ListenerProcessor):
    """Hears nothing."""

    async def process(self, events: list[Event]) -> None:
        """Never called."""


class Stopwatch(ListenerProcessor):
    """Notes when it was called, on the loop."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.heard = asyncio.Event()
        self.at = 0.0

    async def process(self, events: list[Event]) -> None:
        """Note the time."""
        self.at = time.perf_counter()
        self.heard.set()


class ThreadStopwatch(Stopwatch):
    """Notes when it was called, in a thread."""

    def __init__(self) -> None:
        """Remember the loop that waits."""
        super().__init__()
        self.loop = asyncio.get_running_loop()

    def process(self, events: list[Event]) -> None:  # type: ignore[override]
        """Note the time."""
        self.at = time.perf_counter()
        self.loop.call_soon_threadsafe(self.heard.set)


async def size(database: Path) -> float:
    """Return the KB of Python's memory that one of many idle listeners takes."""
    async with Runner(database, registry=Registry()) as runner:
        await runner.register_listener.aio(Idle(), ["first"])
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(MANY):
            await runner.register_listener.aio(Idle(), [f"key {number}"])
        await asyncio.sleep(1)  # past a look for events of other processes
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return (after - before) / MANY / 1000


async def latency(database: Path, stopwatch: type[Stopwatch]) -> float:
    """Return the median milliseconds from before `send_event` to inside `process`."""
    took: list[float] = []
    async with Runner(database, registry=Registry()) as runner:
        heard = stopwatch()
        await runner.register_listener.aio(heard, ["key"])
        for _ in range(ROUNDS):
            heard.heard.clear()
            begin = time.perf_counter()
            await runner.send_event.aio("key")
            await heard.heard.wait()
            took.append(1000 * (heard.at - begin))
    return statistics.median(took)


def main() -> None:
    """Measure once and print."""
    options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kilobytes = asyncio.run(size(Path(folder) / "size.db"))
        on_loop = asyncio.run(latency(Path(folder) / "loop.db", Stopwatch))
        in_thread = asyncio.run(latency(Path(folder) / "thread.db", ThreadStopwatch))
    judge(f"one of {MANY:,} idle listeners", kilobytes, "KB", MOST)
    print(
        f"from send_event to process, median of {ROUNDS}, in SQLite: "
        f"{on_loop:.2f} ms as async def, {in_thread:.2f} ms as def"
    )


if __name__ == "__main__":
    run(main)
