"""A runner at work on a disk that is full for a while: ``python full.py DATABASE WAY``.

It says as one line of JSON what came of it.
"""

import asyncio
import json
import logging
import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from asyncflow import Context, Registry, Runner, StorageFullError, Workflow, task
from asyncflow._store.sqlite import checkpoint
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.test_sqlite import on_writer

BIG = "x" * 400_000
"""More than any limit here leaves room for."""

Relieve = Callable[[], object]


class Said(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []
        self.infos: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = self.errors if record.levelno >= logging.WARNING else self.infos
        said.append(record.getMessage())


async def few_pages(runner: Runner, path: Path) -> Relieve:
    store = runner._store
    assert isinstance(store, SqliteStore)

    def limit(db: sqlite3.Connection, pages: int) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    await on_writer(store, lambda db: limit(db, 1))
    loop = asyncio.get_running_loop()
    return lambda: loop.create_task(on_writer(store, lambda db: limit(db, 2**30)))


async def small_files(runner: Runner, path: Path) -> Relieve:
    wal = Path(f"{path}-wal").stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 1, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


async def full_disk(runner: Runner, path: Path) -> Relieve:
    assert os.path.ismount(path.parent), "the folder is to be a file system of its own"
    ballast = path.with_name("ballast")
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return ballast.unlink


WAYS = {way.__name__: way for way in (few_pages, small_files, full_disk)}


async def main(path: Path, way: str) -> None:
    setattr(checkpoint, "KEPT", 0)  # noqa: B010  a constant; with no room, what comes next needs space
    said, ran = Said(), list[str]()
    logging.getLogger("asyncflow").addHandler(said)
    logging.getLogger("asyncflow").setLevel(logging.INFO)
    began, gate = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def first(context: Context) -> str:
            began.set()
            await gate.wait()
            ran.append("first")
            return BIG

        @task(dependencies=[first])
        async def second() -> None:
            ran.append("second")

    async with Runner(path, registry=registry) as runner:
        running = await runner.start.aio("w", name="running")
        await began.wait()
        await runner.send_event.aio("first", BIG[:1000])
        relieve = await WAYS[way](runner, path)
        gate.set()
        refused: list[str] = []
        for name in ("b", "c", "d"):
            try:
                await runner.start.aio("w", {"big": BIG}, name=name)
            except StorageFullError as error:
                refused.append(str(error))
        names = [each.name async for each in runner.executions.aio()]
        relieve()
        done = await running.wait.aio()
        after = await (await runner.start.aio("w", name="after")).wait.aio()
    with closing(sqlite3.connect(path)) as db:
        whole = db.execute("PRAGMA integrity_check").fetchall()
    told = {"refused": refused, "errors": said.errors, "infos": said.infos, "ran": ran}
    ends = [done.status, after.status]
    sys.stdout.write(json.dumps({**told, "names": names, "whole": whole, "ends": ends}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
