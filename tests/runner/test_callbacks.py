"""What ``on_success`` and ``on_failure`` are told, and what they cannot spoil."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    NotificationClient,
    Registry,
    Runner,
    TaskStatus,
    TaskStopped,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import ERRORS, forever, run_one, turns, until

MOMENT = timedelta(milliseconds=100)

Told = list[tuple[object, ...]]
Callback = Callable[..., Awaitable[None] | None]


def callbacks(told: Told, kind: str) -> tuple[Callback, Callback]:
    def on_success(name: str, context: Context) -> None:
        told.append((name, dict(context), context.try_number))

    def on_failure(name: str, error: str, context: Context) -> None:
        told.append((name, error, dict(context), context.try_number))

    async def late_success(name: str, context: Context) -> None:
        await turns(1)
        on_success(name, context)

    async def late_failure(name: str, error: str, context: Context) -> None:
        await turns(1)
        on_failure(name, error, context)

    return (on_success, on_failure) if kind == "sync" else (late_success, late_failure)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_callbacks_hear_of_the_last_attempt_only(kind: str) -> None:
    told: Told = []
    on_success, on_failure = callbacks(told, kind)
    with Registry() as registry:
        with Workflow("good"):

            @task(retries=2, retry_delay=0, on_success=on_success, on_failure=on_failure)
            async def good(context: Context) -> None:
                context["out"] = context.try_number
                if context.try_number < 2:
                    raise ValueError("not yet")

        with Workflow("bad"):

            @task(retries=1, retry_delay=0, on_success=on_success, on_failure=on_failure)
            async def bad(context: Context) -> None:
                context["out"] = True
                raise ValueError("never")

    async with Runner(":memory:", registry=registry) as runner:
        await runner.execute.aio("good", {"in": 1})
        await runner.execute.aio("bad", {"in": 1})

    assert told == [
        ("good", {"in": 1, "out": 2}, 2),
        ("bad", "ValueError: never", {"in": 1}, 2),
    ]


async def test_a_failure_that_is_not_retried_is_told_at_once() -> None:
    told: Told = []
    with Registry() as registry, Workflow("w"):

        @task(retries=5, on_failure=callbacks(told, "sync")[1])
        async def leaves() -> object:
            return object()

    await run_one(registry)

    assert len(told) == 1


async def test_a_stopped_task_calls_nobody_back() -> None:
    told: Told = []
    on_success, on_failure = callbacks(told, "async")
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(on_success=on_success, on_failure=on_failure)
        async def runs() -> None:
            begun.set()
            await forever()

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio(wait=True)

    assert told == []


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", [ValueError, *ERRORS, TaskStopped])
@pytest.mark.parametrize("end", ["success", "failure"])
async def test_a_callback_that_raises_is_logged_and_changes_nothing(
    kind: str, error: type[BaseException], end: str, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(*_: object) -> None:
        raise error

    async def raises_late(*_: object) -> None:
        raise error

    hook = raises if kind == "sync" else raises_late
    with Registry() as registry, Workflow("w"):

        @task(on_success=hook, on_failure=hook)
        async def ends(context: Context) -> str:
            context["done"] = True
            if end == "failure":
                raise OSError("its own")
            return "result"

    with caplog.at_level(logging.ERROR, "asyncflow.callbacks"):
        done, run = await run_one(registry)

    if end == "success":
        assert (run.status, run.result) == (TaskStatus.SUCCESS, "result")
        assert done.final_context == {"done": True}
    else:
        assert (run.status, run.error_message) == (TaskStatus.FAILED, "OSError: its own")
    assert [record.name for record in caplog.records if record.levelno == logging.ERROR] == [
        "asyncflow.callbacks"
    ]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_callback_that_hangs_is_left_after_30_s(kind: str) -> None:
    clock = VirtualClock()
    gate = threading.Event()
    hung: list[bool] = []

    def blocks(name: str, context: Context) -> None:
        hung.append(True)
        gate.wait()

    async def hangs(name: str, context: Context) -> None:
        hung.append(True)
        await forever()

    with Registry() as registry, Workflow("w"):

        @task(on_success=blocks if kind == "sync" else hangs)
        async def fine() -> str:
            return "result"

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await until(lambda: bool(hung))
        await clock.advance(timedelta(seconds=30) - MOMENT)
        (before,) = await execution.task_executions.aio()
        await clock.advance(MOMENT)
        done = await execution.wait.aio()
        (run,) = await done.task_executions.aio()
        gate.set()

    assert before.status is TaskStatus.RUNNING
    assert (run.status, run.result) == (TaskStatus.SUCCESS, "result")


async def test_a_callback_cannot_change_the_context_but_may_call_asyncflow() -> None:
    raised: list[type[BaseException]] = []

    async def tells(name: str, context: Context) -> None:
        try:
            context["mine"] = True
        except UsageError as error:
            raised.append(type(error))
        await NotificationClient().send_event.aio("told", name)

    with Registry() as registry, Workflow("w"):

        @task(on_success=tells)
        async def fine(context: Context) -> None:
            context["out"] = 1

    done, run = await run_one(registry)

    assert raised == [UsageError]
    assert done.final_context == {"out": 1}
    assert run.status is TaskStatus.SUCCESS


async def test_the_callback_of_an_attempt_that_timed_out_may_call_asyncflow() -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    offsets: list[int | None] = []

    async def tells(name: str, error: str, context: Context) -> None:
        offsets.append((await NotificationClient().send_event.aio("told", error)).offset)

    with Registry() as registry, Workflow("w"):

        @task(timeout="5s", on_failure=tells)
        async def slow() -> None:
            begun.set()
            await forever()

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await clock.advance(timedelta(seconds=5))
        done = await execution.wait.aio()

    assert offsets == [1]
    assert done.status is WorkflowStatus.FAILED


async def test_the_wait_for_a_free_thread_is_not_a_callbacks_time() -> None:
    clock = VirtualClock()
    gate, begun = threading.Event(), threading.Event()
    told: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def takes_the_thread() -> None:
            begun.set()
            gate.wait()

        @task(on_success=lambda name, context: told.append(name))
        async def ends() -> None:
            await asyncio.to_thread(begun.wait)

    async with Runner(":memory:", registry=registry, clock=clock, threads=1) as runner:
        execution = await runner.start.aio("w")
        await until(begun.is_set)
        await clock.advance(timedelta(minutes=2))
        early = list(told)
        gate.set()
        await execution.wait.aio()

    assert (early, told) == ([], ["ends"])
