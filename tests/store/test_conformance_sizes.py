"""What stores say of their sizes, over each store."""

from pathlib import Path

from asyncflow._model.status import WorkflowStatus
from asyncflow._store.batch import Batch, ExecutionWrite
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Sizes
from asyncflow._store.sizes import RECENT, StoreSizes
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import ENDED, event, letter, runner, start

SUCCESS, ACTIVE = WorkflowStatus.SUCCESS, WorkflowStatus.RUNNING


async def test_a_store_counts_what_it_keeps(store: Store) -> None:
    fence = await store.register(runner("r1"))
    ended, _ = await start(store, "a", "b", fence=fence)
    await start(store, "c")
    await store.commit(Batch(fence, (ExecutionWrite(ended, ENDED),), (event("x"), event("y"))))
    await store.append([letter("L")])

    found = await store.read(Sizes())

    assert found.executions == {SUCCESS: 1, ACTIVE: 2}
    assert (found.events, found.letters, found.runners) == (2, 2, 1)  # one letter to nobody, too


async def test_an_empty_store_counts_nothing(store: Store) -> None:
    found = await store.read(Sizes())

    assert found == StoreSizes(found.file_bytes, found.wal_bytes, 0, {}, 0, 0, 0)


async def test_of_the_ended_executions_only_the_newest_are_counted(
    store: Store,
) -> None:
    old, *_ = await start(store, "old", *(f"e{n}" for n in range(RECENT)), head=ENDED)
    assert (await store.read(Sizes())).executions == {SUCCESS: RECENT}

    await start(store, "new")

    assert old == 1
    assert (await store.read(Sizes())).executions == {SUCCESS: RECENT - 1, ACTIVE: 1}


async def test_the_sizes_of_a_file_are_those_on_the_disk(
    sqlite: SqliteStore, tmp_path: Path
) -> None:
    await start(sqlite, "a")

    found = await sqlite.read(Sizes())

    assert found.file_bytes == (tmp_path / "flows.db").stat().st_size > 0
    assert found.wal_bytes == (tmp_path / "flows.db-wal").stat().st_size > 0
