"""An owner that is dead, silent or closed is replaced, once; one that is only blocked is not."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.children import Child, ask, children, lines, until
from tests.system.replaced import TASKS

pytestmark = pytest.mark.crash


def said(log: Path, *words: str) -> bool:
    """Say whether a line begins so."""
    return any(line[: len(words)] == list(words) for line in lines(log))


@pytest.mark.crash
@pytest.mark.timeout(90)
def test_all_late_writes_of_an_owner_that_was_stopped_for_long_are_refused(tmp_path: Path) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"
    with children("replaced.py", database, tmp_path, "owner") as (owner,):
        until(lambda: sum(line[0] == "begun" for line in lines(log)) == TASKS)
        until(lambda: said(log, "polled", "owner", "owner"))
        (tmp_path / "stopped").touch()
        owner.send(signal.SIGSTOP)
        with children("replaced.py", database, tmp_path, "heir") as (heir,):
            taken = until(lambda: said(log, "polled", "heir", "heir"))
            ended = "SELECT 1 FROM execution WHERE workflow = 'w' AND status = 'SUCCESS'"
            until(lambda: bool(ask(database, ended)))
            time.sleep(max(0.0, 3.0 - taken))  # three leases
            before = len(lines(log))
            (tmp_path / "go").touch()
            owner.send(signal.SIGCONT)
            end = owner.end()
            after = lines(log)[before:]
            (tmp_path / "end").touch()
            assert heir.end() == 0

    assert end == 3
    assert not any(line[:2] in (["event", "owner"], ["cell", "owner"]) for line in after)
    results = ask(database, "SELECT result FROM task_execution WHERE task LIKE 't%'")
    assert results == [('"heir"',)] * TASKS
    assert ask(database, "SELECT DISTINCT value FROM event") == [('"heir"',)]
    assert ask(database, "SELECT count(*) FROM event") == [(TASKS,)]
    assert ask(database, "SELECT DISTINCT value FROM cell") == [('"heir"',)]
    assert ask(database, "SELECT cursor FROM trigger_schedule") == [('"heir"',)]
    polls = [line[2] for line in lines(log) if line[:2] == ["polled", "heir"]]
    assert polls[0] == "owner"
    assert set(polls[1:]) == {"heir"}
    begun = Counter(line[2] for line in lines(log) if line[:2] == ["begun", "heir"])
    assert set(begun.values()) == {1}


@pytest.mark.crash
@pytest.mark.timeout(90)
def test_an_owner_whose_loop_is_blocked_for_five_leases_keeps_what_it_has(tmp_path: Path) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"
    with (
        children("holding.py", database, log, "heir") as (heir,),
        children("holding.py", database, log, "owner", 5) as (owner,),
    ):
        until(lambda: said(log, "open", "heir"))
        until(lambda: said(log, "begun", "owner"))
        ended = "SELECT try_number FROM task_execution WHERE status = 'SUCCESS'"
        until(lambda: bool(ask(database, ended)))
        runners = ask(database, "SELECT count(*) FROM runner")
        for each in (owner, heir):
            each.send(signal.SIGTERM)
        ends = [each.end() for each in (owner, heir)]

    sleeps = Path(__file__).with_name("holding.py")
    line = sleeps.read_text(encoding="utf-8").split("time.sleep(")[0].count("\n") + 1
    (blocked,) = (each for each in lines(log) if each[:2] == ["blocked", "owner"])
    assert float(blocked[2]) > 4
    assert blocked[3] == f"{sleeps}:{line}"
    assert ask(database, ended) == [(1,)]
    assert runners == [(2,)]
    assert ends == [0, 0]
    assert not said(log, "begun", "heir")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_an_owner_leaves_goes_on_at_once(
    tmp_path: Path, number: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    database, log = tmp_path / "flows.db", tmp_path / "log"
    with (
        children("holding.py", database, log, "owner") as (owner,),
        children("holding.py", database, log, "heir") as (heir,),
    ):
        until(lambda: said(log, "begun", "owner") and said(log, "open", "heir"))
        owner.send(number)
        since = time.time()
        until(lambda: said(log, "begun", "heir"))
        (begun,) = (float(line[2]) for line in lines(log) if line[:2] == ["begun", "heir"])
        assert_ended(owner, number)
        heir.send(signal.SIGTERM)
        assert heir.end() == 0

    record_property("figure", f"another went on {begun - since:.2f} s after {number.name}")
    assert begun - since < 5


def assert_ended(owner: Child, number: signal.Signals) -> None:
    assert owner.end() == (-number if number == signal.SIGKILL else 0)
