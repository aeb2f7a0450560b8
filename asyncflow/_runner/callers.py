"""Who waits for the driver: callers for an answer, and before that for room in its inbox.

However many callers there are, the inbox stays small. What the runner itself has to say is never
held up: tasks' ends, timers, letters.
"""

import asyncio
from collections import deque
from collections.abc import Sized
from contextlib import suppress
from typing import Any, Final

MOST: Final = 10_000
"""Entries in the inbox with which callers begin to wait."""


class Callers:
    """Callers, in the order of their coming. Everything is called on the home loop."""

    __slots__ = ("_answers", "_coming", "_entries", "_most", "_waiting")

    def __init__(self, entries: Sized, most: int = MOST) -> None:
        """Let callers in while there are fewer entries than ``most``."""
        self._entries = entries
        self._most = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._coming = 0  # were let in, and have not gone on yet
        self._answers: set[asyncio.Future[Any]] = set()

    @property
    def held_back(self) -> int:
        """How many wait for room."""
        return len(self._waiting) + self._coming

    def owe(self, answer: "asyncio.Future[Any] | None") -> None:
        """Answer a caller, if only by an error when all is over."""
        if answer is not None:
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    @property
    def _free(self) -> bool:
        """Whether a caller need not wait: there is room, and nobody came before it."""
        return len(self._entries) < self._most and not self._waiting and not self._coming

    async def room(self) -> None:
        """Return when there is room for an entry, which is put at once, or never."""
        if not self._free:
            await self._wait()

    async def _wait(self) -> None:
        """Return when it is this caller's turn; it puts its entry before it waits for anything."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        finally:
            if turn.cancelled():
                with suppress(ValueError):  # it would have been let in just now
                    self._waiting.remove(turn)
            elif turn.exception() is None:
                self._coming -= 1
                # Once it has put its entry, or has not, after all: then nobody else would look.
                asyncio.get_running_loop().call_soon(self.admit)

    def admit(self) -> None:
        """Let as many go on as there is room for."""
        while self._waiting and len(self._entries) + self._coming < self._most:
            turn = self._waiting.popleft()
            if not turn.done():
                self._coming += 1
                turn.set_result(None)

    def end(self, error: Exception) -> None:
        """Tell all who wait that nothing is answered any more."""
        waiting, self._waiting = self._waiting, deque()
        for each in (*waiting, *tuple(self._answers)):
            if not each.done():
                each.set_exception(error)
