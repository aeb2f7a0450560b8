"""Polled triggers: CPU and lateness beside a floor and APScheduler 4, on both loops; memory, load.

Each measurement is a process of its own. A poll is late from the time when it is due; APScheduler
does not tell that, so that there it is by how much more than the interval has passed since the poll
before. Its pre-release is installed into a folder of its own.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Final

import uvloop

from asyncflow import Context, Registry, Runner, TriggerResult, Workflow, task, trigger
from asyncflow._runner.meter import Meter
from benchmarks.contestants.bare_polls import Heap
from benchmarks.yardstick import CHILD, count, judge, options, positive, run

INTERVAL: Final = 1.0
PAGE: Final = 4120
"""Bytes of a page in a log: one more lease that was renewed, at the edge of the time."""

SKIP: Final = TriggerResult.skip()
PEER: Final = "apscheduler==4.0.0a6"
LOOPS: Final = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
Figures = dict[str, float]


class Stamps:
    """When each of many pollers was called."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.times: defaultdict[int, list[float]] = defaultdict(list)

    def note(self, number: int) -> None:
        """Note a call."""
        self.times[number].append(time.monotonic())

    def fewest(self, since: float, many: int) -> int:
        """Return how often the one that was called least was called since a moment."""
        return min(sum(each >= since for each in self.times[number]) for number in range(many))

    def gaps(self, since: float, many: int) -> list[float]:
        """Return by how much more than the interval each call was after the one before."""
        found: list[float] = []
        for number in range(many):
            seen = [each for each in self.times[number] if each >= since]
            found += [max(0.0, b - a - INTERVAL) for a, b in pairwise(seen)]
        return found


class LatePolls(Meter):
    """A runner's meter of polls that forgets nothing."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.values: list[float] = []

    def add(self, now: float, value: float) -> None:
        """Keep by how much a poll is late."""
        self.values.append(value)
        super().add(now, value)

    @classmethod
    def of(cls, runner: Runner) -> "LatePolls":
        """Put one into a runner that is open."""
        late = cls()
        object.__setattr__(runner._working_engine.driver.meters, "polls", late)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  what it tells is a mean and the most
        return late


async def observe(stamps: Stamps, late: list[float] | None, many: int, seconds: float) -> Figures:
    """Let everything start, then look for so many seconds.

    Args:
        stamps: when each was called.
        late: where the seconds come to by which each call is late; None: only the gaps are known.
        many: how many are called.
        seconds: how long to look.
    """
    await asyncio.sleep(3 * INTERVAL)
    known = 0 if late is None else len(late)
    begin, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    passed, cpu = time.monotonic() - begin, time.process_time() - used
    found = sorted(stamps.gaps(begin, many) if late is None else late[known:])
    return {
        "cpu": 100 * cpu / passed,
        "p50": 1000 * found[len(found) // 2] if found else float("inf"),
        "p95": 1000 * found[int(len(found) * 0.95)] if found else float("inf"),
        "most": 1000 * found[-1] if found else float("inf"),
        "fewest": stamps.fewest(begin, many) / (passed / INTERVAL),
    }


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


async def floor(many: int, seconds: float) -> Figures:
    """Poll in a bare coroutine for each, woken from one heap; nothing is caught, kept or told.

    The first times are random in a tenth of the interval, as asyncflow's are; no later one moves.
    """
    stamps, heap = Stamps(), Heap()
    poll = polled(stamps)
    late: list[float] = []

    async def loop(number: int, due: float) -> None:
        ask = poll(number)
        while True:
            await heap.until(due, number)
            late.append(time.monotonic() - due)
            await ask()
            due += INTERVAL

    opened = time.monotonic()
    tasks = [
        asyncio.create_task(loop(number, opened + INTERVAL * (1 + 0.1 * random.random())))
        for number in range(many)
    ]
    figures = await observe(stamps, late, many, seconds)
    for each in tasks:
        each.cancel()
    return figures


async def asyncflow(many: int, seconds: float) -> Figures:
    """Poll with asyncflow, on a file."""
    stamps = Stamps()
    registry = declare(many, polled(stamps))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "triggers.db"
        async with Runner(path, registry=registry) as runner:
            return await observe(stamps, LatePolls.of(runner).values, many, seconds)


async def threads(many: int, seconds: float) -> Figures:
    """Poll functions in threads."""
    stamps = Stamps()
    registry = declare(many, polled_in_threads(stamps))
    async with Runner(":memory:", registry=registry) as runner:
        return await observe(stamps, LatePolls.of(runner).values, many, seconds)


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

    async with Runner(":memory:", registry=registry, grace=0) as runner:
        return await observe(stamps, LatePolls.of(runner).values, many, seconds)


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
        return await observe(stamps, None, many, seconds)


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


async def writing(many: int, seconds: float) -> Figures:
    """Measure what a runner writes beside idle triggers; it renews its lease in any case."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "writing.db"
        async with Runner(path, registry=declare(many, polled(Stamps()))):
            before = written(path)
            await asyncio.sleep(seconds)
            return {"bytes": written(path) - before}


def written(path: Path) -> int:
    """Return the sizes of a database and of its log."""
    return sum(each.stat().st_size for each in path.parent.iterdir())


MEASURED: Final[dict[str, Callable[[int, float], Coroutine[Any, Any, Figures]]]] = {
    each.__name__: each
    for each in (floor, asyncflow, threads, disturbed, apscheduler, size, loading, writing)
}


def measure(
    what: str, many: int, seconds: float, *, loop: str = "uvloop", peer: Path | None = None
) -> Figures:
    """Measure in a process of its own."""
    paths = [str(Path(__file__).resolve().parent.parent), *([str(peer)] if peer else [])]
    command = [sys.executable, "-m", "benchmarks.triggers", CHILD, loop, what]
    done = subprocess.run(
        [*command, str(many), str(seconds)],
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
    both = list(product(("uvloop", "asyncio"), ("floor", "asyncflow"), (1000, 10_000)))
    plan = [*both, ("uvloop", "threads", 300), ("uvloop", "disturbed", 1000)]
    plan += [("uvloop", "apscheduler", 1000)] if peer is not None else []
    found: defaultdict[tuple[str, str, int], list[Figures]] = defaultdict(list)
    for _ in range(rounds):
        for loop, what, many in plan:
            found[loop, what, many].append(measure(what, many, seconds, loop=loop, peer=peer))
    medians = {
        (loop, what, many): show(f"{many:,} at 1 s, {loop}, {what}", found[loop, what, many])
        for loop, what, many in plan
    }
    for loop, (many, latest) in product(("uvloop", "asyncio"), ((1000, 50), (10_000, 250))):
        pairs = zip(found[loop, "asyncflow", many], found[loop, "floor", many], strict=True)
        ratio = statistics.median(own["cpu"] / bare["cpu"] for own, bare in pairs)
        ours = medians[loop, "asyncflow", many]
        judge(f"{many:,}, {loop}, CPU beside the floor's", ratio, "x", 1.5)
        judge(f"{many:,}, {loop}, p95 late", ours["p95"], "ms", latest)
    quiet, loud = medians["uvloop", "asyncflow", 1000], medians["uvloop", "disturbed", 1000]
    ratio = loud["p95"] / quiet["p95"]
    judge("p95 late beside a hanging trigger and a long workflow", ratio, "x", 1.2)
    starved = 100 * medians["uvloop", "threads", 300]["fewest"]
    judge("300 in threads, polls of the one with the fewest", starved, "%", 50, least=True)


def main() -> None:
    """Measure, or be one measurement."""
    parser = options(__doc__)
    parser.add_argument(CHILD, nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=count, default=3, help="how often (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=positive, default=20, help="how long to look (default: %(default)s)"
    )
    given = parser.parse_args()
    if given.child:
        loop, what, many, seconds = given.child
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            print(json.dumps(runner.run(MEASURED[what](int(many), float(seconds)))))
        return
    judge("memory of a sleeping trigger", measure("size", 10_000, 0)["bytes"], "bytes", 4096)
    judge("declaring and loading 10,000", measure("loading", 10_000, 0)["seconds"], "s", 2)
    some, none = (measure("writing", many, given.seconds)["bytes"] for many in (10_000, 0))
    judge("written by 10,000 idle ones, beside none", some - none, "bytes", PAGE)
    with tempfile.TemporaryDirectory() as folder:
        compare(given.rounds, given.seconds, install_peer(Path(folder)))


if __name__ == "__main__":
    run(main)
