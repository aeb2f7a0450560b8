"""Triggers really poll: when, how often, one at a time, and what that costs."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from asyncflow import (
    Context,
    ExecutionType,
    Registry,
    Runner,
    SystemClock,
    Trigger,
    TriggerResult,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowNotFoundError,
    WorkflowStatus,
    task,
    trigger,
)
from tests.runner.scene import forever, turns, until

SECOND = timedelta(seconds=1)
SKIP = TriggerResult.skip()


def declare(name: str = "w", *, hangs: bool = False) -> Registry:
    """Declare a workflow of one task."""
    with Registry() as registry, Workflow(name):

        @task()
        async def work(context: Context) -> None:
            if hangs:
                await forever()

    return registry


def polled(
    registry: Registry,
    function: Callable[..., object],
    interval: float | str | timedelta = SECOND,
    *,
    name: str = "t",
    allow_concurrent: bool = False,
    dedup: Literal["forever"] | None = None,
    poll_timeout: str = "30s",
) -> Trigger[..., object]:
    """Declare a trigger of the workflow "w"."""
    with registry:
        return trigger(
            "w",
            name=name,
            poll_interval=interval,
            allow_concurrent=allow_concurrent,
            dedup=dedup,
            poll_timeout=poll_timeout,
        )(function)


async def executions(runner: Runner) -> list[WorkflowExecution]:
    """Return what was started, oldest first, with contexts."""
    listed = [each async for each in runner.executions.aio()]
    return [await each.refresh.aio() for each in reversed(listed)]


async def test_the_first_poll_is_an_interval_after_the_start_never_early_at_most_a_tenth_late() -> (
    None
):
    clock, registry = VirtualClock(), declare()
    first: dict[int, timedelta] = {}
    opened = clock.now()
    for number in range(50):

        async def poll(number: int = number) -> TriggerResult:
            first.setdefault(number, clock.now() - opened)
            return SKIP

        polled(registry, poll, "10s", name=f"t{number}")

    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(timedelta(seconds=11))

    assert len(first) == 50
    assert all(timedelta(seconds=10) <= each <= timedelta(seconds=11) for each in first.values())
    assert max(first.values()) - min(first.values()) > timedelta(seconds=0.5)  # they are spread


async def test_it_is_polled_once_in_each_interval() -> None:
    clock, registry = VirtualClock(), declare()
    times: list[datetime] = []

    async def poll() -> bool:
        times.append(clock.now())
        return False

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(100 * SECOND)

    assert len(times) in {98, 99, 100}  # one in some dozens begins after its interval exactly
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert all(abs(gap - SECOND) < timedelta(microseconds=10) for gap in gaps)


async def test_a_poll_that_takes_longer_than_its_interval_is_not_overlapped() -> None:
    clock, registry = VirtualClock(), declare()
    begins: list[datetime] = []
    at_work = 0

    async def poll() -> TriggerResult:
        nonlocal at_work
        at_work += 1
        begins.append(clock.now())
        await clock.pause(2.5 * SECOND)
        assert at_work == 1
        at_work -= 1
        return SKIP

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0):
        await clock.advance(30 * SECOND)  # the first is after 1.0 to 1.1 s

    # One begins at the next time of its own grid after the one before has ended.
    gaps = [later - earlier for earlier, later in pairwise(begins)]
    assert len(gaps) == 9
    assert all(abs(gap - 3 * SECOND) < timedelta(milliseconds=1) for gap in gaps)


async def test_a_fire_starts_the_workflow_with_its_context_as_an_event() -> None:
    clock, registry = VirtualClock(), declare()

    async def poll() -> TriggerResult:
        return TriggerResult.fire({"path": "a", "n": [1, {"b": None}]})

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await clock.advance(1.5 * SECOND)
        (done,) = await executions(runner)

    assert done.final_context == {"path": "a", "n": [1, {"b": None}]}
    assert done.execution_type is ExecutionType.EVENT
    assert done.status is WorkflowStatus.SUCCESS


async def test_true_fires_without_a_context_and_false_skips() -> None:
    clock, registry = VirtualClock(), declare()
    answers = iter([False, True, False])

    async def poll() -> bool:
        return next(answers, False)

    polled(registry, poll)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await clock.advance(10 * SECOND)
        (started,) = await executions(runner)

    assert started.final_context == {}


async def test_a_sync_function_is_polled_in_a_thread_and_may_block_there() -> None:
    registry, seen = declare(), list[int]()

    def poll() -> TriggerResult:
        seen.append(threading.get_ident())
        return SKIP

    polled(registry, poll, "10ms")
    async with Runner(":memory:", registry=registry):
        await until(lambda: len(seen) == 3)

    assert threading.get_ident() not in seen


async def test_a_sync_function_may_call_the_runner() -> None:
    registry = declare()
    heard = threading.Event()

    def poll() -> TriggerResult:
        runner.send_event("polled")
        heard.set()
        return SKIP

    polled(registry, poll, "10ms")
    async with Runner(":memory:", registry=registry) as runner:
        await until(heard.is_set)


@pytest.mark.parametrize("kind", ["idle", "skips"])
async def test_a_skip_writes_nothing_to_the_database(kind: str, path: Path) -> None:
    clock, registry = VirtualClock(), declare()
    polls = 0

    async def poll(cursor: object) -> TriggerResult:
        nonlocal polls
        polls += 1
        return SKIP if kind == "idle" else TriggerResult.skip(cursor="same")

    polled(registry, poll, "100ms")
    async with Runner(path, registry=registry, clock=clock) as runner:
        while polls < 10:  # the clock does not wait for the store's thread
            await clock.advance(SECOND)
        with closing(sqlite3.connect(path)) as other:
            before = other.execute("PRAGMA data_version").fetchone()
            while polls < 110:
                await clock.advance(SECOND)
            assert other.execute("PRAGMA data_version").fetchone() == before
        assert await runner.get_trigger_execution_history.aio("t") == []


async def test_a_hanging_trigger_and_a_long_workflow_delay_no_other_trigger() -> None:
    clock, registry = VirtualClock(), declare(hangs=True)
    times: list[datetime] = []
    released = threading.Event()

    async def poll() -> TriggerResult:
        times.append(clock.now())
        return SKIP

    async def hangs() -> TriggerResult:
        await forever()
        return SKIP

    polled(registry, poll, name="quick")
    polled(registry, hangs, name="hangs")
    polled(registry, released.wait, name="hangs in a thread")

    async def fires() -> bool:
        return True

    polled(registry, fires, name="starts what hangs")
    async with Runner(":memory:", registry=registry, clock=clock, grace=0):
        await clock.advance(20 * SECOND)
        released.set()

    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert len(times) >= 18
    assert all(abs(gap - SECOND) < timedelta(microseconds=10) for gap in gaps)


async def test_an_unknown_workflow_is_an_error_when_the_runner_loads_the_trigger() -> None:
    registry = Registry()
    polled(registry, lambda: SKIP, name="new files")
    with registry, Workflow("other"):

        @task()
        async def one() -> None: ...

    with pytest.raises(WorkflowNotFoundError, match=r"trigger 'new files', declared at .*'other'"):
        await Runner(":memory:", registry=registry).__aenter__()


async def test_a_trigger_may_be_declared_before_its_workflow() -> None:
    clock, registry = VirtualClock(), Registry()
    polls: list[object] = []

    async def poll() -> bool:
        polls.append(1)
        return False

    polled(registry, poll)
    with registry, Workflow("w"):

        @task()
        async def one() -> None: ...

    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(2 * SECOND)

    assert polls


async def test_a_trigger_that_is_declared_while_the_runner_is_open_is_polled() -> None:
    clock, registry = VirtualClock(), declare()
    polls: list[object] = []

    async def poll() -> bool:
        polls.append(1)
        return False

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await asyncio.get_running_loop().run_in_executor(None, lambda: polled(registry, poll))
        await turns()
        await clock.advance(2 * SECOND)
        assert await runner.get_trigger_schedule.aio("t") is not None

    assert polls


async def test_one_that_is_declared_late_for_an_unknown_workflow_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, registry = VirtualClock(), declare("another")
    polls: list[object] = []

    async def poll() -> bool:
        polls.append(1)
        return False

    async with Runner(":memory:", registry=registry, clock=clock):
        polled(registry, poll)
        await turns()
        await clock.advance(2 * SECOND)
        assert not polls
        assert "trigger 't' is not polled: its workflow 'w' is not declared" in caplog.text
        with registry, Workflow("w"):

            @task()
            async def one() -> None: ...

        await turns()
        await clock.advance(2 * SECOND)

    assert polls


async def test_a_trigger_that_is_declared_anew_replaces_the_old_one() -> None:
    clock, registry = VirtualClock(), declare()
    old: list[datetime] = []
    new: list[object] = []

    def anew(*, later: bool) -> None:
        async def poll(cursor: object) -> TriggerResult:
            if later:
                new.append(cursor)
                return SKIP
            old.append(clock.now())
            return TriggerResult.skip(cursor=len(old))

        polled(registry, poll)

    anew(later=False)
    async with Runner(":memory:", registry=registry, clock=clock):
        await clock.advance(3 * SECOND)
        count = len(old)
        anew(later=True)
        await turns()
        await clock.advance(3 * SECOND)

    assert len(old) == count
    assert set(new) == {count}  # it goes on with the cursor


async def test_a_disabled_trigger_is_not_polled_until_it_is_enabled(path: Path) -> None:
    clock, registry = VirtualClock(), declare()
    polls: list[datetime] = []

    async def poll() -> bool:
        polls.append(clock.now())
        return False

    polled(registry, poll)
    async with Runner(path, registry=registry, clock=clock) as runner:
        await runner.set_trigger_enabled.aio("t", enabled=False)
        await clock.advance(5 * SECOND)
        assert polls == []
    async with Runner(path, registry=registry, clock=clock) as runner:
        await clock.advance(5 * SECOND)
        assert polls == []  # it survives a restart
        since = clock.now()
        await runner.set_trigger_enabled.aio("t", enabled=True)
        await clock.advance(5 * SECOND)
        shown = await runner.get_trigger_schedule.aio("t")

    assert len(polls) >= 4
    assert polls[0] >= since + SECOND
    assert shown is not None
    assert shown["last_poll_at"] == polls[-1]


async def test_what_another_process_disables_is_not_polled_after_the_next_look(path: Path) -> None:
    clock, registry = VirtualClock(), declare()
    polls: list[datetime] = []

    async def poll() -> bool:
        polls.append(clock.now())
        return False

    polled(registry, poll, "100ms")
    async with (
        Runner(path, registry=registry, clock=clock) as runner,
        Runner(path, registry=Registry()) as other,
    ):
        await clock.advance(SECOND)
        await other.set_trigger_enabled.aio("t", enabled=False)
        await runner._working_engine.ownership.look()  # as it does each second
        count = len(polls)
        await clock.advance(5 * SECOND)

    assert len(polls) == count


async def test_triggers_go_on_when_the_wall_clock_jumps() -> None:
    class Jumping(SystemClock):
        jump = timedelta()

        def now(self) -> datetime:
            return super().now() + self.jump

    clock, registry = Jumping(), declare()
    polls: list[int] = []

    async def poll() -> bool:
        polls.append(1)
        return False

    polled(registry, poll, "10ms")
    async with Runner(":memory:", registry=registry, clock=clock):
        for jump in (timedelta(hours=-1), timedelta(hours=1), timedelta(days=30)):
            clock.jump = jump
            polls.clear()
            await until(lambda: len(polls) >= 3)


async def test_one_that_was_loaded_disabled_and_is_enabled_elsewhere_is_polled(path: Path) -> None:
    clock, registry = VirtualClock(), declare()
    polls: list[int] = []

    async def poll() -> bool:
        polls.append(1)
        return False

    polled(registry, poll)
    async with Runner(path, registry=registry, clock=clock) as runner:
        await runner.set_trigger_enabled.aio("t", enabled=False)
    async with Runner(path, registry=registry, clock=clock) as runner:
        async with Runner(path, registry=Registry()) as other:
            await other.set_trigger_enabled.aio("t", enabled=True)
        await runner._working_engine.ownership.look()
        await clock.advance(3 * SECOND)

    assert polls
