"""What the README and the guide show is run, and prints what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import asyncflow
from asyncflow import AsyncflowError, TaskAction, TaskStatus
from tests.core.test_table import TABLE, Expected

ROOT = Path(__file__).resolve().parent.parent.parent
README, GUIDE = ROOT / "README.md", ROOT / "docs/guide.md"
MIGRATE = [ROOT / f"docs/migrate-from-{name}.md" for name in ("aiflow", "cloacina", "flyte")]
MARK = "-- the block ends here --"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced block."""
    return re.findall(
        r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def run_blocks(page: Path, folder: Path) -> list[str]:
    """Run a page's python blocks as one program, and return what each has printed."""
    code = [text for language, text in blocks(page) if language == "python"]
    program = folder / "page.py"
    program.write_text(f"\nprint({MARK!r})\n".join(code), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(f"{MARK}\n")


def test_the_readme_runs_as_it_stands_and_prints_what_it_says(tmp_path: Path) -> None:
    said = [text for language, text in blocks(README) if language == "text"]

    assert run_blocks(README, tmp_path) == said
    assert (tmp_path / "flows.db").exists()


@pytest.mark.parametrize("page", [GUIDE, *MIGRATE], ids=lambda page: page.name)
def test_a_page_runs_as_it_stands_and_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    expected: list[str] = []
    before = ""
    for language, text in blocks(page):
        if language == "python":
            expected.append("")
        elif before == "python":
            expected[-1] = text
        before = language

    assert run_blocks(page, tmp_path) == expected


def test_the_guide_has_the_whole_tree_of_errors() -> None:
    errors = {
        name
        for name, value in vars(asyncflow).items()
        if isinstance(value, type) and issubclass(value, AsyncflowError)
    }
    (tree,) = (text for _, text in blocks(GUIDE) if text.startswith("AsyncflowError\n"))

    assert set(re.findall(r"\w+Error\b(?!\))", tree)) == errors


def in_words(status: TaskStatus, action: TaskAction, expected: Expected) -> str:
    """Say what an action does, as the guide does."""
    started = expected.status is TaskStatus.QUEUED and expected.number > (status is not INIT)
    match status, action:
        case TaskStatus.STOPPING, TaskAction.STOP:
            return "nothing but to forget the new run"
        case _ if expected.again:
            pending = "a new run after STOPPED"
            return pending if status is expected.status else f"{expected.status}, {pending}"
        case TaskStatus.RETRYING, TaskAction.RESTART if started:
            return "STOPPED, then new run"
        case _ if started:
            return "new run"
        case _:
            return "nothing" if expected.status is status else str(expected.status)


INIT = TaskStatus.INIT


@pytest.mark.parametrize("status", list(TaskStatus))
def test_the_guide_says_of_every_status_what_the_core_does(status: TaskStatus) -> None:
    section = GUIDE.read_text(encoding="utf-8").partition("## Actions and statuses\n")[2]
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.partition("\n## ")[0].splitlines()
        if line.startswith("|")
    ]
    assert table[0] == ["Status", *TaskAction]
    rows = {row[0].split()[0]: row[1:] for row in table[2:]}
    assert len(table[2:]) == len(rows) == len(TaskStatus)

    expected = [in_words(status, action, TABLE[status, action]) for action in TaskAction]

    assert rows[status] == expected
