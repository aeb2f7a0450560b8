"""Processors for listeners, ``def`` and ``async def``, that note what they are given."""

import threading
from collections.abc import Callable
from inspect import isawaitable

from asyncflow import Event, ListenerProcessor

Then = Callable[[list[Event]], object]


class Heard(ListenerProcessor):
    """Notes batches, in a thread; then does what a test wants."""

    def __init__(self, then: Then | None = None) -> None:
        self.batches: list[list[Event]] = []
        self.then = then
        self.threads: set[int] = set()

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    @property
    def values(self) -> list[object]:
        return [event.value for event in self.events]

    def process(self, events: list[Event]) -> object:
        return self.note(events)

    def note(self, events: list[Event]) -> object:
        self.threads.add(threading.get_ident())
        self.batches.append(events)
        return None if self.then is None else self.then(events)


class AsyncHeard(Heard):
    """Notes batches, on the loop."""

    async def process(self, events: list[Event]) -> object:
        found = self.note(events)
        if isawaitable(found):
            await found
        return None


BOTH: tuple[type[Heard], ...] = (Heard, AsyncHeard)
