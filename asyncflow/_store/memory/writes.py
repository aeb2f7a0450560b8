"""What each verb changes. The `check_` functions raise; after them nothing does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from asyncflow._core.state import Head, Outcome
from asyncflow._model.record import EventRecord
from asyncflow._store.awaited import event_of, letter_about, signalled, takes
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    FactRecord,
    Fence,
    InboxItem,
    Letter,
    Receipt,
    Refused,
    Signal,
)
from asyncflow._store.codec import utf8
from asyncflow._store.for_rules import OnDuty, copies
from asyncflow._store.heirs import NO_NAMES
from asyncflow._store.memory import awaited_writes, owners, schedule_writes, trigger_writes
from asyncflow._store.memory.admission import admit, yield_alone
from asyncflow._store.memory.owners import check_fence, own
from asyncflow._store.memory.tables import Execution, Tables
from asyncflow._store.refusal import unknown_executions

K = TypeVar("K")


def check_batch(tables: Tables, batch: Batch) -> None:
    """Raise unless the batch can be written."""
    check_fence(tables, batch.fence)
    _check_executions(tables, [w.target for w in batch.executions if isinstance(w.target, int)])
    _check_executions(tables, [new.execution for new in batch.awaited])
    _check_confined(tables, batch.events)


def check_letters(tables: Tables, letters: Sequence[Letter], fence: Fence | None) -> None:
    """Raise unless the letters can be put."""
    check_fence(tables, fence)
    _check_executions(tables, [x.execution for x in letters if x.execution is not None])
    _check_confined(tables, [letter.event for letter in letters if letter.event is not None])


def commit(tables: Tables, batch: Batch) -> Receipt:
    """Write a batch."""
    owner = batch.fence.runner if batch.fence else None
    offsets = tuple(_store_event(tables, event) for event in batch.events)
    on_duty = owners.on_duty(tables, batch)
    _post_for_rules(tables, [offsets[place] for place in batch.for_rules], on_duty)
    signals = tuple(_take(tables, signal, on_duty) for signal in batch.signals)
    expired = tuple(awaited_writes.expire(tables, each) for each in batch.expired)
    awaited = tuple(awaited_writes.register(tables, new) for new in batch.awaited)
    _write_stored(tables, batch.executions)
    for dropped in batch.dropped:
        schedule_writes.note_dropped(tables, dropped)
    ids = tuple(_make(tables, write, owner, offsets) for write in batch.executions)
    for notified in batch.notified:
        awaited_writes.note(tables, notified)
    for poll in batch.failed_polls:
        trigger_writes.note_failure(tables, poll)
    for cursor in batch.cursors:
        trigger_writes.write_cursor(tables, cursor)
    _put_all(tables.cells, batch.cells)
    for line in batch.logs:
        execution = tables.executions.get(line.execution)
        if execution is not None:
            execution.logs.append(
                replace(line, id=next(tables.log_ids), text=utf8(line.text) or "")
            )
    for id_ in batch.taken:
        tables.inbox.pop(id_, None)
    return Receipt(ids, offsets, awaited, signals, expired)


def append(tables: Tables, letters: Sequence[Letter]) -> tuple[int | None, ...]:
    """Put letters into the inbox."""
    return tuple(_post(tables, letter) for letter in letters)


def _check_executions(tables: Tables, ids: Iterable[int]) -> None:
    unknown = {id_ for id_ in ids if id_ not in tables.executions}
    if unknown:
        raise unknown_executions(unknown)


def _check_confined(tables: Tables, events: Iterable[EventRecord]) -> None:
    _check_executions(tables, [e.execution for e in events if e.execution is not None])


def _write_stored(tables: Tables, writes: Iterable[ExecutionWrite]) -> None:
    # Before anything is started: what ends leaves its `alone` to the others of its transaction.
    for write in writes:
        if isinstance(write.target, int):
            execution = tables.executions[write.target]
            _write(tables, execution, write, execution.owner)
            if execution.head.status.final:
                yield_alone(tables, execution)


def _make(
    tables: Tables, write: ExecutionWrite, owner: str | None, offsets: Sequence[int]
) -> int | Refused:
    if isinstance(write.target, int):
        return write.target
    final = write.head is not None and write.head.status.final
    execution = admit(tables, write.target, final, offsets)
    if isinstance(execution, Refused):
        return execution
    _write(tables, execution, write, owner)
    return execution.id


def _write(tables: Tables, execution: Execution, write: ExecutionWrite, owner: str | None) -> None:
    if write.head is not None:
        execution.head = _stored_head(write.head)
    if write.fingerprint is not None:
        execution.fingerprint = write.fingerprint
    own(tables, execution, owner)
    _write_tasks(tables, execution, write)
    for closing in write.closings:
        awaited_writes.close(tables, execution, closing)
    _put_all(execution.context, write.context)
    _put_all(execution.cells, write.cells)
    for fact in write.facts:
        tables.last_fact += 1
        execution.facts.append(
            FactRecord(tables.last_fact, execution.id, fact.kind, fact.body, fact.at)
        )


def _write_tasks(tables: Tables, execution: Execution, write: ExecutionWrite) -> None:
    for task in write.tasks:
        name, number = task.state.name, task.state.sequence_number
        _, kept = execution.tasks.get((name, number), (None, None))
        outcome = kept if task.outcome is None else _stored_outcome(task.outcome)
        execution.tasks[name, number] = (task.state, outcome)
        if (name, number) not in execution.task_ids:
            execution.task_ids[name, number] = next(tables.task_ids)
        if number > execution.latest.get(name, -1):
            execution.latest.pop(name, None)
            execution.latest[name] = number


def _put_all(kept: dict[K, str], changes: Mapping[K, str | None]) -> None:
    for key, text in changes.items():
        if text is None:
            kept.pop(key, None)
        else:
            kept[key] = text


def _stored_head(head: Head) -> Head:
    if head.error is None and head.parked_reason is None:
        return head
    return replace(head, error=utf8(head.error), parked_reason=utf8(head.parked_reason))


def _stored_outcome(outcome: Outcome) -> Outcome:
    if outcome.error is None and outcome.traceback is None:
        return outcome
    return replace(outcome, error=utf8(outcome.error), traceback=utf8(outcome.traceback))


def _store_event(tables: Tables, event: EventRecord) -> int:
    tables.last_offset = offset = tables.last_offset + 1
    tables.events[offset] = replace(event, offset=offset, run_name=None)
    return offset


def _take(tables: Tables, signal: Signal, on_duty: OnDuty) -> int | None:
    record = tables.awaited.records.get(signal.awaited)
    if record is None or not takes(record, signal):
        return None
    offset = _store_event(tables, event_of(signal))
    if signal.by_letter:
        _put(tables, offset, [(None, letter_about(signal))])
    _put(tables, offset, on_duty.of_signal(signal))
    tables.awaited.put(signalled(record, signal, offset))
    return offset


def _post(tables: Tables, letter: Letter) -> int | None:
    offset = None
    if letter.event is not None:
        offset = _store_event(tables, letter.event)
    wide = letter.execution is None
    of_nobody = owners.of_nobody(tables) if wide else NO_NAMES
    until = tables.last_execution if wide and owners.unowned(tables, letter.namespace) else 0
    _put(tables, offset, copies(letter, tables.runners, of_nobody, until))
    return offset


def _post_for_rules(tables: Tables, offsets: Iterable[int], on_duty: OnDuty) -> None:
    for offset in offsets:
        _put(tables, offset, on_duty.of_event(tables.events[offset]))


def _put(tables: Tables, offset: int | None, letters: Iterable[tuple[str | None, Letter]]) -> None:
    event = None if offset is None else tables.events[offset]
    for runner, letter in letters:
        id_ = next(tables.letter_ids)
        tables.inbox[id_] = (InboxItem(id_, replace(letter, event=event)), runner)
