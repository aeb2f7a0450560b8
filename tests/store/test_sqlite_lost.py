"""What becomes of a database whose files are deleted, replaced or cut off, and of one in use."""

import asyncio
import logging
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from asyncflow import Registry, Runner, StoreGoneError, UsageError, Workflow, WorkflowStatus, task
from asyncflow._store.batch import Fence
from asyncflow._store.queries import Executions
from asyncflow._store.sqlite import upkeep
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow.errors import StoreError
from tests.store.samples import start
from tests.store.test_sqlite import begin_writing, contents, make, on_writer
from tests.store.test_sqlite_open import refusal

SETTLED = 0.05
"""Seconds after which a directory has another time for each change."""


async def names(store: SqliteStore) -> list[str]:
    return [each.name for each in await store.read(Executions())]


def kept(folder: Path) -> dict[str, bytes | None]:
    """Return what is in the files but the index of the WAL, into which readers write, too."""
    return {name: each for name, each in contents(folder).items() if not name.endswith("-shm")}


# ---- under an open store


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
@pytest.mark.parametrize("instead", ["nothing", "a copy"])
@pytest.mark.parametrize("by", ["its path", "a link"])
@pytest.mark.parametrize("after", [0, SETTLED])
async def test_nothing_is_written_to_files_that_were_deleted_or_replaced(
    tmp_path: Path, end: str, instead: str, by: str, after: float
) -> None:
    tmp_path /= "at"
    tmp_path.mkdir()
    (tmp_path.parent / "link").symlink_to(tmp_path / "flows.db")
    sqlite = SqliteStore(tmp_path / "flows.db" if by == "its path" else tmp_path.parent / "link")
    await sqlite.open()
    await anyio.sleep(after)
    await start(sqlite, "kept")
    path = tmp_path / f"flows.db{end}"
    bytes_ = path.read_bytes()
    path.unlink()
    if instead == "a copy":
        path.with_name("copy").write_bytes(bytes_)
        path.with_name("copy").rename(path)
    before = kept(tmp_path)

    with pytest.raises(StoreGoneError, match=rf"flows\.db{end} was deleted or replaced") as caught:
        await start(sqlite, "lost")

    assert isinstance(caught.value, StoreError)
    assert isinstance(caught.value, FileNotFoundError)
    assert await names(sqlite) == ["kept"]
    assert kept(tmp_path) == before
    await sqlite.close()


@pytest.mark.parametrize(
    ("changed", "later", "settled"),
    [(1, 10**7, False), (1, 3 * 10**7, True), (10**9, 10**9, False), (10**9, 3 * 10**9, True)],
)
def test_the_time_of_a_directory_is_trusted_once_a_change_would_show_another(
    changed: int, later: int, settled: bool
) -> None:
    assert upkeep.settled(changed, changed + later) is settled


async def test_no_commit_asks_for_the_times_of_a_file_that_it_writes(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    stat = os.stat
    await anyio.sleep(SETTLED)
    await start(sqlite, "first")

    def noting(path: str) -> os.stat_result:
        asked.append(path)
        return stat(path)

    monkeypatch.setattr(os, "stat", noting)
    await start(sqlite, "second")

    assert asked == [str(tmp_path)]


@pytest.mark.parametrize("to", ["the file", "its directory"])
async def test_nothing_is_written_once_a_link_leads_elsewhere(tmp_path: Path, to: str) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        await make(tmp_path / name / "flows.db")
    end = "flows.db" if to == "the file" else ""
    path = tmp_path / "link"
    path.symlink_to(tmp_path / "one" / end)
    store = SqliteStore(path if end else path / "flows.db")
    await store.open()
    await anyio.sleep(SETTLED)
    await start(store, "kept")

    path.unlink()
    path.symlink_to(tmp_path / "other" / end)

    with pytest.raises(StoreGoneError, match="was deleted or replaced"):
        await start(store, "lost")
    await store.close()


async def test_that_a_file_is_gone_is_said_also_where_no_transaction_can_begin(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await on_writer(sqlite, lambda db: db.execute("PRAGMA busy_timeout = 1").fetchall())
    path = tmp_path / "flows.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        path.rename(tmp_path / "moved")

        with pytest.raises(StoreGoneError, match="was deleted or replaced"):
            await start(sqlite, "lost")


async def test_what_was_put_back_is_written_to_again(sqlite: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "flows.db-wal"
    path.rename(tmp_path / "moved")
    with pytest.raises(StoreGoneError):
        await start(sqlite, "refused")

    (tmp_path / "moved").rename(path)

    await start(sqlite, "kept")
    assert await names(sqlite) == ["kept"]


async def test_a_reader_makes_no_database_where_one_was_deleted(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    (tmp_path / "flows.db").unlink()
    beating = sqlite.pulse()

    with pytest.raises(StoreError, match="was deleted or replaced"):
        beating.renew(Fence("r1", 1))

    assert not (tmp_path / "flows.db").exists()


async def test_a_runner_ends_when_its_files_are_gone_and_says_so_to_all_who_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "flows.db"
    gate = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            await gate.wait()

    runner = Runner(path, registry=registry)
    await runner.__aenter__()
    execution = await runner.start.aio("w")
    waiting = asyncio.ensure_future(execution.wait.aio())
    await asyncio.sleep(0)
    path.with_name("flows.db-wal").unlink()
    gate.set()

    with pytest.raises((StoreGoneError, UsageError)):
        await waiting
    with pytest.raises(StoreGoneError, match="was deleted or replaced"):
        await runner.shutdown.aio()
    assert "flows.db-wal was deleted or replaced" in caplog.text


# ---- before opening


async def test_without_its_wal_a_database_has_what_was_taken_into_it(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    await make(path)
    assert begin_writing(path, "p", "store.commit.after:10:kill").wait(15) == -signal.SIGKILL
    assert (tmp_path / "flows.db-wal").stat().st_size
    (tmp_path / "flows.db-wal").unlink()
    store = SqliteStore(path)

    await store.open()

    assert await names(store) == ["kept"]
    assert await on_writer(store, lambda db: db.execute("PRAGMA integrity_check").fetchall()) == [
        ("ok",)
    ]
    await start(store, "new")
    await store.close()


@pytest.mark.parametrize("left", [50, 100, 512, 4095, 4096, 4096 * 3, -4096, -1])
async def test_a_file_that_was_cut_off_is_refused_and_left_as_it_was(
    tmp_path: Path, left: int
) -> None:
    path = tmp_path / "flows.db"
    await make(path)
    os.truncate(path, left if left > 0 else path.stat().st_size + left)
    before = contents(tmp_path)

    error = await refusal(path)

    assert "flows.db is damaged, or was cut off" in str(error)
    assert "restore it from a backup" in str(error)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("how", ["empty", "gone"])
async def test_a_wal_without_its_database_is_refused_and_left_as_it_was(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "flows.db"
    assert begin_writing(path, "p", "store.commit.after:10:kill").wait(15) == -signal.SIGKILL
    if how == "empty":
        os.truncate(path, 0)
    else:
        path.unlink()
    before = contents(tmp_path)

    error = await refusal(path)

    assert "flows.db-wal beside it has what was stored last" in str(error)
    assert contents(tmp_path) == before


async def test_a_file_that_its_wal_makes_longer_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    assert begin_writing(path, "p", "store.commit.after:10:kill").wait(15) == -signal.SIGKILL
    store = SqliteStore(path)

    await store.open()

    assert len(await names(store)) == 10
    await store.close()


# ---- locked


async def test_work_goes_on_when_a_lock_of_another_program_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "flows.db"
    began, gate = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> str:
            began.set()
            await gate.wait()
            return "done"

    async with Runner(path, registry=registry) as runner:
        execution = await runner.start.aio("w")
        await began.wait()
        store = runner._store
        assert isinstance(store, SqliteStore)
        await on_writer(store, lambda db: db.execute("PRAGMA busy_timeout = 50").fetchall())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            gate.set()
            for _ in range(2):
                with pytest.raises(StoreError, match="stayed locked by another process"):
                    await runner.start.aio("w")
            assert [each.name async for each in runner.executions.aio()] == [execution.name]
            other.execute("COMMIT")
        done = await execution.wait.aio()

    assert done.status is WorkflowStatus.SUCCESS
    errors = [r.message for r in caplog.records if r.levelno >= logging.ERROR]
    assert len([each for each in errors if "stayed locked" in each]) == 1


# ---- locks


async def test_whoever_opens_it_beside_another_of_its_process_leaves_that_one_its_locks(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flows.db"
    first, second = SqliteStore(path), SqliteStore(path)
    await first.open()
    await start(first, "a")
    await second.open()
    await second.close()

    # Were the locks gone, this process would take itself for the last, and delete the WAL.
    command = f"import sqlite3; sqlite3.connect({str(path)!r}).execute('DELETE FROM duty')"
    await anyio.run_process([sys.executable, "-c", command])

    assert path.with_name("flows.db-wal").exists()
    await start(first, "b")
    assert set(await names(first)) == {"a", "b"}
    await first.close()
