"""How attempts end, whatever users' code makes of them, and what its callbacks are told."""

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, field_serializer

from asyncflow import (
    Context,
    LargeValueWarning,
    NotificationClient,
    Operator,
    Registry,
    Runner,
    SizeLimits,
    TaskExecution,
    TaskStatus,
    TaskStopped,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    task,
)
from tests.runner.scene import forever, turns, until

MOMENT = timedelta(milliseconds=100)
HUGE = "x" * (2 * 1024 * 1024)
LARGE = "x" * (600 * 1024)


async def run_one(
    registry: Registry, url: str = ":memory:", **options: VirtualClock | SizeLimits
) -> tuple[WorkflowExecution, TaskExecution]:
    """Run the workflow "w" of one task; then another one, to see that the runner still works."""
    clock, limits = options.get("clock"), options.get("limits")
    with registry, Workflow("after"):

        @task()
        async def fine() -> str:
            return "fine"

    async with Runner(
        url,
        registry=registry,
        clock=clock if isinstance(clock, VirtualClock) else None,
        limits=limits if isinstance(limits, SizeLimits) else None,
    ) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()
        after = await runner.execute.aio("after")
    assert after.status is WorkflowStatus.SUCCESS
    return done, run


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

ERRORS = [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, StopIteration]


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


# --- what is left behind ---


class Broken(BaseModel):
    """A model whose serializer raises."""

    value: int = 0

    @field_serializer("value")
    def half(self, value: int) -> int:
        raise SystemError("no half")


@dataclass
class Lazy:
    """A dataclass with a field that raises."""

    value: int = 0

    def __getattribute__(self, name: str) -> object:
        if name == "value":
            raise RuntimeError("no value")
        return super().__getattribute__(name)


RESULTS: list[tuple[object, str]] = [
    (object(), "TypeError: result is of type object"),
    ({"a": [1, {2: 3}]}, "TypeError: result['a'][1] has the key 2"),
    (b"bytes", "TypeError: result is of type bytes"),
    (math.nan, "ValueError: result is nan"),
    (HUGE, "TooLargeError: the result of task 'leaves' has 2,097,154 bytes of JSON"),
    (Broken(), ""),
    (Lazy(), "RuntimeError: no value"),
]


@pytest.mark.parametrize(("result", "error"), RESULTS, ids=lambda each: type(each).__name__)
async def test_a_result_that_cannot_be_stored_fails_the_task_without_a_retry(
    result: object, error: str
) -> None:
    with Registry() as registry, Workflow("w"):

        @task(retries=3, retry_delay=0)
        async def leaves(context: Context) -> object:
            context["lost"] = True
            return result

    done, run = await run_one(registry)

    assert (run.status, run.try_number, run.result) == (TaskStatus.FAILED, 1, None)
    assert (run.error_message or "").startswith(error)
    assert done.final_context == {}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (math.inf, "ValueError: context['list'][1] is inf"),
        (object(), "TypeError: context['list'][1] is of type object"),
        (HUGE, "TooLargeError: the context that task 'leaves' leaves has 2,0"),
    ],
    ids=["infinite", "object", "huge"],
)
async def test_an_invalid_change_inside_the_context_fails_the_task_without_a_retry(
    change: object, error: str
) -> None:
    with Registry() as registry, Workflow("w"):

        @task(retries=3, retry_delay=0)
        async def leaves(context: Context) -> None:
            context["list"] = [1]
            context["list"].append(change)

    done, run = await run_one(registry)

    assert (run.status, run.try_number) == (TaskStatus.FAILED, 1)
    assert (run.error_message or "").startswith(error)
    assert done.final_context == {}


async def test_the_size_of_a_context_is_that_of_all_of_it() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def first(context: Context) -> None:
            context["first"] = "x" * 60

        @task(dependencies=["first"])
        async def second(context: Context) -> None:
            context["second"] = "x" * 60

    async with Runner(":memory:", registry=registry, limits=SizeLimits(100, 100)) as runner:
        done = await runner.execute.aio("w")

    assert done.status is WorkflowStatus.FAILED
    assert (done.error_message or "").startswith("task 'second': TooLargeError: the context")
    assert list(done.final_context) == ["first"]


@pytest.mark.parametrize("place", ["result", "context"])
async def test_over_512_kb_is_warned_of_and_stored(place: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def leaves(context: Context) -> str | None:
            if place == "result":
                return LARGE
            context["large"] = LARGE
            return None

    with pytest.warns(LargeValueWarning, match=f"the {place} .* 614,4.. bytes"):
        done, run = await run_one(registry)

    assert run.status is TaskStatus.SUCCESS
    assert (run.result if place == "result" else done.final_context["large"]) == LARGE


async def test_a_warning_that_is_made_an_error_fails_the_task_and_nothing_else() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def leaves() -> str:
            return LARGE

    _, run = await run_one(registry)

    assert run.status is TaskStatus.FAILED
    assert (run.error_message or "").startswith("LargeValueWarning")


# --- callbacks ---

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
