"""One transaction in the making: answers gathered until they are committed together.

It also holds what must wait for the commit: commands, and callers who are to be told.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from asyncflow._client.listeners import Sent
from asyncflow._core.commands import Command
from asyncflow._core.execution import Decision, TaskChange
from asyncflow._core.facts import Fact, TaskEnded
from asyncflow._core.state import Closing, Head
from asyncflow._model.record import EventRecord, LogRecord
from asyncflow._runner.entries import (
    Awaited,
    Entry,
    Expired,
    Impulse,
    Signalled,
    Undeliverable,
    Wanted,
)
from asyncflow._runner.live import Heard, LiveExecution, Publication, Told
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    FactWrite,
    Fence,
    NewExecution,
    Notified,
    Receipt,
    WorkflowCell,
)
from asyncflow._store.fact_text import fact_body


class Answer:
    """What was decided about one execution, in order."""

    __slots__ = ("_context", "_decided", "fingerprint", "new")

    def __init__(
        self, new: NewExecution | None = None, context: Mapping[str, str] | None = None
    ) -> None:
        """Begin with nothing decided.

        Args:
            new: the row that the execution is to get first.
            context: what it begins with.
        """
        self.new = new
        self.fingerprint: str | None = None
        self._context = context
        self._decided: list[tuple[Fact, Decision]] = []

    def add(self, fact: Fact, decision: Decision) -> None:
        """Take one more decision."""
        self._decided.append((fact, decision))

    def write(self, row: int) -> ExecutionWrite:
        """Return it as a store wants it."""
        decided = self._decided
        whole = decided[0][1] if len(decided) == 1 else _laid_over_each_other(decided)
        facts = [FactWrite(type(fact).__name__, fact_body(fact), fact.at) for fact, _ in decided]
        context = {**self._context, **whole.context} if self._context else whole.context
        return ExecutionWrite(
            self.new or row,
            whole.head,
            whole.tasks,
            context,
            tuple(facts),
            self.fingerprint,
            whole.cells,
            whole.closings,
        )


def _laid_over_each_other(decided: Sequence[tuple[Fact, Decision]]) -> Decision:
    """Return what several decisions change, the last one's word for each."""
    head: Head | None = None
    tasks: dict[tuple[str, int], TaskChange] = {}
    context: dict[str, str | None] = {}
    cells: dict[str, str | None] = {}
    closings: list[Closing] = []
    for _, each in decided:
        head = each.head or head
        context.update(each.context)
        cells.update(each.cells)
        closings += each.closings
        for change in each.tasks:
            key = (change.state.name, change.state.sequence_number)
            earlier = tasks.pop(key, None)
            if earlier is not None and earlier.outcome is not None and change.outcome is None:
                tasks[key] = TaskChange(change.state, earlier.outcome)
            else:
                tasks[key] = change
    return Decision(head, tuple(tasks.values()), context, cells, closings=tuple(closings))


class Work:
    """Everything that one transaction answers.

    Attributes:
        entries: what was taken from the inbox, in order, for the case that it must be put back.
        facts: how many of them change something.
        ended: how many of these end an attempt.
        begun: how many executions are to get a row.
        late: who asked for an event when that was over, and why: so if this transaction is stored.
        storing: publications whose events this transaction stores, in order of their offsets.
    """

    # Written out: a dataclass would call a factory for each field, in each transaction.
    def __init__(self) -> None:
        """Begin with nothing."""
        self.answers: dict[LiveExecution, Answer] = {}
        self.storing: list[Publication] = []
        self.taken: list[int] = []
        self.commands: list[tuple[LiveExecution, Command]] = []
        self.entries: list[Told | Wanted] = []
        self.publications: list[Publication] = []
        self.undeliverable: list[Undeliverable] = []
        self.heard: list[Heard] = []
        self.impulses: list[Impulse] = []
        self.cells: dict[WorkflowCell, str | None] = {}
        self.logs: tuple[LogRecord, ...] = ()
        self.facts = 0
        self.ended = 0
        self.begun = 0
        self.awaited: list[Awaited] = []
        self.late: list[tuple[Awaited, BaseException]] = []
        self.signals: list[Signalled] = []
        self.expired: list[Expired] = []
        self.notified: list[Notified] = []
        self.closings: list[tuple[LiveExecution, Closing]] = []

    def __len__(self) -> int:
        """Return how much was taken from the inbox."""
        taken = len(self.entries) + len(self.publications) + len(self.heard) + len(self.impulses)
        return taken + len(self.awaited) + len(self.signals)

    @property
    def of_events(self) -> bool:
        """Whether anybody who waits for awaited events is to be told."""
        told = self.signals or self.expired or self.awaited or self.closings
        return bool(told or self.late)

    def begin(self, wanted: Wanted, decision: Decision) -> None:
        """Add an execution that is to get a row, and what follows from its beginning."""
        live = wanted.live
        self.entries.append(wanted)
        self.begun += 1
        self.answers[live] = Answer(wanted.row, live.state.context)
        self.answer(live, wanted.fact, decision)

    def answer(self, live: LiveExecution, fact: Fact, decision: Decision) -> None:
        """Add what follows from a fact, if anything does."""
        if decision.head is not None or decision.tasks or decision.cells:
            self.facts += 1
            self.ended += isinstance(fact, TaskEnded)
            answer = self.answers.get(live)
            if answer is None:
                answer = self.answers[live] = Answer()
            answer.add(fact, decision)
        for command in decision.commands:
            self.commands.append((live, command))
        if decision.closings:
            self.closings += [(live, closing) for closing in decision.closings]

    def batch(self, fence: Fence, executions: Sequence[ExecutionWrite]) -> Batch | None:
        """Return it as a store wants it, with what `Answer.write` gave for each answer.

        None: there is nothing to store.
        """
        waits = self.awaited or self.signals or self.expired or self.notified
        if not (self.storing or self.impulses or waits):  # so are those of most tasks
            if not (executions or self.taken or self.cells or self.logs):
                return None
            return Batch(fence, tuple(executions), (), tuple(self.taken), self.cells, self.logs)
        impulses, storing = self.impulses, self.storing
        return Batch(
            fence=fence,
            executions=tuple(executions),
            events=tuple(self._events()) if storing else (),
            taken=tuple(self.taken),
            cells=self.cells,
            logs=self.logs,
            cursors=tuple([x.cursor for x in impulses if x.cursor]) if impulses else (),
            failed_polls=tuple([x.failed for x in impulses if x.failed]) if impulses else (),
            dropped=tuple([x.dropped for x in impulses if x.dropped]) if impulses else (),
            awaited=tuple([x.row for x in self.awaited]) if self.awaited else (),
            signals=tuple([x.signal for x in self.signals]) if self.signals else (),
            expired=tuple([x.expiry for x in self.expired]) if self.expired else (),
            notified=tuple(self.notified),
            for_rules=tuple([n for n, x in enumerate(storing) if x.for_workflows]),
        )

    def refuse(self, error: Exception) -> list[Entry]:
        """Tell callers that it could not be stored; return what is to be answered again."""
        again: list[Entry] = [*self.undeliverable, *self.expired, *self.notified]
        for entry in self.entries:
            if isinstance(entry, Told) and _reopened(entry):
                again.append(entry)
            elif entry.done is not None:
                _fail(entry.done, error)
        again += [heard for heard in self.heard if _reopened(heard)]
        asking: list[Impulse | Awaited | Signalled] = [*self.impulses, *self.awaited]
        asking += (*self.signals, *(wish for wish, _ in self.late))
        for asked in asking:
            asked.fail(error)
        return again + self._refuse_publications(error)

    def _refuse_publications(self, error: Exception) -> list[Entry]:
        again: list[Entry] = []
        for publication in self.publications:
            if publication.offset is None:
                publication.refused = True
                if publication.done is not None:
                    _fail(publication.done, error)
            elif not publication.open:  # nobody hears it, but its letter is to be taken
                again.append(publication)
        return again

    def sent(self) -> Iterator[Sent]:
        """Yield the events that were sent and that it stored, for listeners."""
        for publication in self.storing:
            if publication.offset is not None:
                yield publication.event.namespace, publication.event.key, publication.offset

    def signalled(self, receipt: Receipt) -> Iterator[Sent]:
        """Yield the events that are signals and that it stored, for listeners."""
        for entry, offset in zip(self.signals, receipt.signals, strict=True):
            if offset is not None:
                yield entry.signal.event.namespace, entry.signal.event.key, offset

    def _events(self) -> Iterator[EventRecord]:
        for publication in self.storing:
            live = publication.confined
            yield replace(publication.event, execution=None if live is None else live.id)


def _fail(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


def _reopened(entry: Told | Heard) -> bool:
    """Say whether an entry whose answer was not stored is to be answered again; it is open then.

    A caller who waits gets the error instead; so does the one who published an event that this
    very transaction should have stored.
    """
    if entry.publication is None:
        return entry.done is None
    if entry.publication.offset is None:
        return False
    entry.publication.open += 1
    return True
