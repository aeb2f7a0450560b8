"""Whatever step a process dies, fails or is cancelled at: nothing that was acknowledged is lost.

Each failpoint, new ones included, is passed by the scene. There a child is killed, or told of an
error, and the next one goes on.
"""

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from asyncflow._failpoint import POINTS, Action
from tests.crash.book import Book
from tests.crash.nursery import Child, Nursery
from tests.crash.verdict import check, check_attempts, check_repeats, recorded

PROGRAM = "tests.crash.scene"
DATABASE, LOG = "flows.db", "log"
CLEAR = ("asyncflow.errors.", "asyncflow._failpoint.", "asyncio.exceptions.CancelledError")
"""How the line begins by which a program ends whose runner has ended."""


@pytest.fixture(scope="session")
def past(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database from which much is to be forgotten."""
    folder = tmp_path_factory.mktemp("past")
    child = nursery.start("tests.crash.past", str(folder / DATABASE), folder=folder)
    assert child.wait() == 0, child.said()
    return folder / DATABASE


@pytest.fixture(scope="session")
def counted(
    nursery: Nursery, past: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, int]:
    """How often each point is passed if nothing happens there."""
    passes: list[Mapping[str, int]] = []
    for number, point in enumerate(("", "migration")):
        folder = tmp_path_factory.mktemp(f"counted-{number}")
        prepare(folder, point, past)
        child = begun(nursery, folder)
        assert child.wait() == 0, child.said()
        check(folder / DATABASE, Book(folder / LOG))
        passes.append(child.passes())
    return {**passes[1], **passes[0]}


def prepare(folder: Path, point: str, past: Path) -> None:
    """Let the scene begin with the past; with nothing, if it is to make the tables."""
    if not point.startswith("migration"):
        shutil.copyfile(past, folder / DATABASE)


def begun(nursery: Nursery, folder: Path, failpoint: str = "") -> Child:
    arguments = (str(folder / DATABASE), str(folder / LOG))
    return nursery.start(PROGRAM, *arguments, folder=folder, failpoint=failpoint)


def is_clear(text: str) -> bool:
    return any(line.startswith(CLEAR) for line in text.splitlines())


def test_the_scene_passes_every_failpoint_at_least_twice(counted: Mapping[str, int]) -> None:
    assert {point for point in POINTS if counted.get(point, 0) < 2} == set()


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("point", sorted(POINTS))
def test_whatever_happens_at_a_failpoint_nothing_acknowledged_is_lost_and_the_work_is_finished(  # noqa: PLR0917  by name
    nursery: Nursery,
    past: Path,
    counted: Mapping[str, int],
    tmp_path: Path,
    point: str,
    action: Action,
    when: str,
) -> None:
    number = 1 if when == "first" else max(2, counted[point] // 4)  # time makes some fewer
    database, log = tmp_path / DATABASE, tmp_path / LOG
    prepare(tmp_path, point, past)

    child = begun(nursery, tmp_path, f"{point}:{number}:{action}")
    ended = child.wait()
    before = recorded(database, Book(log))
    if action is Action.KILL:
        assert ended == -signal.SIGKILL
    else:
        assert child.passes()[point] >= number
    if ended == 0:
        check_attempts(Book(log))
    else:
        assert action is Action.KILL or is_clear(child.said()), child.said()
        again = begun(nursery, tmp_path)
        assert again.wait() == 0, again.said()

    check_repeats(before, Book(log))
    check(database, Book(log))
