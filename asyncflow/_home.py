"""Where a client's coroutines run: on its opener's loop, or on that of a thread of its own.

It must never block a thread that runs an event loop, and never make a coroutine that cannot run.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from asyncflow._root import Call, Root, block, closed_error, outlast, settle
from asyncflow.errors import SyncInLoopError, UsageError

R = TypeVar("R")

GATE: Final[ContextVar[Callable[[], None] | None]] = ContextVar("asyncflow_gate", default=None)
"""Asked before each call in either form; it raises where the calling code must not call."""


class Home:
    """The loop that a client's coroutines run on: its opener's, or that of a thread of its own.

    `session` is entered and left in the root task, so that whoever opens and whoever closes may be
    different tasks. A home opens once; it may be tried again only if entering the session failed.
    """

    def __init__(
        self, session: Callable[[], AbstractAsyncContextManager[None]], label: str
    ) -> None:
        self.label = label
        self._session = session
        self._root: Root | None = None
        self._shut = False
        self._opening = threading.Lock()  # held until it is known whether the session was entered

    @property
    def inherited(self) -> bool:
        """Whether it was opened before this process was forked, and so is of no use in it."""
        root = self._root
        return root is not None and root.pid != os.getpid()

    async def open_here(self) -> None:
        """Make the running loop the home; what entering the session raises is raised here."""
        if not self._opening.acquire(blocking=False):
            raise UsageError(f"{self.label} is being opened already: open it in one place")
        try:
            root = self._new_root()
            task = asyncio.create_task(root.live(), name=f"{self.label} home")
            task.add_done_callback(lambda _: root.finish())
            try:
                await settle(root.opened, task.cancel, root)
            except asyncio.CancelledError:
                self._root = None
                await outlast(root.ended, root)
                raise
            self._keep_if_opened(root)
        finally:
            self._opening.release()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made; raises where it was opened before this process was forked."""
        return self._admitting() is not None

    def open_in_thread(self, name: str | None = None) -> None:
        """Make the loop of a new thread the home; if it is forgotten, the exit closes it."""
        if running_loop() is not None:
            raise UsageError(
                f"`with {self.label}(...)` would block the running event loop: "
                f"use `async with {self.label}(...)` here"
            )
        with self._opening:
            self._open_thread(name)

    def tell(self, callback: Callable[[], object]) -> None:
        """Have the loop call it, from any thread or signal handler; only if there is one."""
        root = self._root
        if root is not None and root.pid == os.getpid():
            root.tell(callback)

    def begin_close(self) -> None:
        """Leave the session soon, from any thread or signal handler; wait for nothing."""
        root = self._root
        if root is not None and root.pid == os.getpid():
            root.close()

    def outlive(self, name: str) -> None:
        """Block until somebody has closed it; what leaving the session raises is raised here."""
        root = self._root
        if root is not None:
            root.check_thread(name)
            root.check_loop(name)
            root.ended.wait()
            root.raise_failure()

    async def aoutlive(self) -> None:
        """Do as `outlive` does, in any loop."""
        root = self._root
        if root is not None:
            await asyncio.wait({root.ended.future()})
            root.raise_failure()

    def close(self, first: Callable[[], object] | None = None) -> None:
        """Leave the session and wait for it; what leaving it raises is raised here. Idempotent.

        The loop calls ``first`` before that.
        """
        self.check_blocking(f"{self.label}.shutdown")
        root = self._own_root()
        if root is not None:
            root.check_thread(f"{self.label}.shutdown")
            root.check_loop(f"{self.label}.shutdown")
            if first is not None:
                root.tell(first)
            block(root.close, root.ended, root.cancel)
            root.raise_failure()

    async def aclose(self, first: Callable[[], object] | None = None) -> None:
        """Do as `close` does, from any loop; cancelling the caller does not stop the closing."""
        root = self._own_root()
        if root is not None:
            root.check_loop(f"{self.label}.shutdown.aio")
            if first is not None:
                root.tell(first)
            root.close()
            await outlast(root.ended, root)
            root.raise_failure()

    def run(self, make_coroutine: Callable[[], Coroutine[Any, Any, R]], name: str) -> R:
        """Run it on the home loop and block until it ends; opens a thread if nothing is open.

        A signal handler that raises (Ctrl-C) cancels it, and is heard once it ended, or after 10 s.
        """
        _pass_gate()
        self.check_blocking(name)
        root = self._admitting()
        if root is None:
            with self._opening:
                root = self._admitting() or self._open_thread(name)
        root.check_thread(name)
        root.check_loop(name)
        call = Call(make_coroutine, name, root)
        block(call.begin, call.done, call.cancel)
        return call.result()

    def is_here(self) -> bool:
        """Say whether the loop that runs here is home; raise where nothing may be called."""
        _pass_gate()
        root = self._root
        return root is not None and root.loop is asyncio.get_running_loop()

    async def arun(self, make_coroutine: Callable[[], Coroutine[Any, Any, R]], name: str) -> R:
        """Await it here if this loop is home, else on the home loop; needs an open home.

        Cancelling the caller cancels it, and waits for its end.
        """
        if self.is_here():
            return await make_coroutine()
        root = self._admitting()
        if root is None:
            raise self._not_open(f"{name}.aio")
        root.check_loop(f"{name}.aio")
        call = Call(make_coroutine, name, root)
        call.begin()
        try:
            await settle(call.done, call.cancel, root)
        except asyncio.CancelledError:
            if call.done.is_set and not call.cancelled:
                call.result()  # an error of its cleaning up is told, as without a hop
            raise
        return call.result()

    def check_blocking(self, name: str, instead: str | None = None) -> None:
        """Refuse a blocking form on a thread that runs an event loop; say what to do instead."""
        if running_loop() is not None:
            raise SyncInLoopError(name, instead)

    def _admitting(self) -> Root | None:
        root = self._root
        if self.inherited:
            raise UsageError(
                f"{self.label} was opened before this process was forked: open another one here"
            )
        return root if root is not None and root.admits else None

    def _new_root(self, name: str | None = None) -> Root:
        if self._admitting() is not None:
            raise UsageError(f"{self.label} is open already: open it once, or make another one")
        if self._shut or self._root is not None:
            raise self._not_open(name or "open")
        self._root = Root(self._session, self.label)
        return self._root

    def _open_thread(self, name: str | None = None) -> Root:
        if not threading.main_thread().is_alive():
            raise UsageError(f"{self.label} cannot be opened: the interpreter is shutting down")
        root = self._new_root(name)
        try:
            block(root.begin_thread, root.opened, root.cancel)
        except BaseException:  # a signal handler's, passed on: the root was cancelled
            self._root = None
            raise
        self._keep_if_opened(root)
        return root

    def _keep_if_opened(self, root: Root) -> None:
        if not root.ready.is_set():
            self._root = None
            root.raise_failure(cancelled=True)

    def _own_root(self) -> Root | None:
        """Return what there is to close: nothing if it never opened, or in a forked child."""
        root = self._root
        self._shut = self._shut or root is None
        return root if root is not None and root.pid == os.getpid() else None

    def _not_open(self, name: str) -> UsageError:
        root = self._root
        if root is None and not self._shut:
            return UsageError(
                f"{self.label} is not open: call {name}() "
                f"inside `async with {self.label}(...) as ...:`"
            )
        return closed_error(self.label, root, name)


def _pass_gate() -> None:
    gate = GATE.get()
    if gate is not None:
        gate()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that this thread runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
