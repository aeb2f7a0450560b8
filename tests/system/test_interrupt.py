"""Ctrl-C ends a program that is blocked in a call: soon, as Python does, and without a loss."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from asyncflow import Runner, WorkflowExecution, WorkflowStatus
from tests.bell import ROOT
from tests.system.interrupted import CALLS, INTERRUPTS, declare

pytestmark = pytest.mark.crash

PROGRAM = "tests.system.interrupted"
SECONDS = 2

AWAITED = {"send_event": "begun", "listing": "listing", "shutdown": "may go on for"}
"""What the program says when it is blocked; else: "begun"."""


def begun(database: Path, how: str, kind: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-m", PROGRAM, str(database), how, kind]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def interrupt(program: "subprocess.Popen[str]", word: str, times: int) -> None:
    """Send Ctrl-C each time that the program says the word."""
    assert program.stdout is not None
    for line in program.stdout:
        if word in line:
            program.send_signal(signal.SIGINT)
            times -= 1
            if not times:
                return


def is_intact(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def go_on(database: Path) -> WorkflowExecution:
    """Let the next runner finish what the program began."""
    with Runner(f"sqlite:///{database}", registry=declare(hanging=False)) as runner:
        (execution,) = runner.executions()
        if execution.workflow_name == "asked":
            runner.send_event("said")
        return execution.wait(timeout="5s")


CASES = [
    *((call + way, "async") for call in CALLS for way in ("", " in with")),
    *((call, "thread") for call in ("wait in with", "execute", "shutdown")),
    ("wait in a loop", "async"),
]
"""How the program calls, and of which kind the task is that runs meanwhile."""


@pytest.mark.parametrize(("how", "kind"), CASES)
def test_ctrl_c_ends_a_blocked_call_and_the_next_runner_goes_on(
    how: str, kind: str, tmp_path: Path
) -> None:
    database = tmp_path / "flows.db"
    call = how.partition(" ")[0]

    with begun(database, how, kind) as program:
        try:
            interrupt(program, AWAITED.get(call, "begun"), INTERRUPTS if call == "listing" else 1)
            sent = time.monotonic()
            _, errors = program.communicate(timeout=10)
            taken = time.monotonic() - sent
        finally:
            program.kill()

    assert program.returncode == -signal.SIGINT
    assert errors.splitlines()[-1:] in (["KeyboardInterrupt"], [])  # none after its last line
    assert taken < SECONDS
    assert is_intact(database)
    assert go_on(database).status is WorkflowStatus.SUCCESS
