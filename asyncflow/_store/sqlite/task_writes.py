"""What a batch writes of tasks: how each run stands, and how its last attempt ended.

What a row does not have is not bound to it, where that is the same for most rows: to bind None
costs Python's module more than all the rest of a value, since it asks its adapters about it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Outcome, TaskState
from asyncflow._store.batch import ExecutionWrite
from asyncflow._store.codec import micros_or_none, plain, utf8
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.numbered import Numbered, Value

_Row = tuple[Value, ...]

# The columns of each kind of row begin with those of the one before.
_OF_RUN: Final = ("execution", "task", "seq")
_STANDING: Final = ("try_number", "status", "execution_type", "failures", "period", "awaits")
_NEW: Final = (*_OF_RUN, *_STANDING)
_ENDED: Final = (*_NEW, '"begin"', '"end"', "outcome", "abandoned", "result")
_WHOLE: Final = (*_ENDED, "again", "due", "error", "traceback", "metrics")

_OF_ATTEMPT: Final = frozenset({"abandoned", "result", "error", "traceback", "metrics"})
_NOT_IN_NEW: Final = (None, None, None, 0, None, None, None, None, None, None)

_FEW: Final = 8
"""So many rows one statement changes faster than one for each of them does."""


def _kept(column: str) -> str:
    """Return how a row that is there takes a column; an outcome of None keeps the attempt's."""
    if column == "outcome":
        return "outcome = coalesce(excluded.outcome, outcome)"
    if column in _OF_ATTEMPT:
        kept = f"CASE WHEN excluded.outcome IS NULL THEN {column} ELSE excluded.{column} END"
        return f"{column} = {kept}"
    return f"{column} = excluded.{column}"


def _upsert(columns: Sequence[str]) -> Bulk:
    return Bulk(
        f"INSERT INTO task_execution ({', '.join(columns)}) VALUES",
        len(columns),
        "ON CONFLICT (execution, task, seq) DO UPDATE SET "
        + ", ".join(map(_kept, _WHOLE[len(_OF_RUN) :])),
    )


_UPSERT_NEW = _upsert(_NEW)
_UPSERT_ENDED = _upsert(_ENDED)
_UPSERT_WHOLE = _upsert(_WHOLE)
# Unlike the other it takes no id, and so does not write down which was the last one.
_UPDATE_ENDED: Final = Numbered(
    "UPDATE task_execution SET "
    + ", ".join(f"{column} = ?{n}" for n, column in enumerate(_ENDED, 1) if n > len(_OF_RUN))
    + "".join(f", {column} = NULL" for column in _WHOLE[len(_ENDED) :])
    + " WHERE execution = ?1 AND task = ?2 AND seq = ?3"
)


def write_tasks(db: sqlite3.Connection, written: Sequence[tuple[int, ExecutionWrite]]) -> None:
    """Write the tasks of executions that have their rows."""
    ended: list[_Row] = []
    others: list[_Row] = []
    whole = False
    for execution, change in _changes(written):
        row = _row(execution, change)
        if len(row) == len(_ENDED):
            ended.append(row)
        else:
            others.append(row)
            whole = whole or len(row) == len(_WHOLE)
    if ended:
        _write_ended(db, ended)
    if whole:  # in one list: rows that are new get their ids in order
        _UPSERT_WHOLE.run(db, [x if len(x) > len(_NEW) else (*x, *_NOT_IN_NEW) for x in others])
    elif others:
        _UPSERT_NEW.run(db, others)


def _changes(written: Sequence[tuple[int, ExecutionWrite]]) -> Iterable[tuple[int, TaskChange]]:
    """Return the changes of all writes, those of one run as one."""
    changes = [(id_, change) for id_, write in written for change in write.tasks]
    if len(written) == 1 or len({id_ for id_, _ in written}) == len(written):
        return changes
    last: dict[tuple[int, str, int], TaskChange] = {}
    for id_, change in changes:
        run = (id_, change.state.name, change.state.sequence_number)
        earlier = last.get(run)
        if earlier is not None and change.outcome is None:
            last[run] = TaskChange(change.state, earlier.outcome)
        else:
            last[run] = change
    return [(run[0], change) for run, change in last.items()]


def _write_ended(db: sqlite3.Connection, rows: Sequence[_Row]) -> None:
    if len(rows) >= _FEW:
        _UPSERT_ENDED.run(db, rows)
        return
    for row in rows:
        if not _UPDATE_ENDED.execute(db, row).rowcount:
            _UPSERT_ENDED.run(db, [row])


def _row(execution: int, change: TaskChange) -> _Row:
    """Return the row of a kind that has room for all that a change has."""
    task, outcome = change.state, change.outcome
    row: _Row = (
        execution,
        task.name,
        task.sequence_number,
        task.try_number,
        plain(task.status),
        plain(task.execution_type),
        task.failures,
        task.period,
        int(task.awaits),
    )
    waits = task.again is not None or task.due is not None
    if outcome is None:
        if task.begin is None and task.end is None and not waits:
            return row
        attempt: _Row = (None, 0, None)
    else:
        attempt = (plain(outcome.status), int(outcome.abandoned), outcome.result)
    row = (*row, micros_or_none(task.begin), micros_or_none(task.end), *attempt)
    if outcome is None or waits:
        return (*row, *_rest(task, outcome))
    if outcome.error is outcome.traceback is outcome.metrics is None:
        return row
    return (*row, *_rest(task, outcome))


def _rest(task: TaskState, outcome: Outcome | None) -> _Row:
    """Return the values of the columns that only whole rows have."""
    again = None if task.again is None else plain(task.again)
    if outcome is None:
        return (again, micros_or_none(task.due), None, None, None)
    error, traceback = utf8(outcome.error), utf8(outcome.traceback)
    return (again, micros_or_none(task.due), error, traceback, outcome.metrics)
