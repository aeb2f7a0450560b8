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

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import TaskState
from asyncflow._model.record import EventRecord, LogRecord
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    Fence,
    Letter,
    Receipt,
    Refused,
)
from asyncflow._store.codec import micros, micros_or_none, plain, utf8
from asyncflow._store.for_rules import OnDuty, copies
from asyncflow._store.heirs import NO_NAMES
from asyncflow._store.refusal import unknown_executions
from asyncflow._store.sqlite import (
    awaited_writes,
    duties,
    execution_writes,
    trigger_writes,
    unowned,
)
from asyncflow._store.sqlite.bulk import Bulk, Value
from asyncflow._store.sqlite.event_writes import insert_events, insert_letters
from asyncflow._store.sqlite.owners import check_fence
from asyncflow._store.sqlite.terms import AMONG

_UPSERT_TASKS = Bulk(
    "INSERT INTO task_execution (execution, task, seq, try_number, status, execution_type, "
    'failures, again, "begin", "end", due, period, awaits, outcome, abandoned, result, '
    "error, traceback, metrics) VALUES",
    19,
    "ON CONFLICT (execution, task, seq) DO UPDATE SET try_number = excluded.try_number, "
    "status = excluded.status, execution_type = excluded.execution_type, "
    'failures = excluded.failures, again = excluded.again, "begin" = excluded."begin", '
    '"end" = excluded."end", due = excluded.due, period = excluded.period, '
    "awaits = excluded.awaits, "
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
_Written = list[tuple[int, ExecutionWrite]]
K = TypeVar("K", bound=tuple[Value, ...])


def commit(db: sqlite3.Connection, batch: Batch) -> Receipt:
    """Write a batch."""
    check_fence(db, batch.fence)
    targets = [w.target for w in batch.executions if isinstance(w.target, int)]
    waiting = [new.execution for new in batch.awaited]
    _check_executions(db, [*targets, *waiting, *_confined(batch.events)])
    offsets = insert_events(db, batch.events)
    signals = _tell_rules(db, batch, offsets) if batch.for_rules or batch.signals else ()
    expired = awaited_writes.expire(db, batch.expired)
    awaited = awaited_writes.register(db, batch.awaited)
    execution_writes.update(db, batch.executions)
    ids = execution_writes.insert(db, batch, offsets)
    written = [
        (id_, write)
        for id_, write in zip(ids, batch.executions, strict=True)
        if not isinstance(id_, Refused)
    ]
    _write_parts(db, written)
    _write_rest(db, batch)
    return Receipt(ids, offsets, awaited, signals, expired)


def _write_parts(db: sqlite3.Connection, written: _Written) -> None:
    """Write what belongs to executions that have their rows."""
    _UPSERT_TASKS.run(db, [_task_row(id_, task) for id_, w in written for task in w.tasks])
    if any(w.closings for _, w in written):
        awaited_writes.close(db, written)
    contexts = {(id_, key): text for id_, w in written for key, text in w.context.items()}
    _put(db, contexts, _UPSERT_CONTEXT, _DELETE_CONTEXT)
    cells = {(id_, name): text for id_, w in written for name, text in w.cells.items()}
    _put(db, cells, _UPSERT_CELLS, _DELETE_CELLS)
    _INSERT_FACTS.run(
        db, [(id_, f.kind, f.body, micros(f.at)) for id_, w in written for f in w.facts]
    )


def _write_rest(db: sqlite3.Connection, batch: Batch) -> None:
    """Write what few batches have, and no execution of this one is changed by."""
    if batch.notified:
        awaited_writes.note(db, batch.notified)
    if batch.failed_polls:
        trigger_writes.note_failures(db, batch.failed_polls)
    if batch.cursors:
        trigger_writes.write_cursors(db, batch.cursors)
    if batch.cells:
        _put(db, batch.cells, _UPSERT_WORKFLOW_CELLS, _DELETE_WORKFLOW_CELLS)
    if batch.logs:
        _INSERT_LOGS.run(db, list(map(_log_row, batch.logs)))
    if batch.taken:
        db.execute(f"DELETE FROM inbox WHERE id {AMONG}", (json.dumps(batch.taken),))


def append(
    db: sqlite3.Connection, letters: Sequence[Letter], fence: Fence | None
) -> tuple[int | None, ...]:
    """Put letters into the inbox, those to a namespace once for each runner."""
    check_fence(db, fence)
    with_event = [letter.event for letter in letters if letter.event is not None]
    targets = [letter.execution for letter in letters if letter.execution is not None]
    _check_executions(db, [*targets, *_confined(with_event)])
    given = iter(insert_events(db, with_event))
    offsets = tuple(next(given) if letter.event else None for letter in letters)
    wide = any(letter.execution is None for letter in letters)
    runners: list[str] = [row[0] for row in db.execute("SELECT id FROM runner")] if wide else []
    of_nobody = duties.of_nobody(db) if wide else NO_NAMES
    namespaces = {letter.namespace for letter in letters if letter.execution is None}
    until = {namespace: unowned.until(db, namespace) for namespace in namespaces}
    insert_letters(
        db,
        [
            (copy, runner, offset)
            for x, offset in zip(letters, offsets, strict=True)
            for runner, copy in copies(x, runners, of_nobody, until.get(x.namespace, 0))
        ],
    )
    return offsets


def _tell_rules(
    db: sqlite3.Connection, batch: Batch, offsets: Sequence[int]
) -> tuple[int | None, ...]:
    """Put what rules of other runners hear before those, and take the signals."""
    on_duty = duties.on_duty(db, batch)
    _post_for_rules(db, batch, offsets, on_duty)
    return awaited_writes.take(db, batch.signals, on_duty)


def _post_for_rules(
    db: sqlite3.Connection, batch: Batch, offsets: Sequence[int], on_duty: OnDuty
) -> None:
    told = [(batch.events[place], offsets[place]) for place in batch.for_rules]
    insert_letters(
        db,
        [
            (letter, runner, offset)
            for event, offset in told
            for runner, letter in on_duty.of_event(event)
        ],
    )


def _confined(events: Iterable[EventRecord]) -> Iterable[int]:
    return (event.execution for event in events if event.execution is not None)


def _check_executions(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    wanted = frozenset(ids)
    if not wanted:
        return
    if len(wanted) == 1:  # most are so; they need no list that SQLite would have to read
        (one,) = wanted
        if db.execute("SELECT 1 FROM execution WHERE id = ?", (one,)).fetchone():
            return
    sql = "SELECT count(*) FROM execution WHERE id IN (SELECT value FROM json_each(?))"
    if db.execute(sql, (json.dumps(list(wanted)),)).fetchone() != (len(wanted),):
        rows = db.execute(
            "SELECT id FROM execution WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(wanted)),),
        ).fetchall()
        raise unknown_executions(wanted.difference(row[0] for row in rows))


def _task_row(execution: int, write: TaskChange) -> tuple[Value, ...]:
    outcome = write.outcome
    attempt: tuple[Value, ...] = (None, 0, None, None, None, None)
    if outcome is not None:
        attempt = (
            plain(outcome.status),
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
        plain(task.status),
        plain(task.execution_type),
        task.failures,
        None if task.again is None else plain(task.again),
        micros_or_none(task.begin),
        micros_or_none(task.end),
        micros_or_none(task.due),
        task.period,
        int(task.awaits),
    )


def _put(
    db: sqlite3.Connection, changes: Mapping[K, str | None], upsert: Bulk, delete: Bulk
) -> None:
    """Write texts under their keys; None deletes."""
    if not changes:
        return
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
