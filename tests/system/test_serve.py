"""SIGTERM to a process that is nothing but a runner: exit 0, nothing lost, another one goes on."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncflow import Client, Registry, WorkflowStatus
from tests.bell import ROOT

pytestmark = pytest.mark.crash

TARGET = "tests.system.served"
TASKS = 50
URL = "sqlite:///flows.db"

Program = subprocess.Popen[str]


@contextmanager
def program(folder: Path, *arguments: str) -> Generator[Program]:
    """Run ``python -m asyncflow`` in a folder; killed at the end, if it still runs."""
    command = [sys.executable, "-W", "error", "-m", "asyncflow", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stderr=pipe, text=True, env=environment) as found:
        try:
            yield found
        finally:
            found.kill()


def heard(each: Program, word: str) -> None:
    """Read what a program says until it says the word."""
    assert each.stderr is not None
    for line in each.stderr:
        if word in line:
            return
    pytest.fail(f"it ended and never said {word!r}")


def ended(each: Program) -> tuple[int, str]:
    _, errors = each.communicate(timeout=15)
    return each.returncode, errors


def said(folder: Path, word: str, process: int | None = None) -> list[str]:
    """Return the tasks that said the word, in that process."""
    log = folder / "log"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [name for what, name, pid in lines if what == word and process in {None, int(pid)}]


def wait_for(folder: Path, word: str, number: int, process: int | None = None) -> None:
    """Look until so many tasks said so; the test's timeout ends what never comes."""
    while len(said(folder, word, process)) < number:
        time.sleep(0.002)  # other processes say it


def test_at_sigterm_what_ends_in_the_grace_is_recorded_and_another_process_runs_the_rest(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with Registry() as registry:
        importlib.import_module(TARGET)
    with (
        Client(tmp_path / "flows.db", registry=registry) as client,
        program(tmp_path, "run", TARGET, "--url", URL, "--grace", "1s") as first,
    ):
        heard(first, "is open")
        execution = client.start("fifty")
        wait_for(tmp_path, "begin", TASKS, first.pid)
        with program(tmp_path, "run", TARGET, "--url", URL) as second:
            heard(second, "is open")
            first.send_signal(signal.SIGTERM)
            heard(first, "SIGTERM")
            (tmp_path / "term").touch()
            code, errors = ended(first)
            gone = time.perf_counter()
            wait_for(tmp_path, "begin", TASKS // 2, second.pid)
            took = time.perf_counter() - gone
            done = execution.wait(timeout="10s")
            second.send_signal(signal.SIGINT)
            other = ended(second)
        runs = done.task_executions()

    record_property("figure", f"the other process went on {took * 1000:.0f} ms after the exit")
    recorded = {f"task-{number}" for number in range(TASKS // 2)}
    again = {f"task-{number}" for number in range(TASKS // 2, TASKS)}
    assert code == 0, errors
    assert other[0] == 0, other[1]
    assert set(said(tmp_path, "end", first.pid)) == recorded
    assert sorted(said(tmp_path, "begin", second.pid)) == sorted(again)
    assert done.status is WorkflowStatus.SUCCESS
    assert {run.task_name for run in runs if run.try_number == 1} == recorded
    assert {run.task_name for run in runs if run.try_number == 2} == again


def test_a_file_is_run_by_its_path_and_a_second_sigterm_ends_the_grace(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(
        "import asyncio\n"
        "from asyncflow import Runner, TriggerResult, Workflow, task, trigger\n"
        "with Workflow('hangs'):\n"
        "    @task()\n"
        "    async def hangs() -> None:\n"
        "        await asyncio.get_running_loop().create_future()\n"
        "@trigger(workflow='hangs', poll_interval='10ms')\n"
        "def now() -> TriggerResult:\n"
        "    return TriggerResult.fire()\n"
    )
    with program(tmp_path, "run", "./flows.py", "--url", URL, "--grace", "1h") as found:
        heard(found, "is open")
        with Client(tmp_path / "flows.db") as client:
            while not list(client.executions()):
                time.sleep(0.002)  # another process starts it
        found.send_signal(signal.SIGTERM)
        heard(found, "may go on for 1:00:00")
        found.send_signal(signal.SIGTERM)
        code, errors = ended(found)

    assert code == 0, errors
    assert "SIGTERM again: the runner gives no more grace" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, "required: COMMAND"),
        (("run",), 2, "required: MODULE_OR_FILE"),
        (("run", "x", "--grace", "soon"), 2, "argument --grace: "),
        (("run", "empty.py"), 1, "asyncflow run: empty.py declares no workflow: name the "),
        (("run", "missing.py"), 1, "asyncflow run: there is no file missing.py"),
        (("run", "no.such"), 1, "no.such cannot be imported: ModuleNotFoundError: "),
        (("run", "wrong.py"), 1, r"wrong.py cannot be imported: ValueError: two lines ("),
        (("run", "sub/json.py"), 1, "sub/json.py has the name of another module, "),
        (("run", "fine.py", "--url", "http://x"), 1, "asyncflow run: "),
        (("run", "fine.py", "--threads", "0"), 1, "threads must be at least 1, not 0"),
        (("run", "fine.py", "--url", "sqlite:///no/such/flows.db"), 1, "asyncflow run: "),
    ],
)
def test_an_error_is_one_line(
    arguments: tuple[str, ...], code: int, text: str, tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text("raise ValueError('two\\nlines')\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "json.py").touch()
    (tmp_path / "empty.py").touch()
    (tmp_path / "fine.py").write_text("from asyncflow import Workflow\nWorkflow('w')\n")
    with program(tmp_path, *arguments) as found:
        returned, errors = ended(found)

    lines = [line for line in errors.splitlines() if ": " in line and "usage: " not in line]
    assert len(lines) == 1, errors
    (line,) = lines
    assert returned == code, errors
    assert text in line
