"""Which runners hear by letter what their rules are to judge: the same in every store.

It names readers; it never says what their rules do.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from asyncflow._core.facts import EventSent
from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Batch, Letter, Signal
from asyncflow._store.reach import Expected, Reach

NOBODY = ""
"""Has the duty of rules from the end of a runner until another wants it."""


Judges = Mapping[str, frozenset[str]]
"""Runners, each with the workflows whose rules it judges by."""


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Who has the duty to judge the events of a batch by workflow rules.

    Attributes:
        writer: the runner that writes the batch; it tells its own rules of its own events.
        judges: those on duty by what their rules expect, or `NOBODY`.
    """

    writer: str | None
    judges: Mapping[Expected, Judges] = field(default_factory=dict[Expected, Judges])

    def of_event(self, event: EventRecord) -> list[tuple[str | None, Letter]]:
        """Return the letters about an event of the writer's, each with who finds it.

        None is who claims the duty next.
        """
        return self._letters(event, self.writer)

    def of_signal(self, signal: Signal) -> list[tuple[str | None, Letter]]:
        """Return the letters about a signal, beside that to the execution's owner.

        If that is told by letter, no rules hear of the signal but by these, the writer's and the
        owner's included: another may come to the duty than to the execution.
        """
        if not self.judges:
            return []
        event = replace(signal.event, awaited=signal.awaited)
        return self._letters(event, None if signal.by_letter else self.writer)

    def _letters(self, event: EventRecord, told: str | None) -> list[tuple[str | None, Letter]]:
        judges = self.judges.get((event.namespace, event.key), {})
        return [
            (runner or None, rules_letter(event, judges[runner]))
            for runner in sorted(judges)
            if runner != told
        ]


def writer_of(batch: Batch) -> str | None:
    """Return the runner that writes a batch."""
    return None if batch.fence is None else batch.fence.runner


def told_to_rules(batch: Batch) -> list[EventRecord]:
    """Return the events of a batch of which other runners may have to be told."""
    sent = [batch.events[place] for place in batch.for_rules] if batch.for_rules else []
    return sent + [signal.event for signal in batch.signals]


def rules_letter(event: EventRecord, workflows: frozenset[str]) -> Letter:
    """Return the letter that brings an event to the rules of some workflows only."""
    body = Reach(0, workflows).body()
    return Letter(event.namespace, EventSent.__name__, body, event.create_time, None, event)


def copies(
    letter: Letter, runners: Collection[str], of_nobody: Collection[Expected], until: int
) -> list[tuple[str | None, Letter]]:
    """Return the copies of a letter, each with whom it is put before; None: who claims next.

    One to an execution belongs to that execution's owner, and is put before nobody.

    Args:
        letter: that is to be put.
        runners: all that are registered.
        of_nobody: what is expected by rules that nobody judges just now.
        until: the greatest id of an execution, if there are any in the namespace of the letter
            that nobody owns; else 0.
    """
    if letter.execution is not None:
        return [(None, letter)]
    found: list[tuple[str | None, Letter]] = [(runner, letter) for runner in runners]
    event = letter.event
    expected = event is not None and (event.namespace, event.key) in of_nobody
    if until or expected or not runners:
        found.append((None, replace(letter, body=Reach(until).body())))
    return found
