"""Hears what tasks log, and knows which processes live."""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from asyncflow._runner.process import ENDED, identity
from tests.runner.scene import until


class Ears(logging.Handler):
    """Keeps what is logged, and rings when a line begins with "begun"."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []
        self.begun = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.lines.append((record.levelno, text))
        if text.startswith("begun"):
            self.begun.set()

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]

    async def heard_begin(self) -> list[int]:
        """Return the process numbers that a task told when it began."""
        await asyncio.get_running_loop().run_in_executor(None, self.begun.wait)
        return self.numbers()

    def numbers(self) -> list[int]:
        (line,) = (text for text in self.texts if text.startswith("begun"))
        return [int(number) for number in line.split()[1:]]


@contextmanager
def listening() -> Generator[Ears]:
    """Hear the log of tasks."""
    log, ears = logging.getLogger("asyncflow.task"), Ears()
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(ears)
    try:
        yield ears
    finally:
        log.removeHandler(ears)
        log.setLevel(before)
        ears.begun.set()  # let a thread that waits for it end


def lives(process: int) -> bool:
    return identity(process) not in {"", ENDED}


async def gone(processes: list[int]) -> None:
    """Return when none of them lives; the test's timeout ends what never comes."""
    await until(lambda: not any(map(lives, processes)))


def within(seconds: float, call: Callable[[], bool]) -> bool:
    """Ask until it is so, at most for a time."""
    waiter = threading.Event()
    for _ in range(int(seconds * 100)):
        if call():
            return True
        waiter.wait(0.01)
    return call()
