"""Starts of tasks that nobody listens for: they wait a little for a transaction to go with.

The end of a short task overtakes its own start, and tells of it. Nothing here is stored.
"""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

from asyncflow._clock import Clock
from asyncflow._runner.live import Told
from asyncflow._timer import Timer

PATIENCE: Final = timedelta(milliseconds=10)
"""How long a start waits, before there is a transaction for it alone."""


class Riders:
    """Those that wait, in order. Everything is called on the home loop."""

    __slots__ = ("_clock", "_set_off", "_timer", "_waiting")

    def __init__(self, clock: Clock, set_off: Callable[[], None]) -> None:
        """Begin with nobody; ``set_off`` is called when the first has waited long enough."""
        self._clock = clock
        self._set_off = set_off
        self._waiting: dict[int, Told] = {}
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def patient(self) -> bool:
        """Whether those that wait, if any, may wait on."""
        return not self._waiting or self._timer is not None

    def add(self, start: Told) -> None:
        """Let a start wait."""
        self._waiting[id(start)] = start
        if self._timer is None:
            self._timer = self._clock.call_later(PATIENCE, self._lose_patience)

    def overtake(self, start: Told | None) -> None:
        """Forget a start, if it waits: the attempt's end, put next, tells of it too."""
        if start is not None:
            self._waiting.pop(id(start), None)

    def take(self) -> Collection[Told]:
        """Return those that wait; they wait no more."""
        taken, self._waiting = self._waiting, {}
        return taken.values()

    def gone(self) -> None:
        """Note that a transaction takes all that have waited."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose_patience(self) -> None:
        self._timer = None
        self._set_off()
