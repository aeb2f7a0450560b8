"""How a database gets its schema."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from asyncflow._store.batch import Batch, Cause, DeleteWorkflow, ExecutionWrite, Fence
from asyncflow._store.queries import (
    Events,
    Executions,
    Facts,
    Inbox,
    Runners,
    StoredExecutions,
    TaskExecutions,
)
from asyncflow._store.sqlite.connection import connect
from asyncflow._store.sqlite.file import APPLICATION_ID
from asyncflow._store.sqlite.migrate import Migration, migrate, migrations, version
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow.errors import StoreVersionError
from tests.store.samples import ENDED, line, new

FIRST = Migration(1, "CREATE TABLE a (x);\n-- a comment; with a semicolon\nCREATE TABLE b (x);\n")
SECOND = Migration(2, "INSERT INTO a VALUES ('one; two');\nALTER TABLE b ADD COLUMN y;")
BROKEN = Migration(2, "CREATE TABLE c (x); INSERT INTO nowhere VALUES (1);")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(str(tmp_path / "flows.db"))) as opened:
        yield opened


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def tables(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_the_first_migration_is_in_the_package() -> None:
    script = files("asyncflow._store.sqlite").joinpath("sql", "0001_initial.sql")

    assert migrations()[0] == Migration(1, script.read_text("utf-8"))


OF_VERSION_1 = """
INSERT INTO runner VALUES (7, 'r1', 4711, 'boot-1', 'localhost', 1);
INSERT INTO execution VALUES
    (3, 'a', 'release', 'default', 'MANUAL', 1, 'print-1', NULL, 'SUCCESS', 0, 1, 2, NULL, NULL),
    (4, 'b', 'release', 'default', 'MANUAL', 1, 'print-1', NULL, 'RUNNING', 0, 1, NULL, 'e', 'p');
DELETE FROM execution WHERE id = 3;
INSERT INTO task_execution VALUES
    (9, 4, 't', 1, 2, 'SUCCESS', 'EVENT', 1, NULL, 1, 2, NULL, 'SUCCESS', 0, '"r"', NULL, NULL);
INSERT INTO context VALUES (4, 'k', '1');
INSERT INTO event VALUES (5, 'x', '1', 'default', 4, 'cli', 1, NULL);
INSERT INTO fact VALUES (6, 4, 'F', '{}', 1);
INSERT INTO inbox VALUES (8, 4, 'default', NULL, 'Told', '{}', 1, 5);
"""


async def test_a_database_of_version_1_is_upgraded_and_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    with closing(connect(str(path))) as db:
        migrate(db, "flows.db", migrations()[:1])
        db.executescript(OF_VERSION_1)

    async with open_sqlite(path) as store:
        (stored,) = await store.read(StoredExecutions((3, 4)))
        (run,) = await store.read(TaskExecutions(4))
        (sent,) = await store.read(Events())
        assert (stored.record.name, stored.record.error) == ("b", "e")
        assert (stored.context, stored.cells) == ({"k": "1"}, {})
        assert (run.id, run.result, run.metrics) == (9, '"r"', None)
        assert (sent.offset, sent.key, sent.execution) == (5, "x", 4)
        assert [found.id for found in await store.read(Facts(4))] == [6]
        assert [row.id for row in await store.read(Runners())] == ["r1"]

        fence = Fence("r1", 7)
        assert await store.claim(fence, (), None, 10) == (4,)
        assert [item.id for item in await store.read(Inbox("r1"))] == [8]
        caused = replace(new("c", "other"), cause=Cause(5))
        write = ExecutionWrite(4, ENDED, cells={"n": "1"})
        batch = Batch(fence, (ExecutionWrite(caused), write), logs=(line(4, "x"),))
        assert (await store.commit(batch)).ids == (5, 4)
        assert await store.change(DeleteWorkflow("default", "release")) == ()
        assert [found.name for found in await store.read(Executions())] == ["c"]

    with closing(connect(str(path))) as db:
        assert version(db) == migrations()[-1].number
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_migrations_are_numbered_without_a_gap() -> None:
    numbers = [step.number for step in migrations()]

    assert numbers == list(range(1, len(numbers) + 1))


def test_a_new_database_gets_every_step_and_the_application_id(db: sqlite3.Connection) -> None:
    migrate(db, "flows.db", [FIRST, SECOND])

    assert version(db) == 2
    assert tables(db) == {"a", "b"}
    assert db.execute("SELECT x FROM a").fetchall() == [("one; two",)]
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_an_older_database_gets_only_what_it_lacks(db: sqlite3.Connection) -> None:
    migrate(db, "flows.db", [FIRST])
    migrate(db, "flows.db", [FIRST, SECOND])
    migrate(db, "flows.db", [FIRST, SECOND])

    assert version(db) == 2
    assert db.execute("SELECT count(*) FROM a").fetchone() == (1,)


def test_a_step_that_fails_is_undone_whole(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(db, "flows.db", [FIRST, BROKEN])

    assert version(db) == 1
    assert tables(db) == {"a", "b"}
    assert not db.in_transaction


def test_a_newer_database_is_refused(db: sqlite3.Connection) -> None:
    migrate(db, "flows.db", [FIRST, SECOND])

    with pytest.raises(StoreVersionError, match=r"flows\.db has schema version 2"):
        migrate(db, "flows.db", [FIRST])


def test_two_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    path, together = str(tmp_path / "flows.db"), threading.Barrier(4)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with closing(connect(path)) as own:
                together.wait(10)
                migrate(own, path, [FIRST, SECOND])
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    with closing(connect(path)) as db:
        assert version(db) == 2
        assert db.execute("SELECT count(*) FROM a").fetchone() == (1,)
