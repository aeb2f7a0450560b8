"""What the tests of Flyte's face share: a session for each, events that come, other programs."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from asyncflow import Registry
from asyncflow.compat.flyte.environment import TASKS
from asyncflow.compat.flyte.remote import Event, Run
from asyncflow.compat.flyte.session import SESSION

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def session() -> Generator[None]:
    """Have declarations and a session of one's own."""
    with Registry():
        try:
            yield
        finally:
            SESSION.close()
            TASKS.clear()


def waiting(name: str, run: Run) -> Event:
    """Return an event once a task waits for it."""
    while (found := Event.get(name, run_name=run.name)) is None:
        assert not Run.get(run.name).done()
    return found


async def waiting_aio(name: str, run: Run) -> Event:
    while (found := await Event.get.aio(name, run_name=run.name)) is None:
        assert not (await Run.get.aio(run.name)).done()
    return found


def run_program(folder: Path, program: str, *args: str, status: int = 0) -> str:
    path = folder / "program.py"
    path.write_text(textwrap.dedent(program), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", path, *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout
