"""W7 of the floor: one coroutine for each trigger, woken from one heap of due times."""

import asyncio
import random
import time
from heapq import heappop, heappush
from math import ceil
from typing import Final

from benchmarks.contest.heat import Figures, Heat
from benchmarks.contest.polls import INTERVAL, Polls

SPREAD: Final = 0.1
"""The part of the interval in which the first polls are; asyncflow's rule."""


class Heap:
    """Due times in one heap, and one handle of the loop for the first of them.

    It costs about three quarters of what as many sleeps of asyncio's cost.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: list[tuple[float, int, asyncio.Future[None]]] = []
        self._loop = asyncio.get_running_loop()
        self._armed = False

    def until(self, due: float, number: int) -> asyncio.Future[None]:
        """Return what is done at a time, by time.monotonic()."""
        future = self._loop.create_future()
        heappush(self._entries, (due, number, future))
        if not self._armed:
            self._arm()
        return future

    def _arm(self) -> None:
        self._armed = True
        wait = max(self._entries[0][0] - time.monotonic(), 0.0)
        # Rounded up to milliseconds, as whoever wants few wake-ups does.
        self._loop.call_later(ceil(wait * 1000) / 1000, self._fire)

    def _fire(self) -> None:
        now, entries = time.monotonic(), self._entries
        while entries and entries[0][0] <= now:
            future = heappop(entries)[2]
            if not future.done():
                future.set_result(None)
        self._armed = False
        if entries:
            self._arm()


async def nothing() -> None:
    """Be a trigger that skips."""


async def w7(heat: Heat) -> Figures:
    """Poll; nothing is caught, kept or told, and no poll moves another."""
    polls, heap = Polls(), Heap()

    async def poll(number: int, due: float) -> None:
        while True:
            await heap.until(due, number)
            polls.note(number, due)
            await nothing()
            due += INTERVAL

    begin = time.monotonic()
    tasks = [
        asyncio.create_task(poll(number, begin + INTERVAL * (1 + SPREAD * random.random())))
        for number in range(heat.many)
    ]
    figures = await polls.observe(heat.many, heat.seconds)
    for each in tasks:
        each.cancel()
    return figures
