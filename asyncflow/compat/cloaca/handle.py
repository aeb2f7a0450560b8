"""Cloacina's `TaskHandle`: lets a ``def`` task wait until something is so.

It starts no thread and no timer of its own: it waits through asyncflow's calls.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Final

from asyncflow import Client, TaskStopped, UsageError, WaitTimeoutError
from asyncflow import Context as _Context
from asyncflow.compat.cloaca.retry import duration

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 0.5
"""Seconds after which a task that waits looks whether it was told to stop."""


class TaskHandle:
    """What a task gets as its second parameter, if that is called ``handle`` or ``task_handle``."""

    __slots__ = ("_context",)

    def __init__(self, context: _Context) -> None:
        self._context = context

    def defer_until(self, condition: Callable[[], bool], poll_interval_ms: float = 1000) -> None:
        """Return once the condition says True; it is asked at once, then at each interval.

        An error in it counts as False, and is logged. The task keeps its thread meanwhile.

        Raises:
            TaskStopped: the task was told to stop.
            UsageError: the condition is ``async def``.
            DefinitionError: the interval is no number over 0.
        """
        if inspect.iscoroutinefunction(condition):
            text = "defer_until() asks a plain function: await in an `async def` task instead"
            raise UsageError(text)
        seconds = duration(poll_interval_ms, "poll_interval_ms", zero=False).total_seconds()
        while not self._is_so(condition):
            self._wait(seconds)

    def is_slot_held(self) -> bool:
        """Return True: a task keeps its thread while it waits."""
        return True

    def _is_so(self, condition: Callable[[], bool]) -> bool:
        if self._context.stop_requested:
            raise TaskStopped
        try:
            return bool(condition())
        except Exception:  # user code: as Cloacina has it, it is asked again
            task, execution = self._context.task_name, self._context.execution_name
            logger.warning("a condition of task %r of %r raised", task, execution, exc_info=True)
            return False

    def _wait(self, seconds: float) -> None:
        """Wait on the clock of the runner: its execution does not end before this task."""
        execution = Client.current().execution(self._context.execution_name)
        while execution is not None and seconds > 0:
            try:
                execution.wait(min(seconds, LONGEST_WAIT))
            except WaitTimeoutError:
                seconds -= LONGEST_WAIT
            else:
                raise TaskStopped  # it has ended without this task, which was given up
