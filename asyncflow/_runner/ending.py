"""How a runner ends: by a call, with a grace of its own; or by a signal, where it has the process.

Signals are heard only while `serve` works, never where a runner is part of another program.
"""

import logging
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import Final, TypeAlias

from asyncflow._dual import Shutdown
from asyncflow._home import Home
from asyncflow._model.duration import parse_duration
from asyncflow.errors import UsageError

logger = logging.getLogger(__name__)

Grace: TypeAlias = str | float | timedelta

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

CALL: Final = "Runner.serve"


class GracefulShutdown(Shutdown):
    """Closing in both forms: `runner.shutdown(grace="30s")`, `await runner.shutdown.aio()`."""

    __slots__ = ("_limit",)

    def __init__(self, home: Home, limit: Callable[[timedelta], None]) -> None:
        """Let the home loop call ``limit`` with a grace that is given."""
        super().__init__(home)
        self._limit = limit

    def __call__(self, *, grace: Grace | None = None) -> None:
        """Close it and block until it is closed; again, it does nothing.

        Args:
            grace: how long what runs may go on; None: as `Runner` was told. Given while it closes
                already, it counts from now.
        """
        self._home.close(self._first(grace))

    async def aio(self, *, grace: Grace | None = None) -> None:
        """Close it in any event loop; cancelling the caller does not stop the closing.

        Args:
            grace: how long what runs may go on; None: as `Runner` was told. Given while it closes
                already, it counts from now.
        """
        await self._home.aclose(self._first(grace))

    def _first(self, grace: Grace | None) -> Callable[[], None] | None:
        if grace is None:
            return None
        return partial(self._limit, parse_duration(grace, "grace", zero=True))


class Serve:
    """Working until a signal, in both forms; for programs that are nothing but a runner.

    It opens the runner, unless that is open, works until SIGTERM or SIGINT, and then closes it: no
    new work, the grace for what runs, everything released. A second signal ends the grace. It also
    returns when somebody else shuts the runner down.

    Raises:
        UsageError: it is not called in the main thread, which alone hears signals; or the runner
            was closed before.
        AsyncflowError: the runner could not be opened, or has failed.
    """

    __slots__ = ("_home", "_label", "_limit", "_signals")

    def __init__(self, home: Home, limit: Callable[[timedelta], None], label: str) -> None:
        """Let the home loop call ``limit`` where there is no grace any more."""
        self._home = home
        self._label = label
        self._limit = limit
        self._signals = 0

    def __call__(self) -> None:
        """Block until a signal has closed it; only in the main thread, outside of any loop."""
        self._home.check_blocking(CALL)
        with self._heard():
            opened = not self._home.is_open
            if opened:
                self._home.open_in_thread(CALL)
            try:
                self._begin()
                self._home.outlive(CALL)
            finally:
                if opened:  # somebody else's handler of a signal may have raised
                    self._home.close()

    async def aio(self) -> None:
        """Return once a signal has closed it; only in a loop of the main thread.

        Cancelled, it closes what it has opened.
        """
        with self._heard():
            opened = not self._home.is_open
            if opened:
                await self._home.open_here()
            try:
                self._begin()
                await self._home.aoutlive()
            finally:
                if opened:
                    await self._home.aclose()

    @contextmanager
    def _heard(self) -> Generator[None]:
        """Hear signals in the body of the ``with``, and leave all as it was."""
        if threading.current_thread() is not threading.main_thread():
            text = (
                f"{CALL}() hears signals, and only the main thread does: call it there, or open "
                "the runner with `with` and shut it down yourself"
            )
            raise UsageError(text)
        before = {each: signal.signal(each, self._hear) for each in SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                if handler is not None:  # else it is none of Python's, and cannot be set again
                    signal.signal(each, handler)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        """Begin to close, or end the grace. It is called between any two lines of others."""
        self._signals += 1
        self._home.tell(partial(_log, signal.Signals(number).name, self._signals))
        self._look()

    def _begin(self) -> None:
        logger.info("%s is open, and works until SIGTERM or SIGINT", self._label)
        self._look()

    def _look(self) -> None:
        """Do what the signals say that came so far, also while it was being opened."""
        if self._signals > 1:
            self._home.tell(partial(self._limit, timedelta()))
        if self._signals:
            self._home.begin_close()


def _log(name: str, times: int) -> None:
    text = "%s: the runner shuts down" if times == 1 else "%s again: the runner gives no more grace"
    logger.info(text, name)
