"""What each change of `Store.change` writes, inside the transaction of its caller."""

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from asyncflow._store.batch import Fence
from asyncflow._store.change import (
    AddRule,
    AddTriggers,
    Change,
    DeleteWorkflow,
    DropRule,
    DropSchedule,
    PutSchedule,
    SetEnabled,
    SetRulePaused,
    SetTriggerEnabled,
)
from asyncflow._store.for_rules import NOBODY
from asyncflow._store.sqlite import schedule_writes, trigger_writes
from asyncflow._store.sqlite.deletions import with_executions
from asyncflow._store.sqlite.owners import check_fence
from asyncflow._store.sqlite.terms import UNFINISHED

SHOWN: Final = 10

_OF_WORKFLOW: Final = "namespace = :namespace AND workflow = :workflow"
_ITS_EXECUTIONS: Final = f"SELECT id FROM execution WHERE {_OF_WORKFLOW}"

# Executions last: the others are found by them.
_DELETIONS: Final = (
    "UPDATE schedule_version SET version = version + 1 "
    f"WHERE EXISTS (SELECT 1 FROM schedule WHERE {_OF_WORKFLOW})",
    f"DELETE FROM tick WHERE schedule IN (SELECT id FROM schedule WHERE {_OF_WORKFLOW})",
    "DELETE FROM firing WHERE (namespace, trigger) IN "
    f"(SELECT namespace, name FROM trigger_schedule WHERE {_OF_WORKFLOW})",
    f"UPDATE trigger_schedule SET cursor = NULL WHERE {_OF_WORKFLOW} AND cursor IS NOT NULL",
    *(
        f"DELETE FROM {table} WHERE {_OF_WORKFLOW}"
        for table in ("workflow_cell", "workflow_rule", "schedule", "started_once")
    ),
    "DELETE FROM disabled_workflow WHERE namespace = :namespace AND name = :workflow",
    # What somebody has stays: it knows that it has it, and nobody else may come to it.
    "UPDATE duty SET keys = '[]' "
    "WHERE kind = 'RULES' AND namespace = :namespace AND name = :workflow",
    f"DELETE FROM duty WHERE kind = 'RULES' AND runner = '{NOBODY}' "
    "AND namespace = :namespace AND name = :workflow",
    *with_executions(_ITS_EXECUTIONS),
)


def change(db: sqlite3.Connection, change: Change, fence: Fence | None) -> tuple[str, ...]:
    """Make a change; return what stands in its way."""
    check_fence(db, fence)
    write: Callable[[sqlite3.Connection, Any], tuple[str, ...] | None] = _WRITES[type(change)]
    return write(db, change) or ()


def _set_enabled(db: sqlite3.Connection, change: SetEnabled) -> None:
    verb = "DELETE FROM" if change.enabled else "INSERT OR IGNORE INTO"
    rest = "WHERE namespace = ? AND name = ?" if change.enabled else "VALUES (?, ?)"
    db.execute(f"{verb} disabled_workflow {rest}", (change.namespace, change.workflow))


def _delete_workflow(db: sqlite3.Connection, change: DeleteWorkflow) -> tuple[str, ...]:
    named = {"namespace": change.namespace, "workflow": change.workflow}
    rows = db.execute(
        f"SELECT name FROM execution WHERE {_OF_WORKFLOW} AND {UNFINISHED} "
        f"ORDER BY id LIMIT {SHOWN}",
        named,
    ).fetchall()
    if not rows:
        for sql in _DELETIONS:
            db.execute(sql, named)
    return tuple(row[0] for row in rows)


def _add_rule(db: sqlite3.Connection, change: AddRule) -> None:
    db.execute(
        "INSERT OR IGNORE INTO workflow_rule (namespace, workflow, name) VALUES (?, ?, ?)",
        (change.namespace, change.workflow, change.name),
    )


def _set_rule_paused(db: sqlite3.Connection, change: SetRulePaused) -> None:
    db.execute(
        "UPDATE workflow_rule SET paused = ? WHERE namespace = ? AND workflow = ? AND name = ?",
        (int(change.paused), change.namespace, change.workflow, change.name),
    )


def _drop_rule(db: sqlite3.Connection, change: DropRule) -> None:
    db.execute(
        "DELETE FROM workflow_rule WHERE namespace = ? AND workflow = ? AND name = ?",
        (change.namespace, change.workflow, change.name),
    )


_WRITES: Final[dict[type[Change], Callable[[sqlite3.Connection, Any], tuple[str, ...] | None]]] = {
    SetEnabled: _set_enabled,
    DeleteWorkflow: _delete_workflow,
    AddRule: _add_rule,
    SetRulePaused: _set_rule_paused,
    DropRule: _drop_rule,
    AddTriggers: trigger_writes.add,
    SetTriggerEnabled: trigger_writes.set_enabled,
    PutSchedule: schedule_writes.put,
    DropSchedule: schedule_writes.drop,
}
