"""The thread in which a function of ``def`` is polled, which may go on when nobody waits any more.

It decides nothing: whether the next poll waits for the thread is the poller's to say.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from asyncflow._operators.workers import work_in_thread


class PollThread:
    """Asks one function at a time, and remembers the thread of one that was given up."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        """Begin with no thread."""
        self._left: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether the last function may run still, though nobody waits for it."""
        return self._left is not None

    async def ask(self, function: Callable[[], object]) -> object:
        """Call it in a thread, and await what it answers if that is a coroutine."""
        loop = asyncio.get_running_loop()
        left: asyncio.Future[None] = loop.create_future()
        begun = False

        def work() -> object:
            nonlocal begun
            begun = True
            try:
                return function()
            finally:
                _tell(loop, left)

        self._left = left
        try:
            found = await work_in_thread(work)
        except RuntimeError:
            if not begun:  # there is no thread to be had
                self._left = None
            raise
        self._left = None
        return await found if asyncio.iscoroutine(found) else found

    async def until_free(self) -> None:
        """Return when the thread is free."""
        if self._left is not None:
            await self._left

    def forget(self) -> None:
        """Take no account of a thread that is still at it."""
        self._left = None


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(_resolve, future)
