"""That the databases that earlier versions wrote open, are upgraded, and go on."""

import shutil
import socket
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from asyncflow import Runner, VirtualClock, WorkflowStatus
from asyncflow._store.sqlite.migrate import migrations
from tests.store.fixtures.flows import KILLED, MINUTE, START, declare

FIXTURES = Path(__file__).with_name("fixtures")
VERSIONS = range(1, 5)
LATER = KILLED + 60 * MINUTE
"""When the present runner opens: a retry is due, and six ticks are missed."""

RECORDED = {"one", "first"}
"""Tasks that ended before the runner was killed."""


@pytest.fixture
def database(tmp_path: Path, version: int) -> Path:
    """Copy a database; its dead runner was on this machine."""
    path = tmp_path / "flows.db"
    shutil.copyfile(FIXTURES / f"schema_{version}.db", path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE runner SET host = ?", (socket.gethostname(),))
    return path


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_every_earlier_schema_has_its_database() -> None:
    versions = [ask(path, "PRAGMA user_version")[0][0] for path in sorted(FIXTURES.glob("*.db"))]

    assert versions == [migration.number for migration in migrations()][:-1] == list(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_database_of_an_earlier_version_goes_on(database: Path, version: int) -> None:
    ran: list[str] = []
    clock = VirtualClock(LATER)
    registry = declare(version, ran, hanging=False)

    async with Runner(database, registry=registry, clock=clock) as runner:
        if version >= 4:
            event = await runner.event.aio("approve", "asks later")
            assert event is not None
            await event.signal.aio("late")
        while True:  # a schedule may start another between two looks
            statuses = {each.status async for each in runner.executions.aio()}
            if all(status.final for status in statuses):
                break
            await clock.advance(MINUTE)

    assert statuses == {WorkflowStatus.SUCCESS}
    steps = [each for each in ran if each.split()[0] not in {"asks", "ticks", "counts"}]
    assert sorted(steps) == ["again", "comes back", "second", "three", "two"]
    assert not RECORDED & set(ran)
    assert ask(database, "PRAGMA user_version") == [(migrations()[-1].number,)]
    assert ask(database, "PRAGMA integrity_check") == [("ok",)]
    assert ask(database, "PRAGMA foreign_key_check") == []
    assert ask(database, "PRAGMA auto_vacuum") == [(2,)]
    assert ask(database, "SELECT count(*) FROM inbox") == [(0,)]


@pytest.mark.parametrize("version", [3, 4])
async def test_ticks_and_polls_go_on_where_they_were(database: Path, version: int) -> None:
    ran: list[str] = []
    clock = VirtualClock(LATER)
    registry = declare(version, ran, hanging=False)

    async with Runner(database, registry=registry, clock=clock) as runner:
        await clock.advance(21 * MINUTE)
        ticks = await runner.get_schedule_history.aio("every", 100)

    due = sorted(datetime.fromisoformat(str(each["scheduled_time"])) for each in ticks)
    assert due == [START + n * 10 * MINUTE for n in range(1, 12)]
    assert ran.count("ticks") == len(due) - 3
    counted = [each for each in ran if each.startswith("counts")]
    assert counted[0] == "counts 4"
    assert len(counted) == len(set(counted))
