"""What becomes of a poll's answer: executions, cursors, failures, history."""

import asyncio
from collections.abc import Callable
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
from tests.runner.scene import closing, forever, turns, until
from tests.runner.test_triggers import SECOND, SKIP, declare, executions, polled


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


async def hangs() -> object:
    await forever()
    return None


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
        while len(seen) < 3:  # time passes while the store is read in its own thread
            await clock.advance(0.5 * SECOND)
    async with Runner(path, registry=registry, clock=clock) as runner:
        while len(seen) < 5:
            await clock.advance(0.5 * SECOND)

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
        while len(seen) < 6:  # time passes while the store is read in its own thread
            await clock.advance(SECOND)
        found = await executions(runner)

    numbers = [x.final_context["n"] for x in found]
    assert numbers == list(range(len(numbers)))  # none lost, none twice
    assert len(numbers) >= 4


async def test_two_runners_on_one_file_start_once_what_a_cursor_tells_of(path: Path) -> None:
    clocks = VirtualClock(), VirtualClock()
    registries: list[Registry] = []
    polls = 0

    async def poll(cursor: int | None) -> TriggerResult:
        nonlocal polls
        polls += 1
        number = 0 if cursor is None else cursor
        if number % 3 == 2:
            return TriggerResult.skip(cursor=number + 1)
        return TriggerResult.fire({"n": number}, cursor=number + 1)

    for _ in clocks:
        registries.append(declare())
        polled(registries[-1], poll)
    async with (
        Runner(path, registry=registries[0], clock=clocks[0]) as runner,
        Runner(path, registry=registries[1], clock=clocks[1]),
    ):
        while polls < 60:
            for clock in clocks:
                await clock.advance(SECOND)
        found = await executions(runner)

    numbers = [x.final_context["n"] for x in found]
    assert numbers == [n for n in range(len(numbers) * 2) if n % 3 != 2][: len(numbers)]
    assert len(numbers) >= 10


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


async def test_a_poll_cannot_shut_down_the_runner_that_polls_it() -> None:
    registry = declare()

    def poll() -> bool:
        runner.shutdown()
        return True

    polled(registry, poll, "10ms")
    async with Runner(":memory:", registry=registry) as runner:
        lines = await runner.get_trigger_execution_history.aio("t")
        while not lines:
            await turns()
            lines = await runner.get_trigger_execution_history.aio("t")

    assert (lines[0]["error"] or "").startswith("UsageError: trigger 't' cannot shut down")


async def test_on_a_virtual_clock_that_nobody_moves_closing_takes_the_grace_in_real_time() -> None:
    registry = Registry()
    with registry, Workflow("w"):

        @task()
        async def hangs() -> None:
            await forever()

    async with Runner(":memory:", registry=registry, clock=VirtualClock(), grace="50ms") as runner:
        started = await runner.start.aio("w")

    assert started.status is WorkflowStatus.RUNNING


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
