"""An operator is asked once for its metrics, when its work has ended, and cannot spoil its end."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import cast

import pytest

from asyncflow import (
    Context,
    Operator,
    Registry,
    Runner,
    TaskExecution,
    TaskStatus,
    TaskStopped,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
)
from asyncflow._failpoint import armed
from tests.runner.scene import ERRORS, ended, forever, run_one, turns, until

PATIENCE = timedelta(seconds=5)
METRICS = {"rows": 3, "share": 0.5, "by": {"kind": [1, None]}}

Ask = Callable[[], object]


class Measured(Operator):
    """Works as a function says, and gives what another one returns as its metrics."""

    def __init__(
        self, work: Callable[[], Awaitable[object]], ask: Ask, *, retries: int = 0
    ) -> None:
        super().__init__("measured", retries=retries, retry_delay=0, timeout="10s")
        self._work = work
        self._ask = ask
        self.asked = 0

    async def start(self, context: Context) -> object:
        return await self._work()

    async def get_metrics(self, context: Context) -> Mapping[str, object]:
        self.asked += 1
        found = self._ask()
        if isinstance(found, Awaitable):
            found = await cast("Awaitable[object]", found)
        return cast("Mapping[str, object]", found)


class Threaded(Measured):
    """Gives them from a thread."""

    def get_metrics(self, context: Context) -> Mapping[str, object]:  # type: ignore[override]
        self.asked += 1
        assert threading.current_thread() is not threading.main_thread()
        return cast("Mapping[str, object]", self._ask())


async def fine() -> str:
    return "fine"


async def wrong() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("kind", [Measured, Threaded])
async def test_metrics_are_kept_with_the_task_execution(kind: type[Measured], url: str) -> None:
    with Registry() as registry, Workflow("w"):
        operator = kind(fine, lambda: METRICS)

    _, run = await run_one(registry, url)

    assert run.metrics == METRICS
    assert (run.status, run.result, operator.asked) == (TaskStatus.SUCCESS, "fine", 1)


@pytest.mark.parametrize("kind", [Measured, Threaded])
async def test_an_attempt_that_failed_is_asked_too(kind: type[Measured]) -> None:
    with Registry() as registry, Workflow("w"):
        operator = kind(wrong, lambda: {"tries": operator.asked}, retries=1)

    _, run = await run_one(registry)

    assert (run.status, run.try_number, run.error_message) == (
        TaskStatus.FAILED,
        2,
        "ValueError: no",
    )
    assert run.metrics == {"tries": 2}


async def test_an_attempt_that_timed_out_is_asked_too() -> None:
    begun = asyncio.Event()
    clock = VirtualClock()

    async def work() -> None:
        begun.set()
        await forever()

    with Registry() as registry, Workflow("w"):
        Threaded(work, lambda: METRICS)

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await clock.advance(timedelta(seconds=10))
        _, (run,) = await ended(execution)

    assert (run.status, run.metrics) == (TaskStatus.FAILED, METRICS)


async def stopped(
    operator: Measured, registry: Registry, patience: timedelta = timedelta(0)
) -> TaskExecution:
    """Run and stop the workflow "w"."""
    clock = VirtualClock()
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await turns()
        await execution.stop.aio()
        await until(lambda: operator.asked == 1)
        await clock.advance(patience)
        done, (run,) = await ended(execution)
    assert done.status is WorkflowStatus.STOPPED
    return run


@pytest.mark.parametrize("kind", [Measured, Threaded])
async def test_a_task_that_was_stopped_is_asked_after_its_end(kind: type[Measured]) -> None:
    with Registry() as registry, Workflow("w"):
        operator = kind(forever, lambda: METRICS)

    run = await stopped(operator, registry)

    assert (run.status, run.metrics, operator.asked) == (TaskStatus.STOPPED, METRICS, 1)


async def test_a_task_that_was_stopped_may_await_for_its_metrics() -> None:
    async def ask() -> dict[str, int]:
        current = asyncio.current_task()
        assert current is not None
        assert not current.cancelling()
        await turns(3)
        return {"awaited": 1}

    with Registry() as registry, Workflow("w"):
        operator = Measured(forever, ask)

    run = await stopped(operator, registry)

    assert (run.status, run.metrics) == (TaskStatus.STOPPED, {"awaited": 1})


async def test_a_stopped_task_waits_at_most_five_seconds_for_its_metrics() -> None:
    with Registry() as registry, Workflow("w"):
        operator = Measured(forever, forever)

    run = await stopped(operator, registry, PATIENCE)

    assert (run.status, run.metrics, run.abandoned) == (TaskStatus.STOPPED, {}, False)


async def test_a_stop_of_its_own_that_ends_the_work_does_not_cut_the_metrics_off() -> None:
    ending, release = asyncio.Event(), asyncio.Event()

    class Job(Measured):
        async def stop(self, context: Context) -> None:
            ending.set()
            await until(lambda: self.asked == 1)
            release.set()

    async def ask() -> dict[str, int]:
        await release.wait()
        await turns()  # stop() has returned
        return {"kept": 1}

    with Registry() as registry, Workflow("w"):
        job = Job(ending.wait, ask)

    run = await stopped(job, registry)

    assert run.metrics == {"kept": 1}


async def test_a_thread_that_took_long_to_stop_leaves_its_metrics_all_their_time() -> None:
    working, leave, answer = threading.Event(), threading.Event(), asyncio.Event()
    clock = VirtualClock()

    class Slow(Measured):
        def start(self, context: Context) -> None:  # type: ignore[override]
            working.set()
            leave.wait()

    async def ask() -> dict[str, int]:
        await answer.wait()
        return {"kept": 1}

    with Registry() as registry, Workflow("w"):
        slow = Slow(fine, ask)
        slow.timeout = None

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await until(working.is_set)
        await execution.stop.aio()
        await clock.advance(timedelta(seconds=8))
        leave.set()
        await until(lambda: slow.asked == 1)
        await clock.advance(timedelta(seconds=3))
        answer.set()
        _, (run,) = await ended(execution)

    assert (run.status, run.metrics) == (TaskStatus.STOPPED, {"kept": 1})


async def test_a_cancellation_that_a_stopped_task_raises_itself_is_an_error_as_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def ask() -> None:
        raise asyncio.CancelledError

    with Registry() as registry, Workflow("w"):
        operator = Measured(forever, ask)

    run = await stopped(operator, registry)

    assert (run.status, run.metrics, len(errors(caplog))) == (TaskStatus.STOPPED, {}, 1)


async def test_callbacks_may_still_ask_after_the_metrics() -> None:
    asked: list[object] = []

    async def on_success(name: str, context: Context) -> None:
        asked.append(await WorkflowExecution.get.aio("nobody"))

    with Registry() as registry, Workflow("w"):
        Measured(fine, lambda: METRICS).on_success = on_success

    await run_one(registry)

    assert asked == [None]


async def test_a_thread_that_is_late_with_its_metrics_is_told_to_stop() -> None:
    begun, leave, told = threading.Event(), threading.Event(), threading.Event()
    clock = VirtualClock()

    def ask() -> None:
        begun.set()
        leave.wait()
        with pytest.raises(TaskStopped):
            WorkflowExecution.get("nobody")
        told.set()

    with Registry() as registry, Workflow("w"):
        Threaded(fine, ask)

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await until(begun.is_set)
        await clock.advance(PATIENCE)
        _, (run,) = await ended(execution)
        leave.set()
        await until(told.is_set)

    assert (run.status, run.abandoned) == (TaskStatus.SUCCESS, False)


async def test_a_stop_while_metrics_are_given_wins_and_asks_no_second_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Registry() as registry, Workflow("w"):
        operator = Measured(fine, forever)

    async with Runner(":memory:", registry=registry, clock=VirtualClock()) as runner:
        execution = await runner.start.aio("w")
        await until(lambda: operator.asked == 1)
        await execution.stop.aio()
        _, (run,) = await ended(execution)

    assert (run.status, run.metrics, operator.asked) == (TaskStatus.STOPPED, {}, 1)
    assert errors(caplog) == []


async def until_both_wait(runner: Runner) -> None:
    """Wait for the beginning, which is told again, and for the stop."""
    for _ in range(10_000):
        if (await runner.statistics.aio()).queues.inbox == 2:
            return
    raise AssertionError


async def test_a_task_that_never_began_is_not_asked(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):
        operator = Measured(fine, lambda: METRICS)
        operator.idempotent = False  # it waits until its beginning is on disk

    async with Runner(url, registry=registry, clock=clock) as runner:
        with armed("store.commit.before:2:raise"):
            execution = await runner.start.aio("w")
            stopping = asyncio.create_task(execution.stop.aio())
            await until_both_wait(runner)
            await clock.advance(timedelta(seconds=1))
            await stopping
        _, (run,) = await ended(execution)

    assert (run.status, operator.asked) == (TaskStatus.STOPPED, 0)


async def test_a_task_that_its_runner_dropped_is_not_asked(url: str) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await forever()

    with Registry() as registry, Workflow("w"):
        operator = Measured(work, lambda: METRICS)

    async with Runner(url, registry=registry, grace=0, clock=VirtualClock()) as runner:
        await runner.start.aio("w")
        await begun.wait()

    assert operator.asked == 0


async def test_metrics_after_five_seconds_are_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):
        operator = Measured(fine, forever)

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w", name="w-1")
        await until(lambda: operator.asked == 1)
        await clock.advance(PATIENCE - timedelta(milliseconds=1))
        assert (await execution.refresh.aio()).status is WorkflowStatus.RUNNING
        await clock.advance(timedelta(milliseconds=1))
        _, (run,) = await ended(execution)

    assert (run.status, run.result, run.metrics) == (TaskStatus.SUCCESS, "fine", {})
    assert errors(caplog) == ["get_metrics() of task 'measured' of 'w-1' took longer than 0:00:05"]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


@pytest.mark.parametrize(
    "answer",
    [None, 3, ["rows"], {1: 2}, {"share": float("nan")}, {"bad": object()}, {"": "x" * 3_000_000}],
)
async def test_what_are_no_metrics_is_logged_and_changes_nothing(
    caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    with Registry() as registry, Workflow("w"):
        Measured(fine, lambda: answer)

    done, run = await run_one(registry)

    assert (done.status, run.result, run.metrics) == (WorkflowStatus.SUCCESS, "fine", {})
    assert errors(caplog) == [f"get_metrics() of task 'measured' of {done.name!r} failed"]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", [Measured, Threaded])
async def test_an_error_in_it_is_logged_and_changes_nothing(
    caplog: pytest.LogCaptureFixture, kind: type[Measured], error: type[BaseException]
) -> None:
    def ask() -> None:
        raise error

    with Registry() as registry, Workflow("w"):
        kind(fine, ask)

    done, run = await run_one(registry)

    assert (done.status, run.result, run.metrics) == (WorkflowStatus.SUCCESS, "fine", {})
    assert errors(caplog) == [f"get_metrics() of task 'measured' of {done.name!r} failed"]


async def test_an_operator_that_has_no_metrics_has_an_empty_mapping() -> None:
    class Plain(Operator):
        async def start(self, context: Context) -> None:
            pass

    with Registry() as registry, Workflow("w"):
        Plain("plain")

    _, run = await run_one(registry)

    assert run.metrics == {}
