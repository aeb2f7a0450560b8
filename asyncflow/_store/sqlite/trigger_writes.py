"""What is written of triggers and of their histories, inside the transaction of the caller."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta

from asyncflow._store.batch import CursorWrite, FailedPoll, Firing, NewExecution
from asyncflow._store.change import AddTriggers, SetTriggerEnabled
from asyncflow._store.codec import micros, utf8
from asyncflow._store.sqlite.bulk import Bulk

_MICROSECOND = timedelta(microseconds=1)

_UPSERT_TRIGGERS = Bulk(
    "INSERT INTO trigger_schedule (namespace, name, workflow, poll_interval, allow_concurrent, "
    "enabled, cursor, created, updated) VALUES",
    9,
    "ON CONFLICT (namespace, name) DO UPDATE SET workflow = excluded.workflow, "
    "poll_interval = excluded.poll_interval, allow_concurrent = excluded.allow_concurrent, "
    "updated = excluded.updated WHERE workflow != excluded.workflow "
    "OR poll_interval != excluded.poll_interval OR allow_concurrent != excluded.allow_concurrent",
)
_UPDATE_CURSORS = Bulk(
    "UPDATE trigger_schedule SET cursor = v.column3 FROM (VALUES",
    5,
    ") AS v WHERE trigger_schedule.namespace = v.column1 AND trigger_schedule.name = v.column2 "
    "AND cursor IS v.column5 "
    "AND (v.column1, v.column4) NOT IN (SELECT namespace, name FROM disabled_workflow)",
)
_INSERT_FIRINGS = Bulk(
    "INSERT INTO firing (namespace, trigger, started, context_hash, key, execution) VALUES", 6
)
_INSERT_FAILURES = Bulk("INSERT INTO firing (namespace, trigger, started, ended, error) VALUES", 5)


def add(db: sqlite3.Connection, change: AddTriggers) -> None:
    """Keep triggers, or what is new of them."""
    rows = [
        (
            x.namespace,
            x.name,
            x.workflow,
            x.poll_interval // _MICROSECOND,
            int(x.allow_concurrent),
            int(x.enabled),
            x.cursor,
            micros(x.created),
            micros(x.updated),
        )
        for x in change.triggers
    ]
    _UPSERT_TRIGGERS.run(db, rows)


def set_enabled(db: sqlite3.Connection, change: SetTriggerEnabled) -> None:
    """Let a trigger poll, or not."""
    enabled = int(change.enabled)
    db.execute(
        "UPDATE trigger_schedule SET enabled = ?, updated = ? "
        "WHERE namespace = ? AND name = ? AND enabled != ?",
        (enabled, micros(change.at), change.namespace, change.trigger, enabled),
    )


def write_cursors(db: sqlite3.Connection, writes: Iterable[CursorWrite]) -> None:
    """Keep cursors, except those of triggers of disabled workflows, and those that do not fit."""
    # Of two for one trigger the first one counts, whose cursor the second one was not given.
    first = {(write.namespace, write.trigger): write for write in reversed(tuple(writes))}
    rows = [(*key, x.cursor, x.workflow, x.instead_of) for key, x in first.items()]
    _UPDATE_CURSORS.run(db, rows)


def note_firings(db: sqlite3.Connection, started: Iterable[tuple[int, NewExecution]]) -> None:
    """Keep what polls started."""
    origins = ((id_, new.origin) for id_, new in started)
    rows = [
        (x.namespace, x.trigger, micros(x.started), x.context_hash, x.key, id_)
        for id_, x in origins
        if isinstance(x, Firing)
    ]
    _INSERT_FIRINGS.run(db, rows)


def note_failures(db: sqlite3.Connection, polls: Sequence[FailedPoll]) -> None:
    """Keep why polls failed."""
    rows = [
        (x.namespace, x.trigger, micros(x.started), micros(x.ended), utf8(x.error)) for x in polls
    ]
    _INSERT_FAILURES.run(db, rows)
