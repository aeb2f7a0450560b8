"""Timers and pauses of both clocks: never early, never twice, in order, one handle of the loop."""

import asyncio
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from functools import partial

import pytest

from asyncflow._clock import START, Clock, SystemClock, VirtualClock
from asyncflow._timer import COMPACT_FROM, Timer
from asyncflow.errors import UsageError

SECOND, MOMENT = timedelta(seconds=1), timedelta(milliseconds=2)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOPS = (
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
)


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture(params=[SystemClock, VirtualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


class MendedClock(SystemClock):
    """A machine's clock that somebody sets."""

    jump = timedelta()

    def now(self) -> datetime:
        return super().now() + self.jump


class WatchedClock(SystemClock):
    """A machine's clock that counts how often it was looked at: once at each wake-up."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return super().now()


async def go_on(clock: Clock, delay: timedelta) -> None:
    if isinstance(clock, VirtualClock):
        await clock.advance(delay)
    else:
        await clock.pause(delay)


def never() -> None:
    raise AssertionError


def reported() -> list[BaseException]:
    """Collect what is reported to the running loop from now on."""
    found: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, report: found.append(report["exception"]))
    return found


async def test_timers_fire_in_the_order_of_their_deadlines_then_of_their_making(
    clock: Clock,
) -> None:
    calls: list[int] = []
    begin = clock.monotonic()

    for number, delay in enumerate((0.004, 0.002, 0.0, 0.004, 0.002)):
        clock.call_at(begin + delay, partial(calls.append, number))
    await go_on(clock, 5 * MOMENT)

    assert calls == [2, 1, 4, 0, 3]


async def test_wall_timers_fire_in_the_order_of_their_times_then_of_their_making(
    clock: Clock,
) -> None:
    calls: list[int] = []
    begin = clock.now()

    for number, delay in enumerate((3, 1, 0, 3, 1)):
        there = (begin + delay * MOMENT).astimezone(timezone(delay * HOUR))
        clock.call_at_time(there, partial(calls.append, number))
    await go_on(clock, 6 * MOMENT)

    assert calls == [2, 1, 4, 0, 3]


async def test_no_timer_fires_early_or_twice(clock: Clock) -> None:
    spare: list[float] = []
    wall_spare: list[timedelta] = []

    def note(due: float) -> None:
        spare.append(clock.monotonic() - due)

    def note_wall(when: datetime) -> None:
        wall_spare.append(clock.now() - when)

    for microseconds in range(0, 9000, 77):
        delay = timedelta(microseconds=microseconds)
        due, when = clock.monotonic() + delay.total_seconds(), clock.now() + delay
        clock.call_at(due, partial(note, due))
        clock.call_at_time(when, partial(note_wall, when))
    await go_on(clock, 25 * MOMENT)

    assert len(spare) == len(wall_spare) == len(range(0, 9000, 77))
    assert min(spare) >= 0
    assert min(wall_spare) >= timedelta()


async def test_a_timer_never_fires_inside_the_call_that_makes_it(clock: Clock) -> None:
    calls: list[str] = []

    clock.call_later(-SECOND, lambda: calls.append("past"))
    clock.call_at_time(clock.now(), lambda: calls.append("now"))
    assert calls == []
    await go_on(clock, MOMENT)

    assert sorted(calls) == ["now", "past"]


async def test_a_cancelled_timer_does_not_fire(clock: Clock) -> None:
    calls: list[str] = []
    due = clock.monotonic() + MOMENT.total_seconds()
    doomed: list[Timer] = []

    def doom() -> None:
        doomed[0].cancel()

    clock.call_at(due, doom)
    doomed.append(clock.call_at(due, lambda: calls.append("by the one before it")))
    clock.call_later(MOMENT, lambda: calls.append("by its maker")).cancel()
    fired = clock.call_later(MOMENT, lambda: calls.append("fired"))
    await go_on(clock, 3 * MOMENT)
    fired.cancel()

    assert calls == ["fired"]


async def test_a_callback_that_raises_is_reported_and_holds_up_no_other(clock: Clock) -> None:
    found, calls = reported(), list[str]()
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    clock.call_later(MOMENT, lambda: print(1 / 0))  # noqa: T201  it comes to no print
    clock.call_later(MOMENT, lambda: print(cancelled.result()))  # noqa: T201  nor does this
    clock.call_later(MOMENT, lambda: calls.append("the next"))
    await go_on(clock, 3 * MOMENT)

    assert [type(error) for error in found] == [ZeroDivisionError, asyncio.CancelledError]
    assert calls == ["the next"]


async def test_callbacks_see_no_context_of_whoever_made_the_timer(clock: Clock) -> None:
    user = ContextVar("user", default="nobody")
    user.set("somebody")
    seen: list[str] = []

    clock.call_later(MOMENT, lambda: seen.append(user.get()))
    await go_on(clock, 2 * MOMENT)

    assert seen == ["nobody"]


async def test_cancelled_timers_do_not_pile_up() -> None:
    clock = SystemClock()
    kept = [clock.call_later(HOUR, never) for _ in range(10)]

    for _ in range(10_000):
        clock.call_later(HOUR, never).cancel()

    assert all(timer.pending for timer in kept)
    assert len(clock._timers._entries) <= COMPACT_FROM + 1


async def test_timers_keep_their_order_when_others_are_cancelled() -> None:
    clock, calls = VirtualClock(), list[float]()
    delays = [number * 7919 % 1000 for number in range(1000)]

    timers = [clock.call_at(delay, partial(calls.append, delay)) for delay in delays]
    for timer in timers[100:]:
        timer.cancel()
    clock.call_at(1000.0, partial(calls.append, 1000.0))
    await clock.advance(HOUR)

    assert calls == [*sorted(delays[:100]), 1000]


async def test_a_clock_without_timers_leaves_the_loop_alone() -> None:
    clock = SystemClock()

    timers = clock.call_later(HOUR, never), clock.call_at_time(START, never)
    assert clock._handle is not None
    for timer in timers:
        timer.cancel()
    assert clock._handle is None
    await clock.pause(MOMENT)

    assert clock._handle is None


async def test_an_earlier_timer_takes_the_place_of_the_one_armed() -> None:
    clock = SystemClock()

    clock.call_later(timedelta.max, never)
    before = clock.monotonic()
    await clock.pause(MOMENT)

    assert clock.monotonic() - before < HOUR.total_seconds()


async def test_the_loop_does_not_spin_for_the_rest_of_a_millisecond() -> None:
    clock = WatchedClock()

    await clock.pause(timedelta(microseconds=400))
    await clock.pause(timedelta(microseconds=1400))

    assert clock.looks <= 4


async def test_a_timer_that_sets_itself_anew_leaves_room_for_the_loop() -> None:
    clock = SystemClock()
    timers: list[Timer] = []

    def again() -> None:
        timers.append(clock.call_at(0.0, again))

    again()
    for _ in range(10):
        await asyncio.sleep(0)
    timers[-1].cancel()

    assert 1 < len(timers) <= 11


async def test_a_wall_timer_waits_when_the_clock_is_set_back() -> None:
    clock = MendedClock()
    called: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()
    begin, when = clock.monotonic(), clock.now() + 5 * MOMENT

    clock.call_at_time(when, lambda: called.set_result(clock.now()))
    clock.jump = -10 * MOMENT

    assert await called >= when
    assert clock.monotonic() - begin >= 14 * MOMENT.total_seconds()


async def test_a_wall_timer_notices_that_the_clock_is_set_forward() -> None:
    clock, called = MendedClock(wall_check=MOMENT), asyncio.Event()

    clock.call_at_time(clock.now() + DAY, called.set)
    asyncio.get_running_loop().call_later(0.02, setattr, clock, "jump", DAY)
    await called.wait()

    assert clock._handle is None


async def test_a_pause_ends_when_its_time_has_come(clock: Clock) -> None:
    begin = clock.monotonic()

    async with asyncio.TaskGroup() as group:
        pause = group.create_task(clock.pause(3 * MOMENT))
        await go_on(clock, 2 * MOMENT)
        early = pause.done()
        await pause if isinstance(clock, SystemClock) else await go_on(clock, MOMENT)

    assert not early
    assert clock.monotonic() - begin >= 3 * MOMENT.total_seconds()


async def test_a_cancelled_pause_leaves_no_timer() -> None:
    clock = VirtualClock()

    pause = asyncio.ensure_future(clock.pause(HOUR))
    await clock.settle()
    assert clock.next_deadline() == START + HOUR
    pause.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pause

    assert clock.next_deadline() is None


async def test_a_time_without_a_zone_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        clock.call_at_time(datetime(2026, 1, 1), never)  # noqa: DTZ001  that is the point


async def test_a_clock_with_timers_stays_on_its_loop() -> None:
    clock = SystemClock()
    clock.call_later(HOUR, never)

    def elsewhere() -> None:
        asyncio.run(clock.pause(MOMENT))

    with pytest.raises(UsageError, match="another loop"):
        await asyncio.get_running_loop().run_in_executor(None, elsewhere)


def test_a_clock_outlives_its_loop() -> None:
    clock, old, calls = SystemClock(), list[Timer](), list[str]()

    async def leave_one() -> None:
        old.append(clock.call_later(MOMENT, lambda: calls.append("of the old loop")))

    asyncio.run(leave_one())
    asyncio.run(clock.pause(3 * MOMENT))
    old[0].cancel()

    assert calls == []
    assert clock._timers.waiting == 0


def test_an_exit_in_a_callback_ends_the_loop_and_nothing_else() -> None:
    clock, calls = SystemClock(), list[str]()

    async def leave() -> None:
        clock.call_at(0.0, partial(exit_with, 3))
        clock.call_at(1.0, lambda: calls.append("the next"))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await clock.pause(MOMENT)

    with pytest.raises(SystemExit):
        asyncio.run(leave())

    assert calls == ["the next"]


def exit_with(code: int) -> None:
    raise SystemExit(code)
