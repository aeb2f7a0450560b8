"""How each query about triggers is answered from the dicts."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from asyncflow._model.record import FiringRecord, TriggerRecord
from asyncflow._store.memory.tables import Tables
from asyncflow._store.queries import DisabledTriggers, Firings, Query, Triggers


def _triggers(tables: Tables, query: Triggers) -> tuple[TriggerRecord, ...]:
    found = (
        trigger
        for _, trigger in sorted(tables.triggers.items())
        if query.namespace in (None, trigger.namespace)
        and query.name in (None, trigger.name)
        and query.enabled in (None, trigger.enabled)
    )
    end = None if query.limit is None else query.offset + query.limit
    return tuple(islice(found, query.offset, end))


def _disabled_triggers(tables: Tables, _: DisabledTriggers) -> frozenset[tuple[str, str]]:
    return frozenset(key for key, trigger in tables.triggers.items() if not trigger.enabled)


def _firings(tables: Tables, query: Firings) -> tuple[FiringRecord, ...]:
    lines = reversed(tables.firings.get((query.namespace, query.trigger), []))
    page = islice(lines, query.offset, query.offset + query.limit)
    return tuple(_firing(tables, line) for line in page)


def _firing(tables: Tables, line: FiringRecord) -> FiringRecord:
    if line.execution is None:
        return line
    execution = tables.executions[tables.names[line.execution]]
    return replace(line, ended=execution.head.end)


ANSWERS: Final[dict[type[Query[Any]], Callable[[Tables, Any], Any]]] = {
    Triggers: _triggers,
    DisabledTriggers: _disabled_triggers,
    Firings: _firings,
}
