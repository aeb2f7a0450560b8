"""Conditions that users write: asked about every event, in order, without harm to anybody else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    TaskStopped,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import Question, When, forever, turns

MOMENT = timedelta(milliseconds=100)
ERRORS = [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, TaskStopped]


@pytest.mark.parametrize("kind", ["sync", "async", "awaitable"])
async def test_a_condition_sees_the_event_and_the_context_and_decides(kind: str) -> None:
    seen: list[tuple[object, object, int | None]] = []

    def sync(event: Event, context: Context) -> bool:
        seen.append((event.value, context["limit"], event.offset))
        return bool(event.value == context["limit"])

    async def late(event: Event, context: Context) -> bool:
        await turns(3)
        return sync(event, context)

    def future(event: Event, context: Context) -> Awaitable[bool]:
        return asyncio.ensure_future(late(event, context))

    asks: dict[str, Question] = {"sync": sync, "async": late, "awaitable": future}
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs when the value is the limit."""

        hears.action_on_condition(TaskAction.START, When(asks[kind]))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w", {"limit": 2})
        await runner.send_event.aio("said", 1)
        before = await execution.task_executions.aio()
        await runner.send_event.aio("other", 2)
        await runner.send_event.aio("said", 2)
        done = await execution.wait.aio()

    assert before == []
    assert done.status is WorkflowStatus.SUCCESS
    assert seen == [(1, 2, None), (2, 2, None)]


async def test_conditions_are_asked_in_the_order_of_their_declaration() -> None:
    asked: list[str] = []

    def named(name: str, kind: str) -> When:
        def sync(event: Event, context: Context) -> bool:
            asked.append(name)
            return False

        async def late(event: Event, context: Context) -> bool:
            return sync(event, context)

        return When(sync if kind == "sync" else late)

    with Registry() as registry, Workflow("w"):

        @task()
        async def first() -> None:
            await forever()

        @task()
        async def second() -> None:
            """Never runs."""

        second.action_on_condition(TaskAction.START, named("second 1", "sync"))
        first.action_on_condition(TaskAction.STOP, named("first 1", "sync"))
        second.action_on_condition(TaskAction.START, named("second 2", "sync"))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        await execution.stop.aio(wait=True)

    assert asked == ["first 1", "second 1", "second 2"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_first_rule_of_a_task_that_is_met_decides_and_all_conditions_see_the_event(
    kind: str,
) -> None:
    asked: list[str] = []

    def answering(name: str, answer: bool) -> When:
        def sync(event: Event, context: Context) -> bool:
            asked.append(name)
            return answer

        async def late(event: Event, context: Context) -> bool:
            await turns(1)
            return sync(event, context)

        return When(sync if kind == "sync" else late)

    with Registry() as registry, Workflow("w"):

        @task()
        async def runs() -> None:
            await forever()

        runs.action_on_condition(TaskAction.STOP, answering("no", answer=False))
        runs.action_on_condition(TaskAction.RESTART, answering("yes", answer=True))
        runs.action_on_condition(TaskAction.STOP, answering("too late", answer=True))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        await turns()
        found = await execution.task_executions.aio()
        await execution.stop.aio(wait=True)

    assert asked == ["no", "yes", "too late"]
    assert [(run.sequence_number, run.status.alive) for run in found] == [(1, False), (2, True)]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", ERRORS)
async def test_a_condition_that_raises_is_not_met_and_hinders_nobody_else(
    kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def sync(event: Event, context: Context) -> bool:
        raise error

    async def late(event: Event, context: Context) -> bool:
        raise error

    with Registry() as registry, Workflow("w", finish_when_idle=True):

        @task()
        async def begin() -> None:
            await forever()

        @task()
        async def never() -> None:
            """Its condition raises."""

        @task()
        async def other() -> None:
            """Its condition does not."""

        never.action_on_condition(TaskAction.START, When(sync if kind == "sync" else late))
        other.action_on_condition(TaskAction.START, When(lambda event, context: True))
        begin.action_on_event_received(TaskAction.STOP, "halt")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        with caplog.at_level(logging.ERROR):
            await runner.send_event.aio("said")
        await runner.send_event.aio("halt")
        done = await execution.wait.aio()
        runs = await done.task_executions.aio()

    assert [(run.task_name, run.status) for run in runs] == [
        ("begin", TaskStatus.STOPPED),
        ("other", TaskStatus.SUCCESS),
    ]
    assert "'never'" in caplog.text


async def test_a_condition_cannot_change_the_context() -> None:
    raised: list[type[BaseException]] = []

    def writes(event: Event, context: Context) -> bool:
        try:
            context["mine"] = True
        except UsageError as error:
            raised.append(type(error))
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs."""

        hears.action_on_condition(TaskAction.START, When(writes))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        done = await execution.wait.aio()

    assert raised == [UsageError]
    assert done.final_context == {}


async def test_an_async_condition_holds_up_only_its_own_execution_and_keeps_the_order() -> None:
    released = asyncio.Event()
    asked: list[tuple[object, object]] = []

    async def slow(event: Event, context: Context) -> bool:
        asked.append((context["name"], event.value))
        if context["name"] == "held":
            await released.wait()
        return event.value == 2

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears(context: Context) -> None:
            context["heard"] = True

        hears.action_on_condition(TaskAction.START, When(slow))

    async with Runner(":memory:", registry=registry) as runner:
        held = await runner.start.aio("w", {"name": "held"})
        free = await runner.start.aio("w", {"name": "free"})
        sending = [asyncio.create_task(runner.send_event.aio("said", n)) for n in (1, 2)]
        done = await free.wait.aio()
        await turns()
        waiting = [each.done() for each in sending]
        released.set()
        offsets = [(await each).offset for each in sending]
        heard = await held.wait.aio()

    assert done.final_context == {"name": "free", "heard": True}
    assert waiting == [False, False]
    assert offsets == [1, 2]
    assert [value for name, value in asked if name == "held"] == [1, 2]
    assert heard.status is WorkflowStatus.SUCCESS


async def test_a_stop_does_not_wait_for_a_condition_that_is_being_judged() -> None:
    released = asyncio.Event()

    async def slow(event: Event, context: Context) -> bool:
        await released.wait()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Never runs."""

        hears.action_on_condition(TaskAction.START, When(slow))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        sending = asyncio.create_task(runner.send_event.aio("said"))
        await turns()
        await execution.stop.aio(wait=True)
        released.set()
        event = await sending
        stopped = await execution.refresh.aio()
        runs = await execution.task_executions.aio()

    assert stopped.status is WorkflowStatus.STOPPED
    assert event.offset == 1
    assert runs == []


async def test_a_stopped_task_ends_although_a_condition_is_being_judged() -> None:
    released, begun = asyncio.Event(), asyncio.Event()

    async def slow(event: Event, context: Context) -> bool:
        await released.wait()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def runs() -> None:
            begun.set()
            await forever()

        runs.action_on_condition(TaskAction.RESTART, When(slow))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        sending = asyncio.create_task(runner.send_event.aio("said"))
        await turns()
        await asyncio.wait_for(execution.stop.aio(wait=True), 5)
        early = sending.done()
        released.set()
        await sending
        stopped = await execution.refresh.aio()
        found = await execution.task_executions.aio()

    assert not early
    assert stopped.status is WorkflowStatus.STOPPED
    assert [(run.sequence_number, run.status) for run in found] == [(1, TaskStatus.STOPPED)]


async def test_an_async_condition_that_takes_over_30_s_is_not_met() -> None:
    clock = VirtualClock()
    asked = 0

    async def hangs(event: Event, context: Context) -> bool:
        nonlocal asked
        asked += 1
        if event.value == "hang":
            await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs at the second event."""

        hears.action_on_condition(TaskAction.START, When(hangs))

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        sending = asyncio.create_task(runner.send_event.aio("said", "hang"))
        await clock.advance(timedelta(seconds=30) - MOMENT)
        early = sending.done()
        await clock.advance(MOMENT)
        await sending
        before = await execution.task_executions.aio()
        await runner.send_event.aio("said", "go")
        done = await execution.wait.aio()

    assert not early
    assert before == []
    assert (asked, done.status) == (2, WorkflowStatus.SUCCESS)


@pytest.mark.parametrize("call", ["blocking", "async", "client", "notification", "handle"])
async def test_a_condition_that_calls_asyncflow_gets_a_usage_error(call: str) -> None:
    raised: list[BaseException] = []

    async def asks(event: Event, context: Context) -> bool:
        async def speak() -> object:
            return NotificationClient()

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "async": lambda: runner.send_event.aio("said"),
            "client": lambda: client.executions.aio().__anext__(),
            "notification": speak,
            "handle": execution.refresh.aio,
        }
        try:
            await calls[call]()
        except UsageError as error:
            raised.append(error)
            raise
        return True

    def asks_at_once(event: Event, context: Context) -> bool:
        try:
            runner.send_event("said")
        except UsageError as error:
            raised.append(error)
            raise
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def never() -> None:
            """Its condition raises."""

        never.action_on_condition(
            TaskAction.START, When(asks_at_once if call == "blocking" else asks)
        )

    async with (
        Client(":memory:") as client,
        Runner(":memory:", registry=registry) as runner,
    ):
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        runs = await execution.task_executions.aio()

    assert [type(error) for error in raised] == [UsageError]
    assert runs == []


async def test_no_condition_sees_what_another_changed_in_its_event_or_its_context() -> None:
    seen: list[str] = []

    def meddles(event: Event, context: Context) -> bool:
        seen.append(repr((event.value, context["list"])))
        cast("dict[str, int]", event.value)["x"] = 1
        context["list"].append(1)
        return False

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Never run."""

        for _ in range(2):
            hears.action_on_condition(TaskAction.START, When(meddles, "go"))

    async with Runner(":memory:", registry=registry, grace=0) as runner:
        await runner.start.aio("w", {"list": []})
        await runner.send_event.aio("go", {})

    assert seen == ["({}, [])"] * 2
