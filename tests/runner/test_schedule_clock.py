"""Schedules while the wall clock jumps: never early, never twice; what is polled goes on."""

import asyncio
import gc
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Unpack

import pytest

from asyncflow import (
    Context,
    Registry,
    Runner,
    SystemClock,
    TriggerResult,
    VirtualClock,
    Workflow,
    task,
    trigger,
)
from asyncflow._model.schedule import CatchUp
from asyncflow._runner.timekeeper import LiveSchedule
from tests.runner.scene import until
from tests.runner.ticking import HOUR, MISSED, SECOND, START, Policy, noting

CHECK = timedelta(milliseconds=20)
EVERY = timedelta(milliseconds=50)
DAY = 24 * HOUR


class Shifted(SystemClock):
    """The machine's clock, whose wall time somebody sets."""

    def __init__(self) -> None:
        super().__init__(wall_check=CHECK)
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


class Day:
    """A workflow with a schedule, and one that is polled; they note what happens."""

    def __init__(self) -> None:
        self.clock = Shifted()
        self.registry = Registry()
        self.due: list[datetime] = []
        self.early: list[datetime] = []
        self.polls = 0
        with self.registry:
            with Workflow("w"):

                @task()
                async def note(context: Context) -> None:
                    due = datetime.fromisoformat(context["scheduled_time"])
                    self.due.append(due)
                    if self.clock.now() < due:
                        self.early.append(due)

            @trigger("w", poll_interval="20ms")
            async def poll() -> TriggerResult:
                self.polls += 1
                return TriggerResult.skip()

    async def ticked(self, more: int = 3) -> None:
        """Return once it has ticked so often from now."""
        count = len(self.due) + more
        await until(lambda: len(self.due) >= count)

    async def polled(self, more: int = 15) -> None:
        """Return once it has been polled so often from now."""
        count = self.polls + more
        await until(lambda: self.polls >= count)

    def check(self) -> None:
        """Nothing was early, twice, or out of order."""
        assert self.early == []
        assert self.due == sorted(set(self.due))


async def a_day(body: Callable[[Day, Runner], Awaitable[None]], **policy: Unpack[Policy]) -> Day:
    day = Day()
    async with Runner(":memory:", registry=day.registry, clock=day.clock) as runner:
        await runner.register_schedule.aio("w", EVERY, **policy)
        await day.ticked()
        await body(day, runner)
    day.check()
    return day


async def test_a_schedule_keeps_still_while_the_clock_shows_an_hour_once_more() -> None:
    async def body(day: Day, runner: Runner) -> None:
        day.clock.offset -= HOUR
        await asyncio.sleep(0)
        newest = day.due[-1]
        await day.polled()
        assert len([due for due in day.due if due > newest]) <= 1
        day.clock.offset += HOUR
        await day.ticked()

    await a_day(body)


@pytest.mark.parametrize("jump", [HOUR, 30 * DAY])
@pytest.mark.parametrize("catchup", ["one", "none"])
async def test_of_what_a_jump_of_the_clock_passes_over_the_policy_decides(
    jump: timedelta, catchup: CatchUp
) -> None:
    gaps: list[timedelta] = []

    async def body(day: Day, runner: Runner) -> None:
        before, polls = day.due[-1], day.polls
        day.clock.offset += jump
        await until(lambda: day.due[-1] - before > jump / 2)
        assert day.polls - polls < 50
        await day.ticked()
        await day.polled()
        lines = await runner.get_schedule_history.aio("w", None)
        folded = [line for line in lines if line["until"] is not None]
        assert len(folded) == 1
        assert {line["dropped"] for line in lines} == {None, MISSED}
        gaps.extend(b - a for a, b in zip(day.due, day.due[1:], strict=False))

    await a_day(body, catchup=catchup)

    assert max(gaps) > jump - 10 * SECOND
    assert sorted(gaps)[-2] < SECOND  # all the others are ticks in their turn


async def test_a_tick_does_not_come_again_when_the_clock_jumps_there_and_back() -> None:
    async def body(day: Day, runner: Runner) -> None:
        for _ in range(2):
            day.clock.offset += HOUR
            await day.ticked(1)
            day.clock.offset -= HOUR
            await day.polled(5)
        day.clock.offset += HOUR
        await day.ticked()

    await a_day(body)


async def test_catching_up_waits_for_each_execution_also_after_a_jump() -> None:
    async def body(day: Day, runner: Runner) -> None:
        count, newest = len(day.due), day.due[-1]
        day.clock.offset += SECOND
        await until(lambda: len(day.due) >= count + 20)
        ticks = [due for due in day.due if due >= newest]
        assert {b - a for a, b in itertools.pairwise(ticks)} == {EVERY}

    await a_day(body, catchup="all")


async def test_schedules_that_are_gone_leave_nothing_in_memory() -> None:
    clock = VirtualClock(START)
    async with Runner(":memory:", registry=noting([]), clock=clock) as runner:
        for number in range(50):
            await runner.register_schedule.aio("w", "1h", name="one", context={"n": number})
            if number % 5 == 0:
                await clock.advance(HOUR)
        await clock.settle()
        gc.collect()
        lives = [each for each in gc.get_objects() if isinstance(each, LiveSchedule)]
        assert clock.next_deadline() == clock.now() + HOUR

    assert len(lives) == 1
