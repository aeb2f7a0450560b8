"""The examples of triggers, run as their readers run them: as programs, on real files."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
PYTHON = (sys.executable, "-W", "error")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

DEMO = """\
Event Triggers and Task Callbacks Demo
==================================================

Manual execution with callbacks:
----------------------------------------
 Validating file: report_2024.csv
 [SUCCESS] Task 'validate_file' completed
 Processing file: report_2024.csv
 [SUCCESS] Task 'process_file' completed
----------------------------------------
Workflow status: SUCCESS

Polls by hand:
----------------------------------------
 Poll 1: SKIP - waiting...
 Poll 2: SKIP - waiting...
 Poll 3: SKIP - waiting...
 Poll 4: SKIP - waiting...
 [TRIGGER] Found new file: data_TIME.csv
 Poll 5: FIRE - workflow will execute
 Poll 6: SKIP - waiting...
 Poll 7: SKIP - waiting...

Polls by the runner:
----------------------------------------
 [TRIGGER] Found new file: data_TIME.csv
 Validating file: data_TIME.csv
 [SUCCESS] Task 'validate_file' completed
 Processing file: data_TIME.csv
 [SUCCESS] Task 'process_file' completed
----------------------------------------
Workflow status: SUCCESS, started by an EVENT
file_watcher -> file_processor, every 200 ms

Demo complete!
"""


def run(folder: Path, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTHON, EXAMPLES / f"{name}.py", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_event_triggers_prints_what_the_tutorial_does_and_then_really_polls(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "event_triggers")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.sub(r"data_\d{6}", "data_TIME", done.stdout) == DEMO
    assert list(tmp_path.iterdir()) == []


@contextmanager
def watching(folder: Path, database: Path) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*PYTHON, EXAMPLES / "watch_folder.py", folder, "--database", database],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], *names: str) -> list[str]:
    """Return what is printed until files of these names were worked on."""
    assert process.stdout is not None
    missing, lines = {f"  worked on {name!r}" for name in names}, list[str]()
    while missing:
        line = process.stdout.readline()
        assert line, process.communicate()
        lines.append(line)
        missing -= {text for text in missing if line.startswith(text)}
    return lines


def statuses(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM execution")]


def test_watch_folder_works_on_each_file_once_through_a_kill(tmp_path: Path) -> None:
    folder, database = tmp_path / "in box", tmp_path / "watch.db"
    folder.mkdir()
    (folder / "a").write_text("first")
    with watching(folder, database) as killed:
        first = lines_until(killed, "a")
        (folder / "b").write_text("second")
        lines_until(killed, "b")
        (folder / "two\nlines").write_text("while it was killed")
        killed.kill()
    (folder / os.fsdecode(b"caf\xe9")).write_text("while nobody watched")

    with watching(folder, database) as process:
        lines = lines_until(process, "two\nlines", "caf\udce9")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)

    assert "Worked on earlier: 0\n" in first
    assert f"  date > '{folder}/hello.txt'\n" in first
    shown = "".join(lines)
    assert re.search(r"^Worked on earlier: [23]$", shown, re.MULTILINE)
    assert re.search(r"^  [-0-9]{10} [:0-9]{8} UTC  SUCCESS  'a'$", shown, re.MULTILINE)
    assert (process.returncode, err.count("Traceback"), "Kept in" in out) == (0, 0, True)
    assert statuses(database) == ["SUCCESS"] * 4


def test_watch_folder_ends_when_its_time_is_over_and_leaves_its_database(tmp_path: Path) -> None:
    database, data = tmp_path / ".asyncflow-watch.db", EXAMPLES / "data"
    names = [path.name for path in data.iterdir() if path.is_file()]
    with watching(data, database) as process:
        lines_until(process, *names)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0

    again = run(tmp_path, "watch_folder", "--seconds", "0.01")

    assert (again.returncode, again.stderr) == (0, "")
    assert f"Worked on earlier: {len(names)}\n" in again.stdout
    assert f"Watching '{data}' for 0.01 s.\n" in again.stdout
    assert "  touch " in again.stdout
    assert statuses(database) == ["SUCCESS"] * len(names)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("missing",), "no folder that can be read: 'missing'\n"),
        ((".", "--database", "x.db"), "the database changes all the time: keep it out of '.'\n"),
    ],
)
def test_watch_folder_refuses_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = run(tmp_path, "watch_folder", *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)
    assert list(tmp_path.iterdir()) == []
