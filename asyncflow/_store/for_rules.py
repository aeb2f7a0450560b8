"""Which runners hear by letter what their rules are to judge: the same in every store.

It names readers; it never says what their rules do.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from asyncflow._core.facts import EventSent
from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Batch, Letter, Signal

NOBODY = ""
"""Has the duty of rules from the end of a runner until another claims."""

Expected = tuple[str, str]
"""A namespace and the key of an event."""


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Who has the duty to judge the events of a batch by workflow rules.

    Attributes:
        writer: the runner that writes the batch; it tells its own rules of its own events.
        runners: those on duty by what their rules expect, or `NOBODY`.
    """

    writer: str | None
    runners: Mapping[Expected, frozenset[str]] = field(
        default_factory=dict[Expected, frozenset[str]]
    )

    def of_event(self, event: EventRecord) -> list[str | None]:
        """Return who finds a letter about an event of the writer's; None: who claims next."""
        return [each or None for each in sorted(self._expecting(event) - {self.writer})]

    def of_signal(self, signal: Signal) -> list[str | None]:
        """Return who finds a letter about a signal, beside that to the execution's owner.

        That owner, too, if it is told by letter: it may be dead, and another comes to its duty
        than to the execution.
        """
        if signal.by_letter:
            return [each or None for each in sorted(self._expecting(signal.event))]
        return self.of_event(signal.event)

    def _expecting(self, event: EventRecord) -> frozenset[str]:
        return self.runners.get((event.namespace, event.key), frozenset())


def writer_of(batch: Batch) -> str | None:
    """Return the runner that writes a batch."""
    return None if batch.fence is None else batch.fence.runner


def left_out(batch: Batch) -> str | None:
    """Return the writer, if it finds no letter whatever it has the duty for."""
    return None if any(signal.by_letter for signal in batch.signals) else writer_of(batch)


def told_to_rules(batch: Batch) -> list[EventRecord]:
    """Return the events of a batch of which other runners may have to be told."""
    return [
        *(batch.events[place] for place in batch.for_rules),
        *(signal.event for signal in batch.signals),
    ]


def rules_letter(event: EventRecord) -> Letter:
    """Return the letter that brings an event to rules only."""
    return Letter(event.namespace, EventSent.__name__, "{}", event.create_time, None, event)


def readers(
    letter: Letter, runners: Collection[str], of_nobody: Collection[Expected]
) -> Sequence[str | None]:
    """Return before whom a letter is put; None: before whoever claims next.

    One to an execution belongs to that execution's owner, and is put before nobody.

    Args:
        letter: that is to be put.
        runners: all that are registered.
        of_nobody: what is expected by rules that nobody judges just now.
    """
    if letter.execution is not None or not runners:
        return (None,)
    event = letter.event
    if event is not None and (event.namespace, event.key) in of_nobody:
        return (*runners, None)
    return tuple(runners)
