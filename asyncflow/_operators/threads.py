"""Where blocking code of tasks runs: threads of its own limit, never the loop's default executor.

The default executor is shared with name look-ups and files of the embedding service, which tasks
could starve.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from asyncflow._model.port import CURRENT_TASK, StopSign
from asyncflow.errors import TaskStopped

T = TypeVar("T")

SLOTS: Final[ContextVar[anyio.CapacityLimiter | None]] = ContextVar("asyncflow_slots", default=None)
"""How many threads the runner gives to its tasks; None leaves it to anyio."""


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
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=SLOTS.get())
    finally:
        sign.abandoned = sign.abandoned or working


async def apart(function: Callable[[], T]) -> T:
    """Return what a function of the engine returns, called in a thread that takes no task's slot.

    It ends its work even if the caller is cancelled, and does not ask whether its task was stopped.
    """
    return await anyio.to_thread.run_sync(function, limiter=anyio.CapacityLimiter(1))
