"""A killed process loses nothing that was recorded, and the next one goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

PROGRAM = Path(__file__).parent / "fifty.py"


def run(database: Path, log: Path, failpoint: str = "") -> int:
    """Run the program to its end, and return how it ended."""
    environment = {**os.environ, "ASYNCFLOW_FAILPOINT": failpoint}
    command = [sys.executable, "-W", "error", str(PROGRAM), str(database), str(log)]
    return subprocess.run(command, env=environment, check=False, timeout=60).returncode


def recorded(database: Path) -> dict[str, str]:
    """Return the tasks with a recorded result, by the database alone."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT task, status FROM task_execution").fetchall()
    return {name: status for name, status in rows if status == "SUCCESS"}


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "failpoint",
    [
        "store.commit.before:6:kill",
        "store.commit.after:6:kill",
        "task.body.after:23:kill",
        "task.start.before:27:kill",
        "driver.dispatch.before:7:kill",
    ],
)
def test_a_workflow_of_50_tasks_goes_on_after_kill_9_and_runs_no_recorded_task_again(
    tmp_path: Path, failpoint: str
) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"

    assert run(database, log, failpoint) == -signal.SIGKILL
    before = recorded(database)
    lines_before = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert run(database, log) == 0

    assert 0 < len(before) < 50
    assert len(recorded(database)) == 50
    lines = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert len(lines) == 50
    for name in before:
        assert lines[name] == lines_before[name], f"{name} was recorded and ran again"


@pytest.mark.timeout(90)
@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.long)])
def test_it_goes_on_through_many_kills(kills: int, tmp_path: Path) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"

    ends = [run(database, log, "store.commit.after:4:kill") for _ in range(kills)]

    assert ends[0] == -signal.SIGKILL
    assert run(database, log) == 0
    assert len(recorded(database)) == 50
