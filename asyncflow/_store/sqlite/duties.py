"""Who has which duty, inside the transaction of the caller."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Batch, Duty, DutyKind, Fence
from asyncflow._store.for_rules import (
    NOBODY,
    OnDuty,
    told_to_rules,
    writer_of,
)
from asyncflow._store.heirs import Names, names
from asyncflow._store.queries import Duties
from asyncflow._store.reach import Expected
from asyncflow._store.refusal import fenced
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
    "SELECT DISTINCT d.namespace, k.value, d.runner, d.name FROM duty d "
    "CROSS JOIN json_each(d.keys) k WHERE d.kind = 'RULES' "
    "AND d.namespace IN (SELECT value FROM json_each(:namespaces)) "
    "AND k.value IN (SELECT value FROM json_each(:keys))"
)
_ON_DUTY_FOR_ONE: Final = (
    "SELECT d.namespace, k.value, d.runner, d.name FROM duty d CROSS JOIN json_each(d.keys) k "
    "WHERE d.kind = 'RULES' AND d.namespace = ? AND k.value = ?"
)
# Most signals come alone; one statement less is a tenth of all that is asked for them.
_FENCE_AND_DUTY: Final = (
    "SELECT NULL, NULL, NULL, NULL FROM runner WHERE id = ? AND epoch = ? "
    f"UNION ALL {_ON_DUTY_FOR_ONE}"
)
_OF_NOBODY: Final = (
    f"SELECT namespace, name, keys FROM duty WHERE runner = '{NOBODY}' AND kind = 'RULES'"
)

_RULES_WITH_KEYS: Final = "kind = 'RULES' AND keys <> '[]'"
_LEAVE: Final = (
    f"UPDATE duty SET runner = '{NOBODY}' WHERE runner {AMONG} AND {_RULES_WITH_KEYS}",
    f"DELETE FROM duty WHERE runner {AMONG}",
)
_AMONG_DUTIES: Final = (
    "(kind, namespace, name) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]') FROM json_each(?))"
)
_GIVE_UP: Final = (
    f"UPDATE duty SET runner = '{NOBODY}' WHERE {_AMONG_DUTIES} AND {_RULES_WITH_KEYS}",
    f"DELETE FROM duty WHERE {_AMONG_DUTIES} AND NOT ({_RULES_WITH_KEYS})",
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


def give_up(db: sqlite3.Connection, runner: str, wanted: Collection[Duty]) -> None:
    """Let a runner have no duties but those that it wants."""
    sql = "SELECT kind, namespace, name FROM duty WHERE runner = ?"
    held = {_duty(*row) for row in db.execute(sql, (runner,)).fetchall()}
    unwanted = held.difference(wanted)
    if unwanted:
        listed = json.dumps([[each.kind, each.namespace, each.name] for each in unwanted])
        for sql in _GIVE_UP:
            db.execute(sql, (listed,))


def leave(db: sqlite3.Connection, runners: str) -> None:
    """Let these runners, a JSON array, have none; letters for their rules find who claims next."""
    for sql in _LEAVE:
        db.execute(sql, (runners,))


def of_nobody(db: sqlite3.Connection) -> Names:
    """Return what is expected by rules that nobody judges just now."""
    rows = db.execute(_OF_NOBODY).fetchall()
    return names((namespace, name, json.loads(keys)) for namespace, name, keys in rows)


def taken(before: Names, wanted: Mapping[Duty, frozenset[str]]) -> Names:
    """Return what those rules expect now that nobody judged, and that somebody wants."""
    left = {(namespace, name) for (namespace, _), of in before.items() for name in of}
    return names(
        (duty.namespace, duty.name, keys)
        for duty, keys in wanted.items()
        if duty.kind is DutyKind.RULES and (duty.namespace, duty.name) in left
    )


def on_duty(db: sqlite3.Connection, batch: Batch) -> OnDuty:
    """Return who is to judge the events of a batch by rules."""
    events = told_to_rules(batch)
    return _on_duty(writer_of(batch), _who_expects(db, events) if events else ())


def on_duty_behind(db: sqlite3.Connection, fence: Fence, event: EventRecord) -> OnDuty:
    """Return who is to judge the one event of a batch; refuse a runner that was replaced."""
    named = (fence.runner, fence.epoch, event.namespace, event.key)
    rows = db.execute(_FENCE_AND_DUTY, named).fetchall()
    of_duties = [row for row in rows if row[0] is not None]
    if len(of_duties) == len(rows):
        raise fenced(fence)
    return _on_duty(fence.runner, of_duties)


def _on_duty(writer: str | None, rows: Sequence[tuple[str, str, str, str]]) -> OnDuty:
    if not rows:
        return OnDuty(writer)
    found: defaultdict[Expected, dict[str, frozenset[str]]] = defaultdict(dict)
    for namespace, key, runner, name in rows:
        of = found[namespace, key]
        of[runner] = of.get(runner, frozenset()) | {name}
    return OnDuty(writer, found)


def _who_expects(
    db: sqlite3.Connection, events: Sequence[EventRecord]
) -> list[tuple[str, str, str, str]]:
    """Return namespaces, keys, runners, and the workflows whose rules expect that."""
    if len(events) == 1:  # most signals come alone, and lists cost more than all the rest
        return db.execute(_ON_DUTY_FOR_ONE, (events[0].namespace, events[0].key)).fetchall()
    named = {
        "namespaces": json.dumps(list({event.namespace for event in events})),
        "keys": json.dumps(list({event.key for event in events})),
    }
    return db.execute(_ON_DUTY, named).fetchall()


def answer(db: sqlite3.Connection, _: Duties) -> Mapping[Duty, str]:
    """Return whose each duty is."""
    sql = f"SELECT kind, namespace, name, runner FROM duty WHERE runner <> '{NOBODY}'"
    rows = db.execute(sql).fetchall()
    return {_duty(kind, namespace, name): runner for kind, namespace, name, runner in rows}


def _duty(kind: str, namespace: str, name: str) -> Duty:
    return Duty(DutyKind(kind), namespace, name)
