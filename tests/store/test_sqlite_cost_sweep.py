"""What a sweep costs a file: statements, and which tables they go through."""

import pytest

from asyncflow._store.batch import Batch
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow._store.sqlite.sweep import LOOKED_AT
from tests.store.samples import ENDED, event, runner, start
from tests.store.test_conformance_deletion import fill
from tests.store.test_conformance_sweep import AFTER
from tests.store.test_sqlite import counts, on_writer
from tests.store.test_sqlite_cost import plans


@pytest.mark.parametrize("many", [1, 200])
async def test_a_sweep_takes_as_many_statements_however_much_it_forgets(
    sqlite: SqliteStore, many: int
) -> None:
    fence = await sqlite.register(runner("r1"))
    await start(sqlite, *(f"e{n}" for n in range(many)), head=ENDED)
    await sqlite.commit(Batch(events=tuple(event("x") for _ in range(many))))
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    swept = await sqlite.sweep(fence, AFTER, 200)

    assert (swept.executions, swept.events) == (many, many)
    assert len(seen) == 23


async def test_a_sweep_goes_through_no_table_that_grows(sqlite: SqliteStore) -> None:
    fence = await sqlite.register(runner("r1"))
    await fill(sqlite, "a")
    for item in range(1, 7):
        await sqlite.commit(Batch(taken=(item,)))
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    swept = await sqlite.sweep(fence, AFTER, 100)

    steps = [step for each in (await plans(sqlite, seen)).values() for step in each]
    assert swept.executions == 1
    assert {step for step in steps if step.startswith("SCAN")} == {
        "SCAN json_each VIRTUAL TABLE INDEX 1:",
        "SCAN inbox",
        "SCAN inbox USING INDEX inbox_to_nobody",
    }


async def test_what_must_stay_is_walked_over_once_in_a_pass(sqlite: SqliteStore) -> None:
    fence = await sqlite.register(runner("r1"))
    await start(sqlite, *(f"runs{n}" for n in range(10 * LOOKED_AT)), fence=fence)

    afters: list[int] = []
    for _ in range(6):
        await sqlite.sweep(fence, AFTER, 2)
        afters.append(sqlite._places.after["execution"])

    assert afters == [40, 80, 120, 160, 200, 0]


async def test_a_sweep_leaves_no_row_and_breaks_no_reference(sqlite: SqliteStore) -> None:
    fence = await sqlite.register(runner("r1"))
    await fill(sqlite, "a")
    for item in range(1, 7):
        await sqlite.commit(Batch(taken=(item,)))

    await sqlite.sweep(fence, AFTER, 100)

    after = await on_writer(sqlite, counts)
    broken = await on_writer(sqlite, lambda db: db.execute("PRAGMA foreign_key_check").fetchall())
    assert {name for name, rows in after.items() if rows} == {
        "runner",
        "trigger_schedule",
        "schedule",
        "schedule_version",
        "started_once",
        "workflow_cell",
        "workflow_rule",
        "disabled_workflow",
    }
    assert broken == []
