"""What signals cost in a file: statements and the indexes that they use."""

import pytest

from asyncflow._core.state import Closing
from asyncflow._model.status import EventPhase
from asyncflow._store.batch import Batch, ExecutionWrite, Expiry, Notified
from asyncflow._store.queries import AwaitedEvents, Inbox, UnownedWorkflows
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import LATER, NOON, awaited, due, letter, runner, signal, start
from tests.store.test_sqlite import on_writer
from tests.store.test_sqlite_cost import plans


async def traced(sqlite: SqliteStore) -> list[str]:
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))
    return seen


def scans(found: dict[str, list[str]]) -> set[str]:
    steps = {step for each in found.values() for step in each if step.startswith("SCAN")}
    return {step for step in steps if "CONSTANT" not in step}


async def test_512_awaited_events_take_few_statements(sqlite: SqliteStore) -> None:
    owners = await start(sqlite, *(f"a{n}" for n in range(512)))
    seen = await traced(sqlite)

    await sqlite.commit(Batch(awaited=tuple(awaited(a) for a in owners)))

    assert len(seen) <= 9
    assert scans(await plans(sqlite, seen)) <= {
        "SCAN v",
        "SCAN json_each VIRTUAL TABLE INDEX 1:",
        "SCAN sqlite_sequence",
    }


async def test_512_signals_take_few_statements(sqlite: SqliteStore) -> None:
    owners = await start(sqlite, *(f"a{n}" for n in range(512)))
    await sqlite.commit(Batch(awaited=tuple(awaited(a) for a in owners)))
    seen = await traced(sqlite)

    await sqlite.commit(Batch(signals=tuple(signal(a, a, letter=True) for a in owners)))

    assert len(seen) <= 9
    assert len(await sqlite.read(AwaitedEvents(waiting_at=NOON))) == 0


@pytest.mark.parametrize(("id_", "statements"), [(1, 2), (99, 3)], ids=["taken", "refused"])
async def test_a_signal_that_comes_alone_takes_few_statements_and_scans_nothing(
    id_: int, statements: int, sqlite: SqliteStore
) -> None:
    (owner,) = await start(sqlite, "a")
    fence = await sqlite.register(runner("r1"))
    await sqlite.commit(Batch(awaited=(awaited(owner),)))
    seen = await traced(sqlite)

    await sqlite.commit(Batch(fence, signals=(signal(id_, owner),)))

    assert len([sql for sql in seen if sql not in {"BEGIN IMMEDIATE", "COMMIT"}]) == statements
    assert scans(await plans(sqlite, seen)) <= {"SCAN k VIRTUAL TABLE INDEX 1:"}


async def test_what_ends_is_looked_up(sqlite: SqliteStore) -> None:
    owners = await start(sqlite, "a", "b", "c")
    await sqlite.commit(Batch(awaited=tuple(awaited(a, deadline=due(1)) for a in owners)))
    over = (Closing("t", 1, EventPhase.FAILED, NOON), Closing("t", 2, EventPhase.FAILED, NOON))
    seen = await traced(sqlite)

    await sqlite.commit(
        Batch(
            executions=(ExecutionWrite(owners[0], closings=over),),
            signals=(signal(2, owners[1]),),
            expired=(Expiry(3, LATER),),
            notified=(Notified(1, NOON), Notified(2, NOON)),
        )
    )

    found = await plans(sqlite, seen)
    assert not any("awaited" in step for step in scans(found))
    steps = {step for each in found.values() for step in each}
    waiting = "awaited_event USING INDEX awaited_waiting (execution=? AND task=? AND seq=?)"
    assert f"SEARCH {waiting}" in steps


async def test_what_waits_in_a_namespace_is_listed_without_the_rest(sqlite: SqliteStore) -> None:
    seen: list[str] = []
    assert sqlite._reader is not None
    await sqlite._reader.query(lambda db: db.set_trace_callback(seen.append))

    await sqlite.read(AwaitedEvents("default", waiting_at=NOON))

    (steps,) = (await plans(sqlite, seen)).values()
    assert "SEARCH a USING INDEX awaited_waiting_namespace (namespace=?)" in steps
    assert not any("TEMP B-TREE" in step for step in steps)


async def test_whose_turn_it_is_is_found_without_going_through_all(sqlite: SqliteStore) -> None:
    (a,) = await start(sqlite, "a")
    await start(sqlite, "b", workflow="other")
    await sqlite.append([letter("Told", a)])
    fence = await sqlite.register(runner("r1"))
    seen = await traced(sqlite)

    assert await sqlite.read(UnownedWorkflows()) == {("default", "release"), ("default", "other")}
    assert (await sqlite.claim(fence, (), [("default", "release")], 500)).executions == (a,)

    found = await plans(sqlite, seen)
    steps = [step for each in found.values() for step in each]
    index = "execution USING INDEX execution_unowned"
    assert f"SEARCH {index} (namespace=? AND workflow>?)" in steps
    assert f"SEARCH {index} (namespace=? AND workflow=? AND rowid<?)" in steps
    of_facts = [steps for sql, steps in found.items() if "FROM fact" in sql]
    assert ["SEARCH fact USING INTEGER PRIMARY KEY (rowid>?)" in steps for steps in of_facts] == [
        True
    ]
    sorted_by = [sql for sql, steps in found.items() if any("TEMP B-TREE" in x for x in steps)]
    assert len(sorted_by) == 1  # the last facts, which are a thousand at most
    assert "FROM fact" in sorted_by[0]
    assert len(await sqlite.read(Inbox("r1"))) == 1
