"""What the store in a file costs: round trips, statements and the indexes that it uses."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncflow._store.batch import (
    Batch,
    Cause,
    CursorWrite,
    Dead,
    DroppedTicks,
    ExecutionWrite,
    FailedPoll,
    Firing,
    Tick,
)
from asyncflow._store.change import (
    AddRule,
    AddTriggers,
    DeleteWorkflow,
    DropSchedule,
    PutSchedule,
    SetTriggerEnabled,
)
from asyncflow._store.queries import (
    DisabledTriggers,
    Firings,
    LastOffset,
    Query,
    Schedules,
    SchedulesVersion,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    TickCounts,
    Ticks,
    Triggers,
)
from asyncflow._store.sqlite.connection import Connection
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow._store.sqlite.terms import UNFINISHED
from tests.store.samples import (
    ENDED,
    NOON,
    RUNNING,
    event,
    fact,
    letter,
    line,
    new,
    put,
    runner,
    schedule,
    start,
    task,
    trigger,
)
from tests.store.test_sqlite import on_writer


def starts(version: int, many: int) -> Batch:
    """Return a batch in which so many ticks, and as many polls, start, fail or are dropped."""
    numbers = range(many)
    due = [NOON + timedelta(minutes=n) for n in range(1, 2 * many + 1)]
    ticked = (
        replace(new(f"t{n}"), origin=Tick("default", "nightly", version, due[many + n]))
        for n in numbers
    )
    fired = (
        replace(new(f"f{n}"), origin=Firing("default", f"poll{n}", NOON, "h")) for n in numbers
    )
    made = (replace(each, alone=each.name, once=each.name) for each in (*ticked, *fired))
    return Batch(
        None,
        tuple(ExecutionWrite(each, RUNNING) for each in made),
        cursors=tuple(CursorWrite("default", f"poll{n}", "release", "1") for n in numbers),
        failed_polls=tuple(FailedPoll("default", f"poll{n}", NOON, NOON, "e") for n in numbers),
        dropped=(DroppedTicks("default", "nightly", version, tuple(due[:many]), "late", NOON),),
    )


# ---- one round trip


async def test_each_verb_and_each_query_is_one_round_trip(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: Sequence[Query[Any]] = (
        TaskExecutions(1),
        StoredExecutions((1, 2)),
        TaskLogs(1, "t", 1),
        LastOffset(),
        Triggers(),
        DisabledTriggers(),
        Firings("default", "poll"),
        Schedules(),
        SchedulesVersion(),
        Ticks("default", "nightly"),
        TickCounts(),
    )
    trips: list[object] = []
    untyped: Any = Connection
    original = untyped._execute

    async def counting(self: Connection, work: Callable[[], object]) -> object:
        trips.append(work)
        return await original(self, work)

    monkeypatch.setattr(Connection, "_execute", counting)

    fence = await sqlite.register(runner("r1"))
    (a,) = await start(sqlite, "a", fence=fence)
    write = ExecutionWrite(
        a, RUNNING, (task("t"),), {"k": "1", "l": None}, (fact("F"),), "p", {"s": "1", "t": None}
    )
    made = ExecutionWrite(replace(new("b"), cause=Cause(0, fresh=True)), ENDED)
    cells = {("default", "release", "s"): "1", ("default", "release", "t"): None}
    await sqlite.commit(Batch(fence, (write, made), (event("x"),), (1,), cells, (line(a, "x"),)))
    await sqlite.append([letter("L", a, event("y"))])
    await sqlite.claim(fence, [Dead("dead", 0)], None, 10)
    await sqlite.change(AddRule("default", "release", "rule"))
    await sqlite.change(DeleteWorkflow("default", "other"))
    await sqlite.change(AddTriggers((trigger(), trigger("b"))))
    await sqlite.change(SetTriggerEnabled("default", "poll", enabled=False, at=NOON))
    await sqlite.change(PutSchedule(schedule(), None))
    await sqlite.commit(starts(1, 2))
    await sqlite.change(DropSchedule("default", "nightly"))
    for query in queries:
        await sqlite.read(query)
    await sqlite.release(fence)

    assert len(trips) == 13 + len(queries)


async def test_a_batch_of_512_tasks_takes_few_statements(sqlite: SqliteStore) -> None:
    (a,) = await start(sqlite, "a")
    seen: list[str] = []
    names = [f"t{n}" for n in range(512)]
    values = dict.fromkeys(names, "1")
    facts, logs = tuple(map(fact, names)), tuple(line(a, name) for name in names)
    write = ExecutionWrite(a, RUNNING, tuple(map(task, names)), {}, facts, None, values)
    cells = {("default", "release", name): "1" for name in names}
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    await sqlite.commit(Batch(None, (write,), cells=cells, logs=logs))

    assert len(seen) <= 10
    assert len(await sqlite.read(TaskExecutions(a))) == 512
    assert len(await sqlite.read(TaskLogs(a, "t", 1))) == 512


async def test_what_a_batch_does_not_have_costs_no_statement(sqlite: SqliteStore) -> None:
    fence = await sqlite.register(runner("r1"))
    (a,) = await start(sqlite, "a", fence=fence)
    seen: list[str] = []
    write = ExecutionWrite(a, RUNNING, (task("t"),), {"k": "1"}, (fact("F"),))
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    await sqlite.commit(Batch(fence, (write,)))

    assert [" ".join(sql.split()[:3]) for sql in seen] == [
        "COMMIT",  # of the transaction that set the callback
        "BEGIN IMMEDIATE",
        "SELECT 1 FROM",
        "UPDATE execution SET",
        "INSERT INTO task_execution",
        "INSERT INTO context",
        "INSERT INTO fact",
        "COMMIT",
    ]


async def test_512_executions_with_a_cause_take_few_statements(sqlite: SqliteStore) -> None:
    seen: list[str] = []
    made = tuple(
        ExecutionWrite(replace(new(f"a{n}"), cause=Cause(n, fresh=True))) for n in range(512)
    )
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    receipt = await sqlite.commit(Batch(None, made, tuple(event("e") for _ in made)))

    assert len(seen) <= 10
    assert receipt.ids == tuple(range(1, 513))


async def test_512_ticks_and_512_firings_take_few_statements(sqlite: SqliteStore) -> None:
    version = await put(sqlite, schedule())
    await sqlite.change(AddTriggers(tuple(trigger(f"poll{n}") for n in range(512))))
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    receipt = await sqlite.commit(starts(version, 512))

    assert len(seen) <= 25
    assert receipt.ids == tuple(range(1, 1025))
    assert len(await sqlite.read(Ticks("default", "nightly", limit=2000))) == 1024
    assert [x.cursor for x in await sqlite.read(Triggers())] == ["1"] * 512


async def test_what_is_there_already_costs_no_write(sqlite: SqliteStore) -> None:
    change = AddTriggers(tuple(trigger(f"t{n}") for n in range(1000)))
    await sqlite.change(change)

    def changed(db: sqlite3.Connection) -> tuple[int, int]:
        frames = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        return (db.total_changes, frames)

    assert sqlite._writer is not None
    before = await sqlite._writer.query(changed)
    await sqlite.change(change)

    assert await sqlite._writer.query(changed) == before


# ---- the hot path's indexes


async def plans(sqlite: SqliteStore, seen: list[str]) -> dict[str, list[str]]:
    """Return how the statements that were traced are carried out."""

    def explain(db: sqlite3.Connection) -> dict[str, list[str]]:
        db.set_trace_callback(None)
        verbs = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}
        looked = [sql for sql in seen if sql.split()[0] in verbs]
        return {
            sql: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
            for sql in looked
        }

    return await on_writer(sqlite, explain)


async def test_a_batch_of_ticks_and_firings_scans_no_table_that_grows(sqlite: SqliteStore) -> None:
    version = await put(sqlite, schedule())
    other = await put(sqlite, schedule("other"))
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))
    batch = starts(version, 2)
    more = replace(batch.dropped[0], schedule="other", version=other)

    await sqlite.commit(replace(batch, dropped=(*batch.dropped, more)))

    found = await plans(sqlite, seen)
    steps = [step for each in found.values() for step in each]
    assert {step for step in steps if step.startswith("SCAN") and "CONSTANT" not in step} == {
        "SCAN v",
        "SCAN json_each VIRTUAL TABLE INDEX 1:",
        "SCAN disabled_workflow",
        "SCAN sqlite_sequence",
    }
    for index in (
        "execution USING INDEX execution_alone (alone=? AND namespace=? AND workflow=?)",
        "started_once USING PRIMARY KEY (namespace=? AND workflow=? AND key=?)",
        "schedule USING INDEX sqlite_autoindex_schedule_1 (namespace=? AND name=?)",
    ):
        assert f"SEARCH {index}" in steps


async def test_what_is_cleared_is_looked_up(sqlite: SqliteStore) -> None:
    (a,) = await start(sqlite, "a")
    cells = {("default", "release", name): None for name in "xy"}
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))

    cleared = dict.fromkeys("xy")
    write = ExecutionWrite(a, None, context=cleared, cells=cleared)
    await sqlite.commit(Batch(None, (write,), cells=cells))

    steps = [step for each in (await plans(sqlite, seen)).values() for step in each]
    tables = {step.split()[1] for step in steps if step.startswith("SEARCH")}
    assert {"context", "cell", "workflow_cell"} <= tables


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        (Firings("n", "t"), "SEARCH f USING INDEX firing_trigger (namespace=? AND trigger=?)"),
        (Ticks("n", "s"), "SEARCH t USING INDEX sqlite_autoindex_tick_1 (schedule=?)"),
        (DisabledTriggers(), "SCAN trigger_schedule USING INDEX trigger_disabled"),
        (Triggers("n", "t"), "SEARCH trigger_schedule USING INDEX sqlite_autoindex_trigger_sch"),
        (Triggers(), "SCAN trigger_schedule USING INDEX sqlite_autoindex_trigger_schedule_1"),
        (Schedules("n", "s"), "SEARCH schedule USING INDEX sqlite_autoindex_schedule_1 (namesp"),
        (Schedules(), "SCAN schedule USING INDEX sqlite_autoindex_schedule_1"),
    ],
)
async def test_a_query_of_triggers_or_schedules_uses_an_index_and_sorts_nothing(
    sqlite: SqliteStore, query: Query[Any], plan: str
) -> None:
    seen: list[str] = []
    assert sqlite._reader is not None
    await sqlite._reader.query(lambda db: db.set_trace_callback(seen.append))

    await sqlite.read(query)

    (steps,) = (await plans(sqlite, seen)).values()
    assert any(step.startswith(plan) for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps)


async def test_ticks_of_one_schedule_are_counted_without_the_others(sqlite: SqliteStore) -> None:
    seen: list[str] = []
    assert sqlite._reader is not None
    await sqlite._reader.query(lambda db: db.set_trace_callback(seen.append))

    await sqlite.read(TickCounts("n", "s", NOON))

    (steps,) = (await plans(sqlite, seen)).values()
    assert "SEARCH t USING INDEX sqlite_autoindex_tick_1 (schedule=? AND at>?)" in steps


@pytest.mark.parametrize(
    ("sql", "plan"),
    [
        (
            f"SELECT id FROM execution WHERE owner IS NULL AND {UNFINISHED} ORDER BY id",
            "SEARCH execution USING INDEX execution_unfinished",
        ),
        (
            f"UPDATE execution SET owner = NULL WHERE owner = 'r' AND {UNFINISHED}",
            "SEARCH execution USING INDEX execution_unfinished",
        ),
        (
            "UPDATE execution SET error = v.column2 FROM (VALUES (1, 2), (3, 4)) AS v "
            "WHERE execution.id = v.column1",
            "SEARCH execution USING INTEGER PRIMARY KEY",
        ),
        (
            "SELECT id FROM fact WHERE execution = 1 AND id > 5 ORDER BY id",
            "SEARCH fact USING COVERING INDEX fact_execution",
        ),
        (
            "SELECT text FROM task_log WHERE execution = 1 AND task = 't' AND seq = 1 AND id > 5 "
            "ORDER BY id LIMIT 10",
            "SEARCH task_log USING INDEX task_log_run (execution=? AND task=? AND seq=? AND ",
        ),
        (
            "SELECT namespace, workflow, cause FROM execution "
            "WHERE cause IS NOT NULL AND cause IN (SELECT value FROM json_each('[1]'))",
            "SEARCH execution USING COVERING INDEX execution_cause (cause=?)",
        ),
        (
            "INSERT INTO task_log (execution, task, seq, try_number, at, level, text) "
            "SELECT * FROM (VALUES (1, 't', 1, 1, 1, 1, 'x'), (2, 't', 1, 1, 1, 1, 'x')) "
            "WHERE column1 IN (SELECT id FROM execution)",
            "USING ROWID SEARCH ON TABLE execution FOR IN-OPERATOR",
        ),
        (
            "SELECT name, value FROM workflow_cell WHERE namespace = 'n' AND workflow = 'w'",
            "SEARCH workflow_cell USING PRIMARY KEY (namespace=? AND workflow=?)",
        ),
        (
            "DELETE FROM event WHERE execution IN (SELECT id FROM execution WHERE workflow = 1)",
            "SEARCH event USING INDEX event_execution (execution=?)",
        ),
    ],
)
async def test_no_table_is_scanned(sqlite: SqliteStore, sql: str, plan: str) -> None:
    def explain(db: sqlite3.Connection) -> list[str]:
        return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]

    steps = await on_writer(sqlite, explain)

    assert any(step.startswith(plan) for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps)
