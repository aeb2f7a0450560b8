"""Whatever step a process dies, fails or is cancelled at: nothing that was acknowledged is lost.

Each failpoint, new ones included, is passed by the scene. There a child is killed, or told of an
error, and the next one goes on.
"""

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from asyncflow._failpoint import POINTS, Action
from tests.crash.book import Book
from tests.crash.nursery import Child, Nursery
from tests.crash.verdict import check, check_attempts, check_repeats, recorded

PROGRAM = "tests.crash.scene"
CLEAR = ("asyncflow.errors.", "asyncflow._failpoint.", "asyncio.exceptions.CancelledError")
"""How the line begins by which a program ends whose runner has ended."""


@pytest.fixture(scope="session")
def counted(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, int]:
    """How often each point is passed if nothing happens there."""
    child = begun(nursery, tmp_path_factory.mktemp("counted"))
    assert child.wait() == 0, child.said()
    return child.passes()


def begun(nursery: Nursery, folder: Path, failpoint: str = "") -> Child:
    arguments = (str(folder / "flows.db"), str(folder / "log"))
    return nursery.start(PROGRAM, *arguments, folder=folder, failpoint=failpoint)


def is_clear(text: str) -> bool:
    return any(line.startswith(CLEAR) for line in text.splitlines())


def test_the_scene_passes_every_failpoint_at_least_twice(counted: Mapping[str, int]) -> None:
    assert {point for point in POINTS if counted.get(point, 0) < 2} == set()


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("point", sorted(POINTS))
def test_whatever_happens_at_a_failpoint_nothing_acknowledged_is_lost_and_the_work_is_finished(
    nursery: Nursery,
    counted: Mapping[str, int],
    tmp_path: Path,
    point: str,
    action: Action,
    when: str,
) -> None:
    number = 1 if when == "first" else max(2, counted[point] // 2)
    database, log = tmp_path / "flows.db", tmp_path / "log"

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
