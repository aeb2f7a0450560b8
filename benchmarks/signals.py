"""Signals on uvloop, durable: to the waiter's next line, many that wait, many across a restart.

    python -m benchmarks.signals [--peers FOLDER | --no-peers] [--rounds 300] [--many 10000]
                                 [--peer-many 1000] [--restart 100000] [--json FILE]

The floor is one transaction of the same rows with FULL, in one round trip to a thread, and then a
future: it takes turns with asyncflow in one process. The peers, DBOS on SQLite and
llama-index-workflows (in memory), have an environment of their own, made where there is none.
"""

import argparse
import asyncio
import json
import os
import random
import signal as signals
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiosqlite
import uvloop

from asyncflow import Client, Event, Registry, Runner, Workflow, new_event, task
from benchmarks.signal_peers import Figures, crowd, rss, until
from benchmarks.yardstick import fsync_ms

PEERS: Final = ("dbos==3.4.0", "llama-index-workflows==2.26.1")
PEER_ROUNDS: Final = {"dbos": 40, "dbos-tuned": 200, "llama": 300}
PAUSE: Final = 0.005
"""Seconds before a signal in one process, in which everything comes to rest."""

IDLE: Final = 0.1
"""The same before a signal from another process: the owner is idle by then."""

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


class Floor:
    """A bare program: a transaction of the rows of a signal, then a future."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        """Write to tables as asyncflow makes them."""
        self._connection: Any = connection

    @classmethod
    @asynccontextmanager
    async def at(cls, path: Path, many: int) -> AsyncGenerator["Floor"]:
        """Let so many rows wait in a fresh database."""
        async with Runner(path):
            pass
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("PRAGMA synchronous = FULL")
            await connection.executemany(
                "INSERT INTO awaited_event (execution, namespace, task, seq, name, place, label,"
                " failures, data_type, prompt, prompt_type, description, created, phase) VALUES"
                " (1, 'default', 'waits', 1, ?, 1, '1', 0, 'int', '', 'text', '', 1, 'RUNNING')",
                [(f"round {number}",) for number in range(many)],
            )
            yield cls(connection)

    async def round(self, number: int) -> float:
        """Return the seconds from the begin of the transaction to the waiter's next line."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def waits() -> float:
            await future
            return time.monotonic()

        waiter = asyncio.create_task(waits())
        await asyncio.sleep(PAUSE)
        begin = time.monotonic()
        await self._connection._execute(self._write, number)  # noqa: SLF001  one round trip
        future.set_result(number)
        return await waiter - begin

    def _write(self, number: int) -> None:
        db: sqlite3.Connection = self._connection._conn  # noqa: SLF001  it is the thread's
        db.execute("BEGIN IMMEDIATE")
        found = db.execute(
            "SELECT id FROM awaited_event WHERE name = ? AND phase = 'RUNNING' AND execution = 1",
            (f"round {number}",),
        )
        (row,) = found.fetchone()
        inserted = db.execute(
            "INSERT INTO event (key, value, namespace, execution, sender, create_time, awaited)"
            " VALUES (?, ?, 'default', 1, 'me', 1, ?)",
            (f"round {number}", str(number), row),
        )
        db.execute(
            "UPDATE awaited_event SET phase = 'SUCCEEDED', value = ?, ended = 1, sender = 'me',"
            ' "offset" = ? WHERE id = ?',
            (str(number), inserted.lastrowid, row),
        )
        db.execute("COMMIT")


async def latency(many: int, folder: Path) -> Figures:
    """W5: asyncflow and the floor, in turns."""
    taken: dict[str, list[float]] = {"asyncflow": [], "floor": []}
    async with (
        Floor.at(folder / "floor.db", many) as floor,
        Runner(folder / "w5.db", registry=declare(), grace=0) as runner,
    ):
        execution = await runner.start.aio("rounds")
        for number in range(many):
            name = f"round {number}"
            await until(partial(ARRIVED.__contains__, name))
            event = await Event.get.aio(name, run_name=execution.name)
            assert event is not None
            await asyncio.sleep(PAUSE)
            begin = time.monotonic()
            await event.signal.aio(number)
            await until(partial(SEEN.__contains__, name))
            taken["asyncflow"].append(SEEN[name] - begin)
            taken["floor"].append(await floor.round(number))
    return {name: [1000 * each for each in seconds] for name, seconds in taken.items()}


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


async def waiting(many: int, folder: Path) -> Figures:
    """W6: let many wait, then wake them all."""
    async with Runner(folder / "w6.db", registry=declare(), grace=0) as runner:
        pending: set[asyncio.Task[Any]] = set()
        events: dict[int, Event] = {}

        async def start(number: int) -> None:
            if len(pending) >= AT_ONCE:
                await asyncio.wait(pending)
            each = asyncio.create_task(runner.start.aio("once", name=f"e{number}"))
            pending.add(each)
            each.add_done_callback(pending.discard)

        async def signal(number: int) -> None:
            event = await Event.get.aio("approve", run_name=f"e{number}")
            assert event is not None
            events[number] = event
            await event.signal.aio(number)

        return await crowd(many, start, lambda: len(ARRIVED), signal, lambda: len(SEEN))


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
    each.__name__: each
    for each in (latency, elsewhere, signaller, waiting, before_the_kill, after_the_kill)
}


def itself(what: str, many: int, place: Path) -> list[str]:
    """Return the command of a process for one measurement."""
    here = [sys.executable, "-m", "benchmarks.signals"]
    return [*here, "--child", what, str(many), str(place)]


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


def peer_python(folder: Path) -> str | None:
    """Return an interpreter that has the peers, made if there is none; None if it cannot be had."""
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        look = [str(python), "-c", "import dbos, workflows"]
        if subprocess.run(look, stderr=subprocess.DEVNULL, check=False).returncode:
            pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
            subprocess.run([*pip, *PEERS], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the peers cannot be installed: their lines are left out ({error})")
        return None
    return str(python)


def show_w5(name: str, taken: list[float], floor: float | None = None) -> None:
    """Print the median and the 95th percentile of some milliseconds."""
    median, p95 = statistics.median(taken), sorted(taken)[int(len(taken) * 0.95)]
    ratio = "" if floor is None else f", {median / floor:.2f} x the floor (at most 2)"
    print(f"W5 {name:38} median {median:8.3f} ms, p95 {p95:8.3f} ms ({len(taken)}){ratio}")


def show_w6(name: str, found: Figures, goal: str = "") -> None:
    """Print what many that wait take."""
    print(
        f"W6 {name:24} {found['many']:6,} waiting: {found['bytes'] / 1024:5.1f} KB each, "
        f"started in {found['start']:6.2f} s, all woken in {found['wake']:6.2f} s{goal}"
    )


def show_restart(many: int, found: Figures) -> None:
    """Print how the restart went."""
    print(f"{many:,} waiting, started in {found['start']:.1f} s, killed, and opened anew:")
    print(f"  work is accepted after {found['accepts']:.2f} s (5)")
    print(f"  all are back after {found['back']:.1f} s (60), {found['bytes'] / 2**20:,.0f} MB")
    if found["ms"]:
        median, last = statistics.median(found["ms"]), max(found["ms"])
        print(
            f"  signals to {len(found['ms'])} that were not back: median {median:.0f} ms, "
            f"longest {last:.0f} ms (1,000)"
        )


def compare(given: argparse.Namespace) -> Figures:
    """Measure all of it, print it, and return it."""
    found: Figures = {"latency": measure("latency", given.rounds)}
    floor = statistics.median(found["latency"]["floor"])
    show_w5("floor", found["latency"]["floor"])
    show_w5("asyncflow", found["latency"]["asyncflow"], floor)
    found["elsewhere"] = measure("elsewhere", min(given.rounds, 100))
    for name, taken in found["elsewhere"].items():
        show_w5(f"from another process, {name}", taken)
    python = None if given.no_peers else peer_python(given.peers)
    script = str(Path(__file__).with_name("signal_peers.py"))
    for name, many in PEER_ROUNDS.items() if python else ():
        found[name] = {"w5": output([str(python), script, name, "w5", str(many)])}
        show_w5(name, found[name]["w5"]["ms"])
    found["waiting"] = measure("waiting", given.many)
    show_w6("asyncflow", found["waiting"], " (8 KB, 10 s, 5 s)")
    for name in PEER_ROUNDS if python else ():
        found[name]["w6"] = output([str(python), script, name, "w6", str(given.peer_many)])
        show_w6(name, found[name]["w6"])
    if given.restart:
        found["restart"] = restart(given.restart)
        show_restart(given.restart, found["restart"])
    return found


def main() -> None:
    """Measure, or be one measurement."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    peers = Path(os.environ.get("ASYNCFLOW_PEERS") or cache / "asyncflow-peers")
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", nargs=3)
    parser.add_argument("--peers", type=Path, default=peers)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--peer-many", type=int, default=1000)
    parser.add_argument("--restart", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
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
    main()
