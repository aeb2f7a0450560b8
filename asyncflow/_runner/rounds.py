"""Calls on whoever is due, one after the other in one task, which goes with the first that waits.

A poll that waits for nothing costs no task of its own; one that waits keeps the task in which it
began, for as long as it lasts, and another makes the rest of the round. It knows nothing of polls.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from asyncflow._clock import Clock
from asyncflow._runner.turns import Turns

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Due(Protocol):
    """Somebody whose time has come."""

    def begin(self) -> Coroutine[Any, Any, None] | None:
        """Do what is to be done, in the running task; return what is left, None if nothing."""
        ...


class Rounds:
    """Makes rounds of those that are due. Everything is called on the home loop."""

    __slots__ = ("_clock", "_due", "_spawn", "task")

    def __init__(self, spawn: Spawn, clock: Clock) -> None:
        """Make each round in what ``spawn`` starts."""
        self.task: asyncio.Task[None] | None = None
        self._spawn = spawn
        self._clock = clock
        self._due: deque[Due] = deque()

    def call_on(self, due: Due) -> None:
        """Call on somebody in this round, or begin one; never inside this call."""
        self._due.append(due)
        if self.task is None:
            self.task = self._spawn(self._make())

    async def _make(self) -> None:
        this, turns = asyncio.current_task(), Turns(self._clock)
        rest: Coroutine[Any, Any, None] | None = None
        try:
            while self._due and rest is None:
                rest = self._due.popleft().begin()
                if this is not None and this.cancelling():  # by whom it called on: it is theirs
                    break
                if rest is None and turns.over:
                    await turns.give()
        finally:
            self.task = self._spawn(self._make()) if self._due else None
        if rest is not None:
            await rest
