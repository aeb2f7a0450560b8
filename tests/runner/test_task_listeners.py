"""Listeners of a task: they hear its namespace, and end with it if it forgets them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from asyncflow import (
    Context,
    Event,
    ListenerNotFoundError,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.client.ears import BOTH, AsyncHeard, Heard
from tests.runner.scene import forever, turns, until

Body = Callable[[Context], Awaitable[object]]


def declare(body: Body, **options: object) -> Registry:
    """Declare a workflow "w" of one task in the namespace "team"."""
    registry = Registry()
    with registry, Workflow("w", "team"):
        task(id="listens", **options)(body)  # type: ignore[arg-type]
    return registry


async def start(runner: Runner) -> None:
    await runner.start.aio("w", name="one", namespace="team")


@pytest.mark.parametrize("ear", BOTH)
async def test_a_task_hears_its_namespace_by_the_words_of_the_documents(ear: type[Heard]) -> None:
    counter = ear()
    with Registry() as registry, Workflow("w", "team"):

        @task()
        def listens() -> int:
            client = NotificationClient("localhost:50052")
            listener_id = client.register_listener(
                listener_processor=counter, event_keys=["expect_key"]
            )
            client.send_event("expect_key", 1)
            client.send_event("another", 2)
            client.send_event("expect_key", 3)
            while len(counter.events) < 2:
                threading.Event().wait(0.001)
            client.unregister_listener(listener_id)
            client.send_event("expect_key", 4)
            return len(counter.events)

    async with Runner(":memory:", registry=registry) as runner:
        await runner.send_event.aio("expect_key", 0)  # elsewhere
        done = await runner.execute.aio("w", namespace="team", timeout="10s")
        (run,) = await done.task_executions.aio()

    assert run.result == 2
    assert counter.values == [1, 3]
    assert {event.namespace for event in counter.events} == {"team"}


@pytest.mark.parametrize("ear", BOTH)
async def test_a_listener_that_its_task_forgets_ends_with_the_task(ear: type[Heard]) -> None:
    heard, kept, ids = ear(), Heard(), list[str]()

    async def listens(context: Context) -> None:
        client = NotificationClient()
        ids.append(await client.register_listener.aio(heard))
        await client.send_event.aio("said", 1)
        await until(lambda: bool(heard.events))

    async with Runner(":memory:", registry=declare(listens)) as runner:
        await runner.register_listener.aio(kept, namespace="team")
        await runner.execute.aio("w", namespace="team", timeout="10s")
        await runner.send_event.aio("said", 2, namespace="team")
        await until(lambda: len(kept.events) == 2)
        await turns()
        with pytest.raises(ListenerNotFoundError):
            await runner.unregister_listener.aio(ids[0])

    assert heard.values == [1]
    assert kept.values == [1, 2]


async def test_each_attempt_has_its_own_listeners() -> None:
    heard: list[Heard] = []

    async def listens(context: Context) -> None:
        heard.append(Heard())
        client = NotificationClient()
        await client.register_listener.aio(heard[-1])
        await client.send_event.aio("said", context.try_number)
        await until(lambda: bool(heard[-1].events))
        if context.try_number == 1:
            raise ConnectionError

    registry = declare(listens, retries=1, retry_delay=0.001)
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", namespace="team", timeout="10s")

    assert done.status is WorkflowStatus.SUCCESS
    assert [each.values for each in heard] == [[1], [2]]


@pytest.mark.parametrize("ear", BOTH)
async def test_a_batch_that_hangs_does_not_hold_up_the_end_of_the_task(
    ear: type[Heard], caplog: pytest.LogCaptureFixture
) -> None:
    clock, go = VirtualClock(), threading.Event()

    def hang(_: list[Event]) -> object:
        return go.wait() if ear is Heard else forever()

    heard = ear(hang)

    async def listens(context: Context) -> None:
        client = NotificationClient()
        await client.register_listener.aio(heard)
        await client.send_event.aio("said")
        await until(lambda: bool(heard.batches))

    async with Runner(":memory:", registry=declare(listens), clock=clock) as runner:
        done = await runner.execute.aio("w", namespace="team")
        await clock.advance(timedelta(seconds=5))
        go.set()

    assert done.status is WorkflowStatus.SUCCESS
    assert "did not end within" in caplog.text


async def test_a_stop_of_an_async_task_does_not_wait_for_its_listener_s_thread() -> None:
    go = threading.Event()
    heard = Heard(lambda _: go.wait())
    with Registry() as registry, Workflow("w", "team"):

        @task()
        async def listens() -> None:
            client = NotificationClient()
            await client.register_listener.aio(heard)
            await client.send_event.aio("said")
            await forever()

        listens.action_on_event_received(action=TaskAction.STOP, event_key="halt")

    async with Runner(":memory:", registry=registry, clock=VirtualClock()) as runner:
        await start(runner)
        await until(lambda: bool(heard.batches))
        await runner.send_event.aio("halt", namespace="team")
        done = await runner.wait.aio("one")
        (run,) = await done.task_executions.aio()
        go.set()

    assert (run.status, run.abandoned) == (TaskStatus.STOPPED, False)


async def test_tasks_that_block_every_thread_leave_one_for_their_listener() -> None:
    came = threading.Event()
    heard = Heard(lambda _: came.set())
    with Registry() as registry, Workflow("w", "team"):

        @task()
        def waits() -> bool:
            client = NotificationClient()
            client.register_listener(heard)
            client.send_event("said")
            return came.wait(5)

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("w", namespace="team", timeout="10s")
        (run,) = await done.task_executions.aio()

    assert run.result is True


async def test_a_listener_may_send_in_the_name_of_its_task() -> None:
    heard = AsyncHeard()

    async def listens(context: Context) -> None:
        async def answer(events: list[Event]) -> None:
            if events[0].key == "question":
                await NotificationClient().send_event.aio("answer")

        heard.then = answer
        client = NotificationClient()
        await client.register_listener.aio(heard)
        await client.send_event.aio("question")
        await until(lambda: len(heard.events) == 2)

    async with Runner(":memory:", registry=declare(listens)) as runner:
        await asyncio.wait_for(runner.execute.aio("w", name="one", namespace="team"), 10)

    assert [event.sender for event in heard.events] == ["one/listens", "one/listens"]


async def test_a_listener_of_the_runner_hears_what_tasks_said_until_it_drained() -> None:
    heard, loop = Heard(), asyncio.get_running_loop()
    closing = asyncio.Event()

    async def speaks(context: Context) -> None:
        await closing.wait()
        await NotificationClient().send_event.aio("said", "at the end")

    runner = Runner(":memory:", registry=declare(speaks))
    async with runner:
        await runner.register_listener.aio(heard, namespace="team")
        await start(runner)
        await turns()
        loop.call_soon(closing.set)
        await runner.shutdown.aio()

    assert heard.values == ["at the end"]
