"""Who has which duty, inside the transaction of the caller."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from asyncflow._store.batch import Batch, Duty, DutyKind
from asyncflow._store.for_rules import (
    NOBODY,
    Expected,
    OnDuty,
    left_out,
    told_to_rules,
    writer_of,
)
from asyncflow._store.queries import Duties
from asyncflow._store.sqlite.terms import AMONG

# The condition keeps ON from being read as that of a join.
_TAKE: Final = (
    "INSERT INTO duty (kind, namespace, name, runner, keys) "
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]'), ?, json_extract(value, '$[3]') FROM json_each(?) WHERE true "
    "ON CONFLICT (kind, namespace, name) "
    "DO UPDATE SET runner = excluded.runner, keys = excluded.keys "
    f"WHERE runner = '{NOBODY}' OR (runner = excluded.runner AND keys <> excluded.keys)"
)
_ON_DUTY: Final = (
    "SELECT DISTINCT d.namespace, k.value, d.runner FROM duty d "
    "CROSS JOIN json_each(d.keys) k WHERE d.kind = 'RULES' "
    "AND d.namespace IN (SELECT value FROM json_each(:namespaces)) "
    "AND d.runner IS NOT :but AND k.value IN (SELECT value FROM json_each(:keys))"
)
_OF_NOBODY: Final = (
    "SELECT DISTINCT d.namespace, k.value FROM duty d CROSS JOIN json_each(d.keys) k "
    f"WHERE d.runner = '{NOBODY}'"
)


def take(
    db: sqlite3.Connection, runner: str, wanted: Mapping[Duty, frozenset[str]]
) -> frozenset[Duty]:
    """Give a runner what it wants and nobody has; return what it has of this."""
    if not wanted:
        _forget_nobody(db)
        return frozenset()
    listed = [[each.kind, each.namespace, each.name, sorted(wanted[each])] for each in wanted]
    db.execute(_TAKE, (runner, json.dumps(listed)))
    _forget_nobody(db)
    sql = "SELECT kind, namespace, name FROM duty WHERE runner = ?"
    held = {_duty(*row) for row in db.execute(sql, (runner,)).fetchall()}
    return frozenset(wanted.keys() & held)


def leave(db: sqlite3.Connection, runners: str) -> None:
    """Let these runners, a JSON array, have none; letters for their rules find who claims next."""
    sql = (
        f"UPDATE duty SET runner = '{NOBODY}' WHERE runner {AMONG} AND kind = 'RULES' "
        "AND keys <> '[]'"
    )
    db.execute(sql, (runners,))
    db.execute(f"DELETE FROM duty WHERE runner {AMONG}", (runners,))


def of_nobody(db: sqlite3.Connection) -> frozenset[Expected]:
    """Return what is expected by rules that nobody judges just now."""
    return frozenset(db.execute(_OF_NOBODY).fetchall())


def on_duty(db: sqlite3.Connection, batch: Batch) -> OnDuty:
    """Return who is to judge the events of a batch by rules."""
    writer, events = writer_of(batch), told_to_rules(batch)
    if not events:
        return OnDuty(writer)
    named = {
        "namespaces": json.dumps(list({event.namespace for event in events})),
        "keys": json.dumps(list({event.key for event in events})),
        "but": left_out(batch),
    }
    found: defaultdict[Expected, set[str]] = defaultdict(set)
    for namespace, key, runner in db.execute(_ON_DUTY, named).fetchall():
        found[namespace, key].add(runner)
    return OnDuty(writer, {expected: frozenset(runners) for expected, runners in found.items()})


def answer(db: sqlite3.Connection, _: Duties) -> Mapping[Duty, str]:
    """Return whose each duty is."""
    sql = f"SELECT kind, namespace, name, runner FROM duty WHERE runner <> '{NOBODY}'"
    rows = db.execute(sql).fetchall()
    return {_duty(kind, namespace, name): runner for kind, namespace, name, runner in rows}


def _forget_nobody(db: sqlite3.Connection) -> None:
    """Let no letters gather for rules that whoever claims does not have."""
    db.execute(f"DELETE FROM duty WHERE runner = '{NOBODY}'")


def _duty(kind: str, namespace: str, name: str) -> Duty:
    return Duty(DutyKind(kind), namespace, name)
