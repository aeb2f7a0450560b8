"""What the loop does for a task: its passes, and what it is handed. Counted, and not timed."""

from collections.abc import Callable

import pytest

from tests.cost.scene import (
    LENGTH,
    MANY,
    Cost,
    cost_of_chain,
    cost_of_many,
    cost_of_one,
    cost_of_wide,
)

pytestmark = pytest.mark.timeout(60)  # a count is the same on a busy machine

Record = Callable[[str, object], None]

# Each is what it is now; what makes the engine cheaper lowers it. When a thread answers just
# while the loop looks for that, it makes one more pass.
PASSES_OF_ONE = 10  # mostly 8
PASSES_OF_CHAIN = 4.5 * LENGTH  # mostly 4.04
PASSES_OF_WIDE = 13  # mostly 10

HANDLES_OF_ONE = 8
HANDLES_OF_CHAIN = 4 * LENGTH + 5
HANDLES_OF_WIDE = 2 * MANY + 10  # one that begins the body, one that looks at its end
HANDLES_OF_MANY = 5 * MANY + 10

FUTURES_OF_ONE = 5
FUTURES_OF_CHAIN = LENGTH + 5
FUTURES_OF_WIDE = 10
FUTURES_OF_MANY = MANY + 10


def told(record: Record, what: str, cost: Cost) -> None:
    """Record what the loop did."""
    tally = cost.tally
    handed = f"{tally.handles} callbacks, {tally.futures} futures, {tally.tasks} asyncio tasks"
    record("figure", f"{what}: {tally.passes} passes of the loop, {handed}")


def test_a_workflow_of_one_task_is_some_passes_of_the_loop(record_property: Record) -> None:
    cost = cost_of_one()

    told(record_property, "a workflow of one task", cost)
    assert cost.tally.passes <= PASSES_OF_ONE
    assert cost.tally.handles <= HANDLES_OF_ONE
    assert cost.tally.futures <= FUTURES_OF_ONE


def test_a_task_of_a_chain_is_a_few_passes_of_the_loop(record_property: Record) -> None:
    cost = cost_of_chain()

    told(record_property, f"a chain of {LENGTH}", cost)
    assert cost.tally.passes <= PASSES_OF_CHAIN
    assert cost.tally.handles <= HANDLES_OF_CHAIN
    assert cost.tally.futures <= FUTURES_OF_CHAIN


def test_a_thousand_tasks_side_by_side_share_passes_of_the_loop(record_property: Record) -> None:
    cost = cost_of_wide()

    told(record_property, "1,000 tasks side by side", cost)
    assert cost.tally.passes <= PASSES_OF_WIDE
    assert cost.tally.handles <= HANDLES_OF_WIDE
    assert cost.tally.futures <= FUTURES_OF_WIDE


def test_a_workflow_of_a_thousand_at_once_is_a_few_callbacks(record_property: Record) -> None:
    cost = cost_of_many()

    told(record_property, "1,000 workflows at once", cost)
    assert cost.tally.handles <= HANDLES_OF_MANY
    assert cost.tally.futures <= FUTURES_OF_MANY


def test_a_task_is_one_asyncio_task_and_nothing_else_is_one() -> None:
    assert cost_of_one().tally.tasks == 1
    assert cost_of_chain().tally.tasks == LENGTH
    assert cost_of_wide().tally.tasks == MANY
    assert cost_of_many().tally.tasks == 2 * MANY  # half of them are the test's own callers


def test_only_bodies_get_a_copy_of_the_context_variables() -> None:
    for cost in (cost_of_one(), cost_of_chain(), cost_of_wide()):
        assert cost.tally.copies == 0  # but for that which each task brings
    assert cost_of_many().tally.copies == MANY  # of the test's own callers
