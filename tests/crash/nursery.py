"""A process that has imported everything and forks itself: a crash test costs no new interpreter.

Run as a program it reads requests, a line each, and answers each with a line. It starts no thread
and no loop, which a fork would not survive.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asyncflow._failpoint import armed

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = tuple(f"tests.crash.{name}" for name in ("past", "scene", "crowd", "soak"))
LOOK: Final = 0.001
"""Seconds between two looks at a child."""


@dataclass(frozen=True)
class Child:
    """A program that runs, and where it says what it has to say."""

    pid: int
    folder: Path
    _ask: Callable[..., object]

    def kill(self) -> None:
        """Kill it, unless it has ended: its number may be that of another by now."""
        self._ask("kill", self.pid)

    def wait(self, seconds: float = 15) -> int:
        """Return how it ended; it may not take longer."""
        ended = self._ask("wait", self.pid, seconds)
        assert isinstance(ended, int), f"it hangs: {self.said()}"
        return ended

    @property
    def runs(self) -> bool:
        """Whether it has not ended by itself."""
        return self._ask("runs", self.pid) is True

    def said(self) -> str:
        """Return what it wrote to stderr."""
        return (self.folder / "errors").read_text()

    def passes(self) -> Mapping[str, int]:
        """Return how often it passed each failpoint; not for one that was killed."""
        return Counter(json.loads((self.folder / "passes").read_text()))


class Nursery:
    """Starts programs, each a module with ``async def main(*arguments: str)``, as forks."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, module: str, *arguments: str, folder: Path, failpoint: str = "") -> Child:
        """Start a program; what it says is kept in ``folder``, until the next one says something.

        Args:
            module: its `main` is run.
            arguments: of `main`.
            folder: of its own, if several run at once.
            failpoint: as in the variable.
        """
        pid = self._ask("start", module, list(arguments), failpoint, str(folder))
        assert isinstance(pid, int)
        return Child(pid, folder, self._ask)

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(10)

    def _ask(self, *request: object) -> object:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: object = json.loads(self._server.stdout.readline())
        return answer


def serve() -> None:
    """Answer requests until there are no more."""
    for program in PROGRAMS:
        importlib.import_module(program)
    ends: dict[int, int] = {}
    for line in sys.stdin:
        match json.loads(line):
            case "start", module, arguments, failpoint, folder:
                answer: int | bool | None = os.fork()
                if answer == 0:
                    os._exit(be_child(module, arguments, failpoint, Path(folder)))
            case "wait", pid, seconds:
                answer = ended(ends, pid, seconds)
            case "runs", pid:
                answer = ended(ends, pid, 0) is None
            case "kill", pid:
                answer = ended(ends, pid, 0) is None and kill(pid)
            case _:
                raise ValueError(line)
        print(json.dumps(answer), flush=True)  # noqa: T201  the answer


def be_child(module: str, arguments: list[str], failpoint: str, folder: Path) -> int:
    errors = os.open(folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDWR)
    for own, instead in ((0, nothing), (1, nothing), (2, errors)):
        os.dup2(instead, own)
    with armed(failpoint) as counted:
        try:
            asyncio.run(importlib.import_module(module).main(*arguments))
        except BaseException:  # whatever it is: the parent would serve on in the child
            traceback.print_exc()
            sys.stderr.flush()
            return 1
        finally:
            (folder / "passes").write_text(json.dumps(counted))
    return 0


def ended(ends: dict[int, int], pid: int, seconds: float) -> int | None:
    """Return how a child ended, None if it has not; one that was waited for is killed then."""
    until = time.monotonic() + seconds
    while pid not in ends:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ends[pid] = os.waitstatus_to_exitcode(status)
        elif time.monotonic() >= until:
            break
        else:
            time.sleep(LOOK)  # waitpid(2) takes no limit of time
    if pid not in ends and seconds:
        kill(pid)
        os.waitpid(pid, 0)
    return ends.get(pid)


def kill(pid: int) -> bool:
    """Kill a child that was not waited for."""
    os.kill(pid, signal.SIGKILL)
    return True


if __name__ == "__main__":
    serve()
