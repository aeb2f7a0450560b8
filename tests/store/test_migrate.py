"""How a database gets its schema."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from asyncflow._store.sqlite.connection import connect
from asyncflow._store.sqlite.file import APPLICATION_ID
from asyncflow._store.sqlite.migrate import Migration, migrate, migrations, version
from asyncflow.errors import StoreVersionError

FIRST = Migration(1, "CREATE TABLE a (x);\n-- a comment; with a semicolon\nCREATE TABLE b (x);\n")
SECOND = Migration(2, "INSERT INTO a VALUES ('one; two');\nALTER TABLE b ADD COLUMN y;")
BROKEN = Migration(2, "CREATE TABLE c (x); INSERT INTO nowhere VALUES (1);")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(str(tmp_path / "flows.db"), make=True)) as opened:
        yield opened


def tables(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_the_first_migration_is_in_the_package() -> None:
    script = files("asyncflow._store.sqlite").joinpath("sql", "0001_initial.sql")

    assert migrations()[0] == Migration(1, script.read_text("utf-8"))


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
            with closing(connect(path, make=True)) as own:
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
    with closing(connect(path, make=True)) as db:
        assert version(db) == 2
        assert db.execute("SELECT count(*) FROM a").fetchone() == (1,)
