"""A process that has imported everything and forks itself: a crash test costs no new interpreter.

Run as a program it reads requests, a line each, and answers with how the child ended. It starts no
thread and no loop, which a fork would not survive.
"""

import asyncio
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Final

from asyncflow._failpoint import armed

ROOT: Final = Path(__file__).resolve().parents[2]
TAKES: Final = 0.002
"""Seconds between two looks at a child."""


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

    def run(
        self,
        module: str,
        *arguments: str,
        failpoint: str = "",
        folder: Path,
        seconds: float = 15,
    ) -> int:
        """Run it to its end, and return how it ended.

        What it says is in ``folder/errors``, what it passed, unless it was killed, in
        ``folder/passes``.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = [module, list(arguments), failpoint, str(folder), seconds]
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        ended = json.loads(self._server.stdout.readline())
        assert isinstance(ended, int), f"it hangs: {said(folder)}"
        return ended

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(10)


def said(folder: Path) -> str:
    """Return what the last child wrote to stderr."""
    return (folder / "errors").read_text()


def passes(folder: Path) -> dict[str, int]:
    """Return how often the last child passed each failpoint."""
    counted: dict[str, int] = json.loads((folder / "passes").read_text())
    return counted


def serve() -> None:
    """Answer requests until there are no more."""
    importlib.import_module("tests.crash.scene")
    for line in sys.stdin:
        module, arguments, failpoint, folder, seconds = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(be_child(module, arguments, failpoint, Path(folder)))
        print(json.dumps(ended(child, seconds)), flush=True)  # noqa: T201  the answer


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


def ended(child: int, seconds: float) -> int | None:
    """Return how a child ended, None if it had to be ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(TAKES)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    serve()
