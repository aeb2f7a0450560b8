"""That a file gives back the space of what was deleted, and when an older one begins to."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asyncflow._store.batch import Batch, ExecutionWrite, Fence
from asyncflow._store.queries import Sizes
from asyncflow._store.sqlite import vacuum
from asyncflow._store.sqlite.migrate import migrate, migrations
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import ENDED, new, runner
from tests.store.test_conformance_sweep import AFTER
from tests.store.test_sqlite import contents, on_writer, pragma

INCREMENTAL = 2


async def fill(store: SqliteStore, megabytes: int) -> Fence:
    fence = await store.register(runner("r1"))
    for number in range(megabytes * 4):
        value = {"k": '"' + "x" * 250_000 + '"'}
        await store.commit(Batch(None, (ExecutionWrite(new(f"e{number}"), ENDED, (), value),)))
    return fence


async def sweep(store: SqliteStore, fence: Fence) -> int:
    calls = 1
    while (await store.sweep(fence, AFTER, 5)).more:
        calls += 1
    return calls


def make_older(path: Path) -> None:
    """Make a database as earlier versions did, which keeps its free pages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, str(path), migrations()[:-1])
        db.execute("PRAGMA journal_mode = WAL")


async def test_a_file_shrinks_while_it_is_swept(sqlite: SqliteStore, tmp_path: Path) -> None:
    fence = await fill(sqlite, 8)
    await sqlite.close()
    before = (tmp_path / "flows.db").stat().st_size
    await sqlite.open()

    calls = await sweep(sqlite, fence)
    sizes = await sqlite.read(Sizes())
    whole = await on_writer(sqlite, lambda db: db.execute("PRAGMA integrity_check").fetchall())
    await sqlite.close()

    after = (tmp_path / "flows.db").stat().st_size
    assert before > 8_000_000
    assert after < 1_500_000
    assert 0 < sizes.free_bytes <= 1.1 * vacuum.GIVEN_BACK * 4096
    assert whole == [("ok",)]
    assert 8 <= calls < 20


async def test_an_older_database_begins_to_give_space_back_when_it_is_upgraded(
    tmp_path: Path,
) -> None:
    make_older(tmp_path / "flows.db")
    store = SqliteStore(tmp_path / "flows.db")

    await store.open()

    assert await pragma(store._writer, "auto_vacuum") == INCREMENTAL
    assert await pragma(store._writer, "journal_mode") == "wal"
    assert await pragma(store._writer, "busy_timeout") == 10_000
    await store.close()
    assert list(contents(tmp_path)) == ["flows.db"]


async def test_one_that_was_open_elsewhere_is_written_anew_at_the_next_opening(
    tmp_path: Path,
) -> None:
    make_older(tmp_path / "flows.db")
    first, second = SqliteStore(tmp_path / "flows.db"), SqliteStore(tmp_path / "flows.db")
    with closing(sqlite3.connect(tmp_path / "flows.db")) as other:
        other.execute("SELECT * FROM execution").fetchall()
        await first.open()
    assert await pragma(first._writer, "auto_vacuum") == 0
    await first.close()

    await second.open()

    assert await pragma(second._writer, "auto_vacuum") == INCREMENTAL
    await second.close()


@pytest.mark.parametrize("reason", ["large", "open"])
async def test_one_that_is_large_or_open_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    make_older(tmp_path / "flows.db")
    if reason == "large":
        monkeypatch.setattr(vacuum, "CONVERTED", 4096)
    store = SqliteStore(tmp_path / "flows.db")
    with closing(sqlite3.connect(tmp_path / "flows.db")) as other:
        if reason == "open":
            other.execute("SELECT * FROM execution").fetchall()

        await store.open()

    fence = await fill(store, 2)
    assert await pragma(store._writer, "auto_vacuum") == 0
    assert await sweep(store, fence) < 5
    assert (await store.read(Sizes())).free_bytes > 1_000_000
    await store.close()
