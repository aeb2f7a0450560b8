"""Where entries are answered: each becomes changes and commands of the transaction in hand.

It decides on committed state plus what this very transaction changes. It writes nothing: if the
transaction fails, the driver reads the states again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, assert_never

from asyncflow._core.decide import decide, may_await
from asyncflow._core.facts import EventAwaited, EventSent, Fact, StopRequested, TaskActionRequested
from asyncflow._core.state import TaskState
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow._runner.entries import (
    Awaited,
    Entry,
    Expired,
    Impulse,
    Signalled,
    Undeliverable,
    Wanted,
)
from asyncflow._runner.judge import Judge, Pending
from asyncflow._runner.live import Heard, LiveExecution, Publication, RuledWorkflow, Told, Verdicts
from asyncflow._runner.receivers import Receivers
from asyncflow._runner.rulebook import Rulebook
from asyncflow._runner.work import Work
from asyncflow._store.batch import Notified
from asyncflow.errors import TaskStopped, UsageError

NO_VERDICTS: Final = Verdicts()


class Desk:
    """Answers one entry at a time."""

    def __init__(
        self,
        judge: Judge,
        rulebook: Rulebook,
        again: Callable[[Sequence[Entry]], None],
        between: Callable[[Callable[[], None]], None],
    ) -> None:
        """Begin with nobody who hears.

        Args:
            judge: says which conditions are met.
            rulebook: has the workflow rules.
            again: takes what is to be answered next, before everything else.
            between: calls back when no entry is half answered.
        """
        self.receivers = Receivers()
        self._judge = judge
        self._rulebook = rulebook
        self._again = again
        self._between = between

    def open(self, work: Work, entry: Entry) -> Iterator[None] | None:  # noqa: C901  one arm for each
        """Answer an entry, or set it aside until a condition has been judged.

        What may take long is returned: it is answered step by step while it is iterated over, and
        nothing else is answered before its end.
        """
        match entry:
            case Told():
                self._tell(work, entry)
            case Wanted():
                self._begin(work, entry)
            case Publication():
                return self._publish(work, entry)
            case Heard():
                self._hear(work, entry)
            case Impulse():
                work.impulses.append(entry)
                return self._begin_all(work, entry)
            case Awaited():
                self._await(work, entry)
            case Signalled():
                self._signal(work, entry)
            case Expired():
                work.expired.append(entry)
            case Notified():
                work.notified.append(entry)
            case Undeliverable(letter):
                work.taken.append(letter)
                work.undeliverable.append(entry)
            case _:
                assert_never(entry)
        return None

    def _await(self, work: Work, wish: Awaited) -> None:
        """Let an attempt await an event, unless that is over."""
        live, fact = wish.live, wish.fact
        task = live.state.task(fact.task)
        if not may_await(task, fact):
            work.late.append((wish, _too_late(live, fact, task)))
            return
        decision = decide(live.plan, live.state, fact)
        live.state.apply(decision)
        work.answer(live, fact, decision)
        work.awaited.append(wish)

    def _signal(self, work: Work, entry: Signalled) -> None:
        """Have a signal stored; rules hear of it by a letter, once it is known to be taken."""
        event = entry.signal.event
        heard = event.key in entry.live.plan.by_key
        if heard or self._rulebook.of(event.namespace, event.key):
            entry.signal = replace(entry.signal, by_letter=True)
        work.signals.append(entry)

    def _begin(self, work: Work, wanted: Wanted) -> None:
        live = wanted.live
        decision = decide(live.plan, live.state, wanted.fact)
        live.state.apply(decision)
        work.begin(wanted, decision)

    def _begin_all(self, work: Work, impulse: Impulse) -> Iterator[None]:
        for wanted in impulse.wanted:
            self._begin(work, wanted)
            yield

    def _publish(self, work: Work, publication: Publication) -> Iterator[None]:
        """Store an event, and tell it to everybody who hears it."""
        work.publications.append(publication)
        if publication.offset is None:
            work.storing.append(publication)
        event = publication.event
        if publication.confined is not None:
            lives: tuple[LiveExecution, ...] = (publication.confined,)
        elif event.execution is not None:
            lives = ()  # it has ended since
        else:
            lives = self.receivers.of(event.namespace, event.key)
        offset = publication.offset if publication.letter is not None else None
        fact = EventSent(event.create_time, event.key, offset=offset)
        publication.open += 1  # until all have been told
        for live in lives:
            if event.key in live.plan.by_key and _heard_by(publication, live):
                publication.open += 1
                self._tell(work, Told(live, fact, publication))
                yield
        if publication.for_workflows:
            for workflow in self._hearers(publication):
                publication.open += 1
                self._hear(work, Heard(workflow, publication))
        _close(work, publication)

    def _hearers(self, publication: Publication) -> Sequence[RuledWorkflow]:
        if publication.ruled is None:
            return self._rulebook.of(publication.event.namespace, publication.event.key)
        return [workflow for workflow in publication.ruled if workflow.rules]

    def _tell(self, work: Work, told: Told) -> None:
        """Answer a fact, unless the execution waits for a condition to be judged."""
        if told.publication is not None and told.publication.refused:
            return  # judged meanwhile, and not stored
        live = told.live
        stopping = live.state.head.stopping or _is_stop(told.fact)
        if live.held is not None and told.verdicts is None and not stopping:
            live.held.append(told)
            return
        if told.publication is not None and told.verdicts is None and not _is_old(told):
            verdicts = self._judge.execution(told.live, told.publication.event)
            if isinstance(verdicts, Pending):
                told.live.held = deque()
                judged = partial(self._judged, told)
                self._judge.later(verdicts, lambda met: self._between(partial(judged, met)))
                return
            told.verdicts = verdicts
        self.answer(work, told)
        if isinstance(told.fact, StopRequested):
            self.release(live)

    def _judged(self, told: Told, verdicts: Verdicts) -> None:
        """Answer the event that was judged, then what its execution was told meanwhile."""
        told.verdicts = verdicts
        held, told.live.held = told.live.held or deque[Told](), None
        self._again([told, *held])

    def release(self, live: LiveExecution) -> None:
        """Answer what waits for a condition to be judged, but for events, which wait on."""
        if live.held:
            facts = [told for told in live.held if told.publication is None]
            live.held = deque(told for told in live.held if told.publication is not None)
            self._again(facts)

    def _hear(self, work: Work, heard: Heard) -> None:
        """Start a workflow if an event meets one of its rules; at most once."""
        publication, ruled = heard.publication, heard.workflow
        if publication.refused:
            return  # judged meanwhile, and not stored
        if ruled.held is not None and heard.verdicts is None:
            ruled.held.append(heard)
            return
        if heard.verdicts is None and ruled.has_heard(publication):
            _close(work, publication)
            return
        if heard.verdicts is None:
            verdicts = self._rulebook.judge(ruled, publication.event)
            if isinstance(verdicts, Pending):
                ruled.held = deque()
                ruled_on = partial(self._ruled, heard)
                self._judge.later(verdicts, lambda met: self._between(partial(ruled_on, met)))
                return
            heard.verdicts = verdicts
        work.heard.append(heard)
        changed = {**heard.verdicts.cells, **ruled.hears(publication)}
        ruled.remember(changed)
        work.cells.update({(*ruled.key, name): text for name, text in changed.items()})
        wanted = self._rulebook.wanted(heard, work) if heard.verdicts.met else None
        if wanted is not None:
            self._begin(work, wanted)
        _close(work, publication)

    def _ruled(self, heard: Heard, verdicts: Verdicts) -> None:
        """Answer the event that was judged, then those that came meanwhile."""
        heard.verdicts = verdicts
        held, heard.workflow.held = heard.workflow.held or deque[Heard](), None
        self._again([heard, *held])

    def answer(self, work: Work, told: Told) -> None:
        """Decide on a fact."""
        live, fact, verdicts = told.live, told.fact, told.verdicts or NO_VERDICTS
        work.entries.append(told)
        if isinstance(fact, EventSent) and (verdicts.faults or verdicts.cells):
            fact = replace(fact, faults=verdicts.faults, cells=verdicts.cells)
        decision = decide(live.plan, live.state, fact, verdicts.met)
        live.state.apply(decision)
        work.answer(live, fact, decision)
        if told.answered is not None:
            told.answered()
        if live.redefined and live in work.answers:
            work.answers[live].fingerprint = live.plan.fingerprint
            live.redefined = False
        if told.letter is not None:
            work.taken.append(told.letter)
        if told.publication is not None:
            _close(work, told.publication)


def _close(work: Work, publication: Publication) -> None:
    """Note one more answer to an event; with the last one its letter is taken."""
    publication.open -= 1
    if publication.letter is not None and not publication.open:
        work.taken.append(publication.letter)


def _too_late(live: LiveExecution, fact: EventAwaited, task: TaskState) -> BaseException:
    """Return why an attempt awaits nothing: most are told to stop, and will be in a moment."""
    if task.status is TaskStatus.STOPPING:
        return TaskStopped()
    text = (
        f"task {fact.task!r} of {live.name!r} awaits no event {fact.name!r}: the attempt "
        "that asks for it is over; ask in the task itself"
    )
    return UsageError(text)


def _is_stop(fact: Fact) -> bool:
    """Say whether it is a wish to stop, which does not wait for a condition to be judged."""
    if isinstance(fact, TaskActionRequested):
        return fact.action is TaskAction.STOP
    return isinstance(fact, StopRequested)


def _heard_by(publication: Publication, live: LiveExecution) -> bool:
    """Say whether it was there when a letter was written that waited for an heir."""
    return publication.until is None or 0 < live.id <= publication.until


def _is_old(told: Told) -> bool:
    """Say whether it is an event that the execution has heard before, or needs not to."""
    head, fact = told.live.state.head, told.fact
    offset = fact.offset if isinstance(fact, EventSent) else None
    return head.stopping or (offset is not None and offset <= head.heard)
