"""What the store in a file refuses to open, and that it leaves it as it was."""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from asyncflow._store.sqlite.migrate import migrations
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow.errors import (
    StoreError,
    StoreLocationError,
    StoreReadOnlyError,
    StoreVersionError,
)
from tests.store.samples import start

NOBODY = 65534


def contents(folder: Path) -> dict[str, bytes | None]:
    return {p.name: p.read_bytes() if p.is_file() else None for p in folder.iterdir()}


@contextmanager
def as_nobody() -> Generator[Path, None, None]:
    """Give a folder that others may enter and write, and be one of them if we are root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        migrations()  # read now: where the package lies, nobody may have no access
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o777)


async def make(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await start(store, "kept")
    await store.close()


async def refusal(path: Path) -> StoreError:
    store = SqliteStore(path)
    try:
        with pytest.raises(StoreError) as caught:
            await store.open()
    finally:
        await store.close()
    assert not [t for t in threading.enumerate() if "_connection_worker_thread" in t.name]
    return caught.value


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    error = await refusal(tmp_path / "data")

    assert isinstance(error, StoreLocationError)
    assert f"{tmp_path}/data is a directory" in str(error)
    assert contents(tmp_path) == {"data": None}


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "no" / "flows.db")

    assert isinstance(error, StoreLocationError)
    assert f"no directory {tmp_path}/no " in str(error)
    assert "create it" in str(error)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("text", [b"a\n", b"name,value\n" * 100, b"SQLite format 3\0"])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(
    tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "notes.txt").write_bytes(text)

    error = await refusal(tmp_path / "notes.txt")

    assert isinstance(error, StoreLocationError)
    assert "notes.txt is not an SQLite database" in str(error)
    assert contents(tmp_path) == {"notes.txt": text}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("application", [0, 0x12345678])
async def test_the_database_of_another_program_is_refused_and_left_as_it_was(
    tmp_path: Path, mode: str, application: int
) -> None:
    path = tmp_path / "other #1?.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute(f"PRAGMA application_id = {application}")
        db.execute("CREATE TABLE execution (id)")
    before = contents(tmp_path)

    error = await refusal(path)

    assert isinstance(error, StoreLocationError)
    assert "is the database of another program" in str(error)
    assert contents(tmp_path) == before
    assert len(before) == 1


async def test_the_database_that_another_program_has_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE thing (id)")
        before = contents(tmp_path)

        error = await refusal(path)

        assert "is the database of another program" in str(error)
        assert contents(tmp_path).keys() == before.keys()
        assert contents(tmp_path)["other.db-wal"] == before["other.db-wal"]


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "flows.db").touch()

    await make(tmp_path / "flows.db")


async def test_a_newer_schema_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    await make(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = contents(tmp_path)

    error = await refusal(path)

    assert isinstance(error, StoreVersionError)
    assert (error.found, error.known) == (99, migrations()[-1].number)
    assert str(path) in str(error)
    assert contents(tmp_path) == before


async def test_a_newer_schema_that_is_in_the_wal_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    await make(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")

        assert isinstance(await refusal(path), StoreVersionError)


async def test_a_damaged_schema_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    await make(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 100)
    before = contents(tmp_path)

    error = await refusal(path)

    assert "flows.db is damaged, or was cut off" in str(error)
    assert contents(tmp_path) == before


async def test_a_read_only_file_is_refused_and_left_as_it_was() -> None:
    with as_nobody() as folder:
        await make(folder / "flows.db")
        (folder / "flows.db").chmod(0o444)
        before = contents(folder)

        error = await refusal(folder / "flows.db")

        assert isinstance(error, StoreReadOnlyError)
        assert f"{folder}/flows.db is read-only" in str(error)
        assert contents(folder) == before


@pytest.mark.parametrize("name", ["flows.db", "new.db"])
async def test_a_read_only_directory_is_refused_and_left_as_it_was(name: str) -> None:
    with as_nobody() as folder:
        inside = folder / "inside"
        inside.mkdir()
        await make(inside / "flows.db")
        inside.chmod(0o555)
        before = contents(inside)

        error = await refusal(inside / name)

        assert isinstance(error, StoreReadOnlyError)
        assert f"the directory {inside} is read-only" in str(error)
        assert contents(inside) == before
        inside.chmod(0o777)


async def test_a_path_that_nobody_could_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    for path in ("a\0b", "x" * 5000, "file/flows.db", "file/deeper/flows.db"):
        assert isinstance(await refusal(tmp_path / path), StoreLocationError)


async def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "flows.db")

    assert "not a regular file" in str(await refusal(tmp_path / "flows.db"))
