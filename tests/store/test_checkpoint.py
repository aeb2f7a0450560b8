"""When the WAL is taken into the database, and that nobody commits meanwhile."""

import json
import logging
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from shutil import copyfile

import pytest

from asyncflow._failpoint import armed
from asyncflow._store.batch import Batch, ExecutionWrite
from asyncflow._store.queries import Executions
from asyncflow._store.sqlite import checkpoint, pulse
from asyncflow._store.sqlite.checkpoint import AGAIN, LIMIT, tell_version
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow._store.sqlite.upkeep import FEW
from tests.store.samples import RUNNING, runner, start
from tests.store.test_sqlite import contents, pragma

NUMBERS = map("{:08d}".format, count())
ROOT = Path(__file__).parents[2]
BIG = 500_000
"""Bytes that a call of `write` adds to the WAL, and a little more."""

WRITE_AND_CHECKPOINT = """
import asyncio, sys
from asyncflow._failpoint import armed
from asyncflow._store.batch import Batch, ExecutionWrite
from asyncflow._store.sqlite import checkpoint, pulse
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import new, runner

checkpoint.Checkpoints.__init__.__defaults__ = (1, 1)

async def main(path, me):
    store = SqliteStore(path)
    await store.open()
    with armed() as passes:
        for n in range(150):
            write = ExecutionWrite(new(f"{me}-{n}"), None, (), {"k": '"' + me * 2000 + '"'})
            await store.commit(Batch(None, (write,)))
    await store.close()
    print(passes["store.checkpoint.after"])

asyncio.run(main(*sys.argv[1:]))
"""


def wal(folder: Path) -> int:
    return (folder / "flows.db-wal").stat().st_size


async def write(store: SqliteStore, times: int) -> None:
    for _ in range(times):
        value = json.dumps(next(NUMBERS) * (BIG // 8))  # each page is another one than before
        await store.commit(Batch(None, (ExecutionWrite(1, RUNNING, (), {"k": value}),)))


async def write_little(store: SqliteStore, times: int) -> None:
    for _ in range(times):
        await store.commit(Batch(None, (ExecutionWrite(1, RUNNING, (), {"k": "1"}),)))


async def test_no_connection_makes_checkpoints_by_itself(sqlite: SqliteStore) -> None:
    assert await pragma(sqlite._writer, "wal_autocheckpoint") == 0
    assert await pragma(sqlite._reader, "wal_autocheckpoint") == 0


async def test_the_wal_does_not_grow_without_limit(sqlite: SqliteStore, tmp_path: Path) -> None:
    await start(sqlite, "a")
    sizes: list[int] = []

    with armed() as passes:
        for _ in range(60):  # 30 MB
            await write(sqlite, 1)
            sizes.append(wal(tmp_path))

    assert max(sizes) < LIMIT + 2 * BIG
    assert passes["store.checkpoint.before"] == passes["store.checkpoint.after"] >= 5
    assert await pragma(sqlite._writer, "busy_timeout") == 10_000


async def test_the_wal_of_a_database_that_is_opened_by_a_link_does_not_grow_either(
    tmp_path: Path,
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "flows.db")
    store = SqliteStore(tmp_path / "link")
    await store.open()
    await start(store, "first")

    await write(store, 4 * LIMIT // BIG)

    assert wal(tmp_path) < 2 * LIMIT
    await store.close()


async def test_nor_does_that_of_a_store_that_was_closed_and_opened_again(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    await sqlite.close()
    await sqlite.open()

    await write(sqlite, 4 * LIMIT // BIG)

    assert wal(tmp_path) < 2 * LIMIT


async def test_a_small_wal_is_left_alone(sqlite: SqliteStore) -> None:
    await start(sqlite, "a")

    with armed() as passes:
        await write(sqlite, 4)

    assert not passes["store.checkpoint.before"]


async def test_a_reader_that_stays_makes_checkpoints_rare_and_holds_nobody_up(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    with closing(sqlite3.connect(tmp_path / "flows.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM execution").fetchall()
        with armed() as passes:
            await write(sqlite, 20)
        reader.execute("COMMIT")
    grown = wal(tmp_path)

    await write(sqlite, 2 * AGAIN // BIG + 2)

    assert grown > 20 * BIG
    assert passes["store.checkpoint.after"] <= (grown - LIMIT) // AGAIN + 1
    assert wal(tmp_path) == LIMIT


async def test_a_writer_that_stays_puts_the_checkpoint_off(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    await write(sqlite, LIMIT // BIG)
    checkpoints = checkpoint.Checkpoints(str(tmp_path / "flows.db"), limit=1)
    with closing(sqlite3.connect(tmp_path / "flows.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with armed() as passes, closing(sqlite3.connect(tmp_path / "flows.db")) as db:
            checkpoints.look(db)
            assert not passes
            other.execute("COMMIT")
            checkpoints.look(db)
            assert passes["store.checkpoint.after"] == 1
            assert db.execute("PRAGMA busy_timeout").fetchone() == (10_000,)


async def test_a_checkpoint_that_was_put_off_is_made_after_the_next_commit(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    await write(sqlite, 1)
    checkpoints = checkpoint.Checkpoints(str(tmp_path / "flows.db"), limit=2 * BIG)
    with (
        closing(sqlite3.connect(tmp_path / "flows.db", isolation_level=None)) as other,
        closing(sqlite3.connect(tmp_path / "flows.db")) as db,
        armed() as passes,
    ):
        checkpoints.look(db)
        await write(sqlite, 2)
        other.execute("BEGIN IMMEDIATE")
        checkpoints.look(db)
        assert not passes["store.checkpoint.before"]
        other.execute("COMMIT")
        checkpoints.look(db)
        assert passes["store.checkpoint.after"] == 1
    checkpoints.close()


async def test_a_wal_that_is_far_from_its_limit_is_looked_at_once_after_a_commit(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(sqlite, "a")
    await write(sqlite, LIMIT // BIG + 1)
    await write(sqlite, 1)  # the first one since it began anew
    read: list[int] = []
    original = checkpoint._read

    def counting(file: int, length: int, place: int) -> bytes:
        read.append(length)
        return original(file, length, place)

    monkeypatch.setattr(checkpoint, "_read", counting)
    await write(sqlite, 3)

    assert wal(tmp_path) == LIMIT
    assert read == [8, 8, 8]


async def test_nobody_commits_while_a_checkpoint_is_made(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(sqlite, "a")
    tried: list[str] = []

    def hit(name: str) -> None:
        with closing(sqlite3.connect(tmp_path / "flows.db", timeout=0)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                tried.append(f"{name}: {error}")

    monkeypatch.setattr(checkpoint, "hit", hit)
    await write(sqlite, LIMIT // BIG + 1)

    locked = "database is locked"
    assert tried == [f"store.checkpoint.before: {locked}", f"store.checkpoint.after: {locked}"]


async def test_a_checkpoint_that_fails_takes_nothing_from_the_commit_before_it(
    sqlite: SqliteStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> sqlite3.Connection:
        raise sqlite3.OperationalError(path)

    await start(sqlite, "a")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "connect", refuse)
        await write(sqlite, LIMIT // BIG + 1)
    await start(sqlite, "b")

    assert len(await sqlite.read(Executions())) == 2
    assert [r.message.split(" was ")[1] for r in caplog.records if r.levelname == "WARNING"] == [
        f"not taken into its database: {sqlite.location}"
    ]


async def test_the_wal_does_not_grow_by_beats_alone(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "IDLE_LIMIT", 200_000)
    fence = await sqlite.register(runner("r1"))
    beating = sqlite.pulse()

    for _ in range(200):  # of 4 KB and more
        beating.renew(fence)
    beating.close()

    found = checkpoint.Wal(str(tmp_path / "flows.db-wal"))
    found.look()
    used = found.used()
    found.close()
    assert used < 210_000


async def test_a_wal_is_made_long_once_a_runner_has_written_some_transactions(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    await write_little(sqlite, FEW)
    without = wal(tmp_path)
    await sqlite.register(runner("r1"))
    await write_little(sqlite, FEW - 2)
    before = wal(tmp_path)
    await write_little(sqlite, 1)
    made = wal(tmp_path)
    await write(sqlite, 3)

    assert without <= before < LIMIT // 4
    assert made == wal(tmp_path) == LIMIT


async def test_a_wal_that_was_not_made_long_is_tried_again(
    sqlite: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: sqlite3.Connection) -> bool:
        return False

    await sqlite.register(runner("r1"))
    await start(sqlite, "a")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoints, "_lock", staticmethod(locked))
        await write_little(sqlite, FEW)
    short = wal(tmp_path)
    await write_little(sqlite, FEW)

    assert short < wal(tmp_path) == LIMIT


async def test_a_wal_is_not_made_longer_while_somebody_writes(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    before = wal(tmp_path)
    upkeep = checkpoint.Checkpoints(str(tmp_path / "flows.db"))
    with (
        closing(sqlite3.connect(tmp_path / "flows.db", isolation_level=None)) as other,
        closing(sqlite3.connect(tmp_path / "flows.db", isolation_level=None)) as db,
    ):
        other.execute("BEGIN IMMEDIATE")
        tried = [upkeep.make_room(db)]
        during = wal(tmp_path)
        other.execute("ROLLBACK")
        tried.append(upkeep.make_room(db))
        free = db.execute("BEGIN IMMEDIATE").fetchall()

    assert tried == [False, True]
    assert during == before < LIMIT
    assert wal(tmp_path) == LIMIT
    assert free == []


def test_a_file_for_whose_length_there_is_no_space_stays_as_it_was(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"text")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with suppress(OSError):
            checkpoint._lengthen(str(short), LIMIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert short.read_bytes() == b"text"


async def test_what_a_killed_process_wrote_before_the_room_is_there(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await sqlite.register(runner("r1"))
    await start(sqlite, "a")
    await write_little(sqlite, FEW)
    assert wal(tmp_path) == LIMIT
    (tmp_path / "later").mkdir()
    for name in ("flows.db", "flows.db-wal"):  # as they are on disk
        copyfile(tmp_path / name, tmp_path / "later" / name)

    with closing(sqlite3.connect(tmp_path / "later" / "flows.db")) as db:
        kept = db.execute("SELECT name FROM execution").fetchall()
        runners = db.execute("SELECT id FROM runner").fetchall()
        intact = db.execute("PRAGMA integrity_check").fetchall()

    assert (kept, runners, intact) == ([("a",)], [("r1",)], [("ok",)])


async def test_closing_leaves_no_wal(sqlite: SqliteStore, tmp_path: Path) -> None:
    await start(sqlite, "a")
    await write(sqlite, 3)

    await sqlite.close()

    assert list(contents(tmp_path)) == ["flows.db"]


def test_processes_that_write_and_checkpoint_all_the_time_damage_nothing(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    places = os.pathsep.join(map(str, [ROOT, *sys.path]))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_AND_CHECKPOINT, str(path), name],
            env={**os.environ, "PYTHONPATH": places},
            stdout=subprocess.PIPE,
        )
        for name in "abcd"
    ]

    made = [int(child.communicate(timeout=20)[0]) for child in children]

    sys.stdout.write(f"checkpoints of each process: {made}\n")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM execution").fetchone() == (600,)
        sql = "SELECT sum(length(value)), count(DISTINCT value) FROM context"
        assert db.execute(sql).fetchone() == (600 * 2002, 4)
    assert sum(made) > 20


async def test_the_sqlite_is_named_once_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asyncflow._store.sqlite.checkpoint")
    tell_version.cache_clear()

    for name in ("b.db", "c.db"):
        store = SqliteStore(tmp_path / name)
        await store.open()
        await store.close()

    (told,) = [r.message for r in caplog.records if r.name.endswith("checkpoint")]
    assert sqlite3.sqlite_version in told


async def test_a_wal_that_began_anew_counts_from_its_beginning_though_its_file_stays_long(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    await write(sqlite, LIMIT // BIG + 1)

    with armed() as passes:
        await write(sqlite, LIMIT // BIG - 1)

        assert wal(tmp_path) == LIMIT
        assert not passes["store.checkpoint.before"]

        await write(sqlite, 2)
        assert passes["store.checkpoint.after"] == 1


async def test_how_much_of_a_wal_counts_is_what_sqlite_would_check_in(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")
    await write(sqlite, LIMIT // BIG + 3)
    with closing(checkpoint.Wal(str(tmp_path / "flows.db-wal"))) as file:
        file.look()
        used = file.used()

    with closing(sqlite3.connect(tmp_path / "flows.db")) as db:
        _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    assert used == 32 + frames * (24 + db_page(tmp_path))
    assert used < wal(tmp_path)


def db_page(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "flows.db")) as db:
        size: int = db.execute("PRAGMA page_size").fetchone()[0]
        return size


def test_a_wal_without_a_header_is_looked_at_later(tmp_path: Path) -> None:
    (tmp_path / "flows.db-wal").touch()  # cut off between two looks, by another program

    with (
        closing(checkpoint.Wal(str(tmp_path / "flows.db-wal"))) as file,
        pytest.raises(OSError, match=r"\S"),
    ):
        file.look()
