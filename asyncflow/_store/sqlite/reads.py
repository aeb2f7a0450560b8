"""How each query is answered, on one snapshot of what is committed; runs on the reader's thread."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from asyncflow._core.state import Head, TaskState
from asyncflow._model.record import (
    ExecutionRecord,
    LogRecord,
    RuleRecord,
    TaskExecutionRecord,
)
from asyncflow._model.status import ExecutionType, TaskStatus, WorkflowStatus
from asyncflow._store.batch import FactRecord, RunnerRow, StoredExecution
from asyncflow._store.codec import moment, moment_or_none
from asyncflow._store.queries import (
    ContextOf,
    DisabledWorkflows,
    ExecutionByName,
    Executions,
    Facts,
    OwnedExecutions,
    Query,
    Runners,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    UnownedWorkflows,
    WorkflowCells,
    WorkflowRules,
)
from asyncflow._store.sqlite import (
    awaited_reads,
    event_reads,
    schedule_reads,
    size_reads,
    trigger_reads,
    unowned,
)
from asyncflow._store.sqlite.terms import AMONG, UNFINISHED, Clause, where

T = TypeVar("T")

_EXECUTION = (
    "SELECT id, name, workflow, namespace, execution_type, status, created, "
    '"begin", "end", error, parked_reason, stopping, fingerprint, owner, heard, '
    "recoveries FROM execution"
)

_Row = tuple[Any, ...]


def answer(db: sqlite3.Connection, query: Query[T]) -> T:
    """Return what the store says; the type of the query tells the type."""
    result: T = _ANSWERS[type(query)](db, query)
    return result


def _execution_by_name(db: sqlite3.Connection, query: ExecutionByName) -> ExecutionRecord | None:
    row = db.execute(f"{_EXECUTION} WHERE name = ?", (query.name,)).fetchone()
    return None if row is None else _execution(row)


def _executions(db: sqlite3.Connection, query: Executions) -> tuple[ExecutionRecord, ...]:
    clauses: list[Clause] = []
    if query.namespace is not None:
        clauses.append(("namespace = ?", query.namespace))
    if query.workflow is not None:
        clauses.append(("workflow = ?", query.workflow))
    if query.statuses is not None:
        clauses.append((f"status {AMONG}", json.dumps(sorted(query.statuses))))
    if query.before is not None:
        clauses.append(("id < ?", query.before))
    condition, values = where(clauses)
    sql = f"{_EXECUTION} {condition} ORDER BY id DESC LIMIT ?"
    return tuple(map(_execution, db.execute(sql, (*values, query.limit)).fetchall()))


def _task_executions(
    db: sqlite3.Connection, query: TaskExecutions
) -> tuple[TaskExecutionRecord, ...]:
    rows = db.execute(
        'SELECT execution, task, seq, try_number, status, execution_type, "begin", "end", result, '
        "error, traceback, abandoned, metrics, id FROM task_execution "
        "WHERE execution = ? AND seq > 0 "
        "ORDER BY id",
        (query.execution,),
    )
    return tuple(map(_task_execution, rows.fetchall()))


def _context_of(db: sqlite3.Connection, query: ContextOf) -> Mapping[str, str]:
    return dict(
        db.execute("SELECT key, value FROM context WHERE execution = ?", (query.execution,))
    )


def _workflow_cells(db: sqlite3.Connection, query: WorkflowCells) -> Mapping[str, str]:
    sql = "SELECT name, value FROM workflow_cell WHERE namespace = ? AND workflow = ?"
    return dict(db.execute(sql, (query.namespace, query.workflow)))


def _disabled_workflows(db: sqlite3.Connection, _: DisabledWorkflows) -> frozenset[tuple[str, str]]:
    rows = db.execute("SELECT namespace, name FROM disabled_workflow").fetchall()
    return frozenset((namespace, name) for namespace, name in rows)


def _workflow_rules(db: sqlite3.Connection, query: WorkflowRules) -> tuple[RuleRecord, ...]:
    clauses: list[Clause] = []
    if query.namespace is not None:
        clauses.append(("namespace = ?", query.namespace))
    if query.workflow is not None:
        clauses.append(("workflow = ?", query.workflow))
    condition, values = where(clauses)
    rows = db.execute(
        f"SELECT namespace, workflow, name, paused FROM workflow_rule {condition} "
        "ORDER BY namespace, workflow, id",
        values,
    )
    return tuple(
        RuleRecord(namespace, workflow, name, paused=bool(paused))
        for namespace, workflow, name, paused in rows.fetchall()
    )


def _task_logs(db: sqlite3.Connection, query: TaskLogs) -> tuple[LogRecord, ...]:
    rows = db.execute(
        "SELECT execution, task, seq, try_number, at, level, text, id FROM task_log "
        "WHERE execution = ? AND task = ? AND seq = ? AND id > ? ORDER BY id LIMIT ?",
        (query.execution, query.task_name, query.sequence_number, query.after, query.limit),
    )
    return tuple(
        LogRecord(execution, task, seq, attempt, moment(at), level, text, id_)
        for execution, task, seq, attempt, at, level, text, id_ in rows.fetchall()
    )


def _owned_executions(db: sqlite3.Connection, query: OwnedExecutions) -> tuple[int, ...]:
    sql = f"SELECT id FROM execution WHERE owner = ? AND {UNFINISHED} ORDER BY id"
    return tuple(row[0] for row in db.execute(sql, (query.runner,)).fetchall())


def _unowned_workflows(db: sqlite3.Connection, _: UnownedWorkflows) -> frozenset[tuple[str, str]]:
    return unowned.workflows(db)


def _runners(db: sqlite3.Connection, _: Runners) -> tuple[RunnerRow, ...]:
    rows = db.execute(
        "SELECT id, pid, process, host, since, epoch, address FROM runner ORDER BY epoch"
    )
    return tuple(
        RunnerRow(id_, pid, process, host, moment(since), epoch, address)
        for id_, pid, process, host, since, epoch, address in rows.fetchall()
    )


def _stored_executions(
    db: sqlite3.Connection, query: StoredExecutions
) -> tuple[StoredExecution, ...]:
    ids = (json.dumps(query.ids),)
    records = db.execute(f"{_EXECUTION} WHERE id {AMONG} ORDER BY id", ids).fetchall()
    latest = db.execute(
        "SELECT execution, task, seq, try_number, status, execution_type, failures, again, "
        f'"begin", "end", due, period, awaits FROM task_execution t WHERE execution {AMONG} '
        "AND seq = (SELECT max(seq) FROM task_execution "
        "WHERE execution = t.execution AND task = t.task) ORDER BY id",
        ids,
    )
    tasks: defaultdict[int, list[TaskState]] = defaultdict(list)
    for execution, *state in latest.fetchall():
        tasks[execution].append(_task_state(tuple(state)))
    contexts = _by_execution(db, "SELECT execution, key, value FROM context", ids)
    cells = _by_execution(db, "SELECT execution, name, value FROM cell", ids)
    return tuple(
        StoredExecution(
            record,
            _head(record),
            tuple(tasks[record.id]),
            contexts[record.id],
            cells[record.id],
        )
        for record in map(_execution, records)
    )


def _by_execution(
    db: sqlite3.Connection, select: str, ids: tuple[str]
) -> defaultdict[int, dict[str, str]]:
    found: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for execution, name, text in db.execute(f"{select} WHERE execution {AMONG}", ids).fetchall():
        found[execution][name] = text
    return found


def _facts(db: sqlite3.Connection, query: Facts) -> tuple[FactRecord, ...]:
    rows = db.execute(
        "SELECT id, execution, kind, body, at FROM fact WHERE execution = ? AND id > ? "
        "ORDER BY id LIMIT ?",
        (query.execution, query.after, query.limit),
    )
    return tuple(
        FactRecord(id_, execution, kind, body, moment(at))
        for id_, execution, kind, body, at in rows.fetchall()
    )


_ANSWERS: dict[type[Query[Any]], Callable[[sqlite3.Connection, Any], Any]] = {
    ExecutionByName: _execution_by_name,
    Executions: _executions,
    TaskExecutions: _task_executions,
    ContextOf: _context_of,
    WorkflowCells: _workflow_cells,
    DisabledWorkflows: _disabled_workflows,
    WorkflowRules: _workflow_rules,
    TaskLogs: _task_logs,
    Runners: _runners,
    OwnedExecutions: _owned_executions,
    UnownedWorkflows: _unowned_workflows,
    StoredExecutions: _stored_executions,
    Facts: _facts,
    **size_reads.ANSWERS,
    **event_reads.ANSWERS,
    **awaited_reads.ANSWERS,
    **trigger_reads.ANSWERS,
    **schedule_reads.ANSWERS,
}


def _execution(row: _Row) -> ExecutionRecord:
    return ExecutionRecord(
        id=row[0],
        name=row[1],
        workflow=row[2],
        namespace=row[3],
        execution_type=ExecutionType(row[4]),
        status=WorkflowStatus(row[5]),
        created=moment(row[6]),
        begin=moment_or_none(row[7]),
        end=moment_or_none(row[8]),
        error=row[9],
        parked_reason=row[10],
        stopping=bool(row[11]),
        fingerprint=row[12],
        owner=row[13],
        heard=row[14],
        recoveries=row[15],
    )


def _head(record: ExecutionRecord) -> Head:
    return Head(
        status=record.status,
        stopping=record.stopping,
        begin=record.begin,
        end=record.end,
        error=record.error,
        parked_reason=record.parked_reason,
        heard=record.heard,
        recoveries=record.recoveries,
    )


def _task_execution(row: _Row) -> TaskExecutionRecord:
    return TaskExecutionRecord(
        execution=row[0],
        task_name=row[1],
        sequence_number=row[2],
        try_number=row[3],
        status=TaskStatus(row[4]),
        execution_type=ExecutionType(row[5]),
        begin=moment_or_none(row[6]),
        end=moment_or_none(row[7]),
        result=row[8],
        error=row[9],
        traceback=row[10],
        abandoned=bool(row[11]),
        metrics=row[12],
        id=row[13],
    )


def _task_state(row: _Row) -> TaskState:
    return TaskState(
        name=row[0],
        sequence_number=row[1],
        try_number=row[2],
        status=TaskStatus(row[3]),
        execution_type=ExecutionType(row[4]),
        failures=row[5],
        again=None if row[6] is None else ExecutionType(row[6]),
        begin=moment_or_none(row[7]),
        end=moment_or_none(row[8]),
        due=moment_or_none(row[9]),
        period=row[10],
        awaits=bool(row[11]),
    )
