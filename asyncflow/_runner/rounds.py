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


class Called(Protocol):
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
        """Make rounds in what ``spawn`` starts."""
        self.task: asyncio.Task[None] | None = None
        self._spawn = spawn
        self._clock = clock
        self._waiting: list[tuple[float, int, Called]] = []
        self._order = count()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._bell: asyncio.Future[None] | None = None  # rung when somebody is due
        self._closed = False

    def call_on(self, who: Called, due: float) -> None:
        """Call on somebody at a time of the clock, in seconds; never early, or in this call."""
        heapq.heappush(self._waiting, (due, next(self._order), who))
        if self._bell is not None:
            self._set_timer()
        elif self.task is None:
            self._go_on()

    async def settled(self) -> None:
        """Return when nobody is called on before time moves on."""
        while not (self.task is None or self.task.done() or self._rests):
            await give_turn()

    @property
    def _rests(self) -> bool:
        return self._bell is not None and not self._bell.done()

    def close(self) -> None:
        """Call on nobody any more."""
        self._closed = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._ring()

    def _go_on(self) -> None:
        """Make rounds in a task that has nothing else to do."""
        self.task = None if self._closed else self._spawn(self._make())

    async def _make(self) -> None:
        """Make rounds until somebody has to wait, and go with that one."""
        this = asyncio.current_task()
        rest = None
        if self.task is not this:  # an eager task begins inside of whoever spawns it
            await give_turn()
        try:
            # One that was cancelled by whom it called on is no other's.
            while not (self._closed or rest or (this is not None and this.cancelling())):
                await self._until_due()
                rest = await self._until_one_waits(this)
        except GeneratorExit:  # its loop is gone
            self.close()
            raise
        finally:
            self._go_on()
        if rest is not None:
            await rest

    async def _until_due(self) -> None:
        if not self._waiting or self._waiting[0][0] > self._clock.monotonic():
            self._bell = asyncio.get_running_loop().create_future()
            self._set_timer()
            try:
                await self._bell
            finally:
                self._bell = None

    def _set_timer(self) -> None:
        """Have the bell rung when the first is due."""
        if not self._waiting:
            return
        due = self._waiting[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_due = self._clock.call_at(due, self._ring), due

    def _ring(self) -> None:
        self._timer = None
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _until_one_waits(
        self, this: asyncio.Task[None] | None
    ) -> Coroutine[Any, Any, None] | None:
        """Call on all that are due, but return what is left of the first that has to wait."""
        waiting, clock = self._waiting, self._clock
        now = clock.monotonic()
        until = now + AT_ONCE
        while waiting and waiting[0][0] <= now:
            due, _, who = heapq.heappop(waiting)
            rest, started = who.begin(due, now), now
            if rest is not None:
                return rest
            now = clock.monotonic()
            who.ended(due, started, now)
            if this is not None and this.cancelling():  # by that one itself
                return None
            if now > until:
                await give_turn()
                now = clock.monotonic()
                until = now + AT_ONCE
        return None
