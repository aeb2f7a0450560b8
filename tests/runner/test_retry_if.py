"""``retry_if`` is asked after which errors a task is tried again."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from asyncflow import (
    PythonOperator,
    Registry,
    Runner,
    TaskExecution,
    TaskStatus,
    VirtualClock,
    Workflow,
    task,
)
from tests.operators import killable
from tests.runner.scene import ERRORS, forever


async def attempted(
    body: Callable[[], object], asks: Callable[[BaseException], bool], retries: int = 2
) -> TaskExecution:
    """Run one task to its end."""
    with Registry() as registry, Workflow("w"):
        PythonOperator("t", body, retries=retries, retry_delay=0, retry_if=asks)
    async with Runner(":memory:", registry=registry) as runner:
        (run,) = await (await runner.execute.aio("w")).task_executions.aio()
    return run


def fails(*errors: BaseException) -> Callable[[], str]:
    """Return a body that raises these in turn, then succeeds."""
    left = list(errors)

    def body() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return body


async def test_an_error_that_it_refuses_is_the_last() -> None:
    body = fails(ConnectionError("busy"), ValueError("bad input"), ConnectionError("never raised"))
    told: list[str] = []

    with Registry() as registry, Workflow("w"):
        PythonOperator(
            "t",
            body,
            retries=5,
            retry_delay=0,
            retry_if=lambda error: isinstance(error, ConnectionError),
            on_failure=lambda _name, error, _context: told.append(error),
        )
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()

    assert (run.status, run.try_number) == (TaskStatus.FAILED, 2)
    assert run.error_message == "ValueError: bad input"
    assert told == ["ValueError: bad input"]


async def test_it_is_asked_on_the_loop_about_each_failure_that_may_be_followed() -> None:
    errors = ValueError("first"), ValueError("second"), ValueError("third")
    asked: list[BaseException] = []

    def asks(error: BaseException) -> bool:
        asyncio.get_running_loop()
        asked.append(error)
        return threading.current_thread() is threading.main_thread()

    run = await attempted(fails(*errors), asks)

    assert (run.status, run.try_number) == (TaskStatus.FAILED, 3)
    assert asked == list(errors[:2])


async def test_of_a_timeout_it_gets_a_timeout_error() -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    asked: list[str] = []

    def asks(error: BaseException) -> bool:
        asked.append(type(error).__name__)
        return not isinstance(error, TimeoutError)

    with Registry() as registry, Workflow("w"):

        @task(retries=3, timeout="5s", retry_if=asks)
        async def hangs() -> None:
            begun.set()
            await forever()

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await clock.advance(timedelta(seconds=5))
        (run,) = await (await execution.wait.aio()).task_executions.aio()

    assert asked == ["TimeoutError"]
    assert (run.status, run.try_number) == (TaskStatus.FAILED, 1)


async def test_of_a_process_it_gets_an_error_of_the_same_name_and_text() -> None:
    asked: list[str] = []

    def asks(error: BaseException) -> bool:
        asked.append(f"{type(error).__name__}: {error}")
        return False

    with Registry() as registry, Workflow("w"):
        PythonOperator(
            "t", killable.raises, isolation="process", retries=1, retry_delay=0, retry_if=asks
        )
    async with Runner(":memory:", registry=registry) as runner:
        (run,) = await (await runner.execute.aio("w")).task_executions.aio()

    assert asked == [run.error_message] == ["OddError: it's odd"]
    assert run.try_number == 1


@pytest.mark.parametrize("kind", [ValueError, *ERRORS])
async def test_if_it_raises_that_is_logged_and_the_task_tried_again(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def asks(error: BaseException) -> bool:
        raise kind

    with caplog.at_level(logging.ERROR, "asyncflow.callbacks"):
        run = await attempted(fails(OSError("once")), asks)

    assert (run.status, run.try_number, run.result) == (TaskStatus.SUCCESS, 2, "done")
    (record,) = caplog.records
    assert record.name == "asyncflow.callbacks"
    assert "retry_if of task 't' of " in record.getMessage()
    assert record.exc_info is not None
