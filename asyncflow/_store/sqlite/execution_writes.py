"""What a batch writes of executions themselves: which get a row, and how they stand."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from asyncflow._core.state import Head
from asyncflow._store.batch import Batch, ExecutionWrite, Fence, NewExecution, Refused
from asyncflow._store.codec import micros, micros_or_none, plain, utf8
from asyncflow._store.sqlite import trigger_writes
from asyncflow._store.sqlite.admission import Admission, is_usual
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.numbered import Numbered, Value
from asyncflow._store.sqlite.terms import last_id
from asyncflow._store.sqlite.ticks import TickLines

# What most rows do not have is not bound to them: see `task_writes`.
_COLUMNS = (
    "name, workflow, namespace, execution_type, created, fingerprint, owner, status, stopping, "
    'heard, recoveries, "begin"'
)
_USUAL = 12  # so many columns
_INSERT_USUAL = Bulk(f"INSERT INTO execution (id, {_COLUMNS}) VALUES", _USUAL + 1)
_INSERT_WHOLE = Bulk(
    f'INSERT INTO execution (id, {_COLUMNS}, "end", error, parked_reason, cause, alone) VALUES',
    _USUAL + 6,
)
# One that only its name and its workflow can stand against: one statement instead of four. The
# name is for the index to refuse: to look for it where it goes costs SQLite a table of its own.
_ADMIT_USUAL = Numbered(
    f"INSERT INTO execution ({_COLUMNS}) "
    f"SELECT {', '.join(f'?{n}' for n in range(1, _USUAL + 1))} "
    "WHERE NOT EXISTS (SELECT 1 FROM disabled_workflow WHERE namespace = ?3 AND name = ?2)"
)


def _update_of(width: int, reasons: str) -> Bulk:
    sql = (
        "UPDATE execution SET owner = CASE WHEN {0}2 THEN NULL ELSE owner END, status = {0}3, "
        'stopping = {0}4, heard = {0}5, recoveries = {0}6, "begin" = {0}7, "end" = {0}8, '
    ) + reasons
    return Bulk(
        sql.format("v.column") + " FROM (VALUES",
        width,
        ") AS v WHERE execution.id = v.column1",
        single=sql.format("?") + " WHERE id = ?1",  # a third of the time
    )


_UPDATE_USUAL = _update_of(8, "error = NULL, parked_reason = NULL")
_UPDATE_WHOLE = _update_of(10, "error = {0}9, parked_reason = {0}10")
_UPDATE_FINGERPRINTS = Bulk(
    "UPDATE execution SET fingerprint = v.column2 FROM (VALUES",
    2,
    ") AS v WHERE execution.id = v.column1",
)
_INSERT_ONCE = Bulk("INSERT INTO started_once (namespace, workflow, key) VALUES", 3)
_INITIAL = Head()
_NOTHING_MORE = (None,) * 5

_Row = tuple[Value, ...]
_Started = tuple[int, NewExecution, ExecutionWrite]


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
    if heads:
        _update_heads(db, heads)
    if prints:
        _UPDATE_FINGERPRINTS.run(db, list(prints.items()))


def _update_heads(db: sqlite3.Connection, heads: Mapping[int, Head]) -> None:
    whole = any(map(_has_reasons, heads.values()))
    rows: list[_Row] = []
    for id_, head in heads.items():
        row = (id_, int(head.status.final), *_head_row(head), micros_or_none(head.end))
        rows.append((*row, *_reasons(head)) if whole else row)
    (_UPDATE_WHOLE if whole else _UPDATE_USUAL).run(db, rows)


def insert(
    db: sqlite3.Connection, batch: Batch, offsets: Sequence[int]
) -> tuple[int | Refused, ...]:
    """Insert the new ones, after the ticks that start none; return the ids of all.

    Or why one was refused. Call it after `update`: what ends makes room.
    """
    writes = [w for w in batch.executions if isinstance(w.target, NewExecution)]
    if len(writes) == 1 and not batch.dropped:
        admitted = _insert_usual(db, batch.fence, writes[0])
        if admitted is not None:
            if len(batch.executions) == 1:
                return (admitted,)
            targets = [w.target for w in batch.executions]
            return tuple([x if isinstance(x, int) else admitted for x in targets])
    new = [w.target for w in batch.executions if isinstance(w.target, NewExecution)]
    ticks = TickLines(db, batch.dropped, new)
    ids = _insert_new(db, batch, Admission(db, new, offsets, ticks))
    ticks.write(db)
    return ids


def _insert_usual(
    db: sqlite3.Connection, fence: Fence | None, write: ExecutionWrite
) -> int | Refused | None:
    """Insert the only new one of a batch and return its id; None if more stands against it."""
    new, head = write.target, write.head or _INITIAL
    if isinstance(new, int) or not is_usual(new) or head.end is not None or _has_reasons(head):
        return None
    try:
        inserted = _ADMIT_USUAL.execute(db, _execution_row(new, write, fence))
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        return Refused.NAME_TAKEN  # and no id was used up, as by ON CONFLICT
    return inserted.lastrowid if inserted.rowcount else Refused.DISABLED


def _insert_new(
    db: sqlite3.Connection, batch: Batch, admission: Admission
) -> tuple[int | Refused, ...]:
    free = last_id(db, "execution") + 1
    ids: list[int | Refused] = []
    started: list[_Started] = []
    for write in batch.executions:
        if isinstance(write.target, int):
            ids.append(write.target)
            continue
        id_ = free + len(started)
        head = write.head or _INITIAL
        refused = admission.admit(write.target, id_, final=head.status.final)
        ids.append(refused or id_)
        if refused is None:
            started.append((id_, write.target, write))
    _insert_rows(db, batch.fence, admission, started)
    once = [(x.namespace, x.workflow, x.once) for _, x, _ in started if x.once is not None]
    _INSERT_ONCE.run(db, once)
    trigger_writes.note_firings(db, ((id_, x) for id_, x, _ in started))
    return tuple(ids)


def _insert_rows(
    db: sqlite3.Connection, fence: Fence | None, admission: Admission, started: Iterable[_Started]
) -> None:
    usual: list[_Row] = []
    whole: list[_Row] = []
    for id_, new, write in started:
        row = (id_, *_execution_row(new, write, fence))
        head = write.head or _INITIAL
        end, cause = micros_or_none(head.end), admission.cause_of(new)
        more = (end, *_reasons(head), cause, new.alone)
        if more == _NOTHING_MORE:
            usual.append(row)
        else:
            whole.append((*row, *more))
    _INSERT_USUAL.run(db, usual)
    _INSERT_WHOLE.run(db, whole)


def _execution_row(new: NewExecution, write: ExecutionWrite, fence: Fence | None) -> _Row:
    """Return what all rows have, but for the id."""
    head = write.head or _INITIAL
    return (
        new.name,
        new.workflow,
        new.namespace,
        plain(new.execution_type),
        micros(new.created),
        write.fingerprint or new.fingerprint,
        None if fence is None or head.status.final else fence.runner,
        *_head_row(head),
    )


def _head_row(head: Head) -> _Row:
    return (
        plain(head.status),
        int(head.stopping),
        head.heard,
        head.recoveries,
        micros_or_none(head.begin),
    )


def _has_reasons(head: Head) -> bool:
    return head.error is not None or head.parked_reason is not None


def _reasons(head: Head) -> tuple[str | None, str | None]:
    return (utf8(head.error), utf8(head.parked_reason))
