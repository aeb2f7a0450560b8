"""What the tests of several processes share: a child of a program, and the database alone."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 40.0


class Child:
    """A running program."""

    def __init__(self, program: str, *arguments: object, failpoint: str = "") -> None:
        command = [sys.executable, "-W", "error", str(HERE / program), *map(str, arguments)]
        environment = {**os.environ, "ASYNCFLOW_FAILPOINT": failpoint}
        self.process = subprocess.Popen(command, env=environment)

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, timeout: float = PATIENCE) -> int:
        """Return how it ended."""
        return self.process.wait(timeout)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def children(program: str, *arguments: object, number: int = 1) -> Generator[list[Child]]:
    """Run a program several times over, and leave none behind."""
    found = [Child(program, *arguments) for _ in range(number)]
    try:
        yield found
    finally:
        for each in found:
            each.close()


def until(condition: Callable[[], bool], timeout: float = PATIENCE) -> float:
    """Look until it is so, and return the seconds that took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + timeout, "it never came"
        time.sleep(0.01)  # another process makes it so
    return time.monotonic() - begin


def ask(database: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the database alone; nothing, while it is not made."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # it is being made
                raise
            return []


def lines(log: Path) -> list[list[str]]:
    """Return the words of each line that is whole."""
    text = log.read_text() if log.exists() else ""
    return [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
