"""The virtual clock: it moves only when told to, timer by timer, and lets all rest between them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from asyncflow._clock import START, VirtualClock
from asyncflow.errors import UsageError

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LOOPS = (
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
)


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


class Log:
    """What was called, and at which second of a clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.entries: list[tuple[str, float]] = []

    def __call__(self, name: str) -> Callable[[], None]:
        return partial(self.add, name)

    def add(self, name: str) -> None:
        assert self.clock.now() == START + timedelta(seconds=self.clock.monotonic())
        self.entries.append((name, self.clock.monotonic()))


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock()
    log = Log(clock)

    clock.call_later(SECOND, log("due"))
    await clock.settle()
    assert (clock.now(), clock.monotonic(), log.entries) == (START, 0.0, [])
    await clock.advance(3 * SECOND)

    assert (clock.now(), clock.monotonic(), log.entries) == (START + 3 * SECOND, 3.0, [("due", 1)])


async def test_each_timer_on_the_way_sees_its_own_time() -> None:
    clock = VirtualClock()
    log = Log(clock)

    clock.call_at_time(START + 2 * DAY, log("wall"))
    clock.call_at(1.0, log("monotonic"))
    clock.call_later(2 * DAY, log("later"))
    clock.call_later(4 * DAY, log("not yet"))
    await clock.advance_to(START + 3 * DAY)

    assert log.entries == [("monotonic", 1.0), ("wall", 172_800.0), ("later", 172_800.0)]
    assert clock.next_deadline() == START + 4 * DAY


async def test_timers_that_callbacks_set_are_called_on_the_same_way() -> None:
    clock = VirtualClock()
    log = Log(clock)

    def first() -> None:
        log.add("first")
        clock.call_later(SECOND, log("third"))
        clock.call_later(timedelta(), log("second"))

    clock.call_later(3 * SECOND, log("fourth"))
    clock.call_later(SECOND, first)
    await clock.advance(3 * SECOND)

    assert log.entries == [("first", 1), ("second", 1), ("third", 2), ("fourth", 3)]


async def test_a_task_woken_on_the_way_goes_on_at_that_time() -> None:
    clock = VirtualClock()
    log = Log(clock)

    async def tick() -> None:
        for number in range(3):
            await clock.pause(20 * SECOND)
            log.add(str(number))

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        clock.call_later(30 * SECOND, log("between"))
        await clock.advance(60 * SECOND)

    assert log.entries == [("0", 20), ("between", 30), ("1", 40), ("2", 60)]


async def test_what_a_timer_wakes_comes_before_the_next_timer() -> None:
    clock = VirtualClock()
    log = Log(clock)

    async def wake() -> None:
        await clock.pause(SECOND)
        log.add("woken")

    async with asyncio.TaskGroup() as group:
        group.create_task(wake())
        await clock.settle()
        clock.call_later(SECOND, log("timer"))
        await clock.advance(SECOND)

    assert log.entries == [("woken", 1), ("timer", 1)]


async def test_a_timer_that_is_due_when_made_needs_no_move() -> None:
    clock = VirtualClock()
    log = Log(clock)

    clock.call_later(timedelta(), log("now"))
    clock.call_at(-1.0, log("past"))
    assert log.entries == []
    await clock.pause(timedelta())

    assert sorted(log.entries) == [("now", 0), ("past", 0)]
    assert clock.next_deadline() is None


async def test_sums_of_fractions_fall_due_where_they_are_written() -> None:
    clock = VirtualClock()
    log, tenth = Log(clock), timedelta(milliseconds=100)
    seen: list[float] = []

    def note(due: float) -> None:
        seen.append(clock.monotonic() - due)

    for number in range(1, 100):
        due = 0.1 * number
        clock.call_at(due, log(str(number)))
        clock.call_at(due, partial(note, due))
        await clock.advance(tenth)
        assert clock.now() == START + number * tenth
        assert clock.monotonic() >= due
        assert len(log.entries) == number

    assert min(seen) >= 0


async def test_the_next_deadline_is_that_of_a_timer_which_still_waits() -> None:
    clock = VirtualClock(datetime(2030, 5, 1, tzinfo=UTC))

    sooner = clock.call_later(SECOND, print)
    later = clock.call_later(DAY, print)
    sooner.cancel()
    assert clock.next_deadline() == datetime(2030, 5, 2, tzinfo=UTC)
    later.cancel()

    assert clock.next_deadline() is None


async def test_time_waits_for_the_settlers() -> None:
    clock = VirtualClock()
    log = Log(clock)
    loop = asyncio.get_running_loop()
    works: list[asyncio.Future[int]] = []

    async def settle() -> None:
        while works:
            await works.pop()
            log.add("worked")
            if len(log.entries) == 2:
                clock.call_later(SECOND, log("set by work"))

    def work() -> None:
        log.add("called")
        works.append(loop.run_in_executor(None, lambda: sum(range(1_000_000))))

    clock.add_settler(settle)
    clock.call_later(SECOND, work)
    clock.call_later(3 * SECOND, log("end"))
    await clock.advance(3 * SECOND)

    assert log.entries == [("called", 1), ("worked", 1), ("set by work", 2), ("end", 3)]


async def test_settlers_are_asked_again_after_one_of_them_waited() -> None:
    clock = VirtualClock()
    asked: list[str] = []
    idle = False

    async def first() -> None:
        asked.append("first")

    async def second() -> None:
        nonlocal idle
        asked.append("second")
        if not idle:
            idle = True
            await asyncio.sleep(0)

    clock.add_settler(first)
    remove = clock.add_settler(second)
    await clock.settle()
    remove()
    await clock.settle()

    assert asked == ["first", "second", "first", "second", "first"]


async def test_a_settler_that_never_rests_is_named_as_the_fault() -> None:
    clock = VirtualClock()

    async def restless() -> None:
        await asyncio.sleep(0)

    clock.add_settler(restless)

    with pytest.raises(UsageError, match="come to rest"):
        await clock.advance(SECOND)
    assert clock.now() == START


async def test_time_never_goes_back() -> None:
    clock = VirtualClock()
    await clock.advance(DAY)

    with pytest.raises(ValueError, match="cannot go back"):
        await clock.advance(-SECOND)
    with pytest.raises(ValueError, match="cannot go back"):
        await clock.advance_to(START)

    assert clock.now() == START + DAY


async def test_only_one_task_at_a_time_moves_the_clock() -> None:
    clock = VirtualClock()

    first, second = await asyncio.gather(
        clock.advance(SECOND), clock.advance(DAY), return_exceptions=True
    )
    await clock.advance(SECOND)

    assert first is None
    assert isinstance(second, UsageError)
    assert clock.now() == START + 2 * SECOND


async def test_a_start_in_another_zone_is_told_in_utc() -> None:
    there = datetime.fromisoformat("2026-07-01T02:00:00+02:00")

    clock = VirtualClock(there)

    assert (clock.now(), clock.now().tzinfo) == (there, UTC)


@pytest.mark.parametrize("delay", ["1h", 3600, None])
async def test_a_clock_is_advanced_by_a_timedelta_only(delay: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(TypeError, match="advanced by a timedelta, not "):
        await VirtualClock().advance(delay)
