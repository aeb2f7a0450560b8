"""Forgetting what ended long ago: at the start, and then every minute, a little at a time.

It is not vital. Where the store refuses, it says so and tries again a minute later.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from asyncflow._clock import Clock
from asyncflow._store.batch import Duty, DutyKind, Fence
from asyncflow._store.protocol import Store
from asyncflow.errors import FencedError, StoreError

logger = logging.getLogger(__name__)

EACH: Final = timedelta(minutes=1)
"""Pause between sweeps."""

AT_ONCE: Final = 50
"""Executions for one transaction: few milliseconds, for which other commits wait."""

PAUSE: Final = timedelta(milliseconds=20)
"""Between two transactions of a sweep, so that others have most of the time."""


RETENTION: Final = Duty(DutyKind.RETENTION)


class Retention:
    """Sweeps the store for one runner, while that has the duty of it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        fence: Fence,
        keep: timedelta,
        has_duty: Callable[[], bool],
    ) -> None:
        """Sweep what ended longer ago than ``keep``, whenever ``has_duty()`` says True."""
        self._store = store
        self._clock = clock
        self._fence = fence
        self._keep = keep
        self._has_duty = has_duty

    async def run(self) -> None:
        """Sweep now and then. It ends by cancellation, or when the runner was replaced."""
        while True:
            try:
                await self.sweep()
            except FencedError:
                return  # the driver hears of it, too, and says so
            except StoreError as error:
                logger.warning("what is old stays for now: %s", error)
            await self._clock.pause(EACH)

    async def sweep(self) -> None:
        """Forget all that is old, in as many transactions as it takes."""
        before = self._clock.now() - self._keep
        executions = events = lines = 0
        try:
            while self._has_duty():
                swept = await self._store.sweep(self._fence, before, AT_ONCE)
                executions += swept.executions
                events += swept.events
                lines += swept.lines
                if not swept.more:
                    return
                await self._clock.pause(PAUSE)
        finally:
            if executions or events or lines:
                text = "forgotten, older than %s: %d executions, %d events, %d lines of histories"
                logger.info(text, self._keep, executions, events, lines)
