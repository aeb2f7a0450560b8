"""Who has which duty, inside the transaction of the caller."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from asyncflow._store.batch import Batch, Duty, DutyKind
from asyncflow._store.for_rules import Expected, OnDuty, left_out, told_to_rules, writer_of
from asyncflow._store.queries import Duties

# The condition keeps ON from being read as that of a join.
_TAKE: Final = (
    "INSERT INTO duty (kind, namespace, name, runner, keys) "
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]'), ?, json_extract(value, '$[3]') FROM json_each(?) WHERE true "
    "ON CONFLICT (kind, namespace, name) DO UPDATE SET keys = excluded.keys "
    "WHERE runner = excluded.runner AND keys <> excluded.keys"
)
# From the other runners on, of which there is mostly none.
_ON_DUTY: Final = (
    "SELECT DISTINCT d.namespace, k.value, r.id FROM runner r "
    "CROSS JOIN duty d ON d.runner = r.id AND d.kind = 'RULES' "
    "AND d.namespace IN (SELECT value FROM json_each(:namespaces)) "
    "CROSS JOIN json_each(d.keys) k "
    "WHERE r.id IS NOT :but AND k.value IN (SELECT value FROM json_each(:keys))"
)


def take(
    db: sqlite3.Connection, runner: str, wanted: Mapping[Duty, frozenset[str]]
) -> frozenset[Duty]:
    """Give a runner what it wants and nobody has; return what it has of this."""
    if not wanted:
        return frozenset()
    listed = [[each.kind, each.namespace, each.name, sorted(wanted[each])] for each in wanted]
    db.execute(_TAKE, (runner, json.dumps(listed)))
    sql = "SELECT kind, namespace, name FROM duty WHERE runner = ?"
    held = {_duty(*row) for row in db.execute(sql, (runner,)).fetchall()}
    return frozenset(wanted.keys() & held)


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
    rows = db.execute("SELECT kind, namespace, name, runner FROM duty").fetchall()
    return {_duty(kind, namespace, name): runner for kind, namespace, name, runner in rows}


def _duty(kind: str, namespace: str, name: str) -> Duty:
    return Duty(DutyKind(kind), namespace, name)
