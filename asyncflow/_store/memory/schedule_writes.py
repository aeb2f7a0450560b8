"""What is changed of schedules and of their histories; nothing here raises."""

from dataclasses import replace
from datetime import datetime

from asyncflow._model.record import TickRecord
from asyncflow._store.batch import DroppedTicks, NewExecution, Refused, Tick
from asyncflow._store.change import PutSchedule
from asyncflow._store.dropped import lines
from asyncflow._store.memory.tables import Named, Tables


def put(tables: Tables, change: PutSchedule) -> tuple[str, ...]:
    """Keep a schedule, or return its name if another version of it is there."""
    new = change.schedule
    key = (new.namespace, new.name)
    found = tables.schedules.get(key)
    if (None if found is None else found.version) != change.instead_of:
        return (new.name,)
    tables.schedules_version += 1
    tables.schedules[key] = replace(
        new,
        id=next(tables.schedule_ids) if found is None else found.id,
        created=new.created if found is None else found.created,
        # A tick may have come since it was read.
        answered=new.answered if found is None else max(new.answered, found.answered),
        last_run=None if found is None else found.last_run,
        version=tables.schedules_version,
    )
    return ()


def drop(tables: Tables, key: Named) -> None:
    """Forget a schedule and its history."""
    if tables.schedules.pop(key, None) is not None:
        tables.schedules_version += 1
        tables.ticks.pop(key, None)


def refusal(tables: Tables, tick: Tick) -> Refused | None:
    """Say why a tick starts nothing."""
    schedule = tables.schedules.get((tick.namespace, tick.schedule))
    if schedule is None or not schedule.enabled or schedule.version != tick.version:
        return Refused.OUTDATED
    return Refused.TICKED_ALREADY if schedule.answered >= tick.at else None


def note_tick(tables: Tables, tick: Tick, new: NewExecution) -> None:
    """Keep what a tick started; it is answered."""
    key = (tick.namespace, tick.schedule)
    _note(tables, key, (tick.at, None), new.created, execution=new.name)
    tables.schedules[key] = replace(tables.schedules[key], answered=tick.at, last_run=tick.at)


def note_dropped(tables: Tables, dropped: DroppedTicks) -> None:
    """Keep which ticks started nothing; they are answered."""
    key = (dropped.namespace, dropped.schedule)
    schedule = tables.schedules.get(key)
    if schedule is None or schedule.version != dropped.version:
        return
    for at, until in lines(dropped, schedule.answered):
        _note(tables, key, (at, until), dropped.noted, dropped=dropped.reason)
        schedule = replace(schedule, answered=until or at)
    tables.schedules[key] = schedule


def forget(tables: Tables, workflow: Named) -> None:
    """Forget the schedules of a workflow."""
    for key, schedule in list(tables.schedules.items()):
        if (schedule.namespace, schedule.workflow) == workflow:
            drop(tables, key)


def _note(
    tables: Tables,
    key: Named,
    due: tuple[datetime, datetime | None],
    noted: datetime,
    *,
    execution: str | None = None,
    dropped: str | None = None,
) -> None:
    line = TickRecord(
        next(tables.tick_ids),
        *key,
        *due,
        noted,
        execution,
        status=None,
        ended=None,
        dropped=dropped,
    )
    tables.ticks.setdefault(key, []).append(line)
