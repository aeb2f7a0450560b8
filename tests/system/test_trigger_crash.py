"""A process that is killed between a poll and its commit repeats nothing and forgets nothing."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

PROGRAM = Path(__file__).parent / "inbox.py"
PLACES = (
    "trigger.poll.after:2",
    "store.commit.before:1",
    "trigger.poll.after:3",
    "store.commit.after:1",
    "store.commit.before:2",
    "store.commit.after:2",
)
"""The first poll only sees the files; the second offers them, and the third hears of that.

Half of them are between a poll that offers and its commit.
"""


def run(database: Path, folder: Path, number: int, failpoint: str = "") -> int:
    """Run the program until so many files are worked on, and return how it ended."""
    environment = {**os.environ, "ASYNCFLOW_FAILPOINT": failpoint}
    command = [sys.executable, "-W", "error", str(PROGRAM), str(database), str(folder), str(number)]
    return subprocess.run(command, env=environment, check=False, timeout=30).returncode


def worked_on(database: Path) -> list[str]:
    """Return the file of each execution, by the database alone."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT value FROM context WHERE key = 'uri'").fetchall()
        (count,) = connection.execute("SELECT count(*) FROM execution").fetchone()
    assert len(rows) == count
    return sorted(json.loads(text) for (text,) in rows)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kills", [len(PLACES), pytest.param(100, marks=pytest.mark.long)])
def test_each_file_starts_one_execution_through_kills(kills: int, tmp_path: Path) -> None:
    database, folder = tmp_path / "flows.db", tmp_path / "inbox"
    folder.mkdir()
    dropped: list[Path] = []

    for number, place in zip(range(kills), itertools.cycle(PLACES), strict=False):
        dropped += [folder / f"{number} a", folder / os.fsdecode(b"%d \xff\n" % number)]
        for path in dropped[-2:]:
            path.touch()
        ended = run(database, folder, len(dropped) + 1, f"{place}:kill")
        assert ended == -signal.SIGKILL, place

    assert run(database, folder, len(dropped)) == 0
    assert worked_on(database) == sorted(path.as_uri() for path in dropped)
