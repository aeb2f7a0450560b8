"""A store that fails for a while loses nothing and doubles nothing; one that is lost ends all."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    FencedError,
    NotificationClient,
    Registry,
    Runner,
    StoreError,
    TaskAction,
    TaskStatus,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow._failpoint import armed
from asyncflow._runner.trouble import PAUSES
from tests.runner.scene import When, forever, turns, until

T = TypeVar("T")
PAUSE = PAUSES[0]


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


async def insist(call: Callable[[], Awaitable[T]]) -> tuple[T, int]:
    """Call until the store takes it; say how often it did not."""
    refused = 0
    while True:
        try:
            return await call(), refused
        except StoreError:
            refused += 1


async def tick(clock: VirtualClock) -> None:
    """Let time go on, whatever happens."""
    while True:
        await clock.advance(PAUSE)
        await turns(2)


@pytest.mark.parametrize("failing", range(1, 10))
async def test_a_failed_commit_loses_nothing_and_runs_nothing_twice(url: str, failing: int) -> None:
    ran: list[str] = []
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def first(context: Context) -> None:
            ran.append("first")
            context["first"] = 1

        @task(dependencies=[first], retries=1, retry_delay=0)
        async def second(context: Context) -> None:
            ran.append(f"second {context.try_number}")
            if context.try_number == 1:
                raise ConnectionError("no route")

        @task(dependencies=[second], idempotent=False)
        def third() -> str:
            ran.append("third")
            return "result"

        @task()
        async def hears(context: Context) -> None:
            ran.append("hears")
            context["heard"] = True

        hears.action_on_event_received(TaskAction.START, "said")

    async with Runner(url, registry=registry, clock=clock) as runner:
        ticking = asyncio.create_task(tick(clock))
        with armed(f"store.commit.before:{failing}:raise") as passes:
            execution, refused = await insist(lambda: runner.start.aio("w", {"in": 0}))
            event, more = await insist(lambda: runner.send_event.aio("said"))
            done = await execution.wait.aio()
        runs = await done.task_executions.aio()
        names = [each.name async for each in runner.executions.aio()]
        ticking.cancel()

    assert sorted(ran) == ["first", "hears", "second 1", "second 2", "third"]
    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"in": 0, "first": 1, "heard": True}
    assert {(run.task_name, run.status, run.sequence_number) for run in runs} == {
        (name, TaskStatus.SUCCESS, 1) for name in ("first", "second", "third", "hears")
    }
    assert names == [execution.name]
    assert event.offset == 1
    assert refused == (failing == 1)
    assert refused + more <= 1
    assert passes["store.commit.before"] >= min(failing, 5)


async def test_a_store_that_fails_again_and_again_is_asked_less_and_less_often(url: str) -> None:
    clock = VirtualClock()
    begun, released = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            begun.set()
            await released.wait()

    spec = ",".join(f"store.commit.before:{number}:raise" for number in range(1, 6))
    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(PAUSE)
        await begun.wait()
        with armed(spec) as passes:
            released.set()
            await clock.settle()
            at: list[int] = []
            for _ in range(6):
                at.append(passes["store.commit.before"])
                await clock.advance(PAUSE * 2 ** len(at) / 2)
            done = await execution.wait.aio()

    assert at == [1, 2, 3, 4, 5, 6]
    assert done.status is WorkflowStatus.SUCCESS


async def test_stop_tells_its_caller_of_a_failed_commit_and_stops_nothing(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            await forever()

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(PAUSE)
        with armed("store.commit.before:1:raise"), pytest.raises(StoreError):
            await execution.stop.aio()
        await clock.advance(PAUSE)
        (run,) = await execution.task_executions.aio()
        await execution.stop.aio(wait=True)
        done = await execution.refresh.aio()

    assert run.status is TaskStatus.RUNNING
    assert done.status is WorkflowStatus.STOPPED


@pytest.mark.parametrize("failing", [1, 2])
async def test_an_event_that_a_condition_judges_is_answered_once_or_refused(
    url: str, failing: int
) -> None:
    clock = VirtualClock()
    released, asked = asyncio.Event(), asyncio.Event()
    counts: list[object] = []

    async def slow(event: Event, context: Context) -> bool:
        counts.append(event.value)
        asked.set()
        await released.wait()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def idle() -> None:
            await forever()

        @task()
        async def hears(context: Context) -> int:
            return context.sequence_number

        hears.action_on_condition(TaskAction.START, When(slow))

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(PAUSE)
        with armed(f"store.commit.before:{failing}:raise"):
            sending = asyncio.create_task(runner.send_event.aio("said", 1))
            await asked.wait()
            await clock.settle()
            released.set()
            await clock.settle()
            await clock.advance(4 * PAUSE)
            if failing == 1:  # the event itself could not be stored: nobody may react to it
                with pytest.raises(StoreError):
                    await sending
            else:  # the answer could not be stored: it is stored a little later
                assert (await sending).offset == 1
        await clock.advance(PAUSE)
        runs = await execution.task_executions.aio()

    assert counts == [1]
    heard = [(run.sequence_number, run.status) for run in runs if run.task_name == "hears"]
    assert heard == ([] if failing == 1 else [(1, TaskStatus.SUCCESS)])


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_a_letter_is_answered_once_whatever_commit_fails(url: str, failing: int) -> None:
    clock = VirtualClock()
    asked: list[object] = []

    async def slow(event: Event, context: Context) -> bool:
        asked.append((context["name"], event.value))
        await turns(3)
        return bool(event.value == 2)

    with Registry() as registry:
        with Workflow("slow"):

            @task()
            async def judged() -> None:
                """Runs at the second event."""

            judged.action_on_condition(TaskAction.START, When(slow))

        with Workflow("plain"):

            @task()
            async def idle() -> None:
                await forever()

            @task()
            async def hears() -> None:
                """Runs at each event."""

            hears.action_on_event_received(TaskAction.START, "said")

    async with (
        Runner(url, registry=registry, clock=clock, grace=0) as runner,
        Client(url) as client,
    ):
        slow_one = await runner.start.aio("slow", {"name": "s"})
        plain = await runner.start.aio("plain")
        await clock.advance(PAUSE)
        ticking = asyncio.create_task(tick(clock))
        with armed(f"store.commit.before:{failing}:raise"):
            await client.send_event.aio("said", 1)
            await until(lambda: len(asked) == 1)
            await runs_of(plain.name, "hears", 1, runner)
        await client.send_event.aio("said", 2)
        done = await slow_one.wait.aio()
        await runs_of(plain.name, "hears", 2, runner)
        ticking.cancel()

    assert asked == [("s", 1), ("s", 2)]
    assert done.status is WorkflowStatus.SUCCESS


async def runs_of(execution: str, name: str, number: int, runner: Runner) -> None:
    """Return once a task has succeeded so often, and no oftener."""
    while True:
        found = await runner.execution.aio(execution)
        assert found is not None
        runs = [run for run in await found.task_executions.aio() if run.task_name == name]
        assert len(runs) <= number
        if [run.status for run in runs] == [TaskStatus.SUCCESS] * number:
            return


async def test_a_look_that_fails_is_repeated(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def fine() -> None:
            """Runs."""

    async with (
        Runner(url, registry=registry, clock=clock),
        Client(url, registry=registry) as client,
    ):
        with armed("store.claim.before:1:raise") as passes:
            started = await client.start.aio("w")
            ticking = asyncio.create_task(tick(clock))
            await until(lambda: passes["store.claim.before"] > 1)
        done = await client.wait.aio(started.name)
        ticking.cancel()

    assert done.status is WorkflowStatus.SUCCESS


async def test_a_runner_that_cannot_be_opened_says_why(url: str) -> None:
    runner = Runner(url, registry=Registry())
    with armed("store.register.before:1:raise"), pytest.raises(StoreError, match="failpoint"):
        await runner.__aenter__()
    with Registry() as registry, Workflow("w"):

        @task()
        async def fine() -> None:
            """Runs."""

    broken = Runner(url, registry=registry)
    with armed("store.claim.before:1:raise"), pytest.raises(StoreError, match="failpoint"):
        await broken.__aenter__()
    async with Runner(url, registry=registry) as third:
        done = await third.execute.aio("w")

    assert done.status is WorkflowStatus.SUCCESS


# --- replaced ---


def expel(path: Path) -> None:
    """Remove the runner's row, as another one does that takes it for dead."""
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM runner")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("noticed_by", ["driver", "look"])
async def test_a_runner_that_was_replaced_ends_and_tells_everybody(
    url: str, path: Path, noticed_by: str
) -> None:
    clock = VirtualClock()
    begun, cancelled, asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def hangs(event: Event, context: Context) -> bool:
        asked.set()
        await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task(on_failure=lambda name, error, context: told.append(error))
        async def works() -> None:
            begun.set()
            try:
                await forever()
            finally:
                cancelled.set()

        works.action_on_condition(TaskAction.RESTART, When(hangs, "judged"))

    runner = await Runner(url, registry=registry, clock=clock).__aenter__()
    execution = await runner.start.aio("w")
    await begun.wait()
    await clock.advance(PAUSE)
    waiting = asyncio.create_task(execution.wait.aio())
    judged = asyncio.create_task(runner.send_event.aio("judged"))
    await asked.wait()
    await clock.settle()
    expel(path)
    if noticed_by == "driver":
        with pytest.raises(FencedError, match="was replaced"):
            await runner.send_event.aio("said")
    else:
        await clock.advance(PAUSE * 20)
        await cancelled.wait()
    with pytest.raises((UsageError, FencedError)):
        await waiting
    with pytest.raises(FencedError):
        await judged
    with pytest.raises((UsageError, FencedError)):
        await runner.start.aio("w")
    with pytest.raises(FencedError, match="was replaced"):
        await runner.__aexit__(None, None, None)

    assert cancelled.is_set()
    assert told == []


async def test_what_a_replaced_runner_worked_on_goes_on_in_the_next_one(
    url: str, path: Path
) -> None:
    clock = VirtualClock()
    tries: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> None:
            tries.append(context.try_number)
            if len(tries) == 1:
                await forever()

    runner = await Runner(url, registry=registry, clock=clock).__aenter__()
    execution = await runner.start.aio("w")
    await clock.advance(PAUSE)
    expel(path)
    with pytest.raises(FencedError):
        await runner.send_event.aio("said")
    with pytest.raises(FencedError):
        await runner.__aexit__(None, None, None)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE execution SET owner = NULL")
    connection.commit()
    connection.close()
    async with Runner(url, registry=registry, clock=clock) as second:
        done = await second.wait.aio(execution.name)

    assert tries == [1, 2]
    assert done.status is WorkflowStatus.SUCCESS


async def test_a_task_in_a_thread_of_a_replaced_runner_is_told_to_stop(
    url: str, path: Path
) -> None:
    clock = VirtualClock()
    begun, gate, over = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[object] = []
    with Registry() as registry, Workflow("w"):

        @task()
        def works(context: Context) -> None:
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            seen.append(context.stop_requested)
            try:
                NotificationClient().send_event("said")
            except BaseException as error:
                seen.append(type(error).__name__)
                raise
            finally:
                over.set()

    runner = await Runner(url, registry=registry, clock=clock).__aenter__()
    await runner.start.aio("w")
    await begun.wait()
    expel(path)
    with pytest.raises(FencedError):
        await runner.send_event.aio("said")
    with pytest.raises(FencedError):
        await runner.__aexit__(None, None, None)
    gate.set()
    await until(over.is_set)

    assert seen == [True, "TaskStopped"]
