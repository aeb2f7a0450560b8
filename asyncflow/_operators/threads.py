"""Where blocking code of tasks runs: threads of its own limit, never the loop's default executor.

The default executor is shared with name look-ups and files of the embedding service, which tasks
could starve.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, TypeVar

import anyio

from asyncflow._clock import Deadline
from asyncflow._model.port import CURRENT_TASK, StopSign
from asyncflow._operators.workers import work_in_thread
from asyncflow.errors import TaskStopped

T = TypeVar("T")

SLOTS: Final[ContextVar[anyio.CapacityLimiter | None]] = ContextVar("asyncflow_slots", default=None)
"""How many threads the runner gives to its tasks; None: as many as they want."""

DEADLINE: Final[ContextVar[Deadline | None]] = ContextVar("asyncflow_deadline", default=None)
"""The time that the attempt has: it does not pass while the attempt waits for a thread."""


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
    """Hold one of the slots; the time that an attempt has stands still until there is one."""
    slots, place = SLOTS.get(), object()
    if slots is None:
        yield
        return
    try:
        slots.acquire_on_behalf_of_nowait(place)
    except anyio.WouldBlock:
        deadline = DEADLINE.get()
        with deadline.suspended() if deadline is not None else nullcontext():
            await slots.acquire_on_behalf_of(place)
    try:
        yield
    finally:
        slots.release_on_behalf_of(place)
