"""Forgetting what is old, as a store in a file does it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice, takewhile
from typing import TypeVar

from asyncflow._model.record import EventRecord, FiringRecord, TickRecord
from asyncflow._store.batch import Swept
from asyncflow._store.memory.changes import forget
from asyncflow._store.memory.tables import Execution, Named, Tables

Line = TypeVar("Line", FiringRecord, TickRecord)


def sweep(tables: Tables, before: datetime, limit: int) -> Swept:
    """Forget some of what is old."""
    executions = {each.id: each for each in islice(_executions(tables, before), limit)}
    forget(tables, executions)
    letters = tuple(islice(_letters(tables, before), limit))
    for id_ in letters:
        del tables.inbox[id_]
    events = tuple(islice(_events(tables, before), limit))
    for event in events:
        del tables.events[event.offset or 0]
    lines = _forget_lines(tables.firings, lambda line: line.started < before, limit)
    lines += _forget_lines(tables.ticks, lambda line: line.noted < before, limit - lines)
    more = limit in (len(executions), len(letters), len(events), lines)
    return Swept(len(executions), len(events), lines, more=more)


def _executions(tables: Tables, before: datetime) -> Iterator[Execution]:
    letters = [item.letter for item, _ in tables.inbox.values()]
    about = [(letter.execution, letter.event) for letter in letters if letter.event is not None]
    needed = {id_ for id_, _ in about} | {event.execution for _, event in about}
    told = {event.offset for _, event in about}
    for each in takewhile(lambda each: each.new.created < before, tables.executions.values()):
        end = each.head.end if each.head.status.final else None
        if end is not None and end < before and each.id not in needed and each.cause not in told:
            yield each


def _letters(tables: Tables, before: datetime) -> Iterator[int]:
    """Return those that are addressed to nobody, and that nobody has come for."""
    for id_, (item, reader) in tables.inbox.items():
        if reader is None and item.letter.execution is None and item.letter.at < before:
            yield id_


def _events(tables: Tables, before: datetime) -> Iterator[EventRecord]:
    letters = (item.letter.event for item, _ in tables.inbox.values())
    told = {event.offset for event in letters if event is not None}
    oldest = takewhile(lambda each: each.create_time < before, tables.events.values())
    return (each for each in oldest if each.execution is None and each.offset not in told)


def _forget_lines(
    histories: dict[Named, list[Line]], old: Callable[[Line], bool], limit: int
) -> int:
    """Forget lines that no execution goes with; return how many."""
    lines = chain.from_iterable(histories.values())
    gone = {x.id for x in islice((x for x in lines if x.execution is None and old(x)), limit)}
    for history in histories.values() if gone else ():
        history[:] = [line for line in history if line.id not in gone]
    return len(gone)
