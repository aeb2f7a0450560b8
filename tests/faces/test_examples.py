"""The examples, run as their readers run them: as programs, on real files."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
PYTHON = (sys.executable, "-W", "error")
TASKS = ["announce", "checksums", "kinds", "lines_and_words", "publish", "report", "scan"]


def quickstart(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the quickstart in a folder."""
    return subprocess.run(
        [*PYTHON, EXAMPLES / "quickstart.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def context_of(database: Path, execution: int = 1) -> dict[str, Any]:
    found = rows(database, f"SELECT key, value FROM context WHERE execution = {execution}")
    return {key: json.loads(value) for key, value in found}


def test_the_second_call_of_the_quickstart_shows_the_first(tmp_path: Path) -> None:
    database = tmp_path / "asyncflow-quickstart.db"

    first, second = quickstart(tmp_path), quickstart(tmp_path)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    (name, status), (later, _) = rows(database, "SELECT name, status FROM execution ORDER BY id")
    assert status == "SUCCESS"
    assert name not in first.stdout.partition("\nNow ")[0]
    history, _, now = second.stdout.partition("\nNow ")
    assert name in history
    assert "9 files" in history
    assert now.startswith(f"{later}: SUCCESS")
    assert str(database) in now


def test_the_quickstart_shows_a_parallel_part_an_event_and_a_retry(tmp_path: Path) -> None:
    database = tmp_path / "here.db"

    done = quickstart(tmp_path, EXAMPLES / "data", "--database", database)

    assert done.returncode == 0, done.stderr
    ran = rows(database, "SELECT task, status, try_number FROM task_execution ORDER BY task")
    assert ran == [(name, "SUCCESS", 2 if name == "publish" else 1) for name in TASKS]
    totals = {"files": 9, "bytes": folder_size(EXAMPLES / "data"), "duplicates": 1}
    ((key, value),) = rows(database, "SELECT key, value FROM event")
    assert (key, json.loads(value)) == ("inventory", totals)
    context = context_of(database)
    assert context["twins"] == [["archive/planets.csv", "planets.csv"]]
    assert context["files"]["pixel.png"] == "binary"
    assert "fails on purpose" in done.stderr
    report = json.loads((tmp_path / "here.db.report.json").read_text())
    assert report["text"] == context["text"]


def folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_quickstart_goes_on_with_what_a_killed_call_left(tmp_path: Path) -> None:
    database = tmp_path / "asyncflow-quickstart.db"
    publish = "SELECT status FROM task_execution WHERE task = 'publish'"
    with subprocess.Popen(
        [*PYTHON, EXAMPLES / "quickstart.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as killed:
        assert killed.stderr is not None
        assert "fails on purpose" in killed.stderr.readline()
        while rows(database, publish) != [("RETRYING",)]:
            pass  # else the attempt that fails on purpose is not recorded, and is made again
        killed.kill()

    done = quickstart(tmp_path)

    assert "  RUNNING  -\n" in done.stdout
    assert rows(database, "SELECT status FROM execution") == [("SUCCESS",), ("SUCCESS",)]
    tries = "SELECT task, try_number FROM task_execution WHERE execution = 1 ORDER BY task"
    assert rows(database, tries) == [(name, 2 if name == "publish" else 1) for name in TASKS]


def test_the_quickstart_finds_nothing_in_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()

    done = quickstart(tmp_path, folder)

    assert done.returncode == 0, done.stderr
    assert "0 files, 0 lines, 0 words" in done.stdout


def test_the_quickstart_reads_any_name_and_any_bytes_and_reports_what_it_skips(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "binary").write_bytes(bytes(range(256)))
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_bytes(b"one\ntwo \xff three")
    (folder / "two\nlines\x1b[31m.txt").write_text("日本語\n", encoding="utf-8")
    (folder / "long").write_bytes(b"x" * 100_000 + b" y")
    (folder / "link").symlink_to(ROOT / "README.md")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")

    done = quickstart(tmp_path, folder)

    assert done.returncode == 0, done.stderr
    context = context_of(tmp_path / "asyncflow-quickstart.db")
    assert set(context["files"]) == {"binary", "caf\udce9.txt", "two\nlines\x1b[31m.txt", "long"}
    assert [line.partition(":")[0] for line in context["skipped"]] == [
        "'link'",
        "'pipe'",
        "'round'",
    ]
    assert context["text"] == {"lines": 2, "words": 7}
    assert "\x1b" not in done.stdout


@pytest.mark.long
def test_the_quickstart_takes_10_000_files_and_says_what_it_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10_003):
        (folder / f"{number}.txt").touch()

    done = quickstart(tmp_path, folder)

    assert done.returncode == 0, done.stderr
    counts = context_of(tmp_path / "asyncflow-quickstart.db")["counts"]
    assert counts == {"files": 10_000, "skipped": 0, "left out": 3}


@pytest.mark.parametrize("name", ["missing", "file"])
def test_the_quickstart_refuses_what_is_no_folder_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    done = quickstart(tmp_path, name)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"no folder that can be read: '{name}'\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_the_quickstart_refuses_a_database_that_is_none_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, " * 100)

    done = quickstart(tmp_path, "--database", "text")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "text") in done.stderr


@contextmanager
def service(database: Path) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Start the service, and yield its process and its port."""
    with subprocess.Popen(
        [*PYTHON, EXAMPLES / "embed_in_service.py", "--port", "0", "--database", database],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on port "), process.communicate()
            yield process, int(line.split()[-1])
        finally:
            process.kill()


class Caller:
    """A client of the service."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, line: bytes) -> str:
        """Send a line and return the answer."""
        self._socket.sendall(line + b"\n")
        return self._lines.readline().decode().strip()


def test_the_service_starts_an_execution_for_each_order(tmp_path: Path) -> None:
    database = tmp_path / "orders.db"

    with service(database) as (_, port), Caller(port) as caller:
        accepted, name = caller.ask(b"order 3 apples").split()
        status = caller.ask(f"status {name}".encode())
        while status.startswith("RUNNING"):
            status = caller.ask(f"status {name}".encode())

    assert accepted == "accepted"
    assert status.startswith("SUCCESS {")
    assert json.loads(status.removeprefix("SUCCESS "))["charged"] == 6
    assert rows(database, "SELECT name, status FROM execution") == [(name, "SUCCESS")]


def test_the_service_answers_bad_requests_and_goes_on(tmp_path: Path) -> None:
    with service(tmp_path / "orders.db") as (_, port):
        with Caller(port) as caller:
            answers = [
                caller.ask(line) for line in (b"", b"\xff", b"status x", b"cancel x", b"order -1 x")
            ]
            long = caller.ask(b"x" * 200_000)
        with Caller(port) as caller:
            good = caller.ask(b"order 1 pear")

    assert [text.partition(" ")[0] for text in answers] == ["error:"] * 5
    assert long == "error: the line is too long"
    assert good.startswith("accepted ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_service_ends_cleanly_on_a_signal_while_clients_are_connected(
    tmp_path: Path, number: signal.Signals
) -> None:
    with service(tmp_path / "orders.db") as (process, port), Caller(port) as caller:
        name = caller.ask(b"order 1 pear").split()[1]
        process.send_signal(number)
        out, err = process.communicate(timeout=15)

    assert (process.returncode, out, err) == (0, "closed\n", "")
    assert rows(tmp_path / "orders.db", "SELECT name FROM execution") == [(name,)]


SHOWN = {
    "listener": {"SUCCESS: 5 parcels"},
    "event_starts_task": {"shop EVENT SUCCESS None", "pack EVENT SUCCESS packed"},
    "sum_to_100": {"producer STOPPED None", "consumer SUCCESS 105"},
    "workflow_starts_workflow": {"mail EVENT SUCCESS"},
    "poll_http": {
        "The first runner:",
        "The second one, which goes on where the first was:",
        *(
            f"  order {number + 1}: SUCCESS {item}"
            for number, item in enumerate(["APPLES", "PEARS", "PLUMS", "QUINCES", "FIGS"])
        ),
    },
    "schedules": {
        "four times a day: 124 of 124 succeeded",
        "nightly: 31 of 31 succeeded",
        "workdays: 22 of 22 succeeded",
        "2026-03-28T02:30:00+01:00 SUCCESS",
        "2026-03-29T03:30:00+02:00 SUCCESS",
        "2026-03-30T02:30:00+02:00 SUCCESS",
        "2026-03-31T02:30:00+02:00 SUCCESS",
    },
    "approval_plain": {
        "Ship 1.2? (RUNNING)",
        "deploy: SUCCESS, shipped",
        "SUCCEEDED by ops: tests are green",
    },
    "four_workers": {
        "one of 4 processes starts all executions; it is killed",
        "another process goes on with them",
        "seconds that started two: 0",
        "the processes ended with [-9, 0, 0, 0]",
    },
    "webhook_approval": {"the chat shows: Ship 1.2?", "shipped, as the chat says"},
    "periodic": {f"{name} {n + 1} after {n} s" for name in ("measure", "report") for n in range(3)},
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_short_example_ends_by_itself_and_prints_what_ran(tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [*PYTHON, EXAMPLES / f"{name}.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == SHOWN[name]
    assert list(tmp_path.iterdir()) == []


def test_every_example_is_tested_and_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        *SHOWN,
        *("quickstart", "embed_in_service", "event_triggers", "watch_folder"),
        *("approval", "approve", "test_approval"),
    }
    assert all(f"examples/{path.name})" in readme for path in EXAMPLES.glob("*.py"))
