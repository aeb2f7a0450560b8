"""Polled triggers on uvloop: CPU and lateness beside a bare loop and APScheduler 4, memory, load.

    python -m benchmarks.triggers [--rounds 3] [--seconds 15]

Each measurement is a process of its own. How late a poll is: how much more than the interval has
passed since the one before it. APScheduler's pre-release is installed into a folder of its own.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import uvloop

from asyncflow import Context, Registry, Runner, TriggerResult, Workflow, task, trigger

INTERVAL: Final = 1.0
SKIP: Final = TriggerResult.skip()
PEER: Final = "apscheduler==4.0.0a6"
Figures = dict[str, float]


class Stamps:
    """When each of many pollers was called."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.times: defaultdict[int, list[float]] = defaultdict(list)

    def note(self, number: int) -> None:
        """Note a call."""
        self.times[number].append(time.monotonic())

    def figures(self, since: float, seconds: float, cpu: float, many: int) -> Figures:
        """Return what is said of the calls since a moment."""
        late: list[float] = []
        counts: list[int] = []
        for number in range(many):
            seen = [each for each in self.times[number] if each >= since]
            counts.append(len(seen))
            late += [max(0.0, b - a - INTERVAL) for a, b in pairwise(seen)]
        late.sort()
        return {
            "cpu": 100 * cpu / seconds,
            "p50": 1000 * late[len(late) // 2] if late else float("inf"),
            "p95": 1000 * late[int(len(late) * 0.95)] if late else float("inf"),
            "fewest": min(counts) / (seconds / INTERVAL),
        }


async def observe(stamps: Stamps, many: int, seconds: float) -> Figures:
    """Let everything start, then look for so many seconds."""
    await asyncio.sleep(3 * INTERVAL)
    begin, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    passed, cpu = time.monotonic() - begin, time.process_time() - used
    return stamps.figures(begin, passed, cpu, many)


def declare(many: int, poll: Callable[[int], Any]) -> Registry:
    """Declare so many triggers of one workflow."""
    with Registry() as registry:
        with Workflow("work"):

            @task(id="one")
            async def one(context: Context) -> None:
                """Do nothing."""

        for number in range(many):
            trigger("work", name=f"trigger {number}", poll_interval=INTERVAL)(poll(number))
    return registry


def polled(stamps: Stamps) -> Callable[[int], Callable[[], Awaitable[TriggerResult]]]:
    """Return what makes functions that are polled on the loop."""

    def make(number: int) -> Callable[[], Awaitable[TriggerResult]]:
        async def poll() -> TriggerResult:
            stamps.note(number)
            return SKIP

        return poll

    return make


def polled_in_threads(stamps: Stamps) -> Callable[[int], Callable[[], TriggerResult]]:
    """Return what makes functions that are polled in threads."""

    def make(number: int) -> Callable[[], TriggerResult]:
        def poll() -> TriggerResult:
            stamps.note(number)
            return SKIP

        return poll

    return make


async def bare(many: int, seconds: float) -> Figures:
    """Poll in bare coroutines: nothing can be cheaper."""
    stamps = Stamps()
    poll = polled(stamps)

    async def loop(number: int) -> None:
        ask = poll(number)
        await asyncio.sleep(INTERVAL * number / many)
        while True:
            await ask()
            await asyncio.sleep(INTERVAL)

    tasks = [asyncio.create_task(loop(number)) for number in range(many)]
    figures = await observe(stamps, many, seconds)
    for each in tasks:
        each.cancel()
    return figures


async def asyncflow(many: int, seconds: float) -> Figures:
    """Poll with asyncflow, on a file."""
    stamps = Stamps()
    registry = declare(many, polled(stamps))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "triggers.db"
        async with Runner(path, registry=registry):
            before = written(path)
            figures = await observe(stamps, many, seconds)
            figures["bytes written"] = written(path) - before
    return figures


async def threads(many: int, seconds: float) -> Figures:
    """Poll functions in threads."""
    stamps = Stamps()
    registry = declare(many, polled_in_threads(stamps))
    async with Runner(":memory:", registry=registry):
        return await observe(stamps, many, seconds)


async def disturbed(many: int, seconds: float) -> Figures:
    """Poll beside a trigger that hangs, and a workflow that a trigger starts and that runs on."""
    stamps = Stamps()
    registry = declare(many, polled(stamps))
    with registry:
        with Workflow("long"):

            @task(id="one")
            async def one() -> None:
                """Run a minute."""
                await asyncio.sleep(60)

        @trigger("work", name="hangs", poll_interval="1s")
        def hangs() -> bool:
            time.sleep(60)
            return False

        @trigger("long", name="starts long", poll_interval="1s")
        async def starts_long() -> bool:
            return True

    async with Runner(":memory:", registry=registry, grace=0):
        return await observe(stamps, many, seconds)


async def apscheduler(many: int, seconds: float) -> Figures:
    """Poll with APScheduler 4, in memory."""
    peer: Any = import_module("apscheduler")
    intervals: Any = import_module("apscheduler.triggers.interval")
    stamps = Stamps()
    async with peer.AsyncScheduler(max_concurrent_jobs=many) as scheduler:
        for number in range(many):
            every = intervals.IntervalTrigger(seconds=INTERVAL)
            await scheduler.add_schedule(
                apscheduler_poll, every, id=str(number), kwargs={"number": number}
            )
        NOTED.append(stamps)
        await scheduler.start_in_background()
        return await observe(stamps, many, seconds)


NOTED: Final[list[Stamps]] = []


async def apscheduler_poll(number: int) -> None:
    """Note a call: APScheduler finds its functions by their names."""
    NOTED[0].note(number)


async def size(many: int, seconds: float) -> Figures:
    """Measure the memory of a sleeping trigger, and the time that loading many takes."""
    del seconds
    stamps = Stamps()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    declared = time.perf_counter()
    registry = declare(many, polled(stamps))
    declaring = time.perf_counter() - declared
    with tempfile.TemporaryDirectory() as folder:
        async with Runner(Path(folder) / "size.db", registry=registry):
            await asyncio.sleep(0.5)
            bytes_each = (tracemalloc.get_traced_memory()[0] - before) / many
    tracemalloc.stop()
    return {"bytes": bytes_each, "declaring": declaring}


async def loading(many: int, seconds: float) -> Figures:
    """Measure the time from the first declaration of many to a runner that polls them."""
    del seconds
    stamps = Stamps()
    begin = time.perf_counter()
    registry = declare(many, polled(stamps))
    with tempfile.TemporaryDirectory() as folder:
        async with Runner(Path(folder) / "loading.db", registry=registry):
            return {"seconds": time.perf_counter() - begin}


def written(path: Path) -> int:
    """Return the sizes of a database and of its log."""
    return sum(each.stat().st_size for each in path.parent.iterdir())


MEASURED: Final[dict[str, Callable[[int, float], Coroutine[Any, Any, Figures]]]] = {
    each.__name__: each
    for each in (bare, asyncflow, threads, disturbed, apscheduler, size, loading)
}


def measure(what: str, many: int, seconds: float, peer: Path | None = None) -> Figures:
    """Measure in a process of its own."""
    paths = [str(Path(__file__).resolve().parent.parent), *([str(peer)] if peer else [])]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.triggers", "--child", what, str(many), str(seconds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def install_peer(folder: Path) -> Path | None:
    """Install APScheduler into a folder; None if it cannot be had."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    try:
        subprocess.run([*pip, "--pre", PEER, "--target", str(folder)], check=True)
    except subprocess.CalledProcessError:
        print(f"{PEER} cannot be installed: its lines are left out")
        return None
    return folder


def show(name: str, rounds: list[Figures]) -> Figures:
    """Print the medians of several rounds."""
    medians = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    print(
        f"{name:34} {medians['cpu']:6.1f} % CPU, late p50 {medians['p50']:7.1f} ms, "
        f"p95 {medians['p95']:7.1f} ms, fewest polls {100 * medians['fewest']:4.0f} %",
        flush=True,
    )
    return medians


def compare(rounds: int, seconds: float, peer: Path | None) -> None:
    """Measure all of it, interleaved, and print it."""
    plan = [("bare", 1000), ("asyncflow", 1000), ("bare", 10_000), ("asyncflow", 10_000)]
    plan += [("threads", 300), ("disturbed", 1000)]
    found: defaultdict[tuple[str, int], list[Figures]] = defaultdict(list)
    for _ in range(rounds):
        for what, many in plan:
            found[what, many].append(measure(what, many, seconds))
        if peer is not None:
            found["apscheduler", 1000].append(measure("apscheduler", 1000, seconds, peer))
    medians = {
        place: show(f"{place[1]:,} at 1 s, {place[0]}", each) for place, each in found.items()
    }
    for many in (1000, 10_000):
        ratio = medians["asyncflow", many]["cpu"] / medians["bare", many]["cpu"]
        print(f"{many:,}: {ratio:.2f} x the CPU of the bare loop (1,000: at most 1.5)")
    quiet, loud = medians["asyncflow", 1000], medians["disturbed", 1000]
    print(f"p95 beside a hanging trigger and a long workflow: {loud['p95'] / quiet['p95']:.2f} x")
    for many in (1000, 10_000):
        print(f"{many:,}: {medians['asyncflow', many]['bytes written']:.0f} bytes written (0)")


def main() -> None:
    """Measure, or be one measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", nargs=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    if given.child:
        what, many, seconds = given.child
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(MEASURED[what](int(many), float(seconds)))))
        return
    print(f"memory of a sleeping trigger: {measure('size', 10_000, 0)['bytes']:,.0f} bytes (4,096)")
    print(f"declaring and loading 10,000: {measure('loading', 10_000, 0)['seconds']:.2f} s (2)")
    with tempfile.TemporaryDirectory() as folder:
        compare(given.rounds, given.seconds, install_peer(Path(folder)))


if __name__ == "__main__":
    main()
