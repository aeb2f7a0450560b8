"""What waits for the disk, and for the thread that writes: counted, and not timed."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import Event, TriggerResult, VirtualClock, trigger
from tests.cost.scene import (
    LENGTH,
    Cost,
    cost_of_chain,
    cost_of_many,
    cost_of_one,
    cost_of_wide,
    counted,
    declared,
    on_a_file,
    opened,
    waits,
)
from tests.cost.tally import Tally

pytestmark = pytest.mark.timeout(60)  # a count is the same on a busy machine

Record = Callable[[str, object], None]

# Each is what it is now; what makes the engine cheaper lowers it. Which facts go together depends
# a little on when a thread answers.
COMMITS_OF_ONE = 2  # its start, its end
COMMITS_OF_CHAIN = LENGTH + 1  # the end of each task begins the next
COMMITS_OF_WIDE = 4  # mostly 3: its start, and 1,000 ends, at most 512 of them in one
COMMITS_OF_MANY = 6  # mostly 4: 1,000 starts, 1,000 ends
COMMITS_OF_SIGNAL = 1
COMMITS_OF_FIRING = 2  # its start with the firing, its end

TRIPS_OF_ONE = COMMITS_OF_ONE  # nothing is read: what is answered is in memory
TRIPS_OF_CHAIN = COMMITS_OF_CHAIN
TRIPS_OF_MANY = COMMITS_OF_MANY

SECOND = timedelta(seconds=1)
SECONDS = 5
POLLERS = 20


def told(record: Record, what: str, cost: Cost) -> None:
    """Record how many commits there were, in the transactions and on the disk."""
    record("figure", f"{what}: {cost.tally.commits} commits, {cost.tally.answers} round trips")
    assert cost.tally.commits == cost.wal.commits


def test_a_workflow_of_one_task_is_two_commits(record_property: Record) -> None:
    cost = cost_of_one()

    told(record_property, "a workflow of one task", cost)
    assert cost.tally.commits == COMMITS_OF_ONE


def test_each_task_of_a_chain_is_one_commit_and_the_start_is_one_more(
    record_property: Record,
) -> None:
    cost = cost_of_chain()

    told(record_property, f"a chain of {LENGTH}", cost)
    assert cost.tally.commits == COMMITS_OF_CHAIN


def test_a_thousand_tasks_side_by_side_share_a_few_commits(record_property: Record) -> None:
    cost = cost_of_wide()

    told(record_property, "1,000 tasks side by side", cost)
    assert cost.tally.commits <= COMMITS_OF_WIDE


def test_a_thousand_workflows_at_once_share_a_few_commits(record_property: Record) -> None:
    cost = cost_of_many()

    told(record_property, "1,000 workflows at once", cost)
    assert cost.tally.commits <= COMMITS_OF_MANY


def test_a_transaction_is_one_round_trip_to_a_thread() -> None:
    for cost in (cost_of_one(), cost_of_chain(), cost_of_wide(), cost_of_many()):
        assert cost.tally.answers == len(cost.tally.transactions)
        assert not cost.tally.loose


def test_nothing_is_read_between_the_tasks_of_a_chain() -> None:
    cost = cost_of_chain()

    assert cost.tally.answers <= TRIPS_OF_CHAIN


def test_running_a_workflow_reads_no_more_than_what_it_answers() -> None:
    assert cost_of_one().tally.answers <= TRIPS_OF_ONE
    assert cost_of_many().tally.answers <= TRIPS_OF_MANY


def test_a_signal_is_one_commit_and_one_round_trip(record_property: Record) -> None:
    asked: list[Event] = []

    async def main(tally: Tally, database: Path) -> tuple[Cost, Cost]:
        clock = VirtualClock()
        async with opened(database, waits(asked), clock) as runner:
            await runner.start.aio("waits")
            await clock.settle()
            told = await counted(tally, database, asked[0].signal.aio(True))
            return told, await counted(tally, database, clock.settle())

    cost, waiter = on_a_file(main)

    told(record_property, "a signal", cost)
    assert cost.tally.commits == COMMITS_OF_SIGNAL
    assert cost.tally.answers == 1
    assert not waiter.tally.transactions  # it goes on without the store


def polled(*, fires: bool) -> Cost:
    """Return what pollers cost in a few seconds; at most one of them ever fires."""
    registry = declared()
    for number in range(POLLERS):

        async def poll(number: int = number) -> TriggerResult:
            return TriggerResult.fire() if fires and number == 0 else TriggerResult.skip()

        with registry:
            trigger("one", name=f"t{number}", poll_interval=SECOND)(poll)

    async def main(tally: Tally, database: Path) -> Cost:
        clock = VirtualClock()
        async with opened(database, registry, clock):
            await clock.advance(2 * SECOND)
            return await counted(tally, database, clock.advance(SECONDS * SECOND))

    return on_a_file(main)


def test_pollers_that_do_not_fire_write_nothing(record_property: Record) -> None:
    cost = polled(fires=False)

    told(record_property, "pollers that do not fire", cost)
    assert cost.wal.commits == 0
    assert cost.tally.tasks == 0


def test_a_runner_that_is_alone_reads_no_cursor_again_to_poll_from_it() -> None:
    cursors: list[int | None] = []
    registry = declared()

    async def poll(cursor: int | None) -> TriggerResult:
        cursors.append(cursor)
        return TriggerResult.skip()

    with registry:
        for number in range(POLLERS):
            trigger("one", name=f"t{number}", poll_interval=SECOND)(poll)

    async def main(tally: Tally, database: Path) -> Cost:
        clock = VirtualClock()
        async with opened(database, registry, clock):
            return await counted(tally, database, clock.advance(2 * SECOND))

    cost = on_a_file(main)

    assert len(cursors) >= POLLERS
    assert cost.tally.answers < POLLERS  # it looks at what others do, twice


def test_a_poll_that_fires_is_one_commit_and_the_end_of_what_it_starts_one_more(
    record_property: Record,
) -> None:
    cost = polled(fires=True)

    told(record_property, f"{SECONDS} polls that fire", cost)
    assert cost.wal.commits == SECONDS * COMMITS_OF_FIRING
