"""Where users' code is started: beside any task group, which would wait for it for ever.

See docs/decisions/0007. Whoever starts something here holds on to the task and waits for it with a
limit; an error of the engine's own that comes out of it ends the group all the same.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context, copy_context
from typing import Any

from asyncflow.errors import AsyncflowError

logger = logging.getLogger(__name__)


class Bodies:
    """Starts users' code for one runner or client."""

    def __init__(self, group: asyncio.TaskGroup | None = None) -> None:
        """Pass errors of the engine's own on to ``group``; None: they are logged."""
        self._group = group
        # One of each for all tasks: each of its own would be memory while they wait.
        self._context = copy_context()
        self._checked = self._check

    def start(
        self, coroutine: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        """Start it in a context, by default a copy of the caller's, and return its task."""
        task = asyncio.get_running_loop().create_task(coroutine, context=context)
        task.add_done_callback(self._checked, context=self._context)
        return task

    def _check(self, task: asyncio.Task[None]) -> None:
        error = _error_of(task)
        if error is None:
            return
        if self._group is None:
            logger.error("%r failed", task, exc_info=error)
            return
        failing = _raise(error)
        try:
            self._group.create_task(failing)
        except RuntimeError:  # the group ends already
            failing.close()
            logger.error("%r failed while its runner ended", task, exc_info=error)  # noqa: TRY400  it is another error


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    """Return why it failed; what was cancelled by nobody would end without a word."""
    if not task.cancelled():
        return task.exception()
    return None if task.cancelling() else cancelled_by_nobody(task.get_coro())


def cancelled_by_nobody(coroutine: object) -> AsyncflowError:
    """Return what is said of a part of the engine that nobody ended."""
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    text = f"{name} raised CancelledError, though nobody cancelled it: the runner ends with it"
    return AsyncflowError(text)


async def _raise(error: BaseException) -> None:
    raise error
