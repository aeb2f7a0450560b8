"""What may be worth another look into the store: told by whoever knows, or by the time."""

import asyncio
from datetime import timedelta

from asyncflow._clock import Clock


class News:
    """One piece of news. Make it before a look, so that nothing comes unseen after that."""

    __slots__ = ("_clock", "future")

    def __init__(self, clock: Clock) -> None:
        """Be told by nobody yet."""
        self._clock = clock
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(self, *_: object) -> None:
        """Let who waits look again."""
        if not self.future.done():
            self.future.set_result(None)

    async def within(self, pause: timedelta | None) -> None:
        """Return once it is told, or after so long."""
        timer = None if pause is None else self._clock.call_later(pause, self.tell)
        try:
            await self.future
        finally:
            if timer is not None:
                timer.cancel()
