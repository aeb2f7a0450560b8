"""What is changed of awaited events; nothing here raises."""

from dataclasses import replace

from asyncflow._core.state import Closing
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._store.awaited import closed, run_of, timed_out
from asyncflow._store.batch import Expiry, NewAwaited, Notified
from asyncflow._store.codec import utf8
from asyncflow._store.memory.tables import Execution, Tables


def expire(tables: Tables, expiry: Expiry) -> bool:
    """Note that the time of an event is over, if it is and nobody did."""
    record = tables.awaited.records.get(expiry.awaited)
    if record is None or record.phase is not EventPhase.RUNNING:
        return False
    if record.phase_at(expiry.at) is not EventPhase.TIMED_OUT:
        return False
    tables.awaited.put(timed_out(record))
    return True


def register(tables: Tables, new: NewAwaited) -> AwaitedRecord | None:
    """Find or make what a task comes to await."""
    execution = tables.executions[new.execution]
    id_ = tables.last_awaited + 1
    record = tables.awaited.register(new, id_)
    if id_ in tables.awaited.records:
        tables.last_awaited = id_
        execution.awaited.append(id_)
    return record


def close(tables: Tables, execution: Execution, closing: Closing) -> None:
    """Close what a run of a task awaits that is over."""
    for id_ in execution.awaited:
        record = tables.awaited.records[id_]
        own = (record.task_name, record.sequence_number) == (closing.task, closing.sequence_number)
        if own and record.phase is EventPhase.RUNNING:
            tables.awaited.put(closed(record, closing))


def note(tables: Tables, notified: Notified) -> None:
    """Keep what a webhook has answered."""
    record = tables.awaited.records.get(notified.awaited)
    if record is not None:
        error = utf8(notified.error)
        tables.awaited.put(replace(record, notified=notified.at, webhook_error=error))


def forget(tables: Tables, execution: Execution) -> None:
    """Drop what its tasks have awaited."""
    table = tables.awaited
    for id_ in execution.awaited:
        record = table.records.pop(id_)
        del table.failures[id_]
        table.newest.pop((run_of(record), record.place), None)
        table.waiting.pop(run_of(record), None)
