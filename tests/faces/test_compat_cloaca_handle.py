"""A task of Cloacina that defers waits until its condition holds, or until it is stopped."""

import threading
from collections.abc import Callable, Generator
from datetime import timedelta
from itertools import pairwise
from typing import cast

import pytest

from asyncflow import Registry, Runner, TaskExecution, TaskStatus, UsageError, VirtualClock
from asyncflow.compat import cloaca
from tests.runner.scene import turns, until


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


def declare(wait: Callable[[cloaca.TaskHandle], object]) -> None:
    """Declare a workflow of one task that waits."""
    with cloaca.WorkflowBuilder("w"):

        @cloaca.task(id="waits", retry_attempts=1)
        def waits(context: cloaca.Context, handle: cloaca.TaskHandle) -> None:
            context.set("found", wait(handle))


def run(wait: Callable[[cloaca.TaskHandle], object]) -> tuple[TaskExecution, object]:
    """Run it; return its one task and what it found."""
    declare(wait)
    with Runner(":memory:") as runner:
        done = runner.execute("w", timeout="10s")
        (found,) = done.task_executions()
    return found, done.final_context.get("found")


def test_a_task_waits_until_its_condition_holds_and_an_error_in_it_counts_as_false(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[bool | OSError] = [False, OSError("not yet"), False, True]

    def condition() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def wait(handle: cloaca.TaskHandle) -> bool:
        handle.defer_until(condition, poll_interval_ms=1)
        return handle.is_slot_held()

    found = run(wait)

    assert (found[0].status, found[1], answers) == (TaskStatus.SUCCESS, True, [])
    (record,) = caplog.records
    assert "a condition of task 'waits' of 'w-" in record.getMessage()


def test_a_condition_that_holds_is_asked_once_and_the_parameter_has_two_names() -> None:
    asked: list[int] = []

    def condition() -> bool:
        asked.append(1)
        return True

    with cloaca.WorkflowBuilder("w"):

        @cloaca.task()
        def waits(context: cloaca.Context, task_handle: cloaca.TaskHandle) -> None:
            task_handle.defer_until(condition, poll_interval_ms=3_600_000)

    with cloaca.DefaultRunner(":memory:") as runner:
        assert runner.execute("w").status == "Completed"

    assert asked == [1]


async def test_the_condition_is_asked_at_each_interval_of_the_runners_clock() -> None:
    clock = VirtualClock()
    asked: list[float] = []

    def condition() -> bool:
        asked.append(clock.monotonic())
        return len(asked) == 3

    declare(lambda handle: handle.defer_until(condition, poll_interval_ms=1200))
    async with Runner(":memory:", clock=clock) as runner:
        execution = await runner.start.aio("w")
        await until(lambda: len(asked) == 1)
        while len(asked) < 3:
            await clock.advance(timedelta(milliseconds=10))
        done = await execution.wait.aio("10s")

    assert done.status == "SUCCESS"
    assert all(later - earlier > 1.19 for earlier, later in pairwise(asked))


async def test_a_task_that_waits_long_is_stopped_before_its_thread_is_given_up() -> None:
    clock = VirtualClock()
    waiting = threading.Event()

    def condition() -> bool:
        waiting.set()
        return False

    declare(lambda handle: handle.defer_until(condition, poll_interval_ms=3_600_000))
    async with Runner(":memory:", clock=clock) as runner:
        execution = await runner.start.aio("w")
        await until(waiting.is_set)
        for _ in range(100):  # its wait has begun by then
            await clock.advance(timedelta(milliseconds=10))
        await execution.stop.aio()
        while not (await execution.refresh.aio()).status.final:
            await clock.advance(timedelta(milliseconds=100))
            await turns(500)  # the thread needs its turns, too
        (found,) = await execution.task_executions.aio()

    assert (found.status, found.abandoned) == (TaskStatus.STOPPED, False)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), "1s"])
def test_an_interval_that_makes_no_sense_is_refused(interval: object) -> None:
    found, _ = run(
        lambda handle: handle.defer_until(lambda: True, poll_interval_ms=cast("float", interval))
    )

    assert "poll_interval_ms is a number, over 0, not" in str(found.error_message)


def test_a_coroutine_is_no_condition() -> None:
    async def condition() -> bool:
        return True

    def wait(handle: cloaca.TaskHandle) -> object:
        with pytest.raises(UsageError, match="asks a plain function"):
            handle.defer_until(cast("Callable[[], bool]", condition))
        return "refused"

    assert run(wait)[1] == "refused"
