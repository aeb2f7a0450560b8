"""Threads that wait for blocking code of tasks. They never hold up the exit of the process.

See docs/decisions/0008: a thread cannot be ended from outside, and those of asyncio and anyio are
waited for when the interpreter exits. How many work at once is not decided here.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

IDLE: Final = timedelta(seconds=10)
"""How long a thread waits for its next job."""


class Job(Generic[T]):
    """A function on its way to a thread, and what came of it on the way back."""

    __slots__ = ("_context", "_error", "_function", "_loop", "_value", "done")

    _value: T

    def __init__(self, function: Callable[[], T]) -> None:
        """Call it with the context variables of whoever makes this, on whose loop it is told."""
        self._function = function
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._error: BaseException | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()

    def work(self) -> None:
        """Call it, in a thread."""
        try:
            self._value = self._context.run(self._function)
        except BaseException as error:  # user code: raised where it is awaited
            self._error = error

    def tell(self) -> None:
        """Say on the loop that it was called."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._finish)

    def result(self) -> T:
        """Return what it returned, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # or it would hold itself through its traceback

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Worker(Thread):
    """A daemon thread that does one job after the other."""

    def __init__(self, idle: "deque[Worker]") -> None:
        """Wait among the idle between jobs."""
        super().__init__(name="asyncflow worker", daemon=True)
        self._idle = idle
        self._jobs: SimpleQueue[Job[Any]] = SimpleQueue()

    def give(self, job: Job[Any]) -> None:
        """Have it do a job."""
        self._jobs.put(job)

    def run(self) -> None:
        """Do jobs until there is none for a while."""
        while (job := self._next()) is not None:
            job.work()
            self._idle.append(self)  # first: who hears of the end may have the next one
            job.tell()
            del job

    def _next(self) -> Job[Any] | None:
        with suppress(Empty):
            return self._jobs.get(timeout=IDLE.total_seconds())
        try:
            self._idle.remove(self)
        except ValueError:  # somebody has just taken it for a job
            return self._jobs.get()
        return None


_idle: Final[deque[Worker]] = deque()
os.register_at_fork(after_in_child=_idle.clear)  # threads stay in the parent


async def work_in_thread(function: Callable[[], T]) -> T:
    """Return what a function returns that is called in a thread.

    Cancelled, it does not wait for the function, which goes on unheard.
    """
    job = Job(function)
    try:
        worker = _idle.pop()
    except IndexError:
        worker = Worker(_idle)
        worker.start()
    worker.give(job)
    await job.done
    return job.result()
