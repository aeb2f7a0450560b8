"""What each verb writes, inside the transaction of its caller; runs on the database thread.

A transaction takes few statements, however many rows: see `bulk`. Enums and flags are turned
into plain str and int: Python's module asks its adapters about everything else. Where several
rows get ids these are counted here and not by SQLite, which would want one statement for each to
tell them; its AUTOINCREMENT tables remember the greatest one, so that none comes back.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from asyncflow._model.record import EventRecord, LogRecord
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    Fence,
    Letter,
    Receipt,
    Refused,
)
from asyncflow._store.codec import micros, utf8
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
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.event_writes import insert_events, insert_letters
from asyncflow._store.sqlite.numbered import Value
from asyncflow._store.sqlite.owners import check_fence
from asyncflow._store.sqlite.task_writes import write_tasks
from asyncflow._store.sqlite.terms import AMONG

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
_BOTH_THERE = (
    "SELECT 1 FROM runner r CROSS JOIN execution e WHERE r.id = ? AND epoch = ? AND e.id = ?"
)
K = TypeVar("K", bound=tuple[Value, ...])


def commit(db: sqlite3.Connection, batch: Batch) -> Receipt:
    """Write a batch."""
    known = [w.target for w in batch.executions if isinstance(w.target, int)]
    waiting = [new.execution for new in batch.awaited] if batch.awaited else ()
    offsets: tuple[int, ...] = ()
    signals: tuple[int | None, ...] = ()
    if len(batch.signals) == 1 and not (known or waiting or batch.events or batch.fence is None):
        signals = (awaited_writes.take_alone(db, batch.fence, batch.signals[0]),)
    else:
        _check(db, batch.fence, (*known, *waiting) if waiting else known, batch.events)
        if batch.events:
            offsets = insert_events(db, batch.events)
        if batch.for_rules or batch.signals:
            signals = _tell_rules(db, batch, offsets)
    expired = awaited_writes.expire(db, batch.expired) if batch.expired else ()
    awaited = awaited_writes.register(db, batch.awaited) if batch.awaited else ()
    if known:
        execution_writes.update(db, batch.executions)
    ids: tuple[int | Refused, ...] = tuple(known)
    if len(known) < len(batch.executions) or batch.dropped:
        ids = execution_writes.insert(db, batch, offsets)
    if batch.executions:
        _write_parts(db, ids, batch.executions)
    _write_rest(db, batch)
    return Receipt(ids, offsets, awaited, signals, expired)


def _write_parts(
    db: sqlite3.Connection, ids: Sequence[int | Refused], writes: Sequence[ExecutionWrite]
) -> None:
    """Write what belongs to executions that have their rows."""
    written: list[tuple[int, ExecutionWrite]] = []
    contexts: dict[tuple[int, str], str | None] = {}
    cells: dict[tuple[int, str], str | None] = {}
    facts: list[tuple[Value, ...]] = []
    closes = False
    for id_, write in zip(ids, writes, strict=True):
        if isinstance(id_, Refused):
            continue
        written.append((id_, write))
        if write.context:
            contexts.update({(id_, key): text for key, text in write.context.items()})
        if write.cells:
            cells.update({(id_, name): text for name, text in write.cells.items()})
        closes = closes or bool(write.closings)
        facts += [(id_, x.kind, x.body, micros(x.at)) for x in write.facts]
    write_tasks(db, written)
    if closes:
        awaited_writes.close(db, written)
    if contexts:
        _put(db, contexts, _UPSERT_CONTEXT, _DELETE_CONTEXT)
    if cells:
        _put(db, cells, _UPSERT_CELLS, _DELETE_CELLS)
    _INSERT_FACTS.run(db, facts)


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
    with_event = [letter.event for letter in letters if letter.event is not None]
    targets = [letter.execution for letter in letters if letter.execution is not None]
    _check(db, fence, targets, with_event)
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
    if batch.for_rules and on_duty.judges:
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


def _check(
    db: sqlite3.Connection,
    fence: Fence | None,
    targets: Sequence[int],
    events: Sequence[EventRecord],
) -> None:
    """Refuse who must not write, and what is for executions that are not there."""
    wanted = set(targets)
    if events:
        wanted.update(x.execution for x in events if x.execution is not None)
    if len(wanted) == 1 and _both_there(db, fence, *wanted):  # most are so
        return
    check_fence(db, fence)
    if wanted:
        _check_executions(db, wanted)


def _both_there(db: sqlite3.Connection, fence: Fence | None, execution: int) -> bool:
    """Ask for both at once, without a list that SQLite would have to read."""
    if fence is None:
        found = db.execute("SELECT 1 FROM execution WHERE id = ?", (execution,))
    else:
        found = db.execute(_BOTH_THERE, (fence.runner, fence.epoch, execution))
    return found.fetchone() is not None


def _check_executions(db: sqlite3.Connection, wanted: Collection[int]) -> None:
    sql = "SELECT count(*) FROM execution WHERE id IN (SELECT value FROM json_each(?))"
    if db.execute(sql, (json.dumps(list(wanted)),)).fetchone() != (len(wanted),):
        rows = db.execute(
            "SELECT id FROM execution WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(wanted)),),
        ).fetchall()
        raise unknown_executions(set(wanted).difference(row[0] for row in rows))


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
