"""kill -9, again and again, when the log says so: nothing recorded is lost, nor runs again.

The places are drawn by a seed: when the n-th task has begun or ended, around a commit, and while
the next process takes over. Figures are printed.
"""

import itertools
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.book import Book
from tests.crash.crowd import TASKS
from tests.crash.nursery import LOOK, Child, Nursery
from tests.crash.verdict import RECORDED, Run, ask

PROGRAM = "tests.crash.crowd"
COMMITS = ("store.commit.before", "store.commit.after", "driver.dispatch.before")
RECOVERY = ("store.claim.before", "store.claim.after", "owner.adopt.before", "driver.decide.after")
KILLED = -signal.SIGKILL


@dataclass
class Crowd:
    """Some processes that work on a database, and what was seen of them."""

    nursery: Nursery
    folder: Path
    executions: int
    width: int
    seed: int
    pause: float = 0
    """Seconds that each task takes: so that there is work for as long as there are kills."""
    first: dict[Run, int] = field(default_factory=dict[Run, int])
    """How often each run had begun when it was first seen as recorded."""
    kills: int = 0
    counted: tuple[int, int] = (0, 0)
    """Of the log: how many bytes were read, and the lines in them."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.database, self.log = self.folder / "flows.db", self.folder / "log"

    def begin(self, slot: int = 0, failpoint: str = "") -> Child:
        folder = self.folder / f"{slot}"
        folder.mkdir(exist_ok=True)
        arguments = (self.database, self.log, self.executions, self.width, self.pause)
        return self.nursery.start(PROGRAM, *map(str, arguments), folder=folder, failpoint=failpoint)

    def lines(self) -> int:
        """Return how many times a task has begun or ended by now."""
        if self.log.exists():
            size, number = self.counted
            with self.log.open("rb") as log:
                log.seek(size)
                new = log.read()
            self.counted = (size + len(new), number + new.count(b"\n"))
        return self.counted[1]

    def kill_at(self, child: Child, progress: int) -> bool:
        """Kill it when so many lines have come; say whether it had not ended by itself before."""
        goal = self.lines() + progress
        while self.lines() < goal and child.runs:
            time.sleep(LOOK)  # another process writes the log
        child.kill()
        return self.see_end(child)

    def see_end(self, child: Child) -> bool:
        """Say whether it was killed; if not, those that begin from now on find more to do."""
        ended = child.wait(60)
        assert ended in {KILLED, 0}, child.said()
        killed = ended == KILLED
        self.kills += killed
        self.executions += 0 if killed else 200
        return killed

    def look(self, *, copied: bool) -> None:
        """See that the file is whole, and note what is recorded; ``copied`` if nobody works."""
        database = self.copy() if copied else self.database
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute(RECORDED).fetchall()
        runs = Book(self.log).runs()
        for execution, task, number in found:
            self.first.setdefault((execution, task, number), runs[execution, task, number])

    def copy(self) -> Path:
        """Return a copy, which looking at does not recover the original."""
        copy = self.folder / "copy.db"
        for suffix in ("", "-wal"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
            if Path(f"{self.database}{suffix}").exists():  # who ends by itself leaves no journal
                shutil.copyfile(f"{self.database}{suffix}", f"{copy}{suffix}")
        return copy

    def check(self) -> int:
        """See that all is done and nothing happened twice; return how often a task ran again."""
        runs = Book(self.log).runs()
        again = {run for run, number in self.first.items() if runs[run] != number}
        assert again == set(), "recorded, and ran again"
        assert ask(self.database, STATUSES) == [("SUCCESS", self.executions)]
        results = ask(self.database, RESULTS)
        assert len(results) == self.executions * TASKS
        assert all(result == f'"{run}"' for run, result in results)
        names = {str(name) for (name,) in ask(self.database, "SELECT name FROM execution")}
        acked = {words[1].partition(" ")[2] for words in Book(self.log).of("acked")}
        assert acked <= names
        return runs.total() - len(runs)


STATUSES = "SELECT status, count(*) FROM execution GROUP BY status"
RESULTS = """
SELECT e.name || '/' || t.task || '/' || t.seq, t.result FROM task_execution t
JOIN execution e ON e.id = t.execution WHERE t.status = 'SUCCESS'
"""


@pytest.mark.timeout(240)
def test_a_hundred_kills_lose_nothing_and_run_nothing_recorded_again(
    nursery: Nursery, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    begin = time.perf_counter()
    crowd = Crowd(nursery, tmp_path, executions=800, width=16, seed=6)
    for number in itertools.count():
        if crowd.kills == 100:
            break
        match number % 5:
            case 3:
                place, most = crowd.random.choice(COMMITS), 12
            case 4:
                place, most = crowd.random.choice(RECOVERY), 1
            case _:
                crowd.kill_at(crowd.begin(), crowd.random.randint(1, 160))
                crowd.look(copied=True)
                continue
        child = crowd.begin(failpoint=f"{place}:{crowd.random.randint(1, most)}:kill")
        crowd.see_end(child)
        crowd.look(copied=True)
    left = crowd.executions * TASKS - len(crowd.first)
    last = crowd.begin()
    assert last.wait(60) == 0, last.said()

    again = crowd.check()
    assert left > 0  # else the last kills hit nothing
    took = time.perf_counter() - begin
    figure = f"{crowd.kills} kills in {took:.0f} s: {again} tasks ran again, {left} were left"
    record_property("figure", figure)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_two_thousand_kills_of_four_processes_lose_nothing(
    nursery: Nursery, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    begin = time.perf_counter()
    # Short tasks: what is killed five times before a task of it has ended would be parked.
    crowd = Crowd(nursery, tmp_path, executions=800, width=8, seed=66, pause=0.03)
    children = {slot: crowd.begin(slot) for slot in range(4)}
    while crowd.kills < 2000:
        slot = crowd.random.randrange(4)
        crowd.kill_at(children[slot], crowd.random.randint(1, 120))
        if crowd.kills % 20 == 0:
            crowd.look(copied=False)
        children[slot] = crowd.begin(slot)
    for child in children.values():
        assert child.wait(600) == 0, child.said()

    again = crowd.check()
    took = time.perf_counter() - begin
    record_property("figure", f"{crowd.kills} kills in {took:.0f} s: {again} tasks ran again")
