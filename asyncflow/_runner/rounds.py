"""Calls on whoever is due, one after the other in one task, which goes with the first that waits.

A poll that waits for nothing costs neither a task nor a timer of its own; one that waits keeps the
task in which it began for as long as it lasts, and another makes the rest of the round. It knows
nothing of polls, and holds up nobody but for the time that somebody takes without waiting.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Protocol

from asyncflow._clock import Clock
from asyncflow._runner.turns import AT_ONCE, give_turn
from asyncflow._timer import Timer

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Caller(Protocol):
    """Somebody who is called on when it is time."""

    def begin(self, due: float, now: float) -> Coroutine[Any, Any, None] | None:
        """Do what is to be done, in the running task; return what is left, None if nothing is."""
        ...

    def ended(self, due: float, started: float, now: float) -> None:
        """Nothing was left."""
        ...


class Rounds:
    """Makes rounds of those that are due. Everything is called on the home loop.

    They wait in a heap of their own, of which the first has a timer: thousands may be due in a
    second, and few need one each. Who is not to be called on any more says so when it begins.
    """

    def __init__(self, spawn: Spawn, clock: Clock) -> None:
        """Make each round in what ``spawn`` starts."""
        self.task: asyncio.Task[None] | None = None
        self._spawn = spawn
        self._clock = clock
        self._waiting: list[tuple[float, int, Caller]] = []
        self._order = count()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._closed = False

    def call_on(self, who: Caller, due: float) -> None:
        """Call on somebody at a time of the clock, in seconds; never early, or in this call."""
        heapq.heappush(self._waiting, (due, next(self._order), who))
        if self.task is None:
            self._set_timer()

    def close(self) -> None:
        """Call on nobody any more."""
        self._closed = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        """Begin a round when the first is due."""
        if self._closed or not self._waiting:
            return
        due = self._waiting[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_due = self._clock.call_at(due, self._begin), due

    def _begin(self) -> None:
        self._timer = None
        if self.task is None:
            self.task = self._spawn(self._make())

    async def _make(self) -> None:
        rest = None
        try:
            rest = await self._until_one_waits()
        except GeneratorExit:  # its loop is gone
            self.close()
            raise
        finally:
            self.task = None
            self._set_timer()
        if rest is not None:
            await rest

    async def _until_one_waits(self) -> Coroutine[Any, Any, None] | None:
        """Call on all that are due, but return what is left of the first that has to wait."""
        this, waiting, clock = asyncio.current_task(), self._waiting, self._clock
        now = clock.monotonic()
        until = now + AT_ONCE
        while waiting and waiting[0][0] <= now:
            due, _, who = heapq.heappop(waiting)
            rest, started = who.begin(due, now), now
            if rest is not None:
                return rest
            now = clock.monotonic()
            who.ended(due, started, now)
            if this is not None and this.cancelling():  # by that one itself: no other's business
                return None
            if now > until:
                await give_turn()
                now = clock.monotonic()
                until = now + AT_ONCE
        return None
