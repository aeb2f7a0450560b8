"""Several processes on one database: what is to happen once happens once, and goes on."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.children import Child, ask, children, lines, until

SECONDS = 20


def count(database: Path, workflow: str) -> int:
    ((found,),) = ask(database, f"SELECT count(*) FROM execution WHERE workflow = '{workflow}'")
    assert isinstance(found, int)
    return found


@pytest.mark.crash
@pytest.mark.timeout(120)
def test_of_four_processes_one_ticks_one_polls_and_one_judges(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"
    with children("crowd.py", database, log, number=4) as crowd:
        until(lambda: sum(line[0] == "open" for line in lines(log)) == 4)
        ticks, polls = count(database, "ticked"), count(database, "polled")
        time.sleep(SECONDS)  # ticks of so many real seconds are counted
        ticks = count(database, "ticked") - ticks
        polls = count(database, "polled") - polls

        duty = "SELECT r.pid FROM duty d JOIN runner r ON r.id = d.runner WHERE d.kind = 'TRIGGER'"
        ((first,),) = ask(database, duty)
        os.kill(int(str(first)), signal.SIGKILL)
        since = time.time()
        until(lambda: any(line[1] != str(first) for line in polled(log)))
        heirs = [line for line in polled(log) if line[1] != str(first)]
        end(crowd, int(str(first)))

    figures = f"{ticks} ticks, {polls} polls; the next poll after {since_of(heirs, since)} s"
    record_property("figure", figures)
    assert abs(ticks - SECONDS) <= 1
    assert abs(polls - SECONDS) <= 2  # each interval begins when the poll is over
    assert since_of(heirs, since) < 10
    assert [int(line[3]) for line in polled(log)] == list(range(len(polled(log))))
    ((sent,),) = ask(database, "SELECT count(*) FROM event WHERE key = 'ticked'")
    assert count(database, "ruled") == sent == count(database, "ticked")


def polled(log: Path) -> list[list[str]]:
    return [line for line in lines(log) if line[0] == "polled"]


def since_of(polls: list[list[str]], since: float) -> float:
    return round(float(polls[0][2]) - since, 2)


def end(crowd: list[Child], killed: int) -> None:
    for each in crowd:
        if each.pid != killed:
            each.send(signal.SIGTERM)
    ends = {each.end() for each in crowd}
    assert ends == {0, -signal.SIGKILL}


@pytest.mark.crash
@pytest.mark.timeout(240)
def test_ten_thousand_duplicate_fires_from_four_processes_start_a_thousand_executions(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database, begin = tmp_path / "flows.db", time.monotonic()
    crowd = [
        Child("firing.py", database, seed, copies, 1000) for seed, copies in enumerate((3, 3, 2, 2))
    ]
    try:
        assert [each.end(200) for each in crowd] == [0] * 4
    finally:
        for each in crowd:
            each.close()
    record_property("figure", f"10,000 fires took {time.monotonic() - begin:.1f} s")

    found = ask(
        database, "SELECT count(*), count(DISTINCT value) FROM context WHERE key = 'number'"
    )
    states = ask(database, "SELECT DISTINCT status FROM execution")
    assert count(database, "w") == 1000
    assert found == [(1000, 1000)]
    assert states == [("SUCCESS",)]
