"""Where blocking code of tasks runs: threads of its own limit, never the loop's default executor.

The default executor is shared with name look-ups and files of the embedding service, which tasks
could starve.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, TypeVar

from asyncflow._clock import Deadline
from asyncflow._model.port import CURRENT_TASK, StopSign
from asyncflow._operators.workers import work_in_thread
from asyncflow.errors import TaskStopped, UsageError

T = TypeVar("T")

MOST_WAITING: Final = 1_000
"""Threads that wait for events; each has a stack, and the system has an end of them."""

DEADLINE: Final[ContextVar[Deadline | None]] = ContextVar("asyncflow_deadline", default=None)
"""The time that the attempt has: it does not pass while the attempt waits for a thread."""


class Slots:
    """How many threads work at once; one that waits for an event holds none meanwhile.

    Attributes:
        free: how many slots are not taken.
        queued: how many wait for one.
        waiting: how many threads wait for events, without one.
    """

    __slots__ = ("_semaphore", "free", "queued", "waiting")

    def __init__(self, threads: int) -> None:
        """Let so many work at once."""
        self._semaphore = asyncio.Semaphore(threads)
        self.free = threads
        self.queued = self.waiting = 0

    async def take(self) -> None:
        """Take one; the time that an attempt has stands still until there is one."""
        if self._semaphore.locked():
            deadline = DEADLINE.get()
            self.queued += 1
            try:
                with deadline.suspended() if deadline is not None else nullcontext():
                    await self._semaphore.acquire()
            finally:
                self.queued -= 1
        else:
            await self._semaphore.acquire()  # at once
        self.free -= 1

    def leave(self) -> None:
        """Give it back."""
        self.free += 1
        self._semaphore.release()


class _Held:
    """A slot that is held for a thread, unless all that the thread does is wait."""

    __slots__ = ("_holds", "_over", "_slots", "_waits")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._holds = False
        self._over = False
        self._waits = 0

    async def take(self) -> None:
        await self._slots.take()
        self._holds = True

    def leave(self) -> None:
        if self._holds:
            self._holds = False
            self._slots.leave()

    def end(self) -> None:
        """Hold none any more: nobody waits for what the thread does."""
        self._over = True
        self.leave()

    def wait(self) -> None:
        """Note that the thread begins to wait."""
        if self._slots.waiting >= MOST_WAITING:
            text = (
                f"{MOST_WAITING:,} threads wait for events already: make the task `async def`, and "
                "await new_event.aio() and event.wait.aio(), which hold no thread"
            )
            raise UsageError(text)
        self._slots.waiting += 1
        self._waits += 1
        self.leave()

    async def go_on(self, *, work: bool) -> None:
        """Note that it waits no more; to work on, it needs its slot again."""
        try:
            if work and self._waits == 1 and not (self._over or self._holds):
                await self.take()
                if self._over:  # it was given up meanwhile
                    self.leave()
        finally:
            self._slots.waiting -= 1
            self._waits -= 1


SLOTS: Final[ContextVar[Slots | None]] = ContextVar("asyncflow_slots", default=None)
"""What the runner gives to threads of its tasks; None: as many as they want."""

_HELD: Final[ContextVar[_Held | None]] = ContextVar("asyncflow_held", default=None)
"""The slot of the thread that asks, also in the coroutine that runs for it on the loop."""


async def in_thread(function: Callable[[], T]) -> T:
    """Return what a blocking function returns, called in a thread that knows its task.

    A cancelled caller does not wait for the thread: nothing can end a thread from outside. It
    keeps running, holds no slot, and learns of it by its stop sign.
    """
    scope = CURRENT_TASK.get()
    sign = StopSign() if scope is None else scope.stop_sign
    working = False

    def work() -> T:
        nonlocal working
        working = True
        sign.threads += 1  # before the look: who raises the sign looks here afterwards
        try:
            if sign.raised:
                raise TaskStopped
            return function()
        except GeneratorExit as error:  # thrown into a coroutine, it would close all that await it
            text = "a function in a thread raised GeneratorExit"
            raise RuntimeError(text) from error
        finally:
            sign.threads -= 1
            working = False

    try:
        async with slot():
            return await work_in_thread(work)
    finally:
        sign.abandoned = sign.abandoned or working


@asynccontextmanager
async def slot() -> AsyncGenerator[None]:
    """Hold one of the slots; what runs in the body, and its threads, may give it up to wait."""
    slots = SLOTS.get()
    if slots is None:
        yield
        return
    held = _Held(slots)
    await held.take()
    token = _HELD.set(held)
    try:
        yield
    finally:
        _HELD.reset(token)
        held.end()


def in_thread_of_task() -> bool:
    """Say whether the caller is, or works for, a thread that holds a slot of a task."""
    return _HELD.get() is not None


def without_slot() -> AbstractAsyncContextManager[None]:
    """Give up the slot of the thread that waits for the body, and take one again for its work.

    Raises:
        UsageError: too many threads wait already.
    """
    held = _HELD.get()
    return _NO_SLOT if held is None else _waiting_in_thread(held)


_NO_SLOT: Final = nullcontext()
"""One for all who wait on the loop, where they are many."""


@asynccontextmanager
async def _waiting_in_thread(held: _Held) -> AsyncGenerator[None]:
    held.wait()
    try:
        yield
    finally:
        # Whatever ended the wait, its own timeout too: only a task that is told to stop does no
        # more work.
        scope = CURRENT_TASK.get()
        await held.go_on(work=scope is None or not scope.stop_sign.raised)
