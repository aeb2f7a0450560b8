"""The course: what is timed of each contestant in W1 to W6, W8 and W9, and in which order.

A contestant says how it runs a workflow; here is what is done with that, the same for all. Only the
standard library is imported. Medians are left to whoever reads the figures.
"""

import asyncio
import os
import random
import resource
import signal as signals
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks.contest.heat import Figures, Heat

Run: TypeAlias = Callable[[], Awaitable[Any]]

LENGTH: Final = 100
"""Tasks in the chain of W2 and W9."""

LATENCIES: Final = 0.2
"""Of W1 the part of all runs, of W5 as much on top of its many, that only warms up."""

MOST_RUNS: Final = 20
LONG_ENOUGH: Final = 2.0
"""Seconds after which W1 to W4 are not run again in the same process."""

WARM: Final = 100
"""Waiters of W6 that are there before the memory of the others is measured."""

KILLED_IN: Final = LENGTH // 2
"""The task of W9's chain that kills its process."""


def rss() -> int:
    """Return the memory of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def until(met: Callable[[], bool], pause: float = 0.001) -> None:
    """Return when something is so; it is looked at every ``pause`` seconds."""
    while not met():  # noqa: ASYNC110  the peers tell it to no event of asyncio's
        await asyncio.sleep(pause)


async def latencies(run: Run, many: int) -> Figures:
    """W1: run one after the other until it was long enough; milliseconds of each.

    ``many`` are measured at least; the first part of all only warms up, for a fresh process has
    to grow its memory and its WAL.
    """
    taken: list[float] = []
    enough = time.perf_counter() + LONG_ENOUGH
    while len(taken) < many / (1 - LATENCIES) or time.perf_counter() < enough:
        begin = time.perf_counter()
        await run()
        taken.append(1000 * (time.perf_counter() - begin))
    return {"ms": taken[int(len(taken) * LATENCIES) :], "runs": len(taken)}


async def rates(run: Run, units: int) -> Figures:
    """W2 to W4: run until it was long enough; units per second of each, and the peak of memory.

    The first run warms up, unless one alone is long enough.
    """
    rates: list[float] = []
    begin = time.perf_counter()
    while len(rates) <= MOST_RUNS and time.perf_counter() < begin + LONG_ENOUGH:
        before = time.perf_counter()
        await run()
        rates.append(units / (time.perf_counter() - before))
    return {"per_second": rates[1:] or rates, "runs": len(rates), "peak": peak()}


async def signalled(
    many: int,
    wait: Callable[[int], Awaitable[Run]],
    stamps: dict[int, float],
    pause: float = 0.005,
) -> Figures:
    """W5: signal one waiter after the other; milliseconds from the call to the next line of each.

    Args:
        many: how many are measured.
        wait: lets one wait, and returns what signals it.
        stamps: where a waiter puts the time.monotonic() of its next line.
        pause: seconds at most before a signal: whoever polls may be anywhere in its interval.
    """
    taken: list[float] = []
    warm = int(many * LATENCIES)
    for number in range(warm + many):
        signal = await wait(number)
        await asyncio.sleep(0.01 + pause * random.random())
        begin = time.monotonic()
        await signal()
        await until(partial(stamps.__contains__, number))
        taken.append(1000 * (stamps[number] - begin))
    return {"ms": taken[warm:], "runs": len(taken)}


async def crowd(
    many: int,
    start: Callable[[int], Awaitable[None]],
    waiting: Callable[[], int],
    signal: Callable[[int], Awaitable[None]],
    ended: Callable[[], int],
) -> Figures:
    """W6: let many wait, then wake them all; seconds of both, and bytes of memory (RSS) for each.

    ``start`` may return before its waiter waits. All that are measured are signalled at once.
    """
    for number in range(WARM):
        await start(number)
    await until(lambda: waiting() >= WARM)
    await asyncio.sleep(1)
    before, begin = rss(), time.monotonic()
    for number in range(WARM, WARM + many):
        await start(number)
    await until(lambda: waiting() >= WARM + many)
    started = time.monotonic() - begin
    await asyncio.sleep(1)
    figures = {"start": started, "bytes": (rss() - before) / many, "many": many}
    begin = time.monotonic()
    await asyncio.gather(*(signal(number) for number in range(WARM, WARM + many)))
    await until(lambda: ended() >= many)
    return {**figures, "wake": time.monotonic() - begin, "runs": WARM + many}


async def first(run: Run, heat: Heat) -> Figures:
    """W8: run once; milliseconds since the process was started."""
    await run()
    return {"first": 1000 * (time.monotonic() - heat.begun), "runs": 1}


class Trail:
    """What the tasks of W9 leave behind: a line each, with the process and the time."""

    def __init__(self, heat: Heat) -> None:
        """Write beside the database."""
        self._path = Path(heat.folder) / "trail.txt"
        self._dies = heat.workload == "W9 crash"

    def step(self, number: int) -> int:
        """Note that a task began; in the run that is to crash, one kills its process."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{number} {os.getpid()} {time.monotonic()!r}\n")
        if self._dies and number == KILLED_IN:
            os.kill(os.getpid(), signals.SIGKILL)
        return number

    def steps(self, *, mine: bool) -> dict[int, float]:
        """Return when each task began last, in this process or in those before."""
        lines = [line.split() for line in self._path.read_text(encoding="utf-8").splitlines()]
        return {int(n): float(at) for n, pid, at in lines if (int(pid) == os.getpid()) is mine}

    def figures(self, heat: Heat, opened: float, recorded: set[int]) -> Figures:
        """Return the milliseconds to the next task.

        No task may be left out, and none that was recorded may have run again.

        Args:
            heat: of this process.
            opened: when the contestant was told to start, by time.monotonic().
            recorded: the tasks whose end was on disk when the process before had been killed.
        """
        steps = self.steps(mine=True)
        begun = min(steps.values())
        if again := sorted(recorded & steps.keys()):
            sys.exit(f"recorded, and ran again: {again}")
        if missing := sorted(set(range(LENGTH)) - recorded - steps.keys()):
            sys.exit(f"neither recorded nor run: {missing}")
        return {
            "since_start": 1000 * (begun - opened),
            "since_process": 1000 * (begun - heat.begun),
            "recorded": len(recorded),
        }
