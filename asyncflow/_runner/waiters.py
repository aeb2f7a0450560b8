"""Who waits for awaited events: asyncio futures, told what became of them once that is on disk.

They are hints. What is true is in the store: a waiter that is told nothing more definite looks
there. Everything is called on the home loop.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from asyncflow._clock import Clock
from asyncflow._core.state import Closing
from asyncflow._model.record import AwaitedRecord, EventRecord
from asyncflow._model.status import EventPhase
from asyncflow._model.value import from_json_text
from asyncflow._runner.awaiting import Answer, Awaiting
from asyncflow._runner.entries import Awaited, Entry, Expired, Signalled
from asyncflow._runner.live import LiveExecution
from asyncflow._runner.work import Work
from asyncflow._store.batch import Expiry, Receipt
from asyncflow._timer import Callback, Timer


@dataclass(slots=True)
class _Opening:
    """Events of one execution are being made, or found; meanwhile answers come by letter."""

    number: int = 0
    answers: dict[int, Answer] = field(default_factory=dict[int, Answer])


class Waiters:
    """Futures and timers of the awaited events of the executions that a runner owns."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none; ``put`` and ``timer`` must be set before the first."""
        self.put: Callable[[Entry], None]
        self.timer: Callable[[datetime, Callback], Timer]
        self.letters: Callable[[], None]
        self._clock = clock
        self._opening: dict[LiveExecution, _Opening] = {}
        self._closed = False

    def answer(self, live: LiveExecution, id_: int, answer: Answer) -> None:
        """Tell those who wait for an event what became of it."""
        awaiting = live.awaiting.pop(id_, None)
        if awaiting is not None:
            awaiting.tell(id_, answer)
        if live in self._opening:
            self._opening[live].answers[id_] = answer

    @contextmanager
    def opening(self, live: LiveExecution) -> Generator[None]:
        """Remember what is answered while the making of an event is on its way.

        The transaction may have found it as it was before the answer, and say so after it.
        """
        opening = self._opening.setdefault(live, _Opening())
        opening.number += 1
        try:
            yield
        finally:
            opening.number -= 1
            if not opening.number:
                del self._opening[live]

    def settle(self, work: Work, receipt: Receipt) -> None:
        """Tell what a transaction has stored of awaited events."""
        for entry, offset in zip(work.signals, receipt.signals, strict=True):
            self._taken(entry, offset)
        for expired, was in zip(work.expired, receipt.expired, strict=True):
            if was:
                answer = Answer(EventPhase.TIMED_OUT, expired.expiry.at)
                self.answer(expired.live, expired.expiry.awaited, answer)
            else:  # somebody was first, or a transaction that was in doubt has stored it
                self._look_up(expired.live, expired.expiry.awaited)
        for wish, record in zip(work.awaited, receipt.awaited, strict=True):
            if not wish.done.done():
                wish.done.set_result(None if record is None else self._opened(wish, record))
        for live, closing in work.closings:
            self._close(live, closing)
        for late, why in work.late:
            late.fail(why)

    def doubt(self, work: Work) -> None:
        """Let those look into the store who wait for what a failed transaction may have stored."""
        for entry in work.signals:
            self._look_up(entry.live, entry.signal.awaited)
        for live, closing in work.closings:
            self._close(live, closing)

    def close(self, lives: Iterable[LiveExecution]) -> None:
        """Let no timer of these executions fire any more; the next owner sets them anew."""
        self._closed = True
        for live in lives:
            for awaiting in live.awaiting.values():
                if awaiting.timer is not None:
                    awaiting.timer.cancel()

    def _taken(self, entry: Signalled, offset: int | None) -> None:
        """Tell those who wait of a signal, unless it was refused, and then who signals.

        With its letter the rules hear of it, and those who wait after them: if these went on now,
        the execution might end before its rules have answered.
        """
        if offset is not None:
            signal = entry.signal
            if signal.by_letter:
                self.letters()
            else:
                self.answer(entry.live, signal.awaited, answer_of(signal.event, offset))
        if not entry.done.done():
            entry.done.set_result(offset)

    def _opened(self, wish: Awaited, record: AwaitedRecord) -> AwaitedRecord:
        """Begin to wait, unless it is over already."""
        if record.phase is not EventPhase.RUNNING:
            return record
        opening = self._opening.get(wish.live)
        answer = None if opening is None else opening.answers.get(record.id)
        if answer is not None:
            return answer.of(record)
        awaiting = wish.live.awaiting.get(record.id)
        if awaiting is None:
            awaiting = Awaiting(record.task_name, record.sequence_number)
            wish.live.awaiting[record.id] = awaiting
            if record.deadline is not None and not self._closed:
                self._time(wish.live, record.id, awaiting, record.deadline)
        return record

    def _time(self, live: LiveExecution, id_: int, awaiting: Awaiting, deadline: datetime) -> None:
        def fire() -> None:
            if not self._closed:
                self.put(Expired(live, Expiry(id_, self._clock.now())))

        awaiting.timer = self.timer(deadline, fire)

    def _close(self, live: LiveExecution, closing: Closing) -> None:
        """Let those look who wait for what a run of a task asked for, which is over."""
        run = (closing.task, closing.sequence_number)
        for id_, awaiting in tuple(live.awaiting.items()):
            if (awaiting.task, awaiting.sequence_number) == run:
                self._look_up(live, id_)

    def _look_up(self, live: LiveExecution, id_: int) -> None:
        awaiting = live.awaiting.pop(id_, None)
        if awaiting is not None:
            awaiting.tell(id_, None)


def answer_of(event: EventRecord, offset: int) -> Answer:
    """Return what an event, as which a signal was stored, makes of the one that awaits it."""
    note = None if event.context is None else from_json_text(event.context)
    return Answer(
        EventPhase.SUCCEEDED,
        event.create_time,
        event.value,
        event.sender,
        note if isinstance(note, str) else None,
        offset,
    )
