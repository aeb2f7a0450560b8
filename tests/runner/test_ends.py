"""How attempts end, whatever users' code makes of them."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Operator,
    Registry,
    Runner,
    TaskStatus,
    TaskStopped,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import ERRORS, forever, run_one, turns, until

MOMENT = timedelta(milliseconds=100)


# --- timeouts ---


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_the_timeout_is_of_each_attempt_and_fails_it(kind: str) -> None:
    clock = VirtualClock()
    gate = threading.Event()
    begun: list[int] = []
    with Registry() as registry, Workflow("w"):
        if kind == "async":

            @task(id="slow", retries=1, retry_delay="1s", retry_jitter=0, timeout="5s")
            async def slow(context: Context) -> None:
                begun.append(context.try_number)
                await forever()

        else:

            @task(id="slow", retries=1, retry_delay="1s", retry_jitter=0, timeout="5s")
            def blocks(context: Context) -> None:
                begun.append(context.try_number)
                gate.wait()

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await until(lambda: begun == [1])
        await clock.advance(timedelta(seconds=5) - MOMENT)
        (early,) = await execution.task_executions.aio()
        await clock.advance(MOMENT)
        (retrying,) = await execution.task_executions.aio()
        await clock.advance(timedelta(seconds=1))
        await until(lambda: begun == [1, 2])
        await clock.advance(timedelta(seconds=5))
        done = await execution.wait.aio()
        (run,) = await done.task_executions.aio()
        gate.set()

    assert early.status is TaskStatus.RUNNING
    assert retrying.status is TaskStatus.RETRYING
    assert (done.status, run.status, run.try_number) == ("FAILED", "FAILED", 2)
    assert run.error_message == "TimeoutError: the attempt took longer than 0:00:05"
    assert run.abandoned is (kind == "thread")


async def test_the_wait_for_a_free_thread_is_not_counted() -> None:
    clock = VirtualClock()
    gates = [threading.Event() for _ in range(3)]
    begun: list[int] = []
    with Registry() as registry, Workflow("w"):
        for number in range(3):

            @task(id=f"t{number}", timeout="5s")
            def blocks() -> None:
                begun.append(len(begun))
                gates[len(begun) - 1].wait()

    async with Runner(":memory:", registry=registry, clock=clock, threads=1) as runner:
        execution = await runner.start.aio("w")
        for number in range(3):
            await until(lambda: len(begun) == number + 1)  # noqa: B023  it is asked at once
            await clock.advance(timedelta(seconds=4))
            gates[number].set()
        done = await execution.wait.aio()

    assert done.status is WorkflowStatus.SUCCESS


async def test_a_retry_after_a_timeout_may_succeed() -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1s", retry_jitter=0, timeout="5s")
        async def slow(context: Context) -> int:
            context["tried"] = context.try_number
            begun.set()
            if context.try_number == 1:
                await forever()
            return context.try_number

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await clock.advance(timedelta(seconds=6))
        done = await execution.wait.aio()
        (run,) = await done.task_executions.aio()

    assert (run.status, run.result, run.try_number) == (TaskStatus.SUCCESS, 2, 2)
    assert run.error_message is None
    assert done.final_context == {"tried": 2}


async def test_a_timeout_error_of_the_task_itself_keeps_its_text() -> None:
    with Registry() as registry, Workflow("w"):

        @task(timeout="1h")
        async def fails() -> None:
            raise TimeoutError("the database")

    _, run = await run_one(registry)

    assert run.error_message == "TimeoutError: the database"


# --- whatever is raised ends that task only ---


@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize("error", ERRORS)
async def test_what_usually_ends_more_than_a_task_ends_only_the_task(
    kind: str, error: type[BaseException]
) -> None:
    with Registry() as registry, Workflow("w"):
        if kind == "async":

            @task(id="raises")
            async def raises() -> None:
                await turns(1)
                raise error

        else:

            @task(id="raises")
            def raises_there() -> None:
                raise error

    done, run = await run_one(registry)

    assert (done.status, run.status) == (WorkflowStatus.FAILED, TaskStatus.FAILED)
    # no coroutine can be thrown these: they end or close it
    turned = error is StopIteration or (error is GeneratorExit and kind == "thread")
    expected = "RuntimeError" if turned else error.__name__
    assert run.error_message is not None
    assert run.error_message.startswith(expected)


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_task_stopped_that_a_task_raises_itself_stops_it(kind: str) -> None:
    with Registry() as registry, Workflow("w"):
        if kind == "async":

            @task(id="raises")
            async def raises() -> None:
                raise TaskStopped

        else:

            @task(id="raises")
            def raises_there() -> None:
                raise TaskStopped

    done, run = await run_one(registry)

    assert (done.status, run.status) == (WorkflowStatus.STOPPED, TaskStatus.STOPPED)


async def test_a_task_that_cancels_itself_has_failed() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def cancels() -> None:
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
            await forever()

    _, run = await run_one(registry)

    assert run.status is TaskStatus.FAILED
    assert run.error_message == "CancelledError"


async def test_a_task_that_somebody_else_cancels_has_failed() -> None:
    found: list[asyncio.Task[object]] = []
    told: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task(on_failure=lambda name, error, context: told.append(error))
        async def victim() -> None:
            current = asyncio.current_task()
            assert current is not None
            found.append(current)
            await forever()

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await until(lambda: bool(found))
        found[0].cancel("by a stranger")
        done = await execution.wait.aio()

    assert done.status is WorkflowStatus.FAILED
    assert told == ["CancelledError: by a stranger"]


class Unspeakable(Exception):  # noqa: N818
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


async def test_an_error_whose_text_cannot_be_had_fails_the_task() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def raises() -> None:
            raise Unspeakable

    _, run = await run_one(registry)

    assert run.status is TaskStatus.FAILED
    assert run.error_message is not None
    assert run.error_message.startswith("Unspeakable")


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_lone_surrogates_in_an_error_are_stored_escaped(store: str, tmp_path: Path) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def raises() -> None:
            raise OSError("no file \udcff")

    url = ":memory:" if store == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"
    done, run = await run_one(registry, url)

    assert run.error_message == "OSError: no file \\udcff"
    assert done.error_message == "task 'raises': OSError: no file \\udcff"
    assert run.traceback is not None
    assert "\\udcff" in run.traceback


async def test_of_a_huge_error_the_beginning_is_kept_and_of_its_traceback_the_end() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def raises() -> None:
            raise ValueError("begin " + "x" * 5_000_000 + " end")

    done, run = await run_one(registry)

    assert run.error_message is not None
    assert run.error_message.startswith("ValueError: begin x")
    assert run.error_message.endswith("... (5,000,010 characters)")
    assert len(run.error_message) < 20_000
    assert len(done.error_message or "") < 20_000
    assert run.traceback is not None
    assert run.traceback.endswith(" end\n")
    assert len(run.traceback) < 100_000


async def test_an_operator_without_hooks_of_its_own_may_start_in_a_thread() -> None:
    threads: list[threading.Thread] = []

    class Plain(Operator):
        def start(self, context: Context) -> int:
            threads.append(threading.current_thread())
            return 7

    with Registry() as registry, Workflow("w"):
        Plain("plain")

    _, run = await run_one(registry)

    assert run.result == 7
    assert threads[0] is not threading.current_thread()
