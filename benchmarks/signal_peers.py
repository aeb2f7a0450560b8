"""What `benchmarks.signals` measures of its peers: a script for the interpreter that has them.

    python signal_peers.py dbos|dbos-tuned|llama w5|w6 COUNT

It prints one JSON object. It must import nothing but the standard library and the peer.
"""

import asyncio
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

Figures: TypeAlias = dict[str, Any]

SHORTEST: Final = 0.001
"""Seconds between the looks of DBOS for messages, at least; as installed it is one second."""

WARM: Final = 100


def rss() -> int:
    """Return the memory of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


async def until(met: Callable[[], bool], pause: float = 0.001) -> None:
    """Return when something is so; it is looked at every ``pause`` seconds."""
    while not met():  # noqa: ASYNC110  the peers tell it to no event of asyncio's
        await asyncio.sleep(pause)


def longer(stamps: list[float], number: int) -> bool:
    """Say whether so many are exceeded."""
    return len(stamps) > number


async def rounds(
    many: int,
    wait: Callable[[int], Awaitable[None]],
    signal: Callable[[int], Awaitable[None]],
    stamps: list[float],
    pause: float = 0.02,
) -> Figures:
    """Signal one waiter after the other; return the milliseconds to each one's next line.

    Before each there is a pause of up to ``pause`` seconds: whoever polls may be anywhere in its.
    """
    taken: list[float] = []
    for number in range(many):
        await wait(number)
        await asyncio.sleep(0.02 + pause * random.random())
        begin = time.monotonic()
        await signal(number)
        await until(partial(longer, stamps, number))
        taken.append(1000 * (stamps[number] - begin))
    return {"ms": taken}


async def crowd(
    many: int,
    start: Callable[[int], Awaitable[None]],
    waiting: Callable[[], int],
    signal: Callable[[int], Awaitable[None]],
    ended: Callable[[], int],
) -> Figures:
    """Let many wait, then wake them all."""
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
    return {**figures, "wake": time.monotonic() - begin}


async def dbos(what: str, many: int, folder: Path, interval: float | None) -> Figures:
    """Measure DBOS on SQLite: as installed, or in WAL mode with the shortest polls."""
    peer: Any = import_module("dbos").DBOS
    path = folder / "dbos.db"
    config: dict[str, Any] = {"name": "signals", "system_database_url": f"sqlite:///{path}"}
    config["log_level"] = "ERROR"
    if interval is not None:
        config["notification_listener_polling_interval_sec"] = interval
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    peer(config=config)
    waiting: list[int] = []
    stamps: list[float] = []

    @peer.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    async def waits(number: int) -> None:
        waiting.append(number)
        await peer.recv_async("go", 600)
        stamps.append(time.monotonic())

    peer.launch()
    handles: dict[int, Any] = {}

    async def start(number: int) -> None:
        handles[number] = await peer.start_workflow_async(waits, number)

    async def begin(number: int) -> None:
        await start(number)
        await until(lambda: len(waiting) > number)

    async def signal(number: int) -> None:
        await peer.send_async(handles[number].get_workflow_id(), number, "go")

    if what == "w5":
        return await rounds(many, begin, signal, stamps, interval or 1.0)
    return await crowd(many, start, lambda: len(waiting), signal, lambda: len(stamps))


async def llama(what: str, many: int) -> Figures:
    """Measure llama-index-workflows, which keeps all in memory."""
    peer: Any = import_module("workflows")
    events: Any = import_module("workflows.events")
    signalled = type("Signalled", (events.Event,), {"__annotations__": {"number": int}})
    waiting: set[int] = set()
    stamps: list[float] = []
    handlers: dict[int, Any] = {}

    async def waits(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401  the peer has the types
        waiting.add(ev.number)
        await ctx.wait_for_event(signalled, requirements={"number": ev.number}, timeout=None)
        stamps.append(time.monotonic())
        return events.StopEvent(result=None)

    types = {"ctx": peer.Context, "ev": events.StartEvent, "return": events.StopEvent}
    waits.__annotations__ = types
    waits.__qualname__ = "Waiting.waits"  # by its dot the peer knows a method
    made = type("Waiting", (peer.Workflow,), {"waits": peer.step(waits)})(timeout=None)

    async def start(number: int) -> None:
        handlers[number] = made.run(number=number)

    async def begin(number: int) -> None:
        await start(number)
        await until(lambda: number in waiting)

    async def signal(number: int) -> None:
        handlers[number].ctx.send_event(signalled(number=number))

    if what == "w5":
        return await rounds(many, begin, signal, stamps)
    return await crowd(many, start, lambda: len(waiting), signal, lambda: len(stamps))


def main() -> None:
    """Measure one peer."""
    name, what, many = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        measured: dict[str, Callable[[], Coroutine[Any, Any, Figures]]] = {
            "dbos": lambda: dbos(what, many, Path(folder), None),
            "dbos-tuned": lambda: dbos(what, many, Path(folder), SHORTEST),
            "llama": lambda: llama(what, many),
        }
        print(json.dumps(asyncio.run(measured[name]())), flush=True)
        os._exit(0)  # the threads of a peer would poll on


if __name__ == "__main__":
    main()
