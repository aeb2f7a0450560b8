"""Shows that a runner lives: a thread counts its beats in the store, whatever its loop does.

No clock of anybody is compared: who was stopped, or cannot write, counts no beats. It never decides
who is dead; `silence` does, by the beats that were counted here.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

from asyncflow._model.statistics import LeaseStatistics
from asyncflow._store.batch import Fence
from asyncflow._store.protocol import HOPELESS, Pulse, Store
from asyncflow.errors import StoreError

logger = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=6)
"""A runner that has shown no life for so long is taken for dead."""

BEATS: Final = 4
"""How often a lease is renewed before it would be over."""


class Lease:
    """Renews the lease of one runner. Everything but its thread is on the home loop.

    Attributes:
        period: between two beats, at least.
        beats: how many were counted; never more than periods have passed.
    """

    def __init__(self, fence: Fence, lease: timedelta) -> None:
        """Begin with no beats; zero for one that counts none."""
        self.period = lease / BEATS
        self.beats = 0
        self._last = time.monotonic()
        self._fence = fence
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = threading.Event()

    def statistics(self) -> LeaseStatistics:
        """Tell how it shows that the runner lives."""
        return LeaseStatistics(self.beats, timedelta(seconds=time.monotonic() - self._last))

    async def kept(self) -> None:
        """Wait for ever, unless the runner was replaced.

        Raises:
            FencedError: it was.
        """
        await asyncio.wait({self._lost})
        self._lost.result()

    def start(self, pulse: Pulse) -> None:
        """Let a thread renew it."""
        name = "asyncflow lease"
        threading.Thread(target=self._renew, args=(pulse,), name=name, daemon=True).start()

    async def close(self) -> None:
        """Renew it no more."""
        self._closing.set()
        await asyncio.wait({self._ended})

    def _renew(self, pulse: Pulse) -> None:
        lost: BaseException | None = None
        try:
            lost = self._beat(pulse)
        except BaseException as error:  # whatever it is: without beats others take over
            lost = error
        finally:
            pulse.close()
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._over, lost)

    def _beat(self, pulse: Pulse) -> StoreError | None:
        failing = False
        # A real time: also where a runner's clock stands still, its process lives.
        while not self._closing.wait(self.period.total_seconds()):
            try:
                pulse.renew(self._fence)
            except HOPELESS as error:
                return error
            except (StoreError, asyncio.CancelledError) as error:  # the latter by a failpoint
                if not failing:
                    text = "runner %s cannot renew its lease, and tries it again: %s"
                    logger.warning(text, self._fence.runner, error)
                failing = True
            else:
                self.beats += 1
                self._last = time.monotonic()
                failing = False
        return None

    def _over(self, lost: BaseException | None) -> None:
        if lost is not None:
            self._lost.set_exception(lost)
            self._lost.exception()  # while it closes, nobody looks
        self._ended.set_result(None)


@asynccontextmanager
async def open_lease(store: Store, fence: Fence, lease: timedelta) -> AsyncGenerator[Lease]:
    """Renew a runner's lease meanwhile; if that is zero, count no beats."""
    kept = Lease(fence, lease)
    if not lease:
        yield kept
        return
    kept.start(store.pulse())
    try:
        yield kept
    finally:
        await kept.close()
