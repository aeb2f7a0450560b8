"""The root task of an open home: the session in it, and calls from other threads and loops.

It must never let the end of one call, however bad, be the end of the loop or of another call, and
never leave anybody waiting for a call that can no longer run.
"""

import asyncio
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext, suppress
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

import anyio

from asyncflow.errors import AsyncflowError, UsageError

try:
    import uvloop
except ImportError:  # no wheel for this platform
    _new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _new_loop = uvloop.new_event_loop

R = TypeVar("R")

# The main thread runs signal handlers, but a lock does not let it: on Windows never, elsewhere if
# the signal came just before the wait. So it wakes up for them.
SIGNAL_CHECK = timedelta(milliseconds=100)
_SCOPES: Final = "anyio._backends._asyncio"  # the module of anyio that has the scopes
PATIENCE = timedelta(seconds=10)  # for what was cancelled, before an interrupted thread goes on

_log = logging.getLogger("asyncflow")


class Done:
    """Says once, to threads and to loops, that something is done.

    A `concurrent.futures.Future` is no good for it: its lock stays taken if a signal handler
    raises while it is being taken, and then the home loop would wait for it for ever.
    """

    __slots__ = ("_waiters", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._waiters: deque[Callable[[], object]] = deque()

    def set(self) -> None:
        self.is_set = True
        with suppress(IndexError):
            while True:
                self._waiters.popleft()()

    def wait(self, patience: timedelta | None = None) -> None:
        """Block until it is set, or for so long."""
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.append(waiter.release)
        if self.is_set:
            return
        if patience is not None:
            waiter.acquire(timeout=patience.total_seconds())
        elif threading.current_thread() is not threading.main_thread():
            waiter.acquire()
        else:
            while not waiter.acquire(timeout=SIGNAL_CHECK.total_seconds()):
                pass  # a signal handler ran here, if there was a signal

    def future(self) -> asyncio.Future[None]:
        """Return a future of the running loop that is done once it is set."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # that loop is closed: nobody waits in it
                loop.call_soon_threadsafe(finish)

        self._waiters.append(wake)
        if self.is_set:
            finish()
        return future


def block(begin: Callable[[], None], done: Done, cancel: Callable[[], None]) -> None:
    """Begin it and wait for it; if a signal handler raises meanwhile (Ctrl-C), cancel it first."""
    try:
        begin()
        done.wait()
    except AsyncflowError:  # it did not begin
        raise
    except BaseException:  # a signal handler's, passed on once what was begun has ended
        cancel()
        done.wait(PATIENCE)
        raise


async def settle(done: Done, cancel: Callable[[], object], root: "Root") -> None:
    """Wait for it; if the caller is cancelled, cancel it and wait on."""
    try:
        await asyncio.wait({done.future()})
    except asyncio.CancelledError:
        cancel()
        await outlast(done, root)
        raise


def _shielded() -> AbstractContextManager[object]:
    """Hold off anyio's scopes, which would cancel again in every turn.

    Without their module nobody is in one, and to make one would load it: 50 ms.
    """
    return anyio.CancelScope(shield=True) if _SCOPES in sys.modules else nullcontext()


async def outlast(done: Done, root: "Root") -> None:
    """Wait for it, however often the caller is cancelled; then the caller hears of that.

    Cancelled while nobody runs the home's loop, it gives up: nothing could end there.
    """
    waiter = done.future()
    cancelled: asyncio.CancelledError | None = None
    with _shielded():
        while not (waiter.done() or root.stands_still):
            try:
                await asyncio.wait({waiter})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


def closed_error(label: str, root: "Root | None", name: str) -> UsageError:
    cause = root.error if root is not None else None
    ended = cause is not None and not isinstance(cause, asyncio.CancelledError)
    why = f" ({str(cause) or repr(cause)})" if ended else ""
    error = UsageError(f"{label} is closed{why}: {name}() needs another {label}(...)")
    error.__cause__ = cause
    return error


class Call(Generic[R]):
    """One coroutine on its way to the home loop, and its outcome on the way back."""

    __slots__ = ("_error", "_make", "_root", "_value", "cut", "done", "name", "task")

    _value: R

    def __init__(self, make: Callable[[], Coroutine[Any, Any, R]], name: str, root: "Root") -> None:
        self.name = name
        self.done = Done()
        self.task: asyncio.Task[None] | None = None
        self.cut = False  # ended by the home's closing
        self._make = make
        self._root = root
        self._error: BaseException | None = None

    async def main(self, ready: asyncio.Event) -> None:
        try:
            await ready.wait()
            self._value = await self._make()
        except BaseException as error:  # the caller's: raised here, it could end the loop
            self._error = error

    def finish(self) -> None:
        """Say so, and let go of the task, which is to die in its loop's thread.

        In a caller's main thread the callback of its weak references, which asyncio keeps, could
        be where a signal handler raises: Ctrl-C would be lost there, with "Exception ignored".
        """
        if self.task is None or self.task.cancelled():
            self._error = asyncio.CancelledError()
        self.task = None
        self.done.set()

    @property
    def cancelled(self) -> bool:
        return isinstance(self._error, asyncio.CancelledError)

    def begin(self) -> None:
        self._root.post(self)

    def cancel(self) -> None:
        self._root.tell(lambda: self._root.cancel_call(self))

    def result(self) -> R:
        error = self._error
        if error is None:
            return self._value
        if self.cut and self.cancelled:
            raise UsageError(f"{self._root.label} was closed while {self.name}() waited")
        self._error = None
        try:
            raise error
        finally:
            del error  # or it would hold itself through its traceback


class Root:
    """The root task of a home that is open: its session, and the calls from other threads."""

    def __init__(
        self, session: Callable[[], AbstractAsyncContextManager[None]], label: str
    ) -> None:
        self.label = label
        self.pid = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None  # None before and after its life
        self.ready = asyncio.Event()
        self.opened = Done()  # whether it worked: `ready`
        self.ended = Done()
        self.error: BaseException | None = None
        self._session = session
        self._closing = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._thread = threading.get_ident()
        self._calls: set[Call[Any]] = set()
        self._lock = threading.RLock()  # for all of the above; a signal handler may come in again

    @property
    def admits(self) -> bool:
        return self._group is not None

    @property
    def stands_still(self) -> bool:
        """Whether its loop exists and nobody runs it, as between two tests of one fixture."""
        loop = self.loop
        return loop is not None and not loop.is_closed() and not loop.is_running()

    async def live(self) -> None:
        """Be the root task; raises nothing, `error` has what it was."""
        try:
            # around the session, which may be asked by its own tasks' threads while it closes
            async with asyncio.TaskGroup() as group:
                with self._lock:
                    self._thread = threading.get_ident()
                    self._task = asyncio.current_task()
                    self.loop = asyncio.get_running_loop()
                    self._group = group
                try:
                    await self._serve()
                except BaseException as error:  # for who opens or closes; the group would wrap it
                    self.error = error
                self._end_calls()
        except asyncio.CancelledError as error:  # while the last calls ended
            self.error = self.error or error

    async def _serve(self) -> None:
        async with self._session():
            self.ready.set()
            self.opened.set()
            await self._closing.wait()

    def begin_thread(self) -> None:
        """Live in a daemon thread; the exit of the interpreter ends it, if nothing else does."""
        context = copy_context()
        exit_watch.add(self)
        threading.Thread(
            target=lambda: self._live_in_thread(context),
            name=f"asyncflow {self.label}",
            daemon=True,
        ).start()

    def _live_in_thread(self, context: Context) -> None:
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self.live(), context=context)
        finally:
            exit_watch.discard(self)
            self.finish()

    def finish(self) -> None:
        """Say that the root task ended; the opener is told even if it never began."""
        if not self.opened.is_set:
            self.error = self.error or asyncio.CancelledError()
            self.opened.set()
        self.ended.set()

    def raise_failure(self, *, cancelled: bool = False) -> None:
        """Raise what entering or leaving the session raised."""
        error = self.error
        if error is not None and (cancelled or not isinstance(error, asyncio.CancelledError)):
            raise error

    def check_loop(self, name: str) -> None:
        """Refuse to wait for a loop that nobody runs."""
        if self.stands_still:
            raise UsageError(
                f"{name}() would wait for the event loop that {self.label} was opened in, and "
                f"nobody runs that loop now: open and use {self.label} in one loop (with "
                "pytest-asyncio, give the fixture and the test the same loop_scope)"
            )

    def check_thread(self, name: str) -> None:
        """Refuse to wait for a loop that only this thread could run."""
        if self._thread == threading.get_ident() and not self.ended.is_set:
            raise UsageError(
                f"{name}() would wait for the event loop that {self.label} was opened in, "
                f"and this thread, which runs it, waits here: await {name}.aio() in that loop"
            )

    def post(self, call: Call[Any]) -> None:
        with self._lock:
            self._calls.add(call)  # first: a signal handler may raise between any two lines
            if self._group is None or not self.tell(lambda: self._start(call)):
                self._calls.discard(call)
                raise closed_error(self.label, self, call.name)

    def tell(self, callback: Callable[[], object]) -> bool:
        """Have the loop call it, from any thread; whether there is a loop that will."""
        with self._lock, suppress(RuntimeError):  # its owner closed the loop under us
            if self.loop is not None:
                self.loop.call_soon_threadsafe(callback)
                return True
        return False

    def close(self) -> None:
        with self._lock:
            if self.loop is None:
                self._closing.set()  # nobody waits for it yet, or any more
            elif not self.tell(self._closing.set):
                self.loop = self._group = None
                self.finish()

    def cancel(self) -> None:
        """Close it in a hurry: the session hears `CancelledError`."""
        self.close()
        task = self._task
        if task is not None:
            self.tell(task.cancel)

    def _start(self, call: Call[Any]) -> None:
        """Start it in this context, which is the caller's: `tell` had it copied."""
        group = self._group
        if group is not None:  # else it was ended with the others
            main = call.main(self.ready)
            call.task = group.create_task(main, name=call.name)
            call.task.add_done_callback(lambda _: self._finish_call(call))

    def cancel_call(self, call: Call[Any]) -> None:
        if call.task is not None:
            call.task.cancel()
        elif not call.done.is_set:
            self._finish_call(call)  # it will not begin

    def _finish_call(self, call: Call[Any]) -> None:
        with self._lock:
            self._calls.discard(call)
        call.finish()

    def _end_calls(self) -> None:
        with self._lock:
            self.loop = self._group = None
            calls = tuple(self._calls)
        for call in calls:
            call.cut = True
            self.cancel_call(call)


class ExitWatch:
    """Ends the homes in threads that a program forgot, as soon as its main thread ends.

    `atexit` is too late: it comes after all non-daemon threads have ended, and those of a session
    (of a database, of anyio) end only with it. So one more such thread waits for the main thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._roots: set[Root] = set()
        self._thread: threading.Thread | None = None

    def add(self, root: Root) -> None:
        with self._lock:
            self._roots.add(root)
            if self._thread is None or not self._thread.is_alive():  # it does not survive a fork
                self._thread = threading.Thread(
                    target=self._wait, name="asyncflow exit", daemon=False
                )
                self._thread.start()

    def discard(self, root: Root) -> None:
        with self._lock:
            self._roots.discard(root)

    def _wait(self) -> None:
        threading.main_thread().join()
        with self._lock:
            roots = [root for root in self._roots if root.pid == os.getpid()]
        for root in roots:
            root.cancel()
        for root in roots:
            root.ended.wait(PATIENCE)
            if root.error is not None and not isinstance(root.error, asyncio.CancelledError):
                _log.error("%s failed while it was closed", root.label, exc_info=root.error)


exit_watch = ExitWatch()
