"""What each verb writes, inside the transaction of its caller; runs on the database thread.

A transaction takes few statements, however many rows: see `bulk`. Enums and flags are turned
into plain str and int: Python's module asks its adapters about everything else. Ids are counted
here and not by SQLite, which would want one statement for each to tell them; its AUTOINCREMENT
tables remember the greatest one, so that none comes back.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from asyncflow._core.state import TaskState
from asyncflow._model.record import EventRecord, LogRecord
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    Fence,
    Letter,
    Receipt,
    Refused,
    RunnerRow,
    TaskWrite,
)
from asyncflow._store.codec import micros, micros_or_none, utf8
from asyncflow._store.refusal import fenced, unknown_executions
from asyncflow._store.sqlite import execution_writes, trigger_writes
from asyncflow._store.sqlite.bulk import Bulk, Value
from asyncflow._store.sqlite.terms import UNFINISHED, last_id

_UPSERT_TASKS = Bulk(
    "INSERT INTO task_execution (execution, task, seq, try_number, status, execution_type, "
    'failures, again, "begin", "end", due, period, outcome, abandoned, result, error, '
    "traceback, metrics) VALUES",
    18,
    "ON CONFLICT (execution, task, seq) DO UPDATE SET try_number = excluded.try_number, "
    "status = excluded.status, execution_type = excluded.execution_type, "
    'failures = excluded.failures, again = excluded.again, "begin" = excluded."begin", '
    '"end" = excluded."end", due = excluded.due, period = excluded.period, '
    + ", ".join(
        f"{column} = CASE WHEN excluded.outcome IS NULL THEN {column} ELSE excluded.{column} END"
        for column in ("abandoned", "result", "error", "traceback", "metrics")
    )
    + ", outcome = coalesce(excluded.outcome, outcome)",
)
_UPSERT_CONTEXT = Bulk(
    "INSERT INTO context (execution, key, value) VALUES",
    3,
    "ON CONFLICT (execution, key) DO UPDATE SET value = excluded.value",
)
# SQLite looks for each row of a list of them in an index only if it comes out of a SELECT.
_DELETE_CONTEXT = Bulk(
    "DELETE FROM context WHERE (execution, key) IN (SELECT * FROM (VALUES",
    2,
    "))",
)
_UPSERT_CELLS = Bulk(
    "INSERT INTO cell (execution, name, value) VALUES",
    3,
    "ON CONFLICT (execution, name) DO UPDATE SET value = excluded.value",
)
_DELETE_CELLS = Bulk("DELETE FROM cell WHERE (execution, name) IN (SELECT * FROM (VALUES", 2, "))")
_UPSERT_WORKFLOW_CELLS = Bulk(
    "INSERT INTO workflow_cell (namespace, workflow, name, value) VALUES",
    4,
    "ON CONFLICT (namespace, workflow, name) DO UPDATE SET value = excluded.value",
)
_DELETE_WORKFLOW_CELLS = Bulk(
    "DELETE FROM workflow_cell WHERE (namespace, workflow, name) IN (SELECT * FROM (VALUES",
    3,
    "))",
)
_INSERT_LOGS = Bulk(
    "INSERT INTO task_log (execution, task, seq, try_number, at, level, text) "
    "SELECT * FROM (VALUES",
    7,
    ") WHERE column1 IN (SELECT id FROM execution)",
)
_INSERT_FACTS = Bulk("INSERT INTO fact (execution, kind, body, at) VALUES", 4)
_INSERT_EVENTS = Bulk(
    'INSERT INTO event ("offset", key, value, namespace, execution, sender, create_time, context) '
    "VALUES",
    8,
)
_INSERT_LETTERS = Bulk(
    "INSERT INTO inbox (execution, namespace, runner, kind, body, at, event_offset) VALUES", 7
)

_Written = list[tuple[int, ExecutionWrite]]
K = TypeVar("K", bound=tuple[Value, ...])


def commit(db: sqlite3.Connection, batch: Batch) -> Receipt:
    """Write a batch."""
    if batch.fence is not None:
        check_fence(db, batch.fence)
    targets = [w.target for w in batch.executions if isinstance(w.target, int)]
    _check_executions(db, [*targets, *_confined(batch.events)])
    offsets = _insert_events(db, batch.events)
    execution_writes.update(db, batch.executions)
    ids = execution_writes.insert(db, batch, offsets)
    written = [
        (id_, write)
        for id_, write in zip(ids, batch.executions, strict=True)
        if not isinstance(id_, Refused)
    ]
    _UPSERT_TASKS.run(db, [_task_row(id_, task) for id_, w in written for task in w.tasks])
    contexts = {(id_, key): text for id_, w in written for key, text in w.context.items()}
    _put(db, contexts, _UPSERT_CONTEXT, _DELETE_CONTEXT)
    cells = {(id_, name): text for id_, w in written for name, text in w.cells.items()}
    _put(db, cells, _UPSERT_CELLS, _DELETE_CELLS)
    trigger_writes.note_failures(db, batch.failed_polls)
    trigger_writes.write_cursors(db, batch.cursors)
    _put(db, batch.cells, _UPSERT_WORKFLOW_CELLS, _DELETE_WORKFLOW_CELLS)
    _INSERT_LOGS.run(db, list(map(_log_row, batch.logs)))
    _INSERT_FACTS.run(
        db, [(id_, f.kind, f.body, micros(f.at)) for id_, w in written for f in w.facts]
    )
    if batch.taken:
        db.execute(
            "DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(batch.taken),),
        )
    return Receipt(ids, offsets)


def append(db: sqlite3.Connection, letters: Sequence[Letter]) -> tuple[int | None, ...]:
    """Put letters into the inbox, those to a namespace once for each runner."""
    with_event = [letter.event for letter in letters if letter.event is not None]
    targets = [letter.execution for letter in letters if letter.execution is not None]
    _check_executions(db, [*targets, *_confined(with_event)])
    given = iter(_insert_events(db, with_event))
    offsets = tuple(next(given) if letter.event else None for letter in letters)
    runners: list[str | None] = [row[0] for row in db.execute("SELECT id FROM runner")] or [None]
    _INSERT_LETTERS.run(
        db,
        [
            (x.execution, x.namespace, runner, x.kind, x.body, micros(x.at), offset)
            for x, offset in zip(letters, offsets, strict=True)
            for runner in ((None,) if x.execution is not None else runners)
        ],
    )
    return offsets


def register(db: sqlite3.Connection, runner: RunnerRow) -> Fence:
    """Add a runner and put before it the letters to namespaces that wait for the first."""
    db.execute("DELETE FROM runner WHERE id = ?", (runner.id,))
    cursor = db.execute(
        "INSERT INTO runner (id, pid, process, host, since) VALUES (?, ?, ?, ?, ?)",
        (runner.id, runner.pid, runner.process, runner.host, micros(runner.since)),
    )
    db.execute(
        "UPDATE inbox SET runner = ? WHERE runner IS NULL AND execution IS NULL", (runner.id,)
    )
    epoch = cursor.lastrowid
    assert epoch is not None  # it is of an INSERT
    return Fence(runner.id, epoch)


def release(db: sqlite3.Connection, fence: Fence) -> None:
    """Remove a runner, unless it was replaced."""
    gone = db.execute("DELETE FROM runner WHERE id = ? AND epoch = ?", (fence.runner, fence.epoch))
    if gone.rowcount:
        _disown(db, fence.runner)


def claim(
    db: sqlite3.Connection,
    fence: Fence,
    dead: Sequence[str],
    workflows: Sequence[tuple[str, str]] | None,
    limit: int,
) -> tuple[int, ...]:
    """Remove the dead, then own what nobody does."""
    for runner in dead:
        db.execute("DELETE FROM runner WHERE id = ?", (runner,))
        _disown(db, runner)
    check_fence(db, fence)
    ids = _unowned(db, None if workflows is None else frozenset(workflows), limit)
    db.execute(
        "UPDATE execution SET owner = ? WHERE id IN (SELECT value FROM json_each(?))",
        (fence.runner, json.dumps(ids)),
    )
    return tuple(ids)


def check_fence(db: sqlite3.Connection, fence: Fence) -> None:
    """Raise `FencedError` unless the runner's row has this epoch."""
    found: tuple[int] | None = db.execute(
        "SELECT epoch FROM runner WHERE id = ?", (fence.runner,)
    ).fetchone()
    if found != (fence.epoch,):
        raise fenced(fence)


def _confined(events: Iterable[EventRecord]) -> Iterable[int]:
    return (event.execution for event in events if event.execution is not None)


def _check_executions(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    wanted = frozenset(ids)
    if not wanted:
        return
    sql = "SELECT count(*) FROM execution WHERE id IN (SELECT value FROM json_each(?))"
    if db.execute(sql, (json.dumps(list(wanted)),)).fetchone() != (len(wanted),):
        rows = db.execute(
            "SELECT id FROM execution WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(wanted)),),
        ).fetchall()
        raise unknown_executions(wanted.difference(row[0] for row in rows))


def _task_row(execution: int, write: TaskWrite) -> tuple[Value, ...]:
    outcome = write.outcome
    attempt: tuple[Value, ...] = (None, 0, None, None, None, None)
    if outcome is not None:
        attempt = (
            outcome.status.value,
            int(outcome.abandoned),
            outcome.result,
            utf8(outcome.error),
            utf8(outcome.traceback),
            outcome.metrics,
        )
    return (execution, *_state_row(write.state), *attempt)


def _state_row(task: TaskState) -> tuple[Value, ...]:
    return (
        task.name,
        task.sequence_number,
        task.try_number,
        task.status.value,
        task.execution_type.value,
        task.failures,
        None if task.again is None else task.again.value,
        micros_or_none(task.begin),
        micros_or_none(task.end),
        micros_or_none(task.due),
        task.period,
    )


def _put(
    db: sqlite3.Connection, changes: Mapping[K, str | None], upsert: Bulk, delete: Bulk
) -> None:
    """Write texts under their keys; None deletes."""
    upsert.run(db, [(*key, text) for key, text in changes.items() if text is not None])
    delete.run(db, [key for key, text in changes.items() if text is None])


def _log_row(line: LogRecord) -> tuple[Value, ...]:
    return (
        line.execution,
        line.task_name,
        line.sequence_number,
        line.try_number,
        micros(line.at),
        line.level,
        utf8(line.text),
    )


def _insert_events(db: sqlite3.Connection, events: Sequence[EventRecord]) -> tuple[int, ...]:
    if not events:
        return ()
    first = last_id(db, "event") + 1
    _INSERT_EVENTS.run(
        db,
        [
            (
                offset,
                event.key,
                event.value,
                event.namespace,
                event.execution,
                event.sender,
                micros(event.create_time),
                event.context,
            )
            for offset, event in enumerate(events, first)
        ],
    )
    return tuple(range(first, first + len(events)))


def _disown(db: sqlite3.Connection, runner: str) -> None:
    db.execute(f"UPDATE execution SET owner = NULL WHERE owner = ? AND {UNFINISHED}", (runner,))
    db.execute("UPDATE inbox SET runner = NULL WHERE runner = ?", (runner,))


def _unowned(
    db: sqlite3.Connection, workflows: frozenset[tuple[str, str]] | None, limit: int
) -> list[int]:
    sql = (
        "SELECT id, namespace, workflow FROM execution "
        f"WHERE owner IS NULL AND {UNFINISHED} ORDER BY id LIMIT ?"
    )
    rows = db.execute(sql, (limit if workflows is None else -1,)).fetchall()
    ids = [row[0] for row in rows if workflows is None or row[1:] in workflows]
    return ids[:limit]
