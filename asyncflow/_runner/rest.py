"""Whether the driver has something to do: it waits for that, and others for its having nothing.

It knows nothing of what there is to do.
"""

import asyncio


class Rest:
    """Everything is called on the home loop."""

    def __init__(self) -> None:
        """Begin without rest."""
        self._resting = False
        self._wake: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def stir(self) -> None:
        """Wake the driver: there is something to do."""
        if self._wake is not None and not self._wake.done():
            self._resting = False
            self._wake.set_result(None)

    def begin(self) -> None:
        """Tell those who wait for it that only time, or somebody else, gives more to do."""
        self._resting = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def end(self) -> None:
        """Be at work again."""
        self._resting = False

    async def until_stirred(self) -> None:
        """Rest until there is something to do."""
        self._wake = asyncio.get_running_loop().create_future()
        self.begin()
        await self._wake
        self._wake = None

    async def settled(self) -> None:
        """Return when nothing can be answered before time moves on."""
        while not self._resting:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
