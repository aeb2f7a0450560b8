"""One listener: where it has come to, and how its events are handed to users' code.

It reads from the store what it has not heard yet, and keeps nothing but its place: however slow its
`process` is, nothing piles up in memory.
"""

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Final

from asyncflow._clock import Clock
from asyncflow._home import GATE
from asyncflow._model.event import Event
from asyncflow._model.port import CURRENT_TASK, ListenerWish, StopSign
from asyncflow._operators.hooks import call
from asyncflow._operators.threads import SLOTS, Slots
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Events
from asyncflow._timer import Timer
from asyncflow.errors import StoreError, TaskStopped

logger = logging.getLogger("asyncflow.listeners")

BATCH: Final = 500
"""Events for one call of `process`, at most."""

PATIENCE: Final = timedelta(seconds=5)
"""How long a listener that is to end may still take over its current batch."""

AFTER_ERROR: Final = timedelta(seconds=1)
"""Pause after a look at the store that failed."""

_listening: Final[ContextVar["Listener | None"]] = ContextVar("asyncflow_listener", default=None)


class Listener:
    """Hands the events after its place to a processor, batch by batch. It ends, or is ended."""

    __slots__ = (
        *("id", "wish", "ended", "_cursor", "_store", "_clock", "_slots", "_known", "_task"),
        *("_news", "_stale", "_handing", "_ending", "_draining", "_cut", "_patience", "_scope"),
    )

    def __init__(
        self,
        id_: str,
        wish: ListenerWish,
        cursor: int,
        *,
        store: Store,
        clock: Clock,
        slots: Slots,
        known: Callable[[], int],
    ) -> None:
        """Listen after ``cursor``.

        Args:
            id_: what `unregister_listener` is told.
            wish: what it hears.
            cursor: the offset of the last event that it does not hear.
            store: where the events are.
            clock: tells the time.
            slots: for `process` in a thread.
            known: the offset up to which it was woken for all that concerns it.
        """
        self.id = id_
        self.wish = wish
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cursor = cursor
        self._store = store
        self._clock = clock
        self._slots = slots
        self._known = known
        # A sign of its own: its thread is none of its task's.
        self._scope = None if wish.scope is None else replace(wish.scope, stop_sign=StopSign())
        self._task: asyncio.Task[None] | None = None
        self._news: asyncio.Future[None] | None = None
        self._stale = True
        self._handing = self._ending = self._draining = self._cut = False
        self._patience: Timer | None = None

    @property
    def calls(self) -> bool:
        """Whether the code that asks was called by its own `process`."""
        return _listening.get() is self

    def begin(self, task: asyncio.Task[None]) -> None:
        """Note the task that runs it."""
        self._task = task
        task.set_name(self.id)
        task.add_done_callback(self._finish)

    def wake(self) -> None:
        """Let it look into the store."""
        self._stale = True
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def drain(self) -> None:
        """End once it has heard all that is stored."""
        self._draining = True
        self.wake()

    def end(self) -> None:
        """End after the current batch, which may take `PATIENCE`; `ended` is done then."""
        if self._ending or self._task is None:
            return
        self._ending = True
        if self._handing:
            self._patience = self._clock.call_later(PATIENCE, self._give_up)
        else:
            self._task.cancel()

    def cut(self) -> None:
        """End now, and leave `process` to itself if it is a thread."""
        self._ending = self._cut = True
        if self._scope is not None:
            self._scope.stop_sign.give()
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Listen until ended."""
        CURRENT_TASK.set(self._scope)
        GATE.set(None if self._scope is None else self._scope.check)
        SLOTS.set(self._slots)
        _listening.set(self)
        while not self._ending:
            more = await self._look()
            if more or self._stale or self._ending:
                continue
            if self._draining:
                return
            self._news = asyncio.get_running_loop().create_future()
            await self._news
            self._news = None

    async def _look(self) -> bool:
        """Hand over the next batch, if there is one; say whether there may be more."""
        self._stale = False
        known = self._known()
        wish = self.wish
        query = Events(namespace=wish.namespace, keys=wish.keys, begin=self._cursor, limit=BATCH)
        try:
            records = await self._store.read(query)
        except StoreError as error:
            logger.warning("listener %s could not look at the store: %s", self.id, error)
            await self._clock.pause(AFTER_ERROR)
            self._stale = True
            return True
        if records:
            self._cursor = records[-1].offset or self._cursor
            await self._hand_over([Event.of(record) for record in records])
        if len(records) == BATCH:
            return True
        self._cursor = max(self._cursor, known)  # what is not for it is not looked at again
        return False

    async def _hand_over(self, events: list[Event]) -> None:
        self._handing = True
        try:
            await call(self.wish.process, events)
        except BaseException as error:  # user code: the listener lives, whatever it raised
            if self._cut:
                raise
            if not isinstance(error, TaskStopped):
                text = "listener %s: process() raised on %d events, it goes on after them"
                logger.exception(text, self.id, len(events))
        finally:
            self._handing = False

    def _give_up(self) -> None:
        text = "listener %s did not end within %s: its process() is left to itself"
        logger.warning(text, self.id, PATIENCE)
        self.cut()
        self._settle()

    def _finish(self, _: asyncio.Task[None]) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._settle()

    def _settle(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
