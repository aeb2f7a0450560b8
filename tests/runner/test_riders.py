"""Starts that wait for a transaction to go with: for how long, and what of the clock they use."""

from datetime import timedelta

import pytest

from asyncflow._clock import VirtualClock
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import TaskStarted
from asyncflow._core.plan import Plan
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._runner.riders import PATIENCE, Riders

LITTLE = timedelta(milliseconds=1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def set_off() -> list[None]:
    return []


@pytest.fixture
def riders(clock: VirtualClock, set_off: list[None]) -> Riders:
    return Riders(clock, lambda: set_off.append(None))


class Begun:
    """An attempt of a task."""

    def __init__(self, clock: VirtualClock, task: str = "a") -> None:
        plan = Plan.gone("work", "default")
        live = LiveExecution("one", plan, None, ExecutionState.new(plan, {}))
        self._told = Told(live, TaskStarted(clock.now(), task, 1, 1))

    def started(self) -> Told:
        return self._told


async def test_a_start_that_comes_while_the_driver_rests_sets_it_off_after_its_patience(
    clock: VirtualClock, riders: Riders, set_off: list[None]
) -> None:
    riders.rest()
    riders.add(Begun(clock))

    await clock.advance(PATIENCE - LITTLE)
    early = list(set_off)
    await clock.advance(LITTLE)

    assert not early
    assert len(set_off) == 1
    assert not riders.patient


async def test_the_patience_of_a_start_begins_before_the_driver_rests(
    clock: VirtualClock, riders: Riders, set_off: list[None]
) -> None:
    riders.add(Begun(clock))
    await clock.advance(PATIENCE - LITTLE)
    riders.rest()
    early = list(set_off)

    await clock.advance(LITTLE)

    assert not early
    assert len(set_off) == 1


async def test_while_the_driver_works_a_start_sets_no_timer(
    clock: VirtualClock, riders: Riders
) -> None:
    riders.rest()
    riders.take()
    riders.add(Begun(clock))

    assert clock.next_deadline() is None


async def test_a_start_that_was_overtaken_leaves_no_timer_behind(
    clock: VirtualClock, riders: Riders
) -> None:
    start = Begun(clock)
    riders.add(start)
    riders.rest()
    riders.overtake(start)
    riders.take()
    riders.rest()

    assert clock.next_deadline() is None


async def test_a_start_waits_for_all_of_its_patience_behind_one_that_was_overtaken(
    clock: VirtualClock, riders: Riders, set_off: list[None]
) -> None:
    first = Begun(clock)
    riders.add(first)
    riders.rest()
    await clock.advance(PATIENCE - LITTLE)
    riders.overtake(first)
    riders.take()
    riders.add(Begun(clock, "b"))
    riders.rest()

    await clock.advance(PATIENCE - LITTLE)
    early = list(set_off)
    await clock.advance(LITTLE)

    assert not early
    assert len(set_off) == 1


async def test_the_second_that_waits_does_not_put_the_first_off(
    clock: VirtualClock, riders: Riders, set_off: list[None]
) -> None:
    riders.rest()
    riders.add(Begun(clock))
    await clock.advance(PATIENCE - LITTLE)
    riders.add(Begun(clock, "b"))

    await clock.advance(LITTLE)

    assert len(set_off) == 1


async def test_a_timer_that_fires_while_the_driver_works_does_nothing(
    clock: VirtualClock, riders: Riders, set_off: list[None]
) -> None:
    riders.rest()
    riders.add(Begun(clock))
    riders.take()
    riders.add(Begun(clock, "b"))

    await clock.advance(PATIENCE)

    assert not set_off
    assert riders.patient


async def test_in_the_end_nobody_waits(clock: VirtualClock, riders: Riders) -> None:
    riders.rest()
    riders.add(Begun(clock))

    riders.end()
    riders.add(Begun(clock, "b"))

    assert not riders
    assert clock.next_deadline() is None
