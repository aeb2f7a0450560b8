"""Polls in rounds: one task for those that wait for nothing, a task each for those that do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta

import pytest

from asyncflow import Runner, VirtualClock, WorkflowStatus
from tests.runner.scene import forever, turns
from tests.runner.test_triggers import SECOND, declare, polled

WHO = ContextVar("who", default="nobody")
LOOPS = (
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
)


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def polls_of(
    *functions: Callable[[], Awaitable[object]], seconds: float = 5, grace: float = 5
) -> WorkflowStatus:
    """Poll each of these each second for some seconds; return how a workflow ends beside them."""
    clock, registry = VirtualClock(), declare()
    for number, function in enumerate(functions):
        polled(registry, function, name=f"t{number}")
    async with Runner(":memory:", registry=registry, clock=clock, grace=grace) as runner:
        await clock.advance(seconds * SECOND)
        return (await runner.execute.aio("w")).status


async def test_a_poll_is_in_one_task_from_its_first_line_to_its_last() -> None:
    seen: list[tuple[object, object]] = []

    async def waits() -> bool:
        begun = asyncio.current_task()
        async with asyncio.timeout(10):  # it remembers the task
            await asyncio.sleep(0)
        seen.append((begun, asyncio.current_task()))
        return False

    await polls_of(*[waits] * 20)

    assert len(seen) >= 60
    assert all(begun is ended is not None for begun, ended in seen)


async def test_polls_that_wait_at_the_same_time_are_in_tasks_of_their_own() -> None:
    waiting: set[object] = set()

    async def waits() -> bool:
        this = asyncio.current_task()
        assert this not in waiting
        waiting.add(this)
        await forever()
        return False

    await polls_of(*[waits] * 20, grace=0)

    assert len(waiting) == 20


async def test_a_poll_that_cancels_its_own_task_ends_no_other_and_is_polled_again() -> None:
    polls, others, failed = list[object](), list[int](), list[BaseException]()

    async def cancels() -> bool:
        task = asyncio.current_task()
        assert task is not None
        polls.append(task)
        task.cancel()
        return False

    async def waits() -> bool:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            failed.append(error)
            raise
        others.append(1)
        return False

    status = await polls_of(*[cancels, waits] * 10)

    assert len(polls) >= 30
    assert len(others) >= 30
    assert failed == []
    assert status is WorkflowStatus.SUCCESS


async def test_each_trigger_has_a_context_that_its_polls_share_and_no_other_sees() -> None:
    seen: list[list[str]] = [[] for _ in range(10)]
    WHO.set("the opener")

    def named(number: int) -> Callable[[], Awaitable[object]]:
        async def poll() -> bool:
            seen[number].append(WHO.get())
            WHO.set(f"trigger {number}")
            if number % 2:
                await asyncio.sleep(0)
            seen[number].append(WHO.get())
            return False

        return poll

    await polls_of(*[named(number) for number in range(10)])

    for number, found in enumerate(seen):
        assert len(found) >= 6
        assert found[0] == "the opener"
        assert set(found[1:]) == {f"trigger {number}"}


async def test_polls_of_one_round_let_others_have_their_turn() -> None:
    clock, registry = VirtualClock(), declare()
    polls, others = list[int](), list[int]()

    async def long() -> bool:
        polls.append(len(others))
        clock._seconds += 0.006  # as if it had worked for so long
        return False

    for number in range(50):
        polled(registry, long, name=f"t{number}")
    async with Runner(":memory:", registry=registry, clock=clock):

        async def counts() -> None:
            while len(polls) < 50:
                others.append(1)
                await turns(1)

        counting = asyncio.create_task(counts())
        await clock.advance(2 * SECOND)
        await counting

    assert len(set(polls)) == 50  # between any two of them


async def test_nobody_has_a_task_or_a_timer_of_its_own_between_polls() -> None:
    clock, registry = VirtualClock(), declare()

    async def skips() -> bool:
        return False

    async with Runner(":memory:", registry=declare(), clock=VirtualClock()):
        before = len(asyncio.all_tasks())
    for number in range(100):
        polled(registry, skips, name=f"t{number}")
    async with Runner(":memory:", registry=registry, clock=clock):
        for _ in range(3):
            assert len(asyncio.all_tasks()) <= before + 1  # that of the rounds
            assert clock._timers.waiting < 10
            await clock.advance(timedelta(seconds=1.5))


async def test_a_virtual_clock_stands_still_until_all_that_are_due_are_polled() -> None:
    polled_at: list[timedelta] = []
    clock, registry = VirtualClock(), declare()
    begin = clock.now()

    async def waits() -> bool:
        polled_at.append(clock.now() - begin)
        await asyncio.sleep(0)
        return False

    for number in range(800):  # 40 or so at each moment
        polled(registry, waits, name=f"t{number}")
    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(1.5 * SECOND)

    assert len(polled_at) == 800
    assert max(polled_at) < 1.1 * SECOND
