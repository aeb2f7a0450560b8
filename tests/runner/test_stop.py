"""STOP and RESTART: of tasks on the loop, and of tasks in threads."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    TaskStopped,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import ended, forever, turns, until

PATIENCE = timedelta(seconds=10)
MOMENT = timedelta(milliseconds=100)


async def test_a_stopped_async_task_is_cancelled_and_may_clean_up() -> None:
    begun, cleaned = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> None:
            context["lost"] = True
            begun.set()
            try:
                await forever()
            finally:
                cleaned.set()

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        done, (run,) = await ended(execution)

    assert cleaned.is_set()
    assert (done.status, run.status) == (WorkflowStatus.STOPPED, TaskStatus.STOPPED)
    assert not run.abandoned
    assert done.final_context == {}


async def test_a_task_that_swallows_its_cancellation_is_stopping_until_it_ends() -> None:
    begun, released = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stubborn(context: Context) -> str:
            begun.set()
            try:
                await forever()
            except asyncio.CancelledError:
                await released.wait()
            context["lost"] = True
            return "late"

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        await turns()
        (before,) = await execution.task_executions.aio()
        released.set()
        done, (run,) = await ended(execution)

    assert before.status is TaskStatus.STOPPING
    assert (run.status, run.result) == (TaskStatus.STOPPED, None)
    assert done.final_context == {}


async def test_a_task_in_a_thread_sees_that_it_should_stop() -> None:
    begun, gate = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[bool] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def looks(context: Context) -> str:
            seen.append(context.stop_requested)
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            seen.append(context.stop_requested)
            return "late"

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        gate.set()
        _, (run,) = await ended(execution)

    assert seen == [False, True]
    assert (run.status, run.result, run.abandoned) == (TaskStatus.STOPPED, None, False)


@pytest.mark.parametrize("call", ["send_event", "start", "execution", "handle", "listing"])
async def test_the_next_call_of_a_stopped_thread_into_asyncflow_raises_task_stopped(
    call: str,
) -> None:
    begun, gate = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    raised: list[type[BaseException]] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def calls() -> None:
            speaker = NotificationClient()
            handle = runner.execution("the-one")
            assert handle is not None
            others: dict[str, Callable[[], object]] = {
                "send_event": lambda: speaker.send_event("said"),
                "start": lambda: runner.start("w"),
                "execution": lambda: runner.execution("the-one"),
                "handle": handle.refresh,
                "listing": lambda: list(runner.executions()),
            }
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            try:
                others[call]()
            except BaseException as error:
                raised.append(type(error))
                raise

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w", name="the-one")
        await begun.wait()
        await execution.stop.aio()
        gate.set()
        _, (run,) = await ended(execution)
        names = [each.name async for each in runner.executions.aio()]

    assert raised == [TaskStopped]
    assert names == ["the-one"]
    assert (run.status, run.error_message, run.abandoned) == (TaskStatus.STOPPED, None, False)


async def test_a_thread_that_goes_on_is_left_to_itself_after_10_s_and_its_result_is_refused() -> (
    None
):
    clock = VirtualClock()
    begun, gate, over = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    with Registry() as registry, Workflow("w"):

        @task()
        def deaf(context: Context) -> str:
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            context["lost"] = True
            over.set()
            return "late"

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        await clock.advance(PATIENCE - MOMENT)
        (before,) = await execution.task_executions.aio()
        await clock.advance(MOMENT)
        done, (run,) = await ended(execution)
        gate.set()
        await until(over.is_set)
        await turns()
        after = await execution.refresh.aio()
        (late,) = await after.task_executions.aio()

    assert before.status is TaskStatus.STOPPING
    assert (done.status, run.status) == (WorkflowStatus.STOPPED, TaskStatus.STOPPED)
    assert run.abandoned
    assert late == run
    assert after.final_context == {}


async def test_a_task_that_waits_for_a_thread_is_stopped_at_once_and_never_runs() -> None:
    clock = VirtualClock()
    begun, gate = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ran: list[str] = []
    with Registry() as registry:
        with Workflow("holds"):

            @task()
            def holds() -> None:
                loop.call_soon_threadsafe(begun.set)
                gate.wait()

        with Workflow("waits"):

            @task()
            def waits() -> None:
                ran.append("waits")

    async with Runner(":memory:", registry=registry, clock=clock, threads=1) as runner:
        holding = await runner.start.aio("holds")
        await begun.wait()
        waiting = await runner.start.aio("waits")
        await clock.settle()
        await waiting.stop.aio()
        done, (run,) = await ended(waiting)
        gate.set()
        await holding.wait.aio()

    assert done.status is WorkflowStatus.STOPPED
    assert (run.status, run.abandoned, ran) == (TaskStatus.STOPPED, False, [])


async def test_a_task_started_and_stopped_at_once_is_stopped() -> None:
    ran: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def idle() -> None:
            await forever()

        @task()
        async def short() -> None:
            ran.append("short")
            await forever()

        short.action_on_event_received(TaskAction.START, "go")
        short.action_on_event_received(TaskAction.STOP, "halt")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await asyncio.gather(runner.send_event.aio("go"), runner.send_event.aio("halt"))
        await turns()
        runs = await execution.task_executions.aio()
        await execution.stop.aio(wait=True)

    assert [(each.task_name, each.status) for each in runs] == [
        ("idle", TaskStatus.RUNNING),
        ("short", TaskStatus.STOPPED),
    ]
    assert ran == []


async def test_a_rule_stops_a_running_task_and_only_that() -> None:
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def first() -> None:
            begun.set()
            await forever()

        @task()
        async def after(context: Context) -> None:
            context["seen"] = context.get_task_status("first")

        first.action_on_event_received(TaskAction.STOP, "halt")
        after.action_on_task_status(TaskAction.START, {first: TaskStatus.STOPPED})

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await runner.send_event.aio("halt")
        done, runs = await ended(execution)

    assert [run.status for run in runs] == [TaskStatus.STOPPED, TaskStatus.SUCCESS]
    assert done.status is WorkflowStatus.STOPPED
    assert done.final_context == {"seen": "STOPPED"}


async def test_a_rule_stops_a_task_that_waits_for_its_retry() -> None:
    clock = VirtualClock()
    failed = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(retries=5, retry_delay="1h")
        async def fails() -> None:
            failed.set()
            raise ConnectionError

        fails.action_on_event_received(TaskAction.STOP, "halt")

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await failed.wait()
        await clock.settle()
        (before,) = await execution.task_executions.aio()
        await runner.send_event.aio("halt")
        done, (run,) = await ended(execution)

    assert before.status is TaskStatus.RETRYING
    assert (run.status, run.try_number) == (TaskStatus.STOPPED, 1)
    assert done.status is WorkflowStatus.STOPPED


async def test_a_restart_runs_anew_only_when_the_old_run_is_stopped() -> None:
    log: list[str] = []
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def again(context: Context) -> None:
            number = context.sequence_number
            log.append(f"begin {number}")
            if number == 2:
                return
            begun.set()
            try:
                await forever()
            finally:
                await turns()
                log.append(f"end {number}")

        again.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        # several restarts that wait are one
        await asyncio.gather(*[runner.send_event.aio("again") for _ in range(3)])
        done, runs = await ended(execution)

    assert log == ["begin 1", "end 1", "begin 2"]
    assert [(run.sequence_number, run.status) for run in runs] == [
        (1, TaskStatus.STOPPED),
        (2, TaskStatus.SUCCESS),
    ]
    assert done.status is WorkflowStatus.SUCCESS


async def test_a_restart_of_a_thread_that_goes_on_waits_for_its_10_s() -> None:
    clock = VirtualClock()
    begun, gate = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    with Registry() as registry, Workflow("w"):

        @task()
        def again(context: Context) -> int:
            if context.sequence_number == 1:
                loop.call_soon_threadsafe(begun.set)
                gate.wait()
            return context.sequence_number

        again.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await runner.send_event.aio("again")
        await clock.advance(PATIENCE)
        _, runs = await ended(execution)
        gate.set()

    assert [(run.status, run.result, run.abandoned) for run in runs] == [
        (TaskStatus.STOPPED, None, True),
        (TaskStatus.SUCCESS, 2, False),
    ]
