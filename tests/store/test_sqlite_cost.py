"""What the store in a file costs: round trips, statements and the indexes that it uses."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from asyncflow._store.batch import (
    AddRule,
    Batch,
    Cause,
    DeleteWorkflow,
    ExecutionWrite,
)
from asyncflow._store.queries import LastOffset, Query, StoredExecutions, TaskExecutions, TaskLogs
from asyncflow._store.sqlite.connection import Connection
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow._store.sqlite.terms import UNFINISHED
from tests.store.samples import ENDED, RUNNING, event, fact, letter, line, new, runner, start, task
from tests.store.test_sqlite import on_writer

# ---- one round trip


async def test_each_verb_and_each_query_is_one_round_trip(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: Sequence[Query[Any]] = (
        TaskExecutions(1),
        StoredExecutions((1, 2)),
        TaskLogs(1, "t", 1),
        LastOffset(),
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
    await sqlite.claim(fence, ["dead"], None, 10)
    await sqlite.change(AddRule("default", "release", "rule"))
    await sqlite.change(DeleteWorkflow("default", "other"))
    for query in queries:
        await sqlite.read(query)
    await sqlite.release(fence)

    assert len(trips) == 8 + len(queries)


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
        "SELECT epoch FROM",
        "SELECT count(*) FROM",
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


# ---- the hot path's indexes


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
