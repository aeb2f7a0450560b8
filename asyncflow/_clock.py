"""Time for the engine: timers, pauses and deadlines, on the machine's clock or on a virtual one.

Whatever waits for a time is an entry of a clock's timer heap, so that a virtual clock can drive all
of it. Nothing here may wait in another way, or call back early. Only `now` and `monotonic` may be
called from any thread; everything else only on the thread of the loop that the timers belong to.
"""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, Self

from asyncflow._timer import Callback, Timer, TimerHeap
from asyncflow.errors import UsageError

Settler = Callable[[], Awaitable[None]]

# A jump of the wall clock to the future is noticed by then at the latest.
WALL_CHECK: Final = timedelta(seconds=60)
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
# How often a virtual clock passes the loop, and how often it asks its settlers, before it moves on.
SETTLE_TURNS: Final = 16
SETTLE_ROUNDS: Final = 1000
# Datetimes count microseconds: a virtual deadline within half a one is that same moment.
SAME_MOMENT: Final = 5e-7


class Deadline:
    """Cancels the task inside it when its time is over, and makes that a `TimeoutError`.

    It keeps to the rules of `asyncio.timeout`: a cancellation from outside wins, also one that
    comes at the same time; of nested ones the outermost that expired raises.

    Attributes:
        delay: how long it is; None: there is no bound.
    """

    __slots__ = ("_cancelling", "_clock", "_due", "_expired", "_over", "_task", "_timer", "delay")

    def __init__(self, clock: "Clock", delay: timedelta | None) -> None:
        """Its time begins now, also where it is entered later."""
        self._clock = clock
        self.delay = delay
        self._due = 0.0 if delay is None else clock.monotonic() + delay.total_seconds()
        self._expired = False
        self._over = False
        self._cancelling = 0
        self._task: asyncio.Task[object] | None = None
        self._timer: Timer | None = None

    @property
    def expired(self) -> bool:
        """Whether the time was over before the body was."""
        return self._expired

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise UsageError("a deadline cancels a task, and none runs: enter it in a coroutine")
        if self._task is not None:
            raise UsageError("this deadline was entered before: make one for each `async with`")
        self._task = task
        self._cancelling = task.cancelling()
        if self.delay is not None:
            self._timer = self._clock.call_at(self._due, partial(self._expire, task))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._expired or self._task is None:
            return
        # Whoever else has cancelled the task meanwhile wants a CancelledError to come out of it.
        alone = self._task.uncancel() <= self._cancelling
        if alone and isinstance(exc, asyncio.CancelledError):
            raise TimeoutError(f"not done within {self.delay}") from exc

    def restart(self, delay: timedelta) -> None:
        """Let its time begin anew, with another length, unless it is over."""
        timer, task = self._timer, self._task
        if timer is not None and task is not None and not (self._expired or self._over):
            timer.cancel()
            self.delay = delay
            self._due = self._clock.monotonic() + delay.total_seconds()
            self._timer = self._clock.call_at(self._due, partial(self._expire, task))

    @contextmanager
    def suspended(self) -> Generator[None]:
        """Let the time stand still for the body of the ``with``, as if that took none.

        After the deadline's own body it does nothing.
        """
        timer, task, since = self._timer, self._task, self._clock.monotonic()
        if timer is not None:
            timer.cancel()
        try:
            yield
        finally:
            if timer is not None and task is not None and not (self._expired or self._over):
                self._due += self._clock.monotonic() - since
                self._timer = self._clock.call_at(self._due, partial(self._expire, task))

    def _expire(self, task: asyncio.Task[object]) -> None:
        self._expired = True
        task.cancel()


class Clock(ABC):
    """Tells the time, and calls back when it has come.

    Callbacks are called in the order of their times, then in that of their making; in an empty
    `Context`, not in that of whoever made the timer. One that raises is reported to the loop's
    exception handler, and the others are called all the same.
    """

    @abstractmethod
    def now(self) -> datetime:
        """Return the wall clock's time, in UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds since an unknown moment; no change of the wall clock moves them."""

    @abstractmethod
    def call_at(self, deadline: float, callback: Callback) -> Timer:
        """Call back when `monotonic` has reached ``deadline``, never inside this call."""

    @abstractmethod
    def call_at_time(self, when: datetime, callback: Callback) -> Timer:
        """Call back when `now` has reached ``when``, wherever the wall clock jumps meanwhile."""

    def call_later(self, delay: timedelta, callback: Callback) -> Timer:
        """Call back after ``delay``, never inside this call."""
        return self.call_at(self.monotonic() + delay.total_seconds(), callback)

    async def pause(self, delay: timedelta) -> None:
        """Return after ``delay``, and not before the loop has turned."""
        future = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay, partial(_resolve, future))
        try:
            await future
        finally:
            timer.cancel()

    def deadline(self, delay: timedelta | None) -> Deadline:
        """Bound what is done inside ``async with`` by a time from now; None: there is no bound."""
        return Deadline(self, delay)


class SystemClock(Clock):
    """The machine's clock, on the loop that first sets a timer.

    One handle of the loop stands for the earliest entry, and none where nothing waits. A clock
    whose loop was closed, or for which nothing waits, may go on with another loop.
    """

    def __init__(self, *, wall_check: timedelta = WALL_CHECK) -> None:
        """Look at the wall clock every ``wall_check`` while something waits for its time."""
        self._wall_check = wall_check.total_seconds()
        self._timers = TimerHeap(self._rest)
        # Keyed by the wall clock's time: a jump of it needs no entry to be moved.
        self._wall_timers = TimerHeap(self._rest)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context()
        self._handle: asyncio.TimerHandle | None = None
        self._handle_due = 0.0

    def now(self) -> datetime:
        """Return the machine's time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds; a suspended machine counts none."""
        return time.monotonic()

    def call_at(self, deadline: float, callback: Callback) -> Timer:
        """Call back when `monotonic` has reached ``deadline``, up to 2 ms late on an idle loop."""
        loop = self._bound()
        timer = self._timers.push(deadline, callback)
        self._arm(loop, deadline)
        return timer

    def call_at_time(self, when: datetime, callback: Callback) -> Timer:
        """Call back when `now` has reached ``when``.

        A jump over ``when`` is noticed within ``wall_check``, and so is what a suspension of the
        machine took; one back makes the timer wait for as much longer.
        """
        loop = self._bound()
        timer = self._wall_timers.push(_aware(when).timestamp(), callback)
        self._arm_for_wall(loop)
        return timer

    def _bound(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            waiting = self._timers.waiting or self._wall_timers.waiting
            if waiting and self._loop is not None and not self._loop.is_closed():
                raise UsageError("this clock has timers on another loop: give each its own clock")
            self._timers, self._wall_timers = TimerHeap(self._rest), TimerHeap(self._rest)
            self._loop, self._handle = loop, None
        return loop

    def _rest(self) -> None:
        """Let the loop sleep where nothing waits."""
        waiting = self._timers.waiting or self._wall_timers.waiting
        if self._handle is not None and not waiting:
            self._handle.cancel()
            self._handle = None

    def _arm(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Be woken at ``due`` on the monotonic clock, unless that is so already."""
        if self._handle is not None:
            if self._handle_due <= due:
                return
            self._handle.cancel()
        # Rounded up to what loops can tell apart, so that none spins for the rest of a millisecond.
        delay = math.ceil(max(due - time.monotonic(), 0.0) * 1000) / 1000
        self._handle_due = due
        self._handle = loop.call_later(delay, self._fire, loop, context=self._context)

    def _arm_for_wall(self, loop: asyncio.AbstractEventLoop) -> None:
        first = self._wall_timers.first()
        if first is not None:
            rest = min(first - self.now().timestamp(), self._wall_check)
            self._arm(loop, time.monotonic() + rest)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = None
        try:
            # At most those that wait now: one that sets itself anew must not keep the loop.
            self._timers.call_due(time.monotonic(), self._timers.waiting)
            if self._wall_timers.waiting:
                self._wall_timers.call_due(self.now().timestamp(), self._wall_timers.waiting)
        finally:  # what a callback raised goes to the loop, and the rest is called at its next turn
            first = self._timers.first()
            if first is not None:
                self._arm(loop, first)
            self._arm_for_wall(loop)


class VirtualClock(Clock):
    """A clock that stands still, except while `advance` moves it; for tests.

    Its two times move as one. A timer that is due when it is made is called at the loop's next
    turn; all others only while `advance` goes over their times.
    """

    def __init__(self, start: datetime = START) -> None:
        """Stand at ``start``."""
        self._start = _aware(start)
        self._seconds = 0.0
        self._timers = TimerHeap(lambda: None)
        self._context = Context()
        self._settlers: list[Settler] = []
        self._moving = False

    def now(self) -> datetime:
        """Return where it stands, in UTC."""
        return self._time_of(self._seconds)

    def monotonic(self) -> float:
        """Return the seconds since its start."""
        return self._seconds

    def call_at(self, deadline: float, callback: Callback) -> Timer:
        """Call back when it was advanced to ``deadline`` seconds after its start."""
        loop = asyncio.get_running_loop()
        timer = self._timers.push(deadline, callback)
        if deadline <= self._seconds:
            loop.call_soon(self._fire_one, context=self._context)
        return timer

    def call_at_time(self, when: datetime, callback: Callback) -> Timer:
        """Call back when it was advanced to ``when``."""
        return self.call_at(self._seconds_of(when), callback)

    def next_deadline(self) -> datetime | None:
        """Return the time of the earliest timer that waits, if one does."""
        first = self._timers.first()
        return None if first is None else self._time_of(first)

    def add_settler(self, settler: Settler) -> Callback:
        """Await ``settler()`` before time moves on; return what takes it away again.

        It should return once its owner is idle, and without waiting if its owner is idle now: it is
        asked until no settler has to wait any more. Work in threads is waited for only in this way.
        """
        self._settlers.append(settler)
        return partial(self._settlers.remove, settler)

    async def advance(self, delay: timedelta) -> None:
        """Move on by ``delay``; see `advance_to`."""
        if not isinstance(delay, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"a virtual clock is advanced by a timedelta, not {delay!r}"
            raise TypeError(text)
        await self.advance_to(self.now() + delay)

    async def advance_to(self, when: datetime) -> None:
        """Move on to ``when``, standing at the time of each timer on the way while it is called.

        The loop settles first, and after each timer: it turns 16 times, then the settlers are
        awaited, and that again until none of them had to wait.
        """
        target = self._seconds_of(when)
        if target < self._seconds - SAME_MOMENT:
            raise ValueError(f"the clock stands at {self.now()} and cannot go back to {when}")
        if self._moving:
            raise UsageError("the clock is being advanced already: only one task may move it")
        loop = asyncio.get_running_loop()
        self._moving = True
        try:
            await self.settle()
            while (first := self._timers.first()) is not None and first <= target + SAME_MOMENT:
                self._seconds = first
                # As on the machine's clock: called by the loop, not inside of a task.
                loop.call_soon(self._fire_one, context=self._context)
                await self.settle()
            self._seconds = max(self._seconds, target)
        finally:
            self._moving = False

    async def settle(self) -> None:
        """Let happen what can happen without time moving on."""
        loop = asyncio.get_running_loop()
        for _ in range(SETTLE_ROUNDS):
            for _ in range(SETTLE_TURNS):
                turn = loop.create_future()
                loop.call_soon(_resolve, turn)
                await turn
            turned: list[None] = []
            loop.call_soon(turned.append, None)
            for settler in tuple(self._settlers):
                await settler()
            if not turned:
                return
        raise UsageError(
            f"a settler still had to wait after {SETTLE_ROUNDS} rounds: "
            "its owner must come to rest, and it must return at once then"
        )

    def _fire_one(self) -> None:
        self._timers.call_due(self._seconds, at_most=1)

    def _time_of(self, seconds: float) -> datetime:
        return self._start + timedelta(seconds=seconds)

    def _seconds_of(self, when: datetime) -> float:
        return (_aware(when) - self._start).total_seconds()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _aware(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone: say which one is meant, as in tzinfo=UTC")
    return when.astimezone(UTC)
