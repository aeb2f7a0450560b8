"""All listeners of a client: who is woken by what, and the look-out for others' events.

It hands no event over itself, and holds none: a wake-up only says that there may be something.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, TypeAlias

from asyncflow._client.bodies import Bodies
from asyncflow._client.listener import PATIENCE, Listener
from asyncflow._clock import Clock
from asyncflow._model.port import ListenerWish, TaskScope
from asyncflow._operators.threads import Slots
from asyncflow._store.protocol import Store
from asyncflow._store.queries import LastOffset
from asyncflow.errors import ListenerNotFoundError, StoreError, UsageError

logger = logging.getLogger("asyncflow.listeners")

POLL: Final = timedelta(milliseconds=200)
"""Pause between looks for events of other processes."""

THREADS: Final = 40
"""Threads for `process`, beside those of tasks: tasks may wait for what a listener does."""

Sent: TypeAlias = tuple[str, str, int]
"""Namespace, key and offset of an event that was committed."""


class Listeners:
    """Starts, wakes and ends listeners. Everything is called on the home loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Begin with none."""
        self._store = store
        self._clock = clock
        self._bodies = Bodies()
        self._all: dict[str, Listener] = {}
        self._by_key: dict[tuple[str, str | None], dict[Listener, None]] = {}
        self._by_task: dict[tuple[object, ...], list[Listener]] = defaultdict(list)
        self._running: dict[asyncio.Task[None], Listener] = {}
        self._slots: Slots | None = None
        self._known = 0  # everybody was woken for what is up to here
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self, wish: ListenerWish) -> str:
        """Let one listen from now on, or from an offset, or a time, and return its id."""
        last = await self._store.read(LastOffset())
        cursor = await self._place(wish, last)
        if self._closed:
            text = "the client shuts down: no listener can be registered any more"
            raise UsageError(text)
        if not self._all:
            self._known = last
        self._slots = self._slots or Slots(THREADS)
        listener = Listener(
            f"listener-{uuid.uuid4().hex[:12]}",
            wish,
            cursor,
            store=self._store,
            clock=self._clock,
            slots=self._slots,
            known=lambda: self._known,
        )
        self._add(listener)
        return listener.id

    def check(self) -> None:
        """Raise `UsageError` once nobody listens here any more."""
        if self._closed:
            text = "the client was closed while somebody waited for events"
            raise UsageError(text)

    async def drain(self, id_: str) -> None:
        """Return once a listener has heard what is stored, and ended."""
        listener = self._all.get(id_)
        if listener is not None:
            listener.drain()
            await asyncio.wait({listener.ended})

    async def stop(self, id_: str) -> None:
        """Return once a listener has ended: after its current batch, or given up after 5 s."""
        listener = self._all.get(id_)
        if listener is None:
            raise ListenerNotFoundError(id_)
        self._remove(listener)
        listener.end()
        if not listener.calls:  # it would wait for itself
            await asyncio.wait({listener.ended})

    def stop_those_of(self, scope: TaskScope) -> None:
        """End what a task has forgotten, each after its current batch; wait for none."""
        if not self._by_task:
            return  # as nearly always, and each task asks
        for listener in self._by_task.get(_task_of(scope), ())[:]:
            self._remove(listener)
            listener.end()

    def sent(self, events: Iterable[Sent]) -> None:
        """Wake those who hear events that were just committed here."""
        if not self._all:
            return
        for namespace, key, offset in events:
            if offset == self._known + 1:  # else others sent something, and the look-out sees it
                self._known = offset
            for heard in ((namespace, key), (namespace, None)):
                for listener in self._by_key.get(heard, ()):
                    listener.wake()

    async def close(self) -> None:
        """Let all hear what is stored, then end them; at most 5 s."""
        self._closed = True
        for listener in self._all.values():
            listener.drain()
        try:
            async with self._clock.deadline(PATIENCE):
                while self._running:
                    await asyncio.wait(self._running)
        except TimeoutError:
            text = "%d listeners were not done within %s: their process() is left to itself"
            logger.warning(text, len(self._running), PATIENCE)
        finally:
            for listener in tuple(self._running.values()):
                listener.cut()
            for listener in tuple(self._all.values()):
                self._remove(listener)

    async def _place(self, wish: ListenerWish, last: int) -> int:
        """Return the offset after which a listener begins."""
        if wish.since is not None:
            old = await self._store.read(LastOffset(until=wish.since))
            return max(old, wish.begin or 0)
        return last if wish.begin is None else wish.begin

    def _add(self, listener: Listener) -> None:
        wish = listener.wish
        self._all[listener.id] = listener
        for key in _keys_of(wish):
            self._by_key.setdefault((wish.namespace, key), {})[listener] = None
        if wish.scope is not None:
            self._by_task[_task_of(wish.scope)].append(listener)
        task = self._bodies.start(listener.run())
        self._running[task] = listener
        task.add_done_callback(self._running.pop)
        listener.begin(task)
        if self._watching is None:
            self._watching = self._bodies.start(self._watch())

    def _remove(self, listener: Listener) -> None:
        wish = listener.wish
        if self._all.pop(listener.id, None) is None:
            return
        for key in _keys_of(wish):
            hearing = self._by_key[wish.namespace, key]
            del hearing[listener]
            if not hearing:
                del self._by_key[wish.namespace, key]
        if wish.scope is not None:
            task = _task_of(wish.scope)
            self._by_task[task].remove(listener)
            if not self._by_task[task]:
                del self._by_task[task]
        if not self._all and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        """Look out for events that others sent. Ends by cancellation."""
        while True:
            await self._clock.pause(POLL)
            try:
                last = await self._store.read(LastOffset())
            except StoreError as error:
                logger.warning("the store could not be looked at: %s", error)
                continue
            if last > self._known:
                self._known = last
                for listener in self._all.values():
                    listener.wake()


def _keys_of(wish: ListenerWish) -> Iterable[str | None]:
    return (None,) if wish.keys is None else wish.keys


def _task_of(scope: TaskScope) -> tuple[object, ...]:
    return scope.execution, scope.task_name, scope.sequence_number, scope.try_number
