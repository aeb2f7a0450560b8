"""Signals on uvloop, durable: from another process, and to many that wait across a restart.

W5 and W6 of `benchmarks.compare` are those in one process.
"""

import argparse
import asyncio
import json
import random
import signal as signals
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from asyncflow import Client, Event, Registry, Runner, Workflow, new_event, task
from benchmarks.contest.course import rss, until
from benchmarks.contest.heat import Figures
from benchmarks.yardstick import CHILD, count, fsync_ms, judge, options, run

PAUSE: Final = 0.005
"""Seconds between looks at a signal's arrival: seldom, so that the owner stays idle."""

IDLE: Final = 0.1
"""Seconds before a signal, after which the owner is idle."""

ELSEWHERE_MS: Final = 50
ACCEPTS_S: Final = 5
BACK_S: Final = 60
LONGEST_MS: Final = 1000

AT_ONCE: Final = 1000
"""Executions whose start is asked for at once."""

SEEN: Final[dict[str, float]] = {}
"""When each waiter's next line was reached, by the name of its execution."""

ARRIVED: Final[set[str]] = set()
"""The executions whose task waits, all but the very call."""


def declare() -> Registry:
    """Declare what waits once, what waits again and again, and what does nothing."""
    with Registry() as registry:
        with Workflow("once"):

            @task(id="waits")
            async def waits(context: Any) -> None:  # noqa: ANN401  untyped: not passed by type
                event = await new_event.aio("approve", data_type=int)
                ARRIVED.add(context.execution_name)
                await event.wait.aio()
                SEEN[context.execution_name] = time.monotonic()

        with Workflow("rounds"):

            @task(id="waits")
            async def waits_again() -> None:
                while True:
                    number = len(SEEN)
                    event = await new_event.aio(f"round {number}", data_type=int)
                    ARRIVED.add(f"round {number}")
                    await event.wait.aio()
                    SEEN[f"round {number}"] = time.monotonic()

        with Workflow("trivial"):

            @task(id="does_nothing")
            async def does_nothing() -> None:
                """Do nothing."""

    return registry


async def elsewhere(many: int, folder: Path) -> Figures:
    """W5 from another process, which only has the file."""
    path = folder / "w5.db"
    since_call: list[float] = []
    since_return: list[float] = []
    async with Runner(path, registry=declare(), grace=0) as runner:
        execution = await runner.start.aio("rounds")
        child = await asyncio.create_subprocess_exec(
            *itself("signaller", many, path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        for number in range(many):
            name = f"round {number}"
            await until(partial(ARRIVED.__contains__, name))
            await asyncio.sleep(IDLE)
            child.stdin.write(json.dumps([name, execution.name]).encode() + b"\n")
            begin, end = json.loads(await child.stdout.readline())
            await until(partial(SEEN.__contains__, name), PAUSE)  # seldom: the owner stays idle
            since_call.append(1000 * (SEEN[name] - begin))
            since_return.append(max(0.0, 1000 * (SEEN[name] - end)))
        child.stdin.close()
        await child.wait()
    return {"since the call": since_call, "since its return": since_return}


async def signaller(many: int, path: Path) -> Figures:
    """Signal what is named on standard input, and say when; the other process of `elsewhere`."""
    async with Client(path) as client:
        for _ in range(many):
            name, run_name = json.loads(await asyncio.to_thread(sys.stdin.readline))
            event = await Event.get.aio(name, run_name=run_name)
            assert event is not None, client
            begin = time.monotonic()
            await event.signal.aio(1)
            print(json.dumps([begin, time.monotonic()]), flush=True)
    return {}


async def before_the_kill(many: int, folder: Path) -> Figures:
    """Let many wait, say so, and wait to be killed."""
    async with Runner(folder / "restart.db", registry=declare(), grace=0) as runner:
        begin = time.monotonic()
        for first in range(0, many, AT_ONCE):
            last = min(first + AT_ONCE, many)
            await asyncio.gather(
                *(runner.start.aio("once", name=f"e{number}") for number in range(first, last))
            )
        await until(lambda: len(ARRIVED) >= many)
        print(json.dumps({"start": time.monotonic() - begin}), flush=True)
        await asyncio.get_running_loop().create_future()
    return {}


async def after_the_kill(many: int, folder: Path) -> Figures:
    """Open a runner on those that waited; signal some that are not back yet."""
    answered: list[float] = []
    begin = time.monotonic()
    async with Runner(folder / "restart.db", registry=declare(), grace=0) as runner:
        opened = time.monotonic() - begin
        await runner.execute.aio("trivial")
        accepts = time.monotonic() - begin
        while len(ARRIVED) < many and len(answered) < 50:
            name = f"e{random.randrange(many)}"
            if name in ARRIVED:
                continue
            since = time.monotonic()
            event = await Event.get.aio("approve", run_name=name)
            assert event is not None
            await event.signal.aio(1)
            await until(partial(SEEN.__contains__, name))
            answered.append(1000 * (time.monotonic() - since))
        await until(lambda: len(ARRIVED) >= many)
        back = time.monotonic() - begin
        return {"opened": opened, "accepts": accepts, "back": back, "ms": answered, "bytes": rss()}


def restart(many: int) -> Figures:
    """Kill a process in which many wait, and go on in another one."""
    with tempfile.TemporaryDirectory() as folder:
        killed = subprocess.Popen(
            itself("before_the_kill", many, Path(folder)), stdout=subprocess.PIPE, text=True
        )
        assert killed.stdout is not None
        figures: Figures = json.loads(killed.stdout.readline())
        killed.send_signal(signals.SIGKILL)
        killed.wait()
        killed.stdout.close()
        return {**figures, **measure("after_the_kill", many, Path(folder))}


CHILDREN: Final[dict[str, Callable[[int, Path], Coroutine[Any, Any, Figures]]]] = {
    each.__name__: each for each in (elsewhere, signaller, before_the_kill, after_the_kill)
}


def itself(what: str, many: int, place: Path) -> list[str]:
    """Return the command of a process for one measurement."""
    here = [sys.executable, "-m", "benchmarks.signals"]
    return [*here, CHILD, what, str(many), str(place)]


def measure(what: str, many: int, folder: Path | None = None) -> Figures:
    """Measure in a process of its own, in a fresh folder unless one is given."""
    if folder is None:
        with tempfile.TemporaryDirectory() as fresh:
            return measure(what, many, Path(fresh))
    return output(itself(what, many, folder))


def output(command: list[str]) -> Figures:
    """Run a measurement, and return what it has printed last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(name: str, taken: list[float]) -> None:
    """Print the median and the 95th percentile of some milliseconds."""
    median, p95 = statistics.median(taken), sorted(taken)[int(len(taken) * 0.95)]
    more = f"median of {len(taken)}; p95 {p95:.2f} ms"
    judge(f"a signal from another process, {name}", median, "ms", ELSEWHERE_MS, more)


def show_restart(many: int, found: Figures) -> None:
    """Print how the restart went."""
    print(f"{many:,} waiting, started in {found['start']:.1f} s, killed, and opened anew:")
    judge("  work is accepted after", found["accepts"], "s", ACCEPTS_S)
    judge("  all are back after", found["back"], "s", BACK_S, f"{found['bytes'] / 2**20:,.0f} MB")
    if found["ms"]:
        name = f"  the longest of {len(found['ms'])} signals to one that was not back"
        judge(
            name, max(found["ms"]), "ms", LONGEST_MS, f"median {statistics.median(found['ms']):.0f}"
        )


def compare(given: argparse.Namespace) -> Figures:
    """Measure all of it, print it, and return it."""
    found: Figures = {"elsewhere": measure("elsewhere", given.rounds)}
    for name, taken in found["elsewhere"].items():
        show(name, taken)
    if given.restart:
        found["restart"] = restart(given.restart)
        show_restart(given.restart, found["restart"])
    return found


def main() -> None:
    """Measure, or be one measurement."""
    parser = options(__doc__)
    parser.add_argument(CHILD, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=count, default=100, help="signals (default: %(default)s)")
    parser.add_argument(
        "--restart",
        type=int,
        default=100_000,
        help="how many wait when their process is killed; 0: none (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    if given.child:
        what, many, place = given.child
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(CHILDREN[what](int(many), Path(place)))), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(f"one write and its fsync: {fsync_ms(Path(folder)):.2f} ms")
    found = compare(given)
    if given.json:
        given.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    run(main)
