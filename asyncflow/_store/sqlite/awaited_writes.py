"""What is written of awaited events, inside the transaction of the caller."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from asyncflow._model.record import AwaitedRecord
from asyncflow._store.awaited import AwaitedTable, event_of, letter_about
from asyncflow._store.batch import ExecutionWrite, Expiry, Fence, NewAwaited, Notified, Signal
from asyncflow._store.codec import micros, micros_or_none, plain, utf8
from asyncflow._store.for_rules import OnDuty
from asyncflow._store.sqlite.awaited_reads import COLUMNS, WAITS, record
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.duties import on_duty_behind
from asyncflow._store.sqlite.event_writes import Addressed, insert_events, insert_letters
from asyncflow._store.sqlite.numbered import Numbered, Value
from asyncflow._store.sqlite.terms import AMONG, last_id

_OF_RUN = "execution = v.column1 AND task = v.column2 AND seq = v.column3"
_OF_NAME = f"{_OF_RUN} AND name = v.column4"

# The newest of a place, and whatever else waits under its name.
_SELECT_PLACES = Bulk(
    f"SELECT DISTINCT {COLUMNS}, a.failures FROM (VALUES",
    5,
    ") AS v CROSS JOIN awaited_event a ON a.id IN (SELECT max(id) FROM awaited_event "
    f"WHERE {_OF_NAME} AND place = v.column5 "
    f"UNION ALL SELECT id FROM awaited_event WHERE {_OF_NAME} AND {WAITS})",
)
_INSERT_AWAITED = Bulk(
    "INSERT INTO awaited_event (id, execution, namespace, task, seq, name, place, failures, "
    "data_type, prompt, prompt_type, description, created, deadline, phase, ended, label) VALUES",
    17,
)
_MOVE = Bulk(
    "UPDATE awaited_event SET place = v.column2, failures = v.column3 FROM (VALUES",
    3,
    ") AS v WHERE awaited_event.id = v.column1",
)
_UPDATE_SIGNALLED = Bulk(
    "UPDATE awaited_event SET phase = 'SUCCEEDED', value = v.column2, ended = v.column3, "
    'sender = v.column4, comment = v.column5, "offset" = v.column6 FROM (VALUES',
    6,
    ") AS v WHERE awaited_event.id = v.column1",
    single="UPDATE awaited_event SET phase = 'SUCCEEDED', value = ?2, ended = ?3, "
    'sender = ?4, comment = ?5, "offset" = ?6 WHERE id = ?1',
)
# The event of a signal, if that is taken: one statement instead of three.
_TAKE = (
    "INSERT INTO event (key, value, namespace, execution, sender, create_time, context, awaited) "
    "SELECT ?3, ?4, ?5, execution, ?6, ?7, ?8, id FROM awaited_event "
    f"WHERE id = ?1 AND execution = ?2 AND {WAITS} AND (deadline IS NULL OR deadline > ?7)"
)
_TAKE_ONE = Numbered(_TAKE)
# The same, if no runner is on duty to judge it by rules, and the writer was not replaced.
_TAKE_UNRULED = Numbered(
    f"{_TAKE} AND EXISTS (SELECT 1 FROM runner WHERE runner.id = ?9 AND epoch = ?10) "
    "AND NOT EXISTS (SELECT 1 FROM duty d CROSS JOIN json_each(d.keys) k "
    "WHERE d.kind = 'RULES' AND d.namespace = ?5 AND k.value = ?3)"
)
_CLOSED = (
    "phase = CASE WHEN deadline <= {0}5 THEN 'TIMED_OUT' ELSE {0}4 END, "
    "ended = CASE WHEN deadline <= {0}5 THEN deadline ELSE {0}5 END"
)
_UPDATE_CLOSED = Bulk(
    f"UPDATE awaited_event SET {_CLOSED.format('v.column')} FROM (VALUES",
    5,
    f") AS v WHERE {_OF_RUN} AND {WAITS}",
    single=f"UPDATE awaited_event SET {_CLOSED.format('?')} "
    f"WHERE execution = ?1 AND task = ?2 AND seq = ?3 AND {WAITS}",
)
_UPDATE_NOTIFIED = Bulk(
    "UPDATE awaited_event SET notified = v.column2, webhook_error = v.column3 FROM (VALUES",
    3,
    ") AS v WHERE awaited_event.id = v.column1",
)


def take(
    db: sqlite3.Connection, signals: Sequence[Signal], on_duty: OnDuty
) -> tuple[int | None, ...]:
    """Write signals with their events and letters; return the events' offsets."""
    if not signals:
        return ()
    if len(signals) == 1:
        return (_take_one(db, signals[0], on_duty),)
    sql = f"SELECT id, execution, deadline FROM awaited_event WHERE id {AMONG} AND {WAITS}"
    found = db.execute(sql, (json.dumps([signal.awaited for signal in signals]),)).fetchall()
    waiting = {id_: (execution, deadline) for id_, execution, deadline in found}
    taken: dict[int, Signal] = {}
    for place, signal in enumerate(signals):
        execution, deadline = waiting.get(signal.awaited, (None, None))
        late = deadline is not None and deadline <= micros(signal.event.create_time)
        if execution is not None and execution == signal.event.execution and not late:
            del waiting[signal.awaited]
            taken[place] = signal
    events = [event_of(signal) for signal in taken.values()]
    given = insert_events(db, events)
    rows = map(_signalled_row, taken.values(), given)
    _UPDATE_SIGNALLED.run(db, list(rows))
    posted = zip(taken.values(), given, strict=True)
    insert_letters(db, [each for x, offset in posted for each in _letters(x, offset, on_duty)])
    offsets = dict(zip(taken, given, strict=True))
    return tuple(offsets.get(place) for place in range(len(signals)))


def take_alone(db: sqlite3.Connection, fence: Fence, signal: Signal) -> int | None:
    """Write a signal that comes alone; return its event's offset, None if it was refused.

    Of nearly all, one statement sees that nothing stands against it and nobody is to be told.
    Only what that does not write is looked into.

    Raises:
        FencedError: the runner was replaced.
    """
    if not signal.by_letter:
        offset = _insert_event(db, _TAKE_UNRULED, signal, fence.runner, fence.epoch)
        if offset is not None:
            _UPDATE_SIGNALLED.run(db, (_signalled_row(signal, offset),))
            return offset
    return _take_one(db, signal, on_duty_behind(db, fence, signal.event))


def _take_one(db: sqlite3.Connection, signal: Signal, on_duty: OnDuty) -> int | None:
    offset = _insert_event(db, _TAKE_ONE, signal)
    if offset is not None:
        _UPDATE_SIGNALLED.run(db, (_signalled_row(signal, offset),))
        if signal.by_letter or on_duty.judges:
            insert_letters(db, list(_letters(signal, offset, on_duty)))
    return offset


def _insert_event(
    db: sqlite3.Connection, statement: Numbered, signal: Signal, *more: Value
) -> int | None:
    event = signal.event
    of = (signal.awaited, event.execution, event.key, event.value, event.namespace, event.sender)
    inserted = statement.execute(db, (*of, micros(event.create_time), event.context, *more))
    return inserted.lastrowid if inserted.rowcount else None


def expire(db: sqlite3.Connection, expired: Sequence[Expiry]) -> tuple[bool, ...]:
    """Write whose time is over; return for each whether it was so."""
    if not expired:
        return ()
    sql = (
        f"SELECT id, deadline FROM awaited_event WHERE id {AMONG} AND {WAITS} "
        "AND deadline IS NOT NULL"
    )
    ids = json.dumps([each.awaited for each in expired])
    deadlines: dict[int, int] = dict(db.execute(sql, (ids,)).fetchall())
    so: list[bool] = []
    for each in expired:
        deadline = deadlines.get(each.awaited)
        so.append(deadline is not None and deadline <= micros(each.at))
        if so[-1]:
            del deadlines[each.awaited]
    _time_out(db, [each.awaited for each, over in zip(expired, so, strict=True) if over])
    return tuple(so)


def register(
    db: sqlite3.Connection, awaited: Sequence[NewAwaited]
) -> tuple[AwaitedRecord | None, ...]:
    """Find or make what tasks come to await."""
    if not awaited:
        return ()
    table = _looked_up(db, awaited)
    before = dict(table.records)
    last = first = last_id(db, "awaited_event")
    answers: list[AwaitedRecord | None] = []
    for new in awaited:
        answers.append(table.register(new, last + 1))
        last += last + 1 in table.records
    _time_out(db, [id_ for id_, was in before.items() if table.records[id_].phase != was.phase])
    _MOVE.run(
        db,
        [
            (id_, table.records[id_].place, table.failures[id_])
            for id_, was in before.items()
            if table.records[id_].place != was.place
        ],
    )
    made = range(first + 1, last + 1)
    rows = [_awaited_row(table.records[id_], table.failures[id_]) for id_ in made]
    _INSERT_AWAITED.run(db, rows)
    return tuple(answers)


def close(db: sqlite3.Connection, written: Iterable[tuple[int, ExecutionWrite]]) -> None:
    """Close what runs of tasks await that are over."""
    closings = ((id_, closing) for id_, write in written for closing in write.closings)
    # Of two for one run the first one counts: it leaves nothing that waits.
    first: dict[tuple[int, str, int], tuple[Value, ...]] = {}
    for id_, x in closings:
        run = (id_, x.task, x.sequence_number)
        first.setdefault(run, (*run, plain(x.phase), micros(x.at)))
    _UPDATE_CLOSED.run(db, list(first.values()))


def note(db: sqlite3.Connection, notified: Iterable[Notified]) -> None:
    """Keep what webhooks have answered."""
    last = {x.awaited: (x.awaited, micros(x.at), utf8(x.error)) for x in notified}
    _UPDATE_NOTIFIED.run(db, list(last.values()))


def _looked_up(db: sqlite3.Connection, awaited: Sequence[NewAwaited]) -> AwaitedTable:
    places = {(x.execution, x.task, x.sequence_number, x.name, x.place) for x in awaited}
    rows = {row[0]: row for row in _SELECT_PLACES.select(db, places)}
    table = AwaitedTable()
    for _, row in sorted(rows.items()):
        table.add(record(row), row[-1])
    return table


def _time_out(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    if ids:
        sql = f"UPDATE awaited_event SET phase = 'TIMED_OUT', ended = deadline WHERE id {AMONG}"
        db.execute(sql, (json.dumps(ids),))


def _letters(signal: Signal, offset: int, on_duty: OnDuty) -> Iterator[Addressed]:
    if signal.by_letter:
        yield letter_about(signal), None, offset
    for runner, letter in on_duty.of_signal(signal):
        yield letter, runner, offset


def _signalled_row(signal: Signal, offset: int) -> tuple[Value, ...]:
    event = signal.event
    at, comment = micros(event.create_time), utf8(signal.comment)
    return (signal.awaited, event.value, at, event.sender, comment, offset)


def _awaited_row(made: AwaitedRecord, failures: int) -> tuple[Value, ...]:
    return (
        made.id,
        made.execution,
        made.namespace,
        made.task_name,
        made.sequence_number,
        made.name,
        made.place,
        failures,
        made.data_type,
        made.prompt,
        made.prompt_type,
        made.description,
        micros(made.created),
        micros_or_none(made.deadline),
        made.phase.value,
        micros_or_none(made.ended),
        made.label,
    )
