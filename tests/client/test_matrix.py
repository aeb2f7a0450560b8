"""Every call that has both forms, made from every place: the answer or the error, never a hang.

The calls are in tests/client/rows.py, the places in tests/client/matrix.py. One without a row fails
here.
"""

import re
import subprocess
import sys

import pytest

from tests.bell import ROOT
from tests.client import matrix
from tests.client.matrix import FORKED, PATIENCE, Place, told, watched
from tests.client.rows import ROWS
from tests.client.test_dual_surface import DUAL

RIGHT = "right"
REFUSED = r"SyncInLoopError: .* would block the running event loop: "
CLOSED = r"UsageError: (Runner is closed|(WorkflowExecution|Event) finds no open Client or Runner)"
FORK = r"UsageError: Runner was opened before this process was forked: open another one here"
ITS_OWN = r"UsageError: task 'call' cannot shut down the runner that runs it"
STILL = r"UsageError: .* and this thread, which runs it, waits here: await .*\.aio\(\) in that loop"

PLACES: dict[Place, str] = {
    matrix.in_this_thread: RIGHT,
    matrix.in_a_thread: RIGHT,
    matrix.in_a_thread_of_a_loop: RIGHT,
    matrix.in_its_loop: RIGHT,
    matrix.blocking_in_its_loop: REFUSED,
    matrix.in_a_foreign_loop: RIGHT,
    matrix.in_a_foreign_loop_of_a_loop: RIGHT,
    matrix.blocking_in_a_foreign_loop: REFUSED,
    matrix.on_a_loop_that_stands_still: STILL,
    matrix.in_a_task_s_thread: RIGHT,
    matrix.in_a_loop_in_a_task_s_thread: RIGHT,
    matrix.in_an_async_task: RIGHT,
    matrix.blocking_in_an_async_task: REFUSED,
    matrix.after_its_end: CLOSED,
    matrix.in_a_loop_after_its_end: CLOSED,
}
"""What comes of a call there."""

SHUTDOWN: dict[Place, str] = {
    matrix.in_a_task_s_thread: ITS_OWN,
    matrix.in_a_loop_in_a_task_s_thread: ITS_OWN,
    matrix.in_an_async_task: ITS_OWN,
    matrix.blocking_in_an_async_task: ITS_OWN,
    matrix.after_its_end: RIGHT,
    matrix.in_a_loop_after_its_end: RIGHT,
}
"""What else comes of `shutdown`."""

AFTER_FORK = dict(zip(FORKED, (FORK, FORK, RIGHT, RIGHT), strict=True))


def test_every_call_has_a_row() -> None:
    assert set(ROWS) == DUAL | {"Runner.shutdown"}


def expected(place: Place, name: str) -> str:
    found = PLACES[place]
    return SHUTDOWN.get(place, found) if name == "Runner.shutdown" else found


@pytest.mark.timeout(PATIENCE + 1)
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_call_is_answered_or_refused_at_once(place: Place, name: str) -> None:
    row = ROWS[name]

    came = place(row) if place is matrix.in_this_thread else watched(lambda: place(row))

    assert re.match(expected(place, name), told(row, came)), told(row, came)
    assert came.seconds < 1


@pytest.fixture(scope="module")
def forked() -> dict[tuple[str, str], tuple[float, str]]:
    """What came of every call in a forked child."""
    ignored = "ignore::DeprecationWarning"  # of forking with threads, which is what is tried here
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", ignored, "-m", "tests.client.matrix"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return {(place, name): (float(seconds), text) for place, name, seconds, text in lines}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("place", AFTER_FORK)
def test_a_forked_child_is_answered_or_refused_at_once(
    place: str, name: str, forked: dict[tuple[str, str], tuple[float, str]]
) -> None:
    seconds, text = forked[place, name]
    wanted = RIGHT if name == "Runner.shutdown" else AFTER_FORK[place]

    assert re.match(wanted, text), text
    assert seconds < 1
