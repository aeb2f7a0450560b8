"""Starts of tasks that nobody listens for: they wait a little for a transaction to go with.

The end of a short task overtakes its own start, and tells of it. Nothing here is stored.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from asyncflow._clock import Clock
from asyncflow._runner.live import Told
from asyncflow._timer import Timer

PATIENCE: Final = timedelta(milliseconds=10)
"""How long a start waits, before there is a transaction for it alone."""


class Rider(Protocol):
    """An attempt that began. Most are so short that nobody ever asks for the fact."""

    def started(self) -> Told:
        """Tell that it began."""
        ...


class Riders:
    """Those that wait, in order. Everything is called on the home loop.

    One timer looks after all, and only while the driver rests: else its next transaction takes
    them. One for each that waits would be set and cancelled with each task.
    """

    __slots__ = ("_clock", "_due", "_over", "_resting", "_set_off", "_timer", "_waiting", "patient")

    def __init__(self, clock: Clock, set_off: Callable[[], None]) -> None:
        """Begin with nobody; ``set_off`` is called when the first has waited long enough."""
        self.patient = True
        self._clock = clock
        self._set_off = set_off
        self._waiting: dict[Rider, None] = {}
        self._over = False
        self._resting = False
        self._due = 0.0  # when the first of them has waited long enough
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, rider: Rider) -> None:
        """Let the start of an attempt wait."""
        if self._over:
            return
        if not self._waiting:
            self._due = self._clock.monotonic() + PATIENCE.total_seconds()
        self._waiting[rider] = None
        if self._resting:
            self._arm()

    def overtake(self, rider: Rider) -> None:
        """Forget the start of an attempt, if it waits: the end, put next, tells of it too."""
        self._waiting.pop(rider, None)

    def take(self) -> Sequence[Told]:
        """Return those that wait, they wait no more; the driver is at work."""
        self.patient = True
        self._resting = False
        if not self._waiting:
            return ()
        taken, self._waiting = self._waiting, {}
        return [rider.started() for rider in taken]

    def rest(self) -> None:
        """Know that the driver rests; leave no timer behind if nobody waits."""
        self._resting = True
        if self._waiting:
            self._arm()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Let nobody wait any more: there will be no transaction."""
        self._over = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self._clock.call_at(self._due, self._look)

    def _look(self) -> None:
        """Set off if the first has waited long enough, else look again when it has."""
        self._timer = None
        if not (self._resting and self._waiting):
            return
        if self._due > self._clock.monotonic():
            self._timer = self._clock.call_at(self._due, self._look)
        else:
            self.patient = False
            self._set_off()
