"""A poll that fails is logged, recorded and made less often; nothing else ends."""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from asyncflow import Runner, StoreError, TriggerResult, VirtualClock, WorkflowStatus
from asyncflow._operators import workers
from asyncflow._operators.workers import Worker
from tests.runner.scene import ERRORS, turns, until
from tests.runner.test_trigger_results import fires, hangs
from tests.runner.test_triggers import SECOND, declare, executions, polled

LONG = timedelta(hours=1)


def raises() -> object:
    raise LookupError("no such queue")


async def raises_async() -> object:
    raise LookupError("no such queue")


async def wrong() -> object:
    return 5


@pytest.mark.parametrize(
    ("poll", "error"),
    [
        (raises_async, "LookupError: no such queue"),
        (wrong, "TypeError: trigger 't' returns a TriggerResult, True or False, not 5"),
        (hangs, "TimeoutError: trigger 't' took longer than its poll_timeout, 0:00:30"),
    ],
)
async def test_a_failed_poll_is_in_the_history_with_its_error(
    poll: Callable[[], object], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, registry = VirtualClock(), declare()
    polled(registry, poll)

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(32 * SECOND)
        lines = await runner.get_trigger_execution_history.aio("t")

    assert {line["error"] for line in lines} == {error}
    assert all(line["workflow_execution_id"] is None for line in lines)
    assert all(line["completed_at"] is not None for line in lines)
    assert error in caplog.text


async def test_failures_back_off_to_ten_intervals_and_recover() -> None:
    clock, registry = VirtualClock(), declare()
    times: list[datetime] = []
    broken = True

    async def poll() -> bool:
        times.append(clock.now())
        if broken:
            raise ConnectionError
        return False

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(60 * SECOND)
        broken = False
        await clock.advance(20 * SECOND)

    gaps = [round((b - a).total_seconds()) for a, b in pairwise(times)]
    assert gaps[:5] == [2, 4, 8, 10, 10]
    assert gaps[-3:] == [1, 1, 1]


async def test_the_pause_after_failures_is_at_most_five_minutes_or_the_interval() -> None:
    clock, registry = VirtualClock(), declare()
    minutes: list[datetime] = []
    hours: list[datetime] = []

    async def each_minute() -> bool:
        minutes.append(clock.now())
        raise ConnectionError

    async def each_hour() -> bool:
        hours.append(clock.now())
        raise ConnectionError

    polled(registry, each_minute, "1m", name="each minute")
    polled(registry, each_hour, "1h", name="each hour")
    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(4 * LONG)

    assert max(b - a for a, b in pairwise(minutes)) == timedelta(minutes=5)
    assert {b - a for a, b in pairwise(hours)} == {LONG}


async def test_a_sync_poll_that_hangs_is_not_polled_again_before_it_ends() -> None:
    registry = declare()
    at_work, most, calls = 0, 0, 0
    released = threading.Event()

    def poll() -> bool:
        nonlocal at_work, most, calls
        calls, at_work = calls + 1, at_work + 1
        most = max(most, at_work)
        released.wait()
        at_work -= 1
        return False

    polled(registry, poll, "10ms", poll_timeout="20ms")
    async with Runner(":memory:", registry=registry) as runner:
        history: list[object] = []
        while not history:
            await turns()
            history = list(await runner.get_trigger_execution_history.aio("t"))
        await turns(200)
        assert calls == 1
        released.set()
        await until(lambda: calls >= 3)

    assert most == 1


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_usually_ends_more_than_a_poll_ends_only_the_poll(
    error: type[BaseException], is_async: bool
) -> None:
    registry, polls = declare(), list[int]()

    def poll() -> bool:
        polls.append(1)
        raise error

    async def poll_async() -> bool:
        return poll()

    polled(registry, poll_async if is_async else poll, "10ms")
    async with Runner(":memory:", registry=registry) as runner:
        await until(lambda: len(polls) >= 2)
        done = await runner.execute.aio("w")
        lines = await runner.get_trigger_execution_history.aio("t")

    assert done.status is WorkflowStatus.SUCCESS
    assert lines[-1]["error"] is not None


async def test_a_cancellation_of_its_own_ends_only_the_poll_also_while_its_runner_closes() -> None:
    registry, begun, goes_on = declare(), threading.Event(), threading.Event()

    def poll() -> bool:
        begun.set()
        goes_on.wait(10)
        raise asyncio.CancelledError

    polled(registry, poll, "10ms")
    async with Runner(":memory:", registry=registry) as runner:
        await until(begun.is_set)
        closing = asyncio.create_task(runner.shutdown.aio(grace="10s"))
        assert runner._engine is not None
        pollers = runner._engine.pollers
        await until(lambda: pollers._closed)
        goes_on.set()

        await closing


async def test_a_context_over_the_limit_is_a_failed_poll_and_nothing_starts() -> None:
    clock, registry = VirtualClock(), declare()
    polled(registry, fires({"big": "x" * 3_000_000}))

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await clock.advance(1.5 * SECOND)
        (line,) = await runner.get_trigger_execution_history.aio("t")

        assert (line["error"] or "").startswith("TooLargeError: the context of trigger 't' has")
        assert await executions(runner) == []


async def test_a_disabled_workflow_is_a_failed_poll_and_the_cursor_stays() -> None:
    clock, registry = VirtualClock(), declare()
    seen: list[object] = []

    async def poll(cursor: object) -> TriggerResult:
        seen.append(cursor)
        return TriggerResult.fire({}, cursor=len(seen))

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await runner.disable_workflow.aio("w")
        await clock.advance(3.5 * SECOND)
        (line, *_) = await runner.get_trigger_execution_history.aio("t")
        assert (line["error"] or "").startswith("WorkflowDisabledError: workflow 'w'")
        assert set(seen) == {None}
        await runner.enable_workflow.aio("w")
        await clock.advance(20 * SECOND)

        assert len(await executions(runner)) >= 5
    assert seen[-1] == len(seen) - 1


async def test_a_deleted_workflow_takes_the_cursor_and_the_keys_with_it() -> None:
    clock, registry = VirtualClock(), declare()
    seen: list[object] = []

    async def poll(cursor: object) -> TriggerResult:
        seen.append(cursor)
        return TriggerResult.fire({}, key="once", cursor="kept")

    polled(registry, poll, dedup="forever")
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await clock.advance(3.5 * SECOND)
        assert len(await executions(runner)) == 1
        await runner.delete_workflow.aio("w")
        assert await runner.get_trigger_execution_history.aio("t") == []
        seen.clear()
        await clock.advance(2 * SECOND)

        assert seen == [None, "kept"]
        assert len(await executions(runner)) == 1


async def test_an_error_of_a_store_that_the_function_itself_raises_is_in_the_history() -> None:
    clock, registry = VirtualClock(), declare()

    async def poll() -> bool:
        raise StoreError("another database is full")

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await clock.advance(1.5 * SECOND)
        (line,) = await runner.get_trigger_execution_history.aio("t")

    assert line["error"] == "StoreError: another database is full"


async def test_a_poll_that_gets_no_thread_fails_and_the_next_one_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry, polls = declare(), list[int]()
    refusals = iter([True])

    def poll() -> bool:
        polls.append(1)
        return False

    def start(worker: Worker) -> None:
        if next(refusals, False):
            raise RuntimeError("can't start new thread")
        threading.Thread.start(worker)

    workers._idle.clear()
    monkeypatch.setattr(Worker, "start", start)
    polled(registry, poll, "10ms")
    async with Runner(":memory:", registry=registry) as runner:
        await until(lambda: bool(polls))
        (line,) = await runner.get_trigger_execution_history.aio("t")

    assert line["error"] == "RuntimeError: can't start new thread"
