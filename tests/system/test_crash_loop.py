"""Recovery goes on through crashes of its own, and what ends the process each time is given up."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncflow._core.decide import TRIES
from tests.system.children import Child, ask, lines

STATES = "SELECT workflow, status, parked_reason IS NOT NULL, count(*) FROM execution GROUP BY 1, 2"
POINTS = (
    "store.register.after:1:kill",
    "store.claim.before:1:kill",
    "store.claim.after:1:kill",
    "store.commit.before:1:kill",
    "driver.decide.after:1:kill",
)


def run(program: str, *arguments: object, failpoint: str = "") -> int:
    child = Child(program, *arguments, failpoint=failpoint)
    try:
        return child.end()
    finally:
        child.close()


@pytest.mark.crash
@pytest.mark.timeout(200)
def test_a_recovery_that_is_killed_again_twenty_times_loses_nothing_and_parks_nobody(
    tmp_path: Path,
) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"
    begin = run("poison.py", database, log, 0, 10, 0.2, failpoint="task.body.after:1:kill")

    ends = [
        run("poison.py", database, log, 0, 10, 0.2, failpoint=POINTS[number % len(POINTS)])
        for number in range(20)
    ]

    assert [begin, *ends] == [-signal.SIGKILL] * 21
    assert run("poison.py", database, log, 0, 10, 0.2) == 0
    assert ask(database, STATES) == [("long", "SUCCESS", 0, 1), ("short", "SUCCESS", 0, 10)]


@pytest.mark.crash
@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [1, 2])
def test_what_ends_the_process_each_time_is_parked_after_five_and_the_others_end(
    tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"
    arguments = ("poison.py", database, log, number, 20, 3)

    ends = [run(*arguments)]
    while ends[-1] != 0:
        assert len(ends) < 40
        ends.append(run(*arguments))

    assert set(ends) == {0, -signal.SIGKILL}
    assert ask(database, STATES) == [
        ("long", "SUCCESS", 0, 1),
        ("poison", "RUNNING", 1, number),
        ("short", "SUCCESS", 0, 20),
    ]
    parked = {line[1] for line in lines(log) if line[0] == "parked"}
    assert parked == {f"poison-{each}" for each in range(number)}
    begun = sum(line == ["begun", "poison"] for line in lines(log))
    figure = f"{number} poisons began {begun} times in all, and the process ended {len(ends)} times"
    record_property("figure", figure)
    assert begun <= number * (TRIES + 1)
