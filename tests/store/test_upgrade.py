"""That a database of an older schema is brought to the newest one with all that is in it."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Head, Outcome, TaskState
from asyncflow._model.record import (
    EventRecord,
    ExecutionRecord,
    LogRecord,
    RuleRecord,
    TaskExecutionRecord,
)
from asyncflow._model.status import ExecutionType, TaskStatus, WorkflowStatus
from asyncflow._store.batch import (
    Batch,
    Cause,
    ExecutionWrite,
    FactRecord,
    InboxItem,
    Letter,
    Refused,
    RunnerRow,
    Tick,
)
from asyncflow._store.change import AddTriggers, SetEnabled
from asyncflow._store.codec import micros
from asyncflow._store.queries import (
    DisabledWorkflows,
    Events,
    Executions,
    Facts,
    Inbox,
    Runners,
    Schedules,
    SchedulesVersion,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    Triggers,
    WorkflowCells,
    WorkflowRules,
)
from asyncflow._store.sqlite.connection import connect
from asyncflow._store.sqlite.migrate import migrate, migrations, version
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import LATER, NOON, awaited, due, new, put, schedule, signal, trigger

ROOT = Path(__file__).parents[2]
NEWEST = migrations()[-1].number

OPEN = """
import asyncio, sys
from asyncflow._store.sqlite.store import SqliteStore

asyncio.run(SqliteStore(sys.argv[1]).open())
"""

BEGAN, ENDED = micros(NOON), micros(LATER)
DATA = f"""
INSERT INTO runner VALUES (7, 'r1', 4711, 'boot-1', 'localhost', {BEGAN});
INSERT INTO execution VALUES
    (3, 'a', 'release', 'default', 'MANUAL', {BEGAN}, 'p', 'r1', 'RUNNING', 1, {BEGAN}, NULL,
     'e', 'gone'),
    (5, 'b', 'release', 'far', 'EVENT', {BEGAN}, 'q', NULL, 'FAILED', 0, {BEGAN}, {ENDED},
     NULL, NULL);
UPDATE sqlite_sequence SET seq = 9 WHERE name = 'execution';
INSERT INTO task_execution VALUES
    (2, 3, 'u', 1, 1, 'QUEUED', 'MANUAL', 0, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL),
    (8, 3, 't', 2, 3, 'RETRYING', 'PERIODIC', 1, 'MANUAL', {BEGAN}, {ENDED}, {ENDED}, 'FAILED',
     1, '"r"', 'ValueError: x', 'Traceback');
INSERT INTO context VALUES (3, 'k', '1'), (3, 'l', '"é"');
INSERT INTO event VALUES
    (4, 'x', '"v"', 'default', NULL, 'cli', {BEGAN}, '{{"a": 1}}'),
    (6, 'y', '1', 'default', 3, NULL, {ENDED}, NULL);
UPDATE sqlite_sequence SET seq = 11 WHERE name = 'event';
INSERT INTO fact VALUES (1, 3, 'F', '{{"n": 1}}', {BEGAN});
INSERT INTO inbox VALUES
    (12, 3, 'default', NULL, 'Told', '{{}}', {BEGAN}, 6),
    (13, NULL, 'default', 'r1', 'Heard', '{{}}', {BEGAN}, NULL);
"""

DATA_2 = f"""
UPDATE execution SET cause = 4, heard = 6 WHERE id = 5;
INSERT INTO cell VALUES (3, 's', '1');
INSERT INTO workflow_cell VALUES ('default', 'release', 's', '2');
INSERT INTO disabled_workflow VALUES ('far', 'release');
INSERT INTO workflow_rule VALUES (4, 'default', 'release', 'nightly', 1);
INSERT INTO task_log VALUES (15, 3, 't', 2, 3, {BEGAN}, 20, 'said');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a database of version 1 with a row of everything in it."""
    with closing(connect(str(tmp_path / "flows.db"), make=True)) as db:
        migrate(db, "flows.db", migrations()[:1])
        db.executescript(DATA)
        db.execute("PRAGMA journal_mode = WAL")
    return tmp_path / "flows.db"


@pytest.fixture
def path_2(path: Path) -> Path:
    """Make a database of version 2 with a row of everything in it."""
    with closing(connect(str(path), make=True)) as db:
        migrate(db, "flows.db", migrations()[:2])
        db.executescript(DATA_2)
    return path


def dump(path: Path) -> tuple[int, list[str], list[Any]]:
    with closing(connect(str(path), make=True)) as db:
        whole = db.execute("PRAGMA integrity_check").fetchall()
        return (version(db), list(db.iterdump()), whole)


def check_references(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA foreign_key_check").fetchall()


def open_in_a_process(path: Path, failpoint: str) -> int:
    places = os.pathsep.join(map(str, [ROOT, *sys.path]))
    environment = {**os.environ, "PYTHONPATH": places, "ASYNCFLOW_FAILPOINT": failpoint}
    command = [sys.executable, "-c", OPEN, str(path)]
    return subprocess.run(command, env=environment, check=False, timeout=15).returncode


async def test_a_database_of_version_1_keeps_its_executions(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    b, a = await store.read(Executions())
    (stored,) = await store.read(StoredExecutions((3,)))
    await store.close()

    assert a == ExecutionRecord(
        id=3,
        name="a",
        workflow="release",
        namespace="default",
        execution_type=ExecutionType.MANUAL,
        status=WorkflowStatus.RUNNING,
        created=NOON,
        begin=NOON,
        end=None,
        error="e",
        parked_reason="gone",
        stopping=True,
        fingerprint="p",
        owner="r1",
    )
    assert (b.id, b.name, b.namespace, b.execution_type) == (5, "b", "far", ExecutionType.EVENT)
    assert (b.status, b.end, b.owner) == (WorkflowStatus.FAILED, LATER, None)
    assert stored.head == Head(a.status, True, NOON, None, "e", "gone")
    assert (stored.context, stored.cells) == ({"k": "1", "l": '"é"'}, {})


async def test_a_database_of_version_1_keeps_its_tasks(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    (stored,) = await store.read(StoredExecutions((3,)))
    u, t = await store.read(TaskExecutions(3))
    await store.close()

    manual, periodic = ExecutionType.MANUAL, ExecutionType.PERIODIC
    assert stored.tasks == (
        TaskState("u", 1, 1, TaskStatus.QUEUED, manual),
        TaskState("t", 2, 3, TaskStatus.RETRYING, periodic, 1, manual, NOON, LATER, LATER),
    )
    assert (u.id, u.task_name, u.result) == (2, "u", None)
    assert t == TaskExecutionRecord(
        execution=3,
        task_name="t",
        sequence_number=2,
        try_number=3,
        status=TaskStatus.RETRYING,
        execution_type=periodic,
        begin=NOON,
        end=LATER,
        result='"r"',
        error="ValueError: x",
        traceback="Traceback",
        abandoned=True,
        metrics=None,
        id=8,
    )


async def test_a_database_of_version_1_keeps_its_events_facts_and_letters(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()

    x = EventRecord(4, "x", '"v"', "default", "cli", NOON, '{"a": 1}')
    y = EventRecord(6, "y", "1", "default", None, LATER, None, 3, run_name="a")
    assert await store.read(Events()) == (x, y)
    assert await store.read(Facts(3)) == (FactRecord(1, 3, "F", '{"n": 1}', NOON),)
    assert await store.read(Runners()) == (RunnerRow("r1", 4711, "boot-1", "localhost", NOON, 7),)
    assert await store.read(Inbox("r1")) == (
        InboxItem(12, Letter("default", "Told", "{}", NOON, 3, y)),
        InboxItem(13, Letter("default", "Heard", "{}", NOON)),
    )
    await store.close()
    number, _, whole = dump(path)
    assert (number, whole, check_references(path)) == (NEWEST, [("ok",)], [])


async def test_an_upgraded_database_is_written_to_and_counts_on(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    again = TaskChange(
        TaskState("t", 2, 4, TaskStatus.SUCCESS), Outcome(TaskStatus.SUCCESS, metrics="{}")
    )
    first = TaskChange(TaskState("v", 1, 1, TaskStatus.QUEUED))
    write = ExecutionWrite(3, None, (again, first), cells={"s": "1"})
    made = ExecutionWrite(new("c"))

    receipt = await store.commit(
        Batch(None, (write, made), (EventRecord(None, "z", "1", "default", None, NOON),))
    )
    tasks = await store.read(TaskExecutions(3))
    await store.close()

    assert (receipt.ids, receipt.offsets) == ((3, 10), (12,))
    assert [(t.task_name, t.try_number, t.metrics) for t in tasks] == [
        ("u", 1, None),
        ("t", 4, "{}"),
        ("v", 1, None),
    ]
    assert [t.id for t in tasks[:2]] == [2, 8]
    assert (tasks[2].id or 0) > 8


async def test_an_upgraded_database_has_the_schema_of_a_new_one(path: Path, tmp_path: Path) -> None:
    def schema(of: Path) -> list[Any]:
        with closing(sqlite3.connect(of)) as db:
            return db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()

    for each in (path, tmp_path / "new.db"):
        store = SqliteStore(each)
        await store.open()
        await store.close()

    assert schema(path) == schema(tmp_path / "new.db")


async def test_a_database_of_version_2_keeps_what_that_version_added(path_2: Path) -> None:
    assert dump(path_2)[0] == 2
    store = SqliteStore(path_2)
    await store.open()
    b, a = await store.read(Executions())
    (stored,) = await store.read(StoredExecutions((3,)))

    assert (a.id, a.owner, b.id, b.heard) == (3, "r1", 5, 6)
    assert dict(stored.cells) == {"s": "1"}
    assert await store.read(WorkflowCells("default", "release")) == {"s": "2"}
    assert await store.read(DisabledWorkflows()) == {("far", "release")}
    rule = RuleRecord("default", "release", "nightly", paused=True)
    assert await store.read(WorkflowRules()) == (rule,)
    line = LogRecord(3, "t", 2, 3, NOON, 20, "said", 15)
    assert await store.read(TaskLogs(3, "t", 2)) == (line,)
    await store.close()
    assert (dump(path_2)[0], dump(path_2)[2], check_references(path_2)) == (NEWEST, [("ok",)], [])


async def test_a_database_of_version_2_takes_triggers_and_schedules(path_2: Path) -> None:
    store = SqliteStore(path_2)
    await store.open()
    empty = [await store.read(query) for query in (Triggers(), Schedules(), SchedulesVersion())]
    await store.change(AddTriggers((trigger(),)))
    version = await put(store, schedule())
    ticked = replace(new("c"), origin=Tick("default", "nightly", version, due(1)), alone="x")
    writes = (ExecutionWrite(ticked), ExecutionWrite(replace(new("d"), alone="x")))

    receipt = await store.commit(Batch(None, writes))
    caused = replace(new("e", "release", "far"), cause=Cause(4))
    await store.change(SetEnabled("far", "release", enabled=True))
    again = await store.commit(Batch(None, (ExecutionWrite(caused),)))
    await store.close()

    assert (empty, version) == ([(), (), 0], 1)
    assert (receipt.ids, again.ids) == ((10, Refused.RUNS_ALREADY), (Refused.CAUSED_ALREADY,))


async def test_a_database_of_version_3_takes_awaited_events_and_signals(path_2: Path) -> None:
    with closing(connect(str(path_2), make=True)) as db:
        migrate(db, "flows.db", migrations()[:3])
    store = SqliteStore(path_2)
    await store.open()
    (stored,) = await store.read(StoredExecutions((3,)))
    (r1,) = await store.read(Runners())

    made = await store.commit(Batch(awaited=(awaited(3),)))
    receipt = await store.commit(Batch(signals=(signal(1, 3, letter=True),)))
    x, y, answer = await store.read(Events())
    told = await store.read(Inbox("r1"))
    await store.close()

    assert ([each.awaits for each in stored.tasks], r1.address) == ([False, False], None)
    assert [each and each.id for each in made.awaited] == [1]
    assert (x.awaited, y.awaited, answer.awaited, receipt.signals) == (None, None, 1, (12,))
    assert [item.id for item in told] == [12, 13, 14]
    assert (dump(path_2)[0], check_references(path_2)) == (NEWEST, [])


@pytest.mark.parametrize(
    ("failpoint", "reached"),
    [
        ("migration.before:1:kill", 1),
        ("migration.after:1:kill", 2),
        ("migration.before:2:kill", 2),
        ("migration.after:2:kill", 3),
        ("migration.before:3:kill", 3),
        ("migration.after:3:kill", 4),
    ],
)
async def test_a_kill_in_an_upgrade_leaves_one_version_whole(
    path: Path, failpoint: str, reached: int
) -> None:
    before = dump(path)

    assert open_in_a_process(path, failpoint) == -SIGKILL

    after = dump(path)
    assert (after[0], after[2]) == (reached, [("ok",)])
    assert (after == before) == (reached == 1)
    store = SqliteStore(path)
    await store.open()
    assert [record.name for record in await store.read(Executions())] == ["b", "a"]
    assert len(await store.read(TaskExecutions(3))) == 2
    await store.close()
    assert dump(path)[0] == NEWEST
