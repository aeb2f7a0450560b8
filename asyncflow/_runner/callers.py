"""Who waits for the driver: callers for an answer, and before that for room in its inbox.

However many callers there are, the inbox stays small. What the runner itself has to say is never
held up: tasks' ends, timers, letters.
"""

import asyncio
from collections import deque
from collections.abc import Sized
from typing import Any, Final

MOST: Final = 10_000
"""Entries in the inbox with which callers begin to wait."""

AT_ONCE: Final = 128
"""Callers on their way to the inbox: more would have the loop busy with them for too long."""


class Callers:
    """Callers, in the order of their coming. Everything is called on the home loop.

    Many may wait here at once: what they need later they make after it, and not before.
    """

    __slots__ = ("_answers", "_entries", "_inside", "_kept", "_most", "_waiting")

    def __init__(self, entries: Sized, most: int = MOST) -> None:
        """Let callers in while there are fewer entries than ``most``."""
        self._entries = entries
        self._most = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._inside = 0  # were let in, and have not put their entry yet
        self._answers: list[asyncio.Future[Any]] = []
        self._kept = AT_ONCE  # so many are kept before it is seen which of them are done

    @property
    def held_back(self) -> int:
        """How many wait for room."""
        return len(self._waiting)

    def owe(self, answer: "asyncio.Future[Any]") -> None:
        """Answer a caller, if only by an error when all is over."""
        self._answers.append(answer)
        if len(self._answers) > self._kept:
            self._forget()

    def _forget(self) -> None:
        """Forget who has been answered: all at once, now and then; a callback of each is dear."""
        self._answers = [each for each in self._answers if not each.done()]
        self._kept = max(2 * len(self._answers), AT_ONCE)

    async def __aenter__(self) -> None:
        """Wait for the caller's turn, and for room; in the body it puts its entry."""
        if not self._waiting and self._inside < AT_ONCE and len(self._entries) < self._most:
            self._inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        """Let others in."""
        self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        if self._waiting:
            self.admit()

    def admit(self) -> None:
        """Let as many in as there is room for."""
        while self._waiting and self._inside < AT_ONCE:
            if len(self._entries) + self._inside >= self._most:
                return
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)

    def end(self, error: Exception) -> None:
        """Tell all who wait that nothing is answered any more."""
        waiting, self._waiting = self._waiting, deque()
        for each in (*waiting, *self._answers):
            if not each.done():
                each.set_exception(error)
