"""What becomes of ticks that wait when their schedule is disabled or changed: none vanishes."""

import pytest

from asyncflow import Runner, UsageError, VirtualClock
from asyncflow._client.schedules import CHANGED
from asyncflow._client.schedules import DISABLED as TURNED_OFF
from tests.runner.ticking import HOUR, MINUTE, START, Held, became, working


async def waiting(runner: Runner, clock: VirtualClock) -> None:
    """Let the execution of one tick run, and two more ticks wait for its end."""
    await runner.register_schedule.aio("w", "1m", catchup="all")
    await clock.advance(3.5 * MINUTE)
    assert await became(runner, "w") == [(1.0, "RUNNING")]


async def test_ticks_that_wait_when_a_schedule_is_disabled_are_in_its_history() -> None:
    held, clock = Held(), VirtualClock(START)
    async with Runner(":memory:", registry=held.registry, clock=clock, grace=0) as runner:
        await waiting(runner, clock)
        await runner.disable_schedule.aio("w")
        await clock.advance(2 * MINUTE)
        held.released.set()
        await runner.enable_schedule.aio("w")
        await clock.advance(MINUTE)

        assert await became(runner, "w") == [
            (1.0, "SUCCESS"),
            (2.0, TURNED_OFF),
            (3.0, TURNED_OFF),
            (6.0, "SUCCESS"),  # what passes while it is disabled is no tick of it
        ]


async def test_ticks_that_wait_when_a_schedule_gets_other_ones_are_in_its_history() -> None:
    held, clock = Held(), VirtualClock(START)
    async with Runner(":memory:", registry=held.registry, clock=clock, grace=0) as runner:
        await waiting(runner, clock)
        await runner.update_schedule.aio("w", schedule="1h")
        held.released.set()
        await clock.advance(HOUR)

        assert await became(runner, "w") == [
            (1.0, "SUCCESS"),
            (2.0, CHANGED),
            (3.0, CHANGED),
            (63.5, "SUCCESS"),
        ]


async def test_ticks_that_wait_go_on_when_only_the_context_changes() -> None:
    held, clock = Held(), VirtualClock(START)
    async with Runner(":memory:", registry=held.registry, clock=clock, grace=0) as runner:
        await waiting(runner, clock)
        await runner.update_schedule.aio("w", context={"a": 1})
        held.released.set()
        await clock.advance(MINUTE)

        lines = await became(runner, "w")
        assert lines == [(float(number), "SUCCESS") for number in (1, 2, 3, 4)]


async def test_after_its_workflow_was_deleted_an_unnamed_schedule_may_have_other_ticks() -> None:
    async with working([]) as (runner, _):
        await runner.register_schedule.aio("w", "1h")
        await runner.delete_workflow.aio("w")

        again = await runner.register_schedule.aio("w", "2h")

        assert again["expression"] == "2h"


async def test_a_schedule_of_another_workflow_is_not_taken_over() -> None:
    async with working([], "w", "v") as (runner, _):
        await runner.register_schedule.aio("w", "1h", name="nightly")

        with pytest.raises(UsageError, match=r"schedule 'nightly' starts workflow 'w'.*delete"):
            await runner.register_schedule.aio("v", "1h", name="nightly")

        (kept,) = await runner.list_schedules.aio()
        assert kept["workflow_name"] == "w"
