"""Shutting down: what runs may end within the grace, the rest is the next runner's."""

import asyncio
import logging
import threading
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    NotificationClient,
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
from tests.runner.scene import closing, forever, turns

GRACE = timedelta(seconds=5)
MOMENT = timedelta(milliseconds=100)


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


async def test_a_task_cannot_shut_down_the_runner_that_runs_it(url: str) -> None:
    said: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def on_the_loop() -> None:
            try:
                await runner.shutdown.aio()
            except UsageError as error:
                said.append(str(error))

        @task()
        def in_a_thread() -> None:
            try:
                runner.shutdown()
            except UsageError as error:
                said.append(str(error))

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("w")

    assert done.status is WorkflowStatus.SUCCESS
    assert [each.split(" the runner")[0] for each in sorted(said)] == [
        "task 'in_a_thread' cannot shut down",
        "task 'on_the_loop' cannot shut down",
    ]


async def test_that_running_tasks_hold_up_the_shutdown_is_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Registry() as registry, Workflow("w"):

        @task()
        async def runs() -> None:
            await forever()

    async with Runner(url, registry=registry, grace=0) as runner:
        await runner.start.aio("w", name="w-1")
        await turns()

    assert "tasks that run (1) may go on for 0:00:00" in caplog.text
    assert "after 0:00:00, the next runner starts them anew: 'runs' of 'w-1'" in caplog.text


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
