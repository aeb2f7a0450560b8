"""How each query about schedules is answered from the dicts."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from asyncflow._model.record import ScheduleRecord, TickRecord
from asyncflow._store.memory.tables import Tables
from asyncflow._store.queries import Query, Schedules, SchedulesVersion, TickCounts, Ticks


def _schedules(tables: Tables, query: Schedules) -> tuple[ScheduleRecord, ...]:
    found = (
        schedule
        for _, schedule in sorted(tables.schedules.items())
        if query.namespace in (None, schedule.namespace)
        and query.name in (None, schedule.name)
        and query.workflow in (None, schedule.workflow)
        and query.enabled in (None, schedule.enabled)
    )
    end = None if query.limit is None else query.offset + query.limit
    return tuple(islice(found, query.offset, end))


def _schedules_version(tables: Tables, _: SchedulesVersion) -> int:
    return tables.schedules_version


def _ticks(tables: Tables, query: Ticks) -> tuple[TickRecord, ...]:
    lines = reversed(tables.ticks.get((query.namespace, query.schedule), []))
    page = islice(lines, query.offset, query.offset + query.limit)
    return tuple(_tick(tables, line) for line in page)


def _tick_counts(tables: Tables, query: TickCounts) -> Mapping[str, int]:
    found = (_tick(tables, line) for line in _counted(tables, query))
    return dict(Counter(tick.status.value if tick.status else "DROPPED" for tick in found))


def _counted(tables: Tables, query: TickCounts) -> Iterator[TickRecord]:
    for (namespace, schedule), lines in tables.ticks.items():
        if query.namespace in (None, namespace) and query.schedule in (None, schedule):
            yield from (x for x in lines if query.since is None or x.at >= query.since)


def _tick(tables: Tables, line: TickRecord) -> TickRecord:
    if line.execution is None:
        return line
    head = tables.executions[tables.names[line.execution]].head
    return replace(line, status=head.status, ended=head.end)


ANSWERS: Final[dict[type[Query[Any]], Callable[[Tables, Any], Any]]] = {
    Schedules: _schedules,
    SchedulesVersion: _schedules_version,
    Ticks: _ticks,
    TickCounts: _tick_counts,
}
