"""Timers, and the heap in which they wait. They do not tell the time: a clock asks them."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final

Callback = Callable[[], None]

# Cancelled entries stay in the heap until they are this many, and more than half of it.
COMPACT_FROM: Final = 64


class Timer:
    """A callback that waits for its time; made by a clock."""

    __slots__ = ("_callback", "_cancelled")

    def __init__(self, callback: Callback, cancelled: Callback) -> None:
        """Keep what to call at its time, and what to tell if that is called off."""
        self._callback: Callback | None = callback
        self._cancelled = cancelled

    @property
    def pending(self) -> bool:
        """Whether it is still to be called."""
        return self._callback is not None

    def cancel(self) -> None:
        """Let it never be called; does nothing once it was."""
        if self.take() is not None:
            self._cancelled()

    def take(self) -> Callback | None:
        """Return the callback, once; for the clock, which calls it."""
        callback, self._callback = self._callback, None
        return callback


class TimerHeap:
    """Timers by their times, then in the order of their making."""

    def __init__(self, cancelled: Callback) -> None:
        """Tell ``cancelled`` after each timer that was."""
        self.waiting = 0
        self._tell = cancelled
        self._entries: list[tuple[float, int, Timer]] = []
        self._order = count()

    def push(self, at: float, callback: Callback) -> Timer:
        timer = Timer(callback, self._cancelled)
        heapq.heappush(self._entries, (at, next(self._order), timer))
        self.waiting += 1
        return timer

    def first(self) -> float | None:
        """Return the earliest time that is waited for."""
        entries = self._entries
        while entries and not entries[0][2].pending:
            heapq.heappop(entries)
        return entries[0][0] if entries else None

    def call_due(self, until: float, at_most: int) -> None:
        """Call those that are due at ``until``, also if one of them cancels another."""
        for _ in range(at_most):
            first = self.first()
            if first is None or first > until:
                return
            self.waiting -= 1
            callback = heapq.heappop(self._entries)[2].take()
            if callback is not None:
                callback()

    def _cancelled(self) -> None:
        self.waiting -= 1
        if len(self._entries) > max(COMPACT_FROM, 2 * self.waiting):
            self._entries = [entry for entry in self._entries if entry[2].pending]
            heapq.heapify(self._entries)
        self._tell()
