"""A client whose session and calls do whatever a test of the two forms needs."""

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from asyncflow._dual import (
    DualContext,
    Page,
    dual_classmethod,
    dual_function,
    dual_iterator,
    dual_iterator_classmethod,
    dual_method,
)
from asyncflow._home import Home
from asyncflow.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
WORD = contextvars.ContextVar("WORD", default="nobody's")


class Bell(DualContext):
    """A client with a session that can fail, and calls that can do anything."""

    current: "Bell | None" = None

    def __init__(self, fail_to_open: int = 0) -> None:
        self.home = Home(self.session, "Bell")
        self.log: list[str] = []
        self.fail_to_open = fail_to_open
        self.fail_to_close: BaseException | None = None
        self.entered = threading.Event()
        self.fetched: list[int | None] = []
        self.broken_page: int | None = None

    def __home__(self) -> Home:
        return self.home

    @classmethod
    def __class_home__(cls) -> Home:
        if cls.current is None:
            raise UsageError("no Bell is open")
        return cls.current.home

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        if self.fail_to_open:
            self.fail_to_open -= 1
            raise ValueError("cannot open")
        self.log.append("opened")
        task = asyncio.current_task()
        try:
            yield
        finally:
            self.log.append("closed" if asyncio.current_task() is task else "another task")
        if self.fail_to_close is not None:
            raise self.fail_to_close

    @dual_method
    async def add(self, left: int, right: int = 1) -> int:
        """Add two numbers."""
        return left + right

    @dual_method
    async def place(self) -> tuple[asyncio.AbstractEventLoop, int]:
        return asyncio.get_running_loop(), threading.get_ident()

    @dual_method
    async def task(self) -> "asyncio.Task[Any] | None":
        return asyncio.current_task()

    @dual_method
    async def word(self) -> str:
        return WORD.get()

    @dual_method
    async def fail(self, error: BaseException | type[BaseException]) -> None:
        raise error

    @dual_method
    async def hang(self, error: BaseException | None = None) -> None:
        """Wait until it is cancelled, and then take three turns of the loop to clean up."""
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            self.log.append("cleaned")
            if error is not None:
                raise error

    @dual_method
    async def interrupt(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await self.hang.aio()

    @dual_classmethod
    @classmethod
    async def get(cls, name: str) -> str:
        """Get one."""
        return f"{cls.__name__} {name}"

    @dual_iterator
    async def numbers(self, cursor: int | None, stop: int, *, size: int = 2) -> Page[int, int]:
        """Count from 0, with an empty page before the last."""
        start = cursor or 0
        self.fetched.append(cursor)
        if start == self.broken_page:
            self.broken_page = None
            raise ValueError("page is broken")
        if start == -1:
            return Page([stop])
        items = range(start, min(start + size, stop))
        return Page(items, start + size) if start < stop else Page([], -1)

    @dual_iterator_classmethod
    @classmethod
    async def listall(cls, cursor: str | None, limit: int = 2) -> Page[str, str]:
        """List all."""
        return Page([f"{cls.__name__} {cursor}"] * limit, None if cursor else "second")


class LouderBell(Bell):
    @dual_method
    async def add(self, left: int, right: int = 1) -> int:
        return 10 * await super().add.aio(left, right)


def only_home() -> Home:
    return Bell.__class_home__()


@dual_function(only_home)
async def ring(times: int, /) -> str:
    """Ring."""
    return "ding" * times


@contextmanager
def the_only(bell: Bell) -> Generator[Bell]:
    Bell.current = bell
    try:
        yield bell
    finally:
        Bell.current = None


def in_a_thread(call: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


async def to_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call)


def run_script(script: str) -> tuple[int, str, str]:
    """Run it in an interpreter of its own; one that does not end fails the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    return done.returncode, done.stdout, done.stderr
