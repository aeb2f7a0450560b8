"""What the owner of an execution knows of events that its tasks await, and what becomes of them.

The store has the truth; this is told to those who wait.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from asyncflow._frozen import value
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._timer import Timer


@dataclass(slots=True, eq=False, repr=False)
class Awaiting:
    """An awaited event, in the memory of the execution's owner, as long as it waits.

    Many thousands may wait, each for one event, and mostly one waits for each: that one has no
    list around it.
    """

    task: str
    sequence_number: int
    timer: Timer | None = None
    _first: "Telling | None" = None
    _others: "tuple[Telling, ...]" = ()

    @property
    def waiters(self) -> "tuple[Telling, ...]":
        """Who is told what became of it."""
        return self._others if self._first is None else (self._first, *self._others)

    def add(self, waiter: "Telling") -> None:
        """Have one more told."""
        if self._first is None:
            self._first = waiter
        else:
            self._others += (waiter,)

    def remove(self, waiter: "Telling") -> None:
        """Have one told no more."""
        if self._first is waiter:
            self._first = None
        else:
            self._others = tuple([other for other in self._others if other is not waiter])

    def tell(self, id_: int, answer: "Answer | None") -> None:
        """Tell those who wait."""
        if self.timer is not None:
            self.timer.cancel()
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result((id_, answer))

    def fail(self, error: Exception) -> None:
        """Tell them that nobody will tell them."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


Telling: TypeAlias = asyncio.Future[tuple[int, "Answer | None"]]
"""Takes an event's id and what became of it; None: the store knows."""


@value(frozen=True, slots=True)
class Answer:
    """What became of an awaited event; the fields are those of its record."""

    phase: EventPhase
    ended: datetime
    value: str | None = None
    sender: str | None = None
    comment: str | None = None
    offset: int | None = None

    def of(self, record: AwaitedRecord) -> AwaitedRecord:
        """Return the record as it is now."""
        # Written out: whoever waits for a signal waits for this, too, and `replace` is slow.
        return AwaitedRecord(
            id=record.id,
            execution=record.execution,
            run_name=record.run_name,
            namespace=record.namespace,
            task_name=record.task_name,
            sequence_number=record.sequence_number,
            name=record.name,
            place=record.place,
            data_type=record.data_type,
            created=record.created,
            prompt=record.prompt,
            prompt_type=record.prompt_type,
            description=record.description,
            deadline=record.deadline,
            phase=self.phase,
            value=self.value,
            ended=self.ended,
            sender=self.sender,
            comment=self.comment,
            offset=self.offset,
            notified=record.notified,
            webhook_error=record.webhook_error,
            label=record.label,
        )
