"""What a batch writes of executions themselves: which get a row, and how they stand."""

import sqlite3
from collections.abc import Sequence

from asyncflow._core.state import Head
from asyncflow._store.batch import Batch, ExecutionWrite, NewExecution, Refused
from asyncflow._store.codec import micros, micros_or_none, plain, utf8
from asyncflow._store.sqlite import trigger_writes
from asyncflow._store.sqlite.admission import Admission
from asyncflow._store.sqlite.bulk import Bulk, Value
from asyncflow._store.sqlite.terms import last_id
from asyncflow._store.sqlite.ticks import TickLines

_INSERT_EXECUTIONS = Bulk(
    "INSERT INTO execution (id, name, workflow, namespace, execution_type, created, fingerprint, "
    'owner, status, stopping, "begin", "end", error, parked_reason, heard, recoveries, cause, '
    "alone) VALUES",
    18,
)
_UPDATE_HEADS = Bulk(
    "UPDATE execution SET owner = CASE WHEN v.column2 THEN NULL ELSE owner END, "
    'status = v.column3, stopping = v.column4, "begin" = v.column5, "end" = v.column6, '
    "error = v.column7, parked_reason = v.column8, heard = v.column9, "
    "recoveries = v.column10 FROM (VALUES",
    10,
    ") AS v WHERE execution.id = v.column1",
    single="UPDATE execution SET owner = CASE WHEN ?2 THEN NULL ELSE owner END, status = ?3, "
    'stopping = ?4, "begin" = ?5, "end" = ?6, error = ?7, parked_reason = ?8, heard = ?9, '
    "recoveries = ?10 WHERE id = ?1",  # a third of the time
)
_UPDATE_FINGERPRINTS = Bulk(
    "UPDATE execution SET fingerprint = v.column2 FROM (VALUES",
    2,
    ") AS v WHERE execution.id = v.column1",
)
_INSERT_ONCE = Bulk("INSERT INTO started_once (namespace, workflow, key) VALUES", 3)
_INITIAL = Head()


def update(db: sqlite3.Connection, writes: Sequence[ExecutionWrite]) -> None:
    """Write how the executions stand that have a row."""
    # Of two writes to one execution the last one counts: UPDATE ... FROM takes any.
    heads: dict[int, Head] = {}
    prints: dict[int, str] = {}
    for write in writes:
        if isinstance(write.target, int):
            if write.head is not None:
                heads[write.target] = write.head
            if write.fingerprint is not None:
                prints[write.target] = write.fingerprint
    rows = [(id_, int(head.status.final), *_head_row(head)) for id_, head in heads.items()]
    _UPDATE_HEADS.run(db, rows)
    _UPDATE_FINGERPRINTS.run(db, list(prints.items()))


def insert(
    db: sqlite3.Connection, batch: Batch, offsets: Sequence[int]
) -> tuple[int | Refused, ...]:
    """Insert the new ones, after the ticks that start none; return the ids of all.

    Or why one was refused. Call it after `update`: what ends makes room.
    """
    new = [w.target for w in batch.executions if isinstance(w.target, NewExecution)]
    if not (new or batch.dropped):
        return tuple(w.target for w in batch.executions if isinstance(w.target, int))
    ticks = TickLines(db, batch.dropped, new)
    ids = _insert_new(db, batch, Admission(db, new, offsets, ticks))
    ticks.write(db)
    return ids


def _insert_new(
    db: sqlite3.Connection, batch: Batch, admission: Admission
) -> tuple[int | Refused, ...]:
    owner = batch.fence.runner if batch.fence else None
    free = last_id(db, "execution") + 1
    ids: list[int | Refused] = []
    rows: list[tuple[Value, ...]] = []
    started: list[tuple[int, NewExecution]] = []
    for write in batch.executions:
        if isinstance(write.target, int):
            ids.append(write.target)
            continue
        id_ = free + len(rows)
        head = write.head or _INITIAL
        refused = admission.admit(write.target, id_, final=head.status.final)
        ids.append(refused or id_)
        if refused is None:
            row = _execution_row(id_, write.target, write, owner)
            rows.append((*row, admission.cause_of(write.target), write.target.alone))
            started.append((id_, write.target))
    _INSERT_EXECUTIONS.run(db, rows)
    once = [(x.namespace, x.workflow, x.once) for _, x in started if x.once is not None]
    _INSERT_ONCE.run(db, once)
    trigger_writes.note_firings(db, started)
    return tuple(ids)


def _execution_row(
    id_: int, new: NewExecution, write: ExecutionWrite, owner: str | None
) -> tuple[Value, ...]:
    head = write.head or _INITIAL
    return (
        id_,
        new.name,
        new.workflow,
        new.namespace,
        plain(new.execution_type),
        micros(new.created),
        write.fingerprint or new.fingerprint,
        None if head.status.final else owner,
        *_head_row(head),
    )


def _head_row(head: Head) -> tuple[Value, ...]:
    return (
        plain(head.status),
        int(head.stopping),
        micros_or_none(head.begin),
        micros_or_none(head.end),
        utf8(head.error),
        utf8(head.parked_reason),
        head.heard,
        head.recoveries,
    )
