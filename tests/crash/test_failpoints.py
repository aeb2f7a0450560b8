"""Whatever step a process dies, fails or is cancelled at: nothing that was acknowledged is lost.

Each failpoint, new ones included, is passed by the scene. There a child is killed, or told of an
error, and the next one goes on.
"""

import signal
from pathlib import Path

import pytest

from asyncflow._failpoint import POINTS, Action
from tests.crash.book import Book
from tests.crash.nursery import Nursery, passes, said
from tests.crash.verdict import check, check_attempts, check_repeats, recorded

PROGRAM = "tests.crash.scene"
CLEAR = ("asyncflow.errors.", "asyncflow._failpoint.", "asyncio.exceptions.CancelledError")
"""How the last line begins that a program says whose runner has ended."""


@pytest.fixture(scope="session")
def counted(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often each point is passed if nothing happens there."""
    folder = tmp_path_factory.mktemp("counted")
    assert run(nursery, folder) == 0, said(folder)
    return passes(folder)


def run(nursery: Nursery, folder: Path, failpoint: str = "") -> int:
    arguments = (str(folder / "flows.db"), str(folder / "log"))
    return nursery.run(PROGRAM, *arguments, folder=folder, failpoint=failpoint)


def test_the_scene_passes_every_failpoint_at_least_twice(counted: dict[str, int]) -> None:
    assert {point for point in POINTS if counted.get(point, 0) < 2} == set()


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("point", sorted(POINTS))
def test_whatever_happens_at_a_failpoint_nothing_acknowledged_is_lost_and_the_work_is_finished(
    nursery: Nursery,
    counted: dict[str, int],
    tmp_path: Path,
    point: str,
    action: Action,
    when: str,
) -> None:
    number = 1 if when == "first" else max(2, counted[point] // 2)
    database, log = tmp_path / "flows.db", tmp_path / "log"

    ended = run(nursery, tmp_path, f"{point}:{number}:{action}")
    ends = said(tmp_path)
    before = recorded(database, Book(log))
    if action is Action.KILL:
        assert ended == -signal.SIGKILL
    else:
        assert passes(tmp_path).get(point, 0) >= number
    if ended == 0:
        check_attempts(Book(log))
    else:
        assert action is Action.KILL or ends.splitlines()[-1].startswith(CLEAR), ends
        again = run(nursery, tmp_path)
        assert again == 0, said(tmp_path)

    check_repeats(before, Book(log))
    check(database, Book(log))
