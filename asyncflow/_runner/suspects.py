"""Executions that may be what ended their processes: they go on one at a time after a crash.

So the next crash tells who it was, and an innocent one that only ran beside it is not given up with
it. The first waits, too: what else went on may end the process at once. It decides nothing: it
tells facts, later.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

from asyncflow._clock import Clock
from asyncflow._core.decide import TRIES
from asyncflow._core.facts import RecoverySurvived
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._timer import Timer

SUSPECT: Final = 2
"""So often it began again before, and no run of a task of it has ended since."""

FIRST: Final = timedelta(seconds=1)
"""How long the first waits for the end of what else went on."""

AT_LEAST: Final = timedelta(seconds=5)
IN_ALL: Final = timedelta(seconds=60)
"""How long each has to live until the next goes on, and all of them together."""


def is_suspect(live: LiveExecution) -> bool:
    """Say whether an execution is to be watched when it begins again; one given up does not."""
    return SUSPECT <= live.state.head.recoveries < TRIES and not live.redefined


class Suspects:
    """A queue. Everything is called on the home loop."""

    def __init__(self, clock: Clock, driver: Driver) -> None:
        """Begin with nobody."""
        self._clock = clock
        self._driver = driver
        self._waiting: dict[int, Told] = {}
        self._number = 0  # of all since nobody waited
        self._now: _Watched | None = None
        self._first: Timer | None = None
        self._closed = False

    def __contains__(self, execution: int) -> bool:
        """Say whether an execution waits for its turn."""
        return execution in self._waiting

    def add(self, told: Told) -> None:
        """Let an execution begin again when its turn comes; what it is told meanwhile waits."""
        told.live.held = deque()
        self._waiting[told.live.id] = told
        self._number += 1

    def go_on(self) -> None:
        """Let them begin again from now on, soon."""
        if self._waiting and self._first is None and self._now is None and not self._closed:
            self._first = self._clock.call_later(FIRST, self._next)

    def _next(self) -> None:
        self._first = None
        if self._closed or self._driver.over:
            return
        told = self._pop()
        if told is None:
            self._number = 0
            return
        patience = max(AT_LEAST, IN_ALL / self._number)
        self._now = _Watched(told.live, self._end)
        self._now.timer = self._clock.call_later(patience, self._survive)
        self._driver.go_on(told)

    def _pop(self) -> Told | None:
        while self._waiting:
            told = min(self._waiting.values(), key=_rank)
            del self._waiting[told.live.id]
            if told.live.id in self._driver.lives:  # else it was stopped
                return told
        return None

    def close(self) -> None:
        """Let nobody begin again; the next owner does."""
        self._closed = True
        if self._first is not None:
            self._first.cancel()
        if self._now is not None:
            self._now.close()

    def _survive(self) -> None:
        if self._now is None or self._closed or self._driver.over:
            return
        live = self._now.live
        if self._waiting and live.id in self._driver.lives:
            self._driver.put(Told(live, RecoverySurvived(self._clock.now())))
        self._end()

    def _end(self) -> None:
        if self._now is not None:
            self._now.close()
            self._now = None
        self._next()


class _Watched:
    """One that has begun again: it calls back when a run of a task of it has ended, or all."""

    def __init__(self, live: LiveExecution, ended: Callable[[], None]) -> None:
        self.live = live
        self.timer: Timer | None = None
        self._ended = ended
        self._news = ExitStack()
        self._began = False
        self._watch()

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self._news.close()

    def _watch(self) -> None:
        news = asyncio.get_running_loop().create_future()
        self._news.enter_context(self.live.news(news))
        news.add_done_callback(self._look)

    def _look(self, _: asyncio.Future[None]) -> None:
        self._news.close()
        head = self.live.state.head
        if head.recoveries and head.parked_reason is None and not head.status.final:
            self._watch()
        else:
            self._ended()


def _rank(told: Told) -> tuple[int, int]:
    """Whoever began again most often comes first."""
    return -told.live.state.head.recoveries, told.live.id
