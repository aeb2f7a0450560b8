"""Shutting down: what runs may end within the grace, the rest is the next runner's."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Event,
    NotificationClient,
    Operator,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import When, forever, turns, until

GRACE = timedelta(seconds=5)
MOMENT = timedelta(milliseconds=100)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'flows.db'}"


async def closing(runner: Runner) -> asyncio.Task[None]:
    """Begin to shut down, and return what ends with it."""
    task = asyncio.create_task(runner.shutdown.aio())
    await turns()
    return task


async def test_a_running_task_may_end_in_the_grace_and_what_follows_is_the_next_runners(
    url: str,
) -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    ran: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def first(context: Context) -> str:
            ran.append("first")
            begun.set()
            await released.wait()
            context["first"] = True
            return "done"

        @task(dependencies=[first])
        async def second(context: Context) -> None:
            ran.append("second")
            context["second"] = True

    runner = await Runner(url, registry=registry).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    ending = await closing(runner)
    released.set()
    await ending

    async with Runner(url, registry=Registry()) as looker:
        left = await looker.execution.aio(execution.name)
        assert left is not None
        runs = await left.task_executions.aio()
    before = list(ran)
    async with Runner(url, registry=registry) as runner:
        done = await runner.wait.aio(execution.name)

    assert before == ["first"]
    assert [(run.status, run.result) for run in runs] == [
        (TaskStatus.SUCCESS, "done"),
        (TaskStatus.QUEUED, None),
    ]
    assert ran == ["first", "second"]
    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"first": True, "second": True}


async def test_what_runs_when_the_grace_is_over_is_cancelled_and_runs_again_in_the_next_runner(
    url: str,
) -> None:
    clock = VirtualClock()
    tries: list[int] = []
    cancelled: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> int:
            tries.append(context.try_number)
            if len(tries) == 1:
                try:
                    await forever()
                finally:
                    cancelled.append(context.try_number)
            return context.try_number

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    execution = await runner.start.aio("w")
    await clock.advance(MOMENT)
    ending = await closing(runner)
    await clock.advance(GRACE - MOMENT)
    early = (ending.done(), list(cancelled))
    await clock.advance(MOMENT)
    await ending
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        (run,) = await done.task_executions.aio()

    assert early == (False, [])
    assert cancelled == [1]
    assert (run.status, run.result, run.try_number) == (TaskStatus.SUCCESS, 2, 2)


async def test_a_closed_runner_starts_nothing(url: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def fine() -> None:
            """Runs."""

    async with Runner(url, registry=registry) as runner:
        execution = await runner.execute.aio("w")

    with pytest.raises(UsageError, match="closed"):
        await runner.start.aio("w")
    with pytest.raises(UsageError, match="closed"):
        await runner.send_event.aio("said")
    with pytest.raises(UsageError, match="closed"):
        await execution.stop.aio()


def test_a_closed_runner_starts_nothing_in_the_blocking_form(url: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        def fine() -> None:
            """Runs."""

    with Runner(url, registry=registry) as runner:
        runner.execute("w")

    with pytest.raises(UsageError, match="closed"):
        runner.start("w")


async def test_a_runner_that_shuts_down_starts_nothing_but_lets_tasks_send_events(
    url: str,
) -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def speaks() -> int | None:
            begun.set()
            await released.wait()
            return (await NotificationClient().send_event.aio("said")).offset

        @task()
        async def hears() -> None:
            """Starts in the next runner."""

        hears.action_on_event_received(TaskAction.START, "said")

    runner = await Runner(url, registry=registry).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    ending = await closing(runner)
    with pytest.raises(UsageError, match="shuts down"):
        await runner.start.aio("w")
    released.set()
    await ending
    async with Runner(url, registry=registry) as runner:
        done = await runner.wait.aio(execution.name)
        runs = await done.task_executions.aio()

    assert [(run.task_name, run.status, run.result) for run in runs] == [
        ("speaks", TaskStatus.SUCCESS, 1),
        ("hears", TaskStatus.SUCCESS, None),
    ]


async def test_who_waits_when_the_runner_shuts_down_gets_an_error_or_the_end(url: str) -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    with Registry() as registry:
        with Workflow("ends"):

            @task()
            async def ends() -> None:
                await released.wait()

        with Workflow("goes-on"):

            @task()
            async def goes_on() -> None:
                begun.set()
                await forever()

    clock = VirtualClock()
    runner = await Runner(url, registry=registry, clock=clock).__aenter__()
    good = asyncio.create_task(runner.execute.aio("ends"))
    bad = asyncio.create_task(runner.execute.aio("goes-on"))
    await begun.wait()
    ending = await closing(runner)
    released.set()
    done = await good
    await clock.advance(GRACE)
    await ending

    assert done.status is WorkflowStatus.SUCCESS
    with pytest.raises(UsageError, match="shut down"):
        await bad


def test_who_waits_in_another_thread_gets_an_error(url: str) -> None:
    begun = threading.Event()
    gate = threading.Event()
    raised: list[BaseException] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def blocks() -> None:
            begun.set()
            gate.wait()

    runner = Runner(url, registry=registry, grace=0)

    def wait() -> None:
        try:
            runner.execute("w")
        except UsageError as error:
            raised.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    begun.wait()
    runner.shutdown()
    waiter.join()
    gate.set()

    assert len(raised) == 1


async def test_a_thread_that_never_ends_holds_up_no_shutdown_longer_than_the_grace(
    url: str,
) -> None:
    clock = VirtualClock()
    begun, gate, late = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    raised: list[type[BaseException]] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def deaf(context: Context) -> str:
            if context.try_number > 1:
                return "again"
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            try:
                NotificationClient().send_event("late")
            except BaseException as error:
                raised.append(type(error))
                raise
            finally:
                late.set()
            return "late"

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    await clock.advance(MOMENT)
    ending = await closing(runner)
    await clock.advance(GRACE)
    await ending
    gate.set()
    await until(late.is_set)
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        (run,) = await done.task_executions.aio()

    assert [each.__name__ for each in raised] == ["TaskStopped"]
    assert (run.result, run.try_number) == ("again", 2)


async def test_a_condition_that_hangs_holds_up_no_shutdown_longer_than_the_grace(
    url: str,
) -> None:
    clock = VirtualClock()
    asked = asyncio.Event()

    async def hangs(event: Event, context: Context) -> bool:
        asked.set()
        await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Never runs."""

        hears.action_on_condition(TaskAction.START, When(hangs))
        hears.action_on_condition(TaskAction.START, When(hangs))

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    await runner.start.aio("w")
    sending = asyncio.create_task(runner.send_event.aio("said"))
    await asked.wait()
    ending = await closing(runner)
    await clock.advance(GRACE)
    await ending

    with pytest.raises(UsageError, match="shut down"):
        await sending


async def test_a_stop_that_hangs_holds_up_no_shutdown_longer_than_the_grace(url: str) -> None:
    clock = VirtualClock()
    begun, told = asyncio.Event(), asyncio.Event()

    class Hangs(Operator):
        async def start(self, context: Context) -> None:
            begun.set()
            await forever()

        async def stop(self, context: Context) -> None:
            told.set()
            await forever()

    with Registry() as registry, Workflow("w"):
        Hangs("hangs")

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    await execution.stop.aio()
    await told.wait()
    ending = await closing(runner)
    await clock.advance(GRACE)
    await ending


async def test_a_task_that_swallows_its_cancellation_holds_up_no_shutdown_for_ever(
    url: str,
) -> None:
    clock = VirtualClock()
    begun, released, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stubborn() -> None:
            begun.set()
            try:
                await forever()
            except asyncio.CancelledError:
                await released.wait()
            over.set()

    runner = await Runner(url, registry=registry, clock=clock, grace=GRACE).__aenter__()
    await runner.start.aio("w")
    await begun.wait()
    ending = await closing(runner)
    await clock.advance(2 * GRACE)
    await ending
    released.set()
    await over.wait()


async def test_an_async_task_may_clean_up_after_its_grace(url: str) -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    cleaned: list[bool] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def tidy() -> None:
            begun.set()
            try:
                await forever()
            finally:
                await turns()
                cleaned.append(True)

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        await runner.start.aio("w")
        await begun.wait()

    assert cleaned == [True]


async def test_a_retry_that_is_set_in_the_grace_is_left_to_the_next_runner(url: str) -> None:
    clock = VirtualClock()
    begun, released = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h")
        async def fails() -> None:
            begun.set()
            await released.wait()
            raise ConnectionError("no route")

    runner = await Runner(url, registry=registry, clock=clock).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    ending = await closing(runner)
    released.set()
    await ending
    left = clock.next_deadline()
    async with Runner(url, registry=registry, clock=clock) as runner:
        found = await runner.execution.aio(execution.name)
        assert found is not None
        (run,) = await found.task_executions.aio()

    assert left is None
    assert run.status is TaskStatus.RETRYING
