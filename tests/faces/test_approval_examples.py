"""The examples that wait for people, run as their readers run them: as programs, on real files."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
PYTHON = (sys.executable, "-W", "error")
PLAIN = ("-q", "-p", "no:cacheprovider", "-p", "no:anyio")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def approve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the second program in a folder."""
    return subprocess.run(
        [*PYTHON, EXAMPLES / "approve.py", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@contextmanager
def waiting(folder: Path) -> Generator[subprocess.Popen[str]]:
    """Run the first program in a folder, and end it."""
    with subprocess.Popen(
        [*PYTHON, EXAMPLES / "approval.py", "here.db"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], beginning: str) -> list[str]:
    """Return what a program prints, to a line that begins so."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(beginning):
            return lines
    raise AssertionError(lines, process.communicate())


def test_a_release_that_is_killed_while_it_waits_goes_on_when_a_second_program_answers(
    tmp_path: Path,
) -> None:
    with waiting(tmp_path) as killed:
        first = read_until(killed, "waits for 'approve'")
        killed.kill()
    listed = approve(tmp_path, "here.db")
    with waiting(tmp_path) as service:
        again = read_until(service, "waits for 'approve'")
        done = approve(
            tmp_path, "here.db", "approve", "yes", "--by", "ops", "--comment", "tests are green"
        )
        between = read_until(service, "waits for 'rollout'")
        rollout = approve(tmp_path, "here.db", "rollout", '{"region": "eu", "percent": 10}')
        out, err = service.communicate()

    assert first[:2] == ["release-1.2 begins", "builds 1.2"]
    assert listed.stdout.startswith("release-1.2  approve: Ship 1.2?  (bool, waits until ")
    # What was built is not built again, and it waits no longer than it said.
    assert {*again, *between} == {
        "release-1.2 began earlier, and is RUNNING",
        first[2],
        "'approve' was answered by ops, who says: tests are green",
        "waits for 'rollout': To which region, and to how many percent?",
    }
    assert done.stdout == "release-1.2 has its answer to 'approve'\n"
    assert rollout.stdout == "release-1.2 has its answer to 'rollout'\n"
    assert out.splitlines() == [
        "'rollout' was answered by somebody",
        "build SUCCESS ",
        "deploy SUCCESS app-1.2.whl shipped to 10 % of eu",
    ]
    assert service.returncode == 0
    assert err.endswith("is gone, its executions are taken over\n")


def test_a_release_hears_an_answer_that_came_while_it_was_down(tmp_path: Path) -> None:
    with waiting(tmp_path) as killed:
        read_until(killed, "waits for 'approve'")
        killed.kill()

    done = approve(tmp_path, "here.db", "approve", "no", "--by", "ops")
    with waiting(tmp_path) as service:
        out, err = service.communicate()

    assert done.returncode == 0, done.stderr
    *before, build, deploy = out.splitlines()
    assert (build, deploy) == ("build SUCCESS ", "deploy SUCCESS rejected")
    assert len(before) == 2  # one is printed by a task, at any time
    assert "'approve' was answered by ops" in before
    assert service.returncode == 0
    assert err.endswith("is gone, its executions are taken over\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("approve", "1"), "event 'approve' takes a payload of type bool, not int"),
        (("approve", "perhaps"), "Expecting value: line 1 column 1 (char 0)"),
        (("other", "yes"), "one must wait for 'other', not: nobody; choose by --run"),
    ],
)
def test_the_second_program_refuses_a_wrong_answer_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    with waiting(tmp_path) as killed:
        read_until(killed, "waits for 'approve'")
        killed.kill()

    done = approve(tmp_path, "here.db", *arguments)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"approve: {problem}\n")


def test_the_second_program_makes_no_database(tmp_path: Path) -> None:
    done = approve(tmp_path, "here.db")

    assert (done.returncode, done.stderr) == (2, "no database: 'here.db'\n")
    assert list(tmp_path.iterdir()) == []


def test_the_tests_of_a_reader_run_under_pytest_asyncio_alone(tmp_path: Path) -> None:
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")

    done = subprocess.run(
        [*PYTHON, "-m", "pytest", *PLAIN, "-c", settings, EXAMPLES / "test_approval.py"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
