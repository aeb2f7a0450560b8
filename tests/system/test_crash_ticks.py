"""Each tick starts exactly one execution, wherever around it the process is killed."""

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

PROGRAM = Path(__file__).parent / "ticking.py"


def run(database: Path, first: int, seconds: int, failpoint: str = "") -> int:
    """Run the program to its end, and return how it ended."""
    environment = {**os.environ, "ASYNCFLOW_FAILPOINT": failpoint}
    command = [sys.executable, "-W", "error", str(PROGRAM), str(database), str(first), str(seconds)]
    return subprocess.run(command, env=environment, check=False, timeout=30).returncode


def ask(database: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "failpoint",
    [
        "timer.fire.before:2:kill",
        "store.commit.before:1:kill",
        "store.commit.after:1:kill",
        "store.commit.before:3:kill",
        "store.commit.after:3:kill",
    ],
)
def test_a_tick_around_which_its_process_is_killed_starts_one_execution(
    tmp_path: Path, failpoint: str
) -> None:
    database = tmp_path / "flows.db"

    assert run(database, 0, 3, failpoint) == -signal.SIGKILL
    assert run(database, 3, 2, failpoint) == -signal.SIGKILL
    assert run(database, 5, 1) == 0

    due = ask(database, "SELECT at FROM tick ORDER BY at")
    starts = Counter(ask(database, "SELECT value FROM context WHERE key = 'scheduled_time'"))
    states = ask(database, "SELECT DISTINCT status FROM execution")
    assert len(due) == len(set(due)) == 6
    assert ask(database, "SELECT count(*) FROM tick WHERE dropped IS NOT NULL") == [(0,)]
    assert ask(database, "SELECT count(*) FROM execution") == [(6,)]
    assert len(starts) == 6
    assert set(starts.values()) == {1}
    assert states == [("SUCCESS",)]
