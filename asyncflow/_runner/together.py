"""One question to the store for all who ask it at the same time. It remembers no answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """Asks once for all who came before the asking began; who comes later is in the next one.

    Everything is called on the home loop.
    """

    __slots__ = ("_ask", "_asking", "_waiting")

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        """Ask by this."""
        self._ask = ask
        self._asking = False
        self._waiting: list[asyncio.Future[tuple[T] | None]] = []

    async def __call__(self) -> T:
        """Return what is so, asked after this call; raises what the asking raises."""
        if self._asking:
            found = await self._wait()
            if found is not None:
                return found[0]
        self._asking = True
        together, self._waiting = self._waiting, []
        try:
            answer = await self._ask()
        except BaseException:  # passed on; the others ask again
            self._waiting[:0] = together
            self._hand_on()
            raise
        for each in together:
            if not each.done():
                each.set_result((answer,))
        self._hand_on()
        return answer

    async def _wait(self) -> tuple[T] | None:
        """Return the answer; None: the caller is to ask, for all who wait."""
        mine: asyncio.Future[tuple[T] | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            return await mine
        except asyncio.CancelledError:
            if not mine.cancelled() and mine.result() is None:
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Let the first who waits ask next, if anybody does."""
        while self._waiting:
            first = self._waiting.pop(0)
            if not first.done():
                first.set_result(None)
                return
        self._asking = False
