"""Which awaited events are found, made, signalled and closed: the same in every store.

It holds values by id and by place; where they are kept is the store's business.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from asyncflow._core.state import Closing
from asyncflow._model.record import AwaitedRecord, EventRecord
from asyncflow._model.status import EventPhase
from asyncflow._store.batch import Letter, NewAwaited, Signal
from asyncflow._store.codec import utf8
from asyncflow._store.fact_text import SIGNALLED, signalled_body

FIRST: Final = "1"

Run = tuple[int, str, int, str]
"""An execution, a task, its sequence number and the name of an event in that run."""


@dataclass(slots=True)
class AwaitedTable:
    """Awaited events: those of a store, or those that matter to one transaction.

    Attributes:
        failures: how many attempts of its run had failed when each was made.
        newest: the id of the last one made at each place.
        waiting: the id of the one that is RUNNING, in the order of these ids.
    """

    records: dict[int, AwaitedRecord] = field(default_factory=dict[int, AwaitedRecord])
    failures: dict[int, int] = field(default_factory=dict[int, int])
    newest: dict[tuple[Run, int], int] = field(default_factory=dict[tuple[Run, int], int])
    waiting: dict[Run, int] = field(default_factory=dict[Run, int])

    def add(self, record: AwaitedRecord, failures: int) -> None:
        """Take in one whose id is greater than all before it."""
        self.failures[record.id] = failures
        self.newest[run_of(record), record.place] = record.id
        self.put(record)

    def put(self, record: AwaitedRecord) -> None:
        """Replace one by what has become of it."""
        self.records[record.id] = record
        run = run_of(record)
        if record.phase is EventPhase.RUNNING:
            self.waiting[run] = record.id
        elif self.waiting.get(run) == record.id:
            del self.waiting[run]

    def register(self, new: NewAwaited, id_: int) -> AwaitedRecord | None:
        """Find the event that a task awaits, or make it with this id; None: it is refused."""
        run = (new.execution, new.task, new.sequence_number, new.name)
        self._expire(run, new.created)
        found = self.newest.get((run, new.place))
        if found is not None:
            record = self.records[found]
            over = record.phase is EventPhase.TIMED_OUT and self.failures[found] < new.failures
            if not over:
                return record
        waiting = self.waiting.get(run)
        if waiting is not None:
            # An attempt that has failed may have left it; then it has a new place.
            return self._moved(waiting, new) if self.failures[waiting] < new.failures else None
        # An address that was given away before leads to the old one for ever.
        again = new.failures > 0 and (found is not None or new.place > 1)
        record = _made(new, id_, f"{new.place}.{id_}" if again else _label(new.place))
        self.add(record, new.failures)
        return record

    def _moved(self, id_: int, new: NewAwaited) -> AwaitedRecord:
        record = self.records[id_]
        run = run_of(record)
        if self.newest.get((run, record.place)) == id_:
            del self.newest[run, record.place]
        moved = self.records[id_] = replace(record, place=new.place)
        self.newest[run, new.place] = id_
        self.failures[id_] = new.failures
        return moved

    def _expire(self, run: Run, at: datetime) -> None:
        waiting = self.waiting.get(run)
        if waiting is not None:
            record = self.records[waiting]
            if record.phase_at(at) is EventPhase.TIMED_OUT:
                self.put(timed_out(record))


def run_of(record: AwaitedRecord) -> Run:
    """Return the run in which it is awaited, and its name."""
    return (record.execution, record.task_name, record.sequence_number, record.name)


def takes(record: AwaitedRecord, signal: Signal) -> bool:
    """Say whether an awaited event takes a signal."""
    own = record.execution == signal.event.execution
    return own and record.phase_at(signal.event.create_time) is EventPhase.RUNNING


def signalled(record: AwaitedRecord, signal: Signal, offset: int) -> AwaitedRecord:
    """Return what a signal makes of the event that it answers."""
    return replace(
        record,
        phase=EventPhase.SUCCEEDED,
        value=signal.event.value,
        ended=signal.event.create_time,
        sender=signal.event.sender,
        comment=utf8(signal.comment),
        offset=offset,
    )


def timed_out(record: AwaitedRecord) -> AwaitedRecord:
    """Return what the end of its time makes of an event."""
    return replace(record, phase=EventPhase.TIMED_OUT, ended=record.deadline)


def closed(record: AwaitedRecord, closing: Closing) -> AwaitedRecord:
    """Return what the end of its run makes of an event that waits."""
    if record.phase_at(closing.at) is EventPhase.TIMED_OUT:
        return timed_out(record)
    return replace(record, phase=closing.phase, ended=closing.at)


def event_of(signal: Signal) -> EventRecord:
    """Return the event that is stored with a signal."""
    event, awaited = signal.event, signal.awaited
    return event if event.awaited == awaited else replace(event, awaited=awaited)


def letter_about(signal: Signal) -> Letter:
    """Return the letter that tells the owner of the execution about a signal, but no rules."""
    event, body = event_of(signal), signalled_body(signal.awaited)
    return Letter(event.namespace, SIGNALLED, body, event.create_time, event.execution, event)


def _made(new: NewAwaited, id_: int, label: str) -> AwaitedRecord:
    return AwaitedRecord(
        id=id_,
        execution=new.execution,
        run_name=new.run_name,
        namespace=new.namespace,
        task_name=new.task,
        sequence_number=new.sequence_number,
        name=new.name,
        place=new.place,
        data_type=new.data_type,
        created=new.created,
        prompt=utf8(new.prompt) or "",
        prompt_type=new.prompt_type,
        description=utf8(new.description) or "",
        deadline=new.deadline,
        label=label,
    )


def _label(place: int) -> str:
    return FIRST if place == 1 else str(place)  # many wait: one text for nearly all of them
