"""SEMANTICS 26 to 28: what becomes of a poll's answer: executions, cursors, failures, history."""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Registry,
    Runner,
    TriggerResult,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow._failpoint import armed
from tests.runner.scene import ERRORS, closing, forever, turns, until
from tests.runner.test_triggers import SECOND, SKIP, declare, executions, polled

LONG = timedelta(hours=1)


def gated() -> tuple[Registry, asyncio.Event]:
    """Declare a workflow that ends when the event is set."""
    gate, registry = asyncio.Event(), Registry()
    with registry, Workflow("w"):

        @task()
        async def work(context: Context) -> None:
            await gate.wait()

    return registry, gate


def fires(context: dict[str, object], key: str | None = None) -> Callable[[], object]:
    """Return a poll that fires the same at each poll."""

    async def poll() -> TriggerResult:
        return TriggerResult.fire(context, key)

    return poll


# ---- what is not started again


async def test_an_equal_context_is_not_started_while_such_an_execution_runs() -> None:
    clock, (registry, gate) = VirtualClock(), gated()
    contexts = iter([{"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}])

    async def poll() -> TriggerResult:
        return TriggerResult.fire(next(contexts, None) or {"a": 1, "b": {"c": 2, "d": 3}})

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(10 * SECOND)
        assert len(await executions(runner)) == 1
        gate.set()
        await turns()
        gate.clear()
        await clock.advance(10 * SECOND)

        # The first has ended, so that one more may start; it holds up the others again.
        assert len(await executions(runner)) == 2
        assert len(await runner.get_trigger_execution_history.aio("t")) == 2


async def test_another_context_is_started_beside_it() -> None:
    clock, (registry, _) = VirtualClock(), gated()
    numbers = iter(range(100))

    async def poll() -> TriggerResult:
        return TriggerResult.fire({"n": next(numbers) // 2})

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(6.5 * SECOND)

        assert [x.final_context["n"] for x in await executions(runner)] == [0, 1, 2]


async def test_an_equal_key_is_the_same_whatever_the_context_is() -> None:
    clock, (registry, _) = VirtualClock(), gated()

    async def poll() -> TriggerResult:
        return TriggerResult.fire({"at": clock.now().isoformat()}, key="order 7")

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(6.5 * SECOND)
        (line,) = await runner.get_trigger_execution_history.aio("t")

        assert line["key"] == "order 7"
        assert len(await executions(runner)) == 1


async def test_allow_concurrent_starts_equal_ones_side_by_side() -> None:
    clock, (registry, _) = VirtualClock(), gated()
    polled(registry, fires({"a": 1}), allow_concurrent=True)

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(3.5 * SECOND)

        assert len(await executions(runner)) == 3


async def test_two_triggers_do_not_hold_up_each_others_equal_contexts() -> None:
    clock, (registry, _) = VirtualClock(), gated()
    polled(registry, fires({"a": 1}), name="one")
    polled(registry, fires({"a": 1}), name="two")

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(3.5 * SECOND)

        assert len(await executions(runner)) == 2


async def test_dedup_forever_starts_once_for_each_key_ever_also_after_a_restart(
    path: Path,
) -> None:
    clock, registry = VirtualClock(), declare()
    keys = ["a", "b"]

    async def poll() -> TriggerResult:
        return TriggerResult.fire_many(TriggerResult.fire({"key": key}, key) for key in keys)

    polled(registry, poll, dedup="forever")
    async with Runner(path, registry=registry, clock=clock):
        await clock.advance(5 * SECOND)
    keys.append("c")
    async with Runner(path, registry=registry, clock=clock) as runner:
        await clock.advance(5 * SECOND)

        assert [x.final_context["key"] for x in await executions(runner)] == ["a", "b", "c"]


async def test_a_backlog_starts_in_one_transaction_and_equal_ones_in_it_once() -> None:
    clock, (registry, _) = VirtualClock(), gated()
    backlogs = iter([[{"n": 1}, {"n": 2}, {"n": 1}, {"n": 3}]])

    async def poll() -> TriggerResult:
        return TriggerResult.fire_many(next(backlogs, ()))

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await clock.advance(3.5 * SECOND)

        assert [x.final_context["n"] for x in await executions(runner)] == [1, 2, 3]
        assert len({x.begin_date for x in await executions(runner)}) == 1


# ---- cursors


async def test_a_cursor_is_handed_to_the_next_poll_and_survives_a_restart(path: Path) -> None:
    clock, registry = VirtualClock(), declare()
    seen: list[object] = []

    async def poll(cursor: dict[str, int] | None) -> TriggerResult:
        seen.append(cursor)
        number = 0 if cursor is None else cursor["n"]
        if number % 2:
            return TriggerResult.fire({"n": number}, cursor={"n": number + 1})
        return TriggerResult.skip(cursor={"n": number + 1})

    polled(registry, poll)
    async with Runner(path, registry=registry, clock=clock):
        await clock.advance(3.5 * SECOND)
    async with Runner(path, registry=registry, clock=clock) as runner:
        await clock.advance(2.5 * SECOND)

        assert [x.final_context["n"] for x in await executions(runner)] == [1, 3]
    assert seen == [None, {"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]


async def test_a_cursor_of_none_is_cleared() -> None:
    clock, registry = VirtualClock(), declare()
    seen: list[object] = []

    async def poll(cursor: object) -> TriggerResult:
        seen.append(cursor)
        return TriggerResult.skip(cursor="x" if cursor is None else None)

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(4.5 * SECOND)

    assert seen == [None, "x", None, "x"]


@pytest.mark.parametrize("point", ["store.commit.before", "store.commit.after"])
async def test_after_an_error_of_the_store_the_cursor_is_what_the_store_says(
    point: str, path: Path
) -> None:
    clock, registry = VirtualClock(), declare()
    seen: list[object] = []

    async def poll(cursor: int | None) -> TriggerResult:
        seen.append(cursor)
        number = 0 if cursor is None else cursor
        return TriggerResult.fire({"n": number}, cursor=number + 1)

    polled(registry, poll)
    async with Runner(path, registry=registry, clock=clock) as runner:
        with armed(f"{point}:1:raise"):
            await clock.advance(1.5 * SECOND)
            await until(lambda: len(seen) == 1)
        for _ in range(40):
            await clock.advance(SECOND)
        found = await executions(runner)

    numbers = [x.final_context["n"] for x in found]
    assert numbers == list(range(len(numbers)))  # none lost, none twice
    assert len(numbers) > 3


# ---- failures


def raises() -> object:
    raise LookupError("no such queue")


async def raises_async() -> object:
    raise LookupError("no such queue")


async def wrong() -> object:
    return 5


async def hangs() -> object:
    await forever()
    return None


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


# ---- the end


async def test_a_poll_that_is_under_way_at_shutdown_may_end_and_what_it_fires_is_stored(
    path: Path,
) -> None:
    clock, registry = VirtualClock(), declare()
    begun, gate = asyncio.Event(), asyncio.Event()

    async def poll() -> TriggerResult:
        begun.set()
        await gate.wait()
        return TriggerResult.fire({"late": True})

    polled(registry, poll)
    runner = await Runner(path, registry=registry, clock=clock).__aenter__()
    await clock.advance(1.5 * SECOND)
    await begun.wait()
    ending = await closing(runner)
    gate.set()
    await ending

    async with Runner(path, registry=declare(), clock=clock) as runner:
        (found,) = await executions(runner)
        done = await found.wait.aio()
    assert done.final_context == {"late": True}


async def test_a_poll_that_hangs_at_shutdown_is_given_up_after_the_grace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, registry = VirtualClock(), declare()
    polled(registry, hangs)

    runner = await Runner(":memory:", registry=registry, clock=clock, grace="3s").__aenter__()
    await clock.advance(1.5 * SECOND)
    ending = await closing(runner)
    assert not ending.done()
    await clock.advance(3 * SECOND)
    await ending

    assert "triggers are still polled after 0:00:03, their answers are lost: 't'" in caplog.text


async def test_sleeping_triggers_do_not_hold_up_a_shutdown() -> None:
    registry = declare()

    async def poll() -> TriggerResult:
        return SKIP

    for number in range(100):
        polled(registry, poll, "1h", name=f"t{number}")
    before = asyncio.all_tasks()
    async with Runner(":memory:", registry=registry, clock=VirtualClock()):
        pass

    assert asyncio.all_tasks() == before


async def test_the_history_is_newest_first_by_page_and_survives_a_restart(path: Path) -> None:
    clock, registry = VirtualClock(), declare()
    polled(registry, fires({"a": 1}), allow_concurrent=True)

    async with Runner(path, registry=registry, clock=clock) as runner:
        for _ in range(5):
            await clock.advance(SECOND)
            await runner._working_engine.driver.settled()
        whole = await runner.get_trigger_execution_history.aio("t")
    async with Runner(path, registry=registry, clock=clock) as runner:
        page = await runner.get_trigger_execution_history.aio("t", limit=2, offset=1)
        names = {each.name for each in await executions(runner)}

    times = [line["started_at"] for line in whole]
    assert times == sorted(times, reverse=True)
    assert [line["id"] for line in page] == [line["id"] for line in whole[1:3]]
    assert all(line["workflow_execution_id"] in names for line in page)
    assert all(line["completed_at"] is not None for line in page)
    assert len({line["context_hash"] for line in whole}) == 1
