"""The floor of the benchmarks is fair: it writes what asyncflow writes."""

import sqlite3
from contextlib import closing
from pathlib import Path

from asyncflow import Runner
from benchmarks.contest.course import until
from benchmarks.contestants.asyncflow import Waiting as Asyncflow
from benchmarks.contestants.asyncflow import chain, ended, event_of, one_task
from benchmarks.contestants.floor import Floor, Waiting


def written(database: Path) -> dict[str, list[frozenset[str]]]:
    """Return of each row of each table which columns it has, as the work left them."""
    tables = ("execution", "task_execution", "fact", "event", "awaited_event", "context")
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [
                frozenset(name for name in dict(row) if row[name] is not None)
                for row in connection.execute(f"SELECT * FROM {table}")
            ]
            for table in tables
        }


async def test_the_floor_writes_the_rows_of_a_workflow_of_one_task(tmp_path: Path) -> None:
    async with Runner(tmp_path / "ours.db", registry=one_task()) as runner:
        await runner.execute.aio("one")
    async with Floor.at(tmp_path / "floor.db") as floor:
        await floor.one()

    assert written(tmp_path / "floor.db") == written(tmp_path / "ours.db")


async def test_the_floor_writes_the_rows_of_a_chain(tmp_path: Path) -> None:
    async with Runner(tmp_path / "ours.db", registry=chain()) as runner:
        await runner.execute.aio("chain")
    async with Floor.at(tmp_path / "floor.db") as floor:
        await floor.chain()

    assert written(tmp_path / "floor.db") == written(tmp_path / "ours.db")


async def test_the_floor_writes_the_rows_of_a_signal(tmp_path: Path) -> None:
    ours = Asyncflow()
    async with Runner(tmp_path / "ours.db", registry=ours.registry) as runner:
        await runner.start.aio("waits", name="e0")
        await until(lambda: "e0" in ours.arrived)
        await (await event_of(0)).signal.aio(0)
        await ended(runner, "e0")
    async with Floor.at(tmp_path / "floor.db") as floor:
        waiting = Waiting(floor)
        waiting.start(0)
        await until(lambda: 0 in waiting.futures)
        await waiting.signal(0)
        await until(lambda: waiting.ended == 1)

    assert written(tmp_path / "floor.db") == written(tmp_path / "ours.db")
