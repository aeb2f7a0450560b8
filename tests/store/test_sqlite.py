"""What holds of the store in a file, beside what holds of every store."""

import asyncio
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Outcome
from asyncflow._model.status import TaskStatus
from asyncflow._store.batch import Batch, Cause, DroppedTicks, ExecutionWrite
from asyncflow._store.change import DeleteWorkflow, DropSchedule
from asyncflow._store.queries import Events, Executions, Facts, Inbox, Runners
from asyncflow._store.sqlite.connection import Connection
from asyncflow._store.sqlite.file import APPLICATION_ID
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow.errors import StorageFullError, StoreError
from tests.store.samples import (
    ENDED,
    LATER,
    RUNNING,
    event,
    fact,
    letter,
    new,
    put,
    runner,
    schedule,
    start,
    task,
)
from tests.store.test_conformance_deletion import fill

T = TypeVar("T")

ROOT = Path(__file__).parents[2]

MANY_WRITERS = """
import asyncio, sys
from asyncflow._core.state import Outcome
from asyncflow._model.status import TaskStatus
from asyncflow._store.batch import Batch, ExecutionWrite
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import event, new, runner

async def main(path, me):
    store = SqliteStore(path)
    await store.open()
    fence = await store.register(runner(me))
    for n in range(25):
        write = ExecutionWrite(new(f"{me}-{n}"))
        await store.commit(Batch(fence, (write,), (event(me),)))
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def on_writer(store: SqliteStore, work: Callable[[sqlite3.Connection], T]) -> T:
    assert store._writer is not None
    return await store._writer.transact(work, "store.commit")


async def pragma(connection: Connection | None, name: str) -> object:
    assert connection is not None
    (value,) = await connection.query(lambda db: db.execute(f"PRAGMA {name}").fetchone())
    return value


def contents(folder: Path) -> dict[str, bytes | None]:
    return {p.name: p.read_bytes() if p.is_file() else None for p in folder.iterdir()}


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of every table."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [row[0] for row in db.execute(sql).fetchall()]
    return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


async def make(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await start(store, "kept")
    await store.close()


# ---- durability


async def test_what_is_committed_is_on_the_disk(sqlite: SqliteStore) -> None:
    assert await pragma(sqlite._writer, "journal_mode") == "wal"
    assert await pragma(sqlite._writer, "synchronous") == 2  # FULL
    assert await pragma(sqlite._writer, "busy_timeout") == 10_000
    assert await pragma(sqlite._writer, "application_id") == APPLICATION_ID


async def test_the_reader_cannot_write(sqlite: SqliteStore) -> None:
    assert await pragma(sqlite._reader, "query_only") == 1
    assert await pragma(sqlite._reader, "busy_timeout") == 10_000


async def test_what_was_stored_is_there_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    await make(path)

    store = SqliteStore(path)
    await store.open()
    found = await store.read(Executions())
    await store.close()

    assert [record.name for record in found] == ["kept"]
    assert list(contents(tmp_path)) == ["flows.db"]


async def test_offsets_and_ids_are_not_used_again_after_their_rows_are_gone(
    sqlite: SqliteStore,
) -> None:
    await start(sqlite, "a", "b")
    await sqlite.commit(Batch(events=(event("x"), event("y"))))
    await on_writer(sqlite, lambda db: db.execute("DELETE FROM execution"))
    await on_writer(sqlite, lambda db: db.execute("DELETE FROM event"))

    receipt = await sqlite.commit(Batch(None, (ExecutionWrite(new("c")),), (event("z"),)))

    assert (receipt.ids, receipt.offsets) == ((3,), (3,))


async def test_every_reference_holds(sqlite: SqliteStore) -> None:
    fence = await sqlite.register(runner("r1"))
    (a,) = await start(sqlite, "a", fence=fence)
    write = ExecutionWrite(a, ENDED, (task("t"),), {"k": "1"}, (fact("F"),))
    await sqlite.commit(Batch(fence, (write,), (event("x", execution=a),)))
    await sqlite.append([letter("L", a, event("y", execution=a)), letter("M")])

    broken = await on_writer(sqlite, lambda db: db.execute("PRAGMA foreign_key_check").fetchall())
    whole = await on_writer(sqlite, lambda db: db.execute("PRAGMA integrity_check").fetchall())

    assert (broken, whole) == ([], [("ok",)])


async def test_a_deleted_workflow_leaves_no_row_and_breaks_no_reference(
    sqlite: SqliteStore,
) -> None:
    id_ = await fill(sqlite, "a")
    receipt = await sqlite.commit(Batch(events=(event("e", execution=id_),)))
    caused = replace(new("b", "other"), cause=Cause(receipt.offsets[0]))
    await sqlite.commit(Batch(None, (ExecutionWrite(caused),)))
    tables = await on_writer(sqlite, counts)
    assert [name for name, rows in tables.items() if not rows] == ["runner", "duty"]

    await sqlite.change(DeleteWorkflow("default", "release"))

    after = await on_writer(sqlite, counts)
    broken = await on_writer(sqlite, lambda db: db.execute("PRAGMA foreign_key_check").fetchall())
    assert {name: rows for name, rows in after.items() if rows} == {
        "execution": 1,
        "event": 2,
        "trigger_schedule": 1,
        "schedule_version": 1,
    }
    assert broken == []


async def test_the_schema_lets_one_event_start_a_workflow_once(sqlite: SqliteStore) -> None:
    await start(sqlite, "a", "b")

    with pytest.raises(sqlite3.IntegrityError, match=r"execution\.cause"):
        await on_writer(sqlite, lambda db: db.execute("UPDATE execution SET cause = 1"))


async def test_a_dropped_schedule_leaves_no_row(sqlite: SqliteStore) -> None:
    version = await put(sqlite, schedule())
    gone = DroppedTicks("default", "nightly", version, (LATER,), "late", LATER)
    await sqlite.commit(Batch(dropped=(gone,)))
    before = await on_writer(sqlite, counts)

    await sqlite.change(DropSchedule("default", "nightly"))

    after = await on_writer(sqlite, counts)
    assert (before["schedule"], before["tick"]) == (1, 1)
    assert {name: rows for name, rows in after.items() if rows} == {"schedule_version": 1}


@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("UPDATE execution SET alone = 'x'", r"execution\.alone"),
        ("INSERT INTO started_once VALUES ('n', 'w', 'x'), ('n', 'w', 'x')", r"started_once\.key"),
        (
            "INSERT INTO tick (schedule, at, noted) VALUES (1, 5, 9), (1, 5, 9)",
            r"tick\.at",
        ),
    ],
)
async def test_the_schema_itself_forbids_what_must_not_run_twice(
    sqlite: SqliteStore, sql: str, broken: str
) -> None:
    await start(sqlite, "a", "b")

    with pytest.raises(sqlite3.IntegrityError, match=broken):
        await on_writer(sqlite, lambda db: db.execute(sql))


async def test_the_status_of_the_last_attempt_that_ended_is_kept(sqlite: SqliteStore) -> None:
    (a,) = await start(sqlite, "a")
    failed = TaskChange(task("t").state, Outcome(TaskStatus.FAILED))
    for write in (failed, task("t")):
        await sqlite.commit(Batch(None, (ExecutionWrite(a, None, (write,)),)))

    sql = "SELECT outcome FROM task_execution"
    assert await on_writer(sqlite, lambda db: db.execute(sql).fetchall()) == [("FAILED",)]


# ---- cancelling and failing


async def test_a_cancelled_commit_is_written_and_leaves_the_connection_usable(
    sqlite: SqliteStore,
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def work(db: sqlite3.Connection) -> None:
        db.execute("UPDATE sqlite_sequence SET seq = 41 WHERE name = 'event'")
        began.set()
        go_on.wait(10)

    await sqlite.commit(Batch(events=(event("x"),)))
    slow = asyncio.ensure_future(on_writer(sqlite, work))
    await asyncio.to_thread(began.wait, 10)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    go_on.set()

    receipt = await sqlite.commit(Batch(events=(event("y"),)))

    assert receipt.offsets == (42,)


async def test_what_raises_is_rolled_back_and_leaves_the_connection_usable(
    sqlite: SqliteStore,
) -> None:
    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM execution")
        raise KeyError

    (a,) = await start(sqlite, "a")
    with pytest.raises(KeyError):
        await on_writer(sqlite, work)

    await sqlite.commit(Batch(None, (ExecutionWrite(a, ENDED),)))
    assert len(await sqlite.read(Executions())) == 1


async def test_both_threads_end_on_close(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = SqliteStore(tmp_path / "flows.db")
    await store.open()
    opened = set(threading.enumerate()) - before

    await store.close()

    assert len(opened) == 2
    assert not opened & set(threading.enumerate())


async def test_a_cancelled_open_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    opening = asyncio.ensure_future(SqliteStore(path).open())
    await asyncio.sleep(0)
    workers = [t for t in threading.enumerate() if "_connection_worker_thread" in t.name]
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for worker in workers:
        await asyncio.to_thread(worker.join, 10)

    assert len(workers) == 1
    assert not workers[0].is_alive()
    await make(path)


async def test_a_store_can_be_opened_again(sqlite: SqliteStore) -> None:
    await start(sqlite, "a")
    await sqlite.close()
    await sqlite.open()

    assert len(await sqlite.read(Executions())) == 1


# ---- several processes


async def test_two_stores_on_one_file_see_and_fence_each_other(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    other = SqliteStore(tmp_path / "flows.db")
    await other.open()
    fence = await sqlite.register(runner("r1"))
    (a,) = await start(sqlite, "a", fence=fence)

    await other.append([letter("Told", a)])
    receipts = await asyncio.gather(
        *(s.commit(Batch(events=(event("x"),))) for s in (sqlite, other) for _ in range(20))
    )
    await other.close()

    assert sorted(receipt.offsets for receipt in receipts) == [(n,) for n in range(1, 41)]
    assert len(await sqlite.read(Inbox("r1"))) == 1


def begin_writing(path: Path, name: str, failpoint: str = "") -> subprocess.Popen[bytes]:
    places = os.pathsep.join(map(str, [ROOT, *sys.path]))
    environment = {**os.environ, "PYTHONPATH": places, "ASYNCFLOW_FAILPOINT": failpoint}
    return subprocess.Popen([sys.executable, "-c", MANY_WRITERS, str(path), name], env=environment)


@pytest.mark.parametrize(
    ("failpoint", "stored"),
    [
        ("migration.before:1:kill", 0),
        ("migration.after:1:kill", 0),
        ("store.commit.before:10:kill", 9),
        ("store.commit.after:10:kill", 10),
    ],
)
async def test_a_killed_process_leaves_what_it_committed_and_nothing_else(
    tmp_path: Path, failpoint: str, stored: int
) -> None:
    path = tmp_path / "flows.db"
    assert begin_writing(path, "p", failpoint).wait(15) == -signal.SIGKILL

    store = SqliteStore(path)
    await store.open()
    executions = await store.read(Executions())
    events = await store.read(Events())
    whole = await on_writer(store, lambda db: db.execute("PRAGMA integrity_check").fetchall())
    await store.close()

    assert (len(executions), len(events), whole) == (stored, stored, [("ok",)])


def test_processes_that_open_a_new_file_at_once_all_write_to_it(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    names = ["p1", "p2", "p3", "p4"]

    children = [begin_writing(path, name) for name in names]

    assert [child.wait(15) for child in children] == [0, 0, 0, 0]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM execution").fetchone() == (100,)
        assert db.execute('SELECT max("offset") FROM event').fetchone() == (100,)
        assert db.execute("SELECT count(*) FROM runner").fetchone() == (4,)


# ---- what the database says


async def test_a_full_disk_is_a_store_error_and_nothing_is_stored(sqlite: SqliteStore) -> None:
    (a,) = await start(sqlite, "a")
    await on_writer(sqlite, lambda db: db.execute("PRAGMA max_page_count = 1").fetchall())
    write = ExecutionWrite(a, ENDED, (), {"k": '"' + "x" * 1_000_000 + '"'})

    with pytest.raises(
        StorageFullError, match=r"flows\.db .*disk is full.*free some space"
    ) as caught:
        await sqlite.commit(Batch(None, (write,)))

    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert caught.value.errno == errno.ENOSPC
    (record,) = await sqlite.read(Executions())
    assert record.status is RUNNING.status


async def test_a_lock_that_is_held_too_long_is_a_store_error(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await on_writer(sqlite, lambda db: db.execute("PRAGMA busy_timeout = 1").fetchall())
    with closing(sqlite3.connect(tmp_path / "flows.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match=r"flows\.db stayed locked by another process"):
            await sqlite.commit(Batch())

    await sqlite.commit(Batch())


async def test_a_damaged_database_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    await make(path)
    with closing(sqlite3.connect(path)) as db:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'execution'"
        page: int = db.execute(sql).fetchone()[0]
        size: int = db.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    store = SqliteStore(path)
    await store.open()

    with pytest.raises(StoreError, match=r"flows\.db is damaged: restore it from a backup"):
        await store.read(Executions())

    await store.close()


async def test_text_that_no_database_takes_is_a_store_error(sqlite: SqliteStore) -> None:
    with pytest.raises(StoreError, match=r"flows\.db keeps UTF-8 only"):
        await sqlite.commit(Batch(events=(event("\udcff"),)))

    assert await sqlite.read(Events()) == ()


# ---- readers


async def test_a_reader_is_not_held_up_by_a_writer(sqlite: SqliteStore) -> None:
    began, go_on = threading.Event(), threading.Event()

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM runner")
        began.set()
        go_on.wait(10)

    await sqlite.register(runner("r1"))
    slow = asyncio.ensure_future(on_writer(sqlite, work))
    await asyncio.to_thread(began.wait, 10)

    during = await sqlite.read(Runners())
    go_on.set()
    await slow

    assert len(during) == 1
    assert await sqlite.read(Runners()) == ()
    assert await sqlite.read(Facts(1)) == ()
