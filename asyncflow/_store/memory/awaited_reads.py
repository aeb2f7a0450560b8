"""How queries about awaited events are answered from the dicts."""

from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._store.memory.tables import Tables
from asyncflow._store.queries import AwaitedByIds, AwaitedByName, AwaitedEvents, Query


def _by_ids(tables: Tables, query: AwaitedByIds) -> tuple[AwaitedRecord, ...]:
    records = tables.awaited.records
    return tuple(records[id_] for id_ in sorted(set(query.ids)) if id_ in records)


def _by_name(tables: Tables, query: AwaitedByName) -> AwaitedRecord | None:
    execution = tables.names.get(query.run_name)
    if execution is None:
        return None
    of_name = AwaitedEvents(
        execution=execution,
        task=query.task,
        sequence_number=query.sequence_number,
        name=query.name,
        limit=1,
        newest_first=True,
    )
    found = _listed(tables, replace(of_name, waiting_at=query.waiting_at))
    return next(iter(found or _listed(tables, of_name)), None)


def _listed(tables: Tables, query: AwaitedEvents) -> tuple[AwaitedRecord, ...]:
    ids = _candidates(tables, query)
    ordered = sorted(ids, reverse=query.newest_first)
    records = (tables.awaited.records[id_] for id_ in ordered)
    return tuple(islice((each for each in records if _matches(each, query)), query.limit))


def _candidates(tables: Tables, query: AwaitedEvents) -> Collection[int]:
    if query.execution is not None:
        execution = tables.executions.get(query.execution)
        return () if execution is None else execution.awaited
    waits = query.waiting_at is not None
    return tables.awaited.waiting.values() if waits else tables.awaited.records


def _matches(record: AwaitedRecord, query: AwaitedEvents) -> bool:
    at, after = query.waiting_at, query.after
    newer = after is None or (record.id < after if query.newest_first else record.id > after)
    return (
        newer
        and query.namespace in (None, record.namespace)
        and query.execution in (None, record.execution)
        and query.task in (None, record.task_name)
        and query.sequence_number in (None, record.sequence_number)
        and query.name in (None, record.name)
        and (at is None or record.phase_at(at) is EventPhase.RUNNING)
    )


ANSWERS: Final[dict[type[Query[Any]], Callable[[Tables, Any], Any]]] = {
    AwaitedByIds: _by_ids,
    AwaitedByName: _by_name,
    AwaitedEvents: _listed,
}
