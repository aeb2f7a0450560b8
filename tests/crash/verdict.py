"""What must be so once the scene has ended, by the database and the book alone."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.crash.book import Book
from tests.crash.past import NUMBER
from tests.crash.scene import ITEMS

Rows = list[tuple[object, ...]]
Run = tuple[str, str, str]

RECORDED = """
SELECT e.name, t.task, CAST(t.seq AS TEXT) FROM task_execution t
JOIN execution e ON e.id = t.execution WHERE t.status = 'SUCCESS'
"""


def ask(database: Path, sql: str) -> Rows:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def recorded(database: Path, book: Book) -> dict[Run, int]:
    """Return the runs of tasks whose success is on disk, and how often each really ran by now."""
    if not ask(database, "SELECT name FROM sqlite_schema WHERE name = 'task_execution'"):
        return {}
    runs = book.runs()
    found = [(str(a), str(b), str(c)) for a, b, c in ask(database, RECORDED)]
    return {run: runs[run] for run in found}


def check(database: Path, book: Book) -> None:
    """See that nothing that was acknowledged is lost, and that nothing happened twice."""
    assert ask(database, "PRAGMA integrity_check") == [("ok",)]
    check_forgotten(database)
    check_executions(database, book)
    check_events(database, book)
    check_starts(database)


def check_forgotten(database: Path) -> None:
    """See that what is forgotten is wholly forgotten."""
    for table in ("task_execution", "context", "cell", "fact", "task_log", "awaited_event"):
        orphans = f"{table} WHERE execution NOT IN (SELECT id FROM execution)"
        assert count(database, orphans) == 0
    assert count(database, "execution WHERE workflow = 'past'") in {0, NUMBER - 50, NUMBER}


def check_executions(database: Path, book: Book) -> None:
    statuses = {str(name): status for name, status in ask(database, STATUSES)}
    wrong = {name: status for name, status in statuses.items() if status not in wanted(name)}
    assert not wrong
    for started in named(book, "start"):
        assert started in statuses, f"the start of {started} was acknowledged"
    results = Counter[tuple[str, str]]()
    for name, task, result in ask(database, RESULTS):
        results[str(name), str(task)] += 1
        told = book.acked.get(f"result {name}")
        if isinstance(told, dict):
            assert told[str(task)] == json.loads(str(result))  # pyright: ignore[reportUnknownArgumentType]
    # the endless ones hear an event as often as it is stored, whatever its sender was told
    again = {run for run, number in results.items() if number > 1 and "endless" not in run[0]}
    assert not again


def wanted(name: str) -> tuple[str, ...]:
    """Return how an execution may end. A careful one may not know whether it ran, and runs once."""
    if name.startswith("endless"):
        return ("STOPPED",)
    return ("SUCCESS", "FAILED") if name.startswith("careful") else ("SUCCESS",)


STATUSES = "SELECT name, status FROM execution"
RESULTS = """
SELECT e.name, t.task, t.result FROM task_execution t
JOIN execution e ON e.id = t.execution WHERE t.status = 'SUCCESS'
"""


def check_events(database: Path, book: Book) -> None:
    events = {(key, value): offset for key, value, offset in ask(database, EVENTS)}
    for each in named(book, "event"):
        key, value = each.split()
        # one whose answer was an error may be there too, before it
        assert events[key, value] == book.acked[f"event {each}"]
    answers = {str(name): value for name, value in ask(database, ANSWERS)}
    for name in named(book, "signal"):
        assert answers[name] == str(book.acked[f"signal {name}"])
    assert ask(database, "SELECT count(*) FROM inbox") == [(0,)]


EVENTS = 'SELECT key, value, max("offset") FROM event WHERE execution IS NULL GROUP BY key, value'
ANSWERS = """
SELECT e.name, a.value FROM awaited_event a
JOIN execution e ON e.id = a.execution WHERE a.phase = 'SUCCEEDED'
"""


def check_starts(database: Path) -> None:
    """See that each key, tick and event has started one execution."""
    fired = Counter(ask(database, "SELECT key FROM firing WHERE execution IS NOT NULL"))
    assert fired == {(f"item-{number}",): 1 for number in range(ITEMS)}
    assert count(database, "execution WHERE workflow = 'polled'") == ITEMS
    ticks = Counter(ask(database, "SELECT execution FROM tick WHERE dropped IS NULL"))
    ticked = ask(database, "SELECT id FROM execution WHERE workflow = 'ticked'")
    assert ticks == dict.fromkeys(ticked, 1)
    times = ask(database, TIMES)
    assert len(times) == len(set(times)) == len(ticked)
    causes = ask(database, "SELECT cause FROM execution WHERE workflow = 'ruled'")
    assert len(causes) == len(set(causes))


TIMES = """
SELECT c.value FROM context c JOIN execution e ON e.id = c.execution
WHERE e.workflow = 'ticked' AND c.key = 'scheduled_time'
"""


def check_repeats(before: dict[Run, int], book: Book) -> None:
    """See that nothing ran again whose success was on disk."""
    runs = book.runs()
    assert all(number == 1 for run, number in runs.items() if run[1] == "careful")
    again = {run: (number, runs[run]) for run, number in before.items() if runs[run] != number}
    assert not again, f"recorded, and ran again: {again}"


def check_attempts(book: Book) -> None:
    """See that no attempt ran twice; that is so where nobody was killed."""
    twice = {attempt: number for attempt, number in book.attempts().items() if number > 1}
    assert not twice, f"ran twice: {twice}"


def count(database: Path, what: str) -> int:
    ((number,),) = ask(database, f"SELECT count(*) FROM {what}")
    assert isinstance(number, int)
    return number


def named(book: Book, kind: str) -> Sequence[str]:
    return [label.partition(" ")[2] for label in book.acked if label.startswith(f"{kind} ")]
