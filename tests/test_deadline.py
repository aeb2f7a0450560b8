"""A deadline cancels what is inside it exactly as a timeout of asyncio does."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta

import pytest

from asyncflow._clock import Deadline, SystemClock, VirtualClock
from asyncflow.errors import UsageError

SECOND = timedelta(seconds=1)
Scope = Callable[[float | None], AbstractAsyncContextManager[object]]
LOOPS = (
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
)


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


# What is done inside a deadline. Each is tried in asyncio's and in ours, which must do the same.


async def ends_in_time(scope: Scope) -> None:
    async with scope(3600):
        await asyncio.sleep(0)


async def has_no_bound(scope: Scope) -> None:
    async with scope(None):
        await asyncio.sleep(0)


async def takes_too_long(scope: Scope) -> None:
    async with scope(0.002):
        await forever()


async def begins_too_late(scope: Scope) -> None:
    async with scope(-1):
        await forever()


async def is_late_and_does_not_wait(scope: Scope) -> None:
    async with scope(0):
        pass


async def swallows_the_cancellation(scope: Scope) -> None:
    async with scope(0):
        with suppress(asyncio.CancelledError):
            await forever()
    await asyncio.sleep(0)


async def raises_something_else(scope: Scope) -> None:
    async with scope(0):
        try:
            await forever()
        finally:
            raise LookupError


async def is_cancelled_without_a_bound(scope: Scope) -> None:
    cancel_soon()
    async with scope(None):
        await forever()


async def is_cancelled_just_before(scope: Scope) -> None:
    cancel_soon()
    async with scope(0):
        await forever()


async def is_cancelled_just_after(scope: Scope) -> None:
    async with scope(0):
        cancel_soon()
        await forever()


async def is_cancelled_while_it_cleans_up(scope: Scope) -> None:
    async with scope(0):
        try:
            await forever()
        finally:
            cancel_soon()
            await forever()


async def was_cancelled_before_and_went_on(scope: Scope) -> None:
    cancel_soon()
    try:
        await forever()
    except asyncio.CancelledError:
        async with scope(0):
            await forever()


async def expires_inside_of_another(scope: Scope) -> None:
    async with scope(3600):
        with suppress(TimeoutError):
            async with scope(0):
                await forever()
        await asyncio.sleep(0)


async def expires_with_the_one_around_it(scope: Scope) -> None:
    async with scope(0):
        try:
            async with scope(0):
                await forever()
        except TimeoutError:
            raise LookupError from None


async def expires_after_the_one_around_it(scope: Scope) -> None:
    async with scope(0), scope(3600):
        await forever()


async def waits_for_a_group(scope: Scope) -> None:
    async with scope(0), asyncio.TaskGroup() as group:
        group.create_task(forever())


def cancel_soon() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)


BODIES: tuple[Callable[[Scope], Awaitable[None]], ...] = (
    *(ends_in_time, has_no_bound, takes_too_long, begins_too_late, is_late_and_does_not_wait),
    *(swallows_the_cancellation, raises_something_else, is_cancelled_without_a_bound),
    *(is_cancelled_just_before, is_cancelled_just_after, is_cancelled_while_it_cleans_up),
    *(was_cancelled_before_and_went_on, expires_inside_of_another, expires_with_the_one_around_it),
    *(expires_after_the_one_around_it, waits_for_a_group),
)


async def outcome(body: Callable[[Scope], Awaitable[None]], scope: Scope) -> tuple[object, int]:
    """Return what came out of a body in a task of its own, and the cancellations it still has."""

    async def run() -> tuple[object, int]:
        raised: object = None
        try:
            await body(scope)
        except BaseException as error:  # a CancelledError is what is looked for
            raised = type(error)
        task = asyncio.current_task()
        assert task is not None
        return raised, task.cancelling()

    return await asyncio.ensure_future(run())


@pytest.mark.parametrize("body", BODIES)
async def test_a_deadline_does_what_a_timeout_of_asyncio_does(
    body: Callable[[Scope], Awaitable[None]],
) -> None:
    clock = SystemClock()

    def bound(seconds: float | None) -> Deadline:
        return clock.deadline(None if seconds is None else timedelta(seconds=seconds))

    assert await outcome(body, bound) == await outcome(body, asyncio.timeout)
    assert clock._timers.waiting == 0


async def test_a_deadline_says_whether_it_expired() -> None:
    clock = SystemClock()

    met, missed = clock.deadline(SECOND), clock.deadline(timedelta())

    async with met as entered:
        assert entered is met
    with pytest.raises(TimeoutError, match="not done within 0:00:00"):
        async with missed:
            await forever()

    assert not met.expired
    assert missed.expired


async def test_a_timeout_of_the_body_is_not_taken_for_the_deadline() -> None:
    async def body() -> None:
        raise TimeoutError

    deadline = SystemClock().deadline(SECOND)
    with pytest.raises(TimeoutError):
        async with deadline:
            await body()

    assert not deadline.expired


async def test_a_deadline_is_entered_once() -> None:
    deadline = SystemClock().deadline(None)
    async with deadline:
        pass

    with pytest.raises(UsageError, match="entered before"):
        await deadline.__aenter__()


async def test_a_deadline_outside_of_a_task_is_refused() -> None:
    found = asyncio.get_running_loop().create_future()

    def enter() -> None:
        try:
            SystemClock().deadline(SECOND).__aenter__().send(None)
        except UsageError as error:
            found.set_result(str(error))

    asyncio.get_running_loop().call_soon(enter)

    assert "enter it in a coroutine" in await found


async def test_a_deadline_of_a_virtual_clock_expires_when_time_is_moved_over_it() -> None:
    clock = VirtualClock()

    async def work() -> None:
        async with clock.deadline(SECOND):
            await forever()

    task = asyncio.ensure_future(work())
    await clock.advance(SECOND - timedelta(microseconds=1))
    early = task.done()
    await clock.advance(timedelta(microseconds=1))

    assert not early
    assert isinstance(task.exception(), TimeoutError)


async def test_the_time_of_a_deadline_begins_when_it_is_made() -> None:
    clock = VirtualClock()
    made = clock.deadline(SECOND)
    await clock.advance(SECOND)

    async def work() -> None:
        async with made:
            await forever()

    task = asyncio.ensure_future(work())
    await clock.advance(timedelta())

    assert isinstance(task.exception(), TimeoutError)


async def test_the_time_of_a_deadline_stands_still_while_it_is_suspended() -> None:
    clock = VirtualClock()
    go_on = asyncio.Event()

    async def work() -> None:
        async with clock.deadline(2 * SECOND) as deadline:
            await clock.pause(SECOND)
            with deadline.suspended():
                await go_on.wait()
            await forever()

    task = asyncio.ensure_future(work())
    await clock.advance(100 * SECOND)
    suspended = task.done()
    go_on.set()
    await clock.advance(SECOND - timedelta(microseconds=1))
    early = task.done()
    await clock.advance(timedelta(microseconds=1))

    assert not suspended
    assert not early
    assert isinstance(task.exception(), TimeoutError)


async def test_a_deadline_without_a_time_may_be_suspended() -> None:
    async with VirtualClock().deadline(None) as deadline:
        with deadline.suspended():
            pass

    assert not deadline.expired


async def test_a_task_may_move_a_virtual_clock_over_its_own_deadline() -> None:
    clock = VirtualClock()
    begin = clock.now()

    with pytest.raises(TimeoutError):
        async with clock.deadline(SECOND):
            await clock.advance(60 * SECOND)

    assert clock.now() == begin + SECOND
    await clock.advance(SECOND)


async def test_a_deadline_that_is_over_is_not_armed_again_by_a_later_wait() -> None:
    clock = VirtualClock()

    async with clock.deadline(SECOND) as deadline:
        pass
    with deadline.suspended():
        pass

    assert clock.next_deadline() is None
