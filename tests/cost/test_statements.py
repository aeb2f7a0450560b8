"""What SQLite is asked to do, and how much of it reaches the disk: counted, and not timed."""

import re
from collections.abc import Callable

import pytest

from asyncflow._store.sqlite.connection import _CACHED_STATEMENTS
from tests.cost.scene import (
    LENGTH,
    MANY,
    Cost,
    cost_of_chain,
    cost_of_many,
    cost_of_new_event,
    cost_of_one,
    cost_of_signal,
    cost_of_wide,
)

pytestmark = pytest.mark.timeout(60)  # a count is the same on a busy machine

Record = Callable[[str, object], None]

# Each is what it is now; what makes the engine cheaper lowers it. Of transactions, without BEGIN
# and COMMIT.
STATEMENTS_OF_ONE = 8
STATEMENTS_OF_LINK = 4  # in a chain: fence and execution there, the task's end, the next one, facts
STATEMENTS_OF_CHAIN = (
    LENGTH * STATEMENTS_OF_LINK + 4
)  # its begin and its end have some of their own
STATEMENTS_OF_NEW_EVENT = 6
STATEMENTS_OF_SIGNAL = 2
STATEMENTS_OF_WIDE = 40  # mostly 30: as many as there are sizes of lists, for each commit
STATEMENTS_OF_MANY = 80  # mostly 60
TEXTS = 32  # of statements, all told

ROWS_OF_ONE = 6
ROWS_OF_CHAIN = 3 * LENGTH + 3  # a task: ended, the next queued, one fact
ROWS_OF_WIDE = 3 * MANY + 3
ROWS_OF_MANY = 6 * MANY

PAGES_OF_ONE = 13
PAGES_OF_CHAIN = 525  # 5 a task; it moves a little with the sizes of keys
PAGES_OF_WIDE = 92
PAGES_OF_MANY = 222
GROWTH_OF_MANY = 105  # pages of the database: 0.4 KB for an execution of one task


def told(record: Record, what: str, cost: Cost) -> None:
    """Record what SQLite did."""
    statements, rows = len(cost.tally.statements), cost.tally.rows
    pages = f"{cost.wal.pages} pages of WAL, {cost.wal.database} more of the database"
    record("figure", f"{what}: {statements} statements, {rows} rows, {pages}")


def test_a_workflow_of_one_task_is_a_few_statements(record_property: Record) -> None:
    cost = cost_of_one()

    told(record_property, "a workflow of one task", cost)
    assert len(cost.tally.statements) <= STATEMENTS_OF_ONE
    assert cost.tally.rows <= ROWS_OF_ONE
    assert cost.wal.pages <= PAGES_OF_ONE


def test_each_task_of_a_chain_is_the_same_few_statements(record_property: Record) -> None:
    cost = cost_of_chain()

    told(record_property, f"a chain of {LENGTH}", cost)
    inner = cost.tally.written[2:-2]
    assert {len(each.statements) for each in inner} == {STATEMENTS_OF_LINK}
    assert len(cost.tally.statements) <= STATEMENTS_OF_CHAIN
    assert cost.tally.rows <= ROWS_OF_CHAIN
    assert cost.wal.pages <= PAGES_OF_CHAIN


def test_a_thousand_tasks_side_by_side_are_a_few_statements(record_property: Record) -> None:
    cost = cost_of_wide()

    told(record_property, "1,000 tasks side by side", cost)
    assert len(cost.tally.statements) <= STATEMENTS_OF_WIDE
    assert cost.tally.rows <= ROWS_OF_WIDE
    assert cost.wal.pages <= PAGES_OF_WIDE


def test_a_thousand_workflows_at_once_are_a_few_statements(record_property: Record) -> None:
    cost = cost_of_many()

    told(record_property, "1,000 workflows at once", cost)
    assert len(cost.tally.statements) <= STATEMENTS_OF_MANY
    assert cost.tally.rows <= ROWS_OF_MANY
    assert cost.wal.pages <= PAGES_OF_MANY
    assert cost.wal.database <= GROWTH_OF_MANY


@pytest.mark.parametrize(
    ("cost", "most"),
    [(cost_of_new_event, STATEMENTS_OF_NEW_EVENT), (cost_of_signal, STATEMENTS_OF_SIGNAL)],
)
def test_an_event_that_is_awaited_or_signalled_alone_is_a_few_statements(
    cost: Callable[[], Cost], most: int, record_property: Record
) -> None:
    found = cost()

    told(record_property, cost.__name__, found)
    assert found.tally.commits == 1
    assert len(found.tally.statements) <= most


@pytest.mark.parametrize("cost", [cost_of_one, cost_of_chain])
def test_no_statement_is_prepared_twice(cost: Callable[[], Cost]) -> None:
    assert cost().tally.prepared == 0  # it was done before, with the same statements


def test_no_statement_has_a_parameter_that_some_pythons_warn_of() -> None:
    """Python 3.12.0 to 3.12.3 take a numbered parameter for a named one."""
    costs = (cost_of_one(), cost_of_chain(), cost_of_many(), cost_of_new_event(), cost_of_signal())

    assert [sql for each in costs for sql in each.tally.statements if re.search(r"\?\d", sql)] == []


def test_all_statements_that_are_used_stay_prepared(record_property: Record) -> None:
    costs = (cost_of_one(), cost_of_chain(), cost_of_wide(), cost_of_many())
    texts = {sql for each in costs for sql in each.tally.statements}

    record_property("figure", f"{len(texts)} statements write all of these workflows")
    assert len(texts) <= TEXTS < _CACHED_STATEMENTS
