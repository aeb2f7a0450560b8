"""A blocking form within a loop is refused before any coroutine is made; `.aio` needs an open home.

Warnings are errors here: a coroutine that was made and never awaited would fail these tests.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest

from asyncflow import (
    Client,
    NotificationClient,
    Registry,
    Runner,
    SyncInLoopError,
    UsageError,
    WorkflowExecution,
)
from asyncflow._model.port import CURRENT_TASK, TaskScope
from tests.client.ears import Heard
from tests.client.samples import declare


def declared() -> Registry:
    registry = Registry()
    declare(registry)
    return registry


def blocking_forms(
    client: Client, execution: WorkflowExecution, notifier: NotificationClient
) -> Iterator[tuple[str, Callable[[], object]]]:
    name = type(client).__name__
    yield f"{name}.start", lambda: client.start("waits")
    yield f"{name}.execute", lambda: client.execute("waits")
    yield f"{name}.execution", lambda: client.execution("one")
    yield f"{name}.executions", client.executions
    yield f"{name}.wait", lambda: client.wait("one")
    yield f"{name}.stop", lambda: client.stop("one")
    yield f"{name}.send_event", lambda: client.send_event("go")
    yield f"{name}.list_events", client.list_events
    yield f"{name}.register_listener", lambda: client.register_listener(Heard())
    yield f"{name}.unregister_listener", lambda: client.unregister_listener("nobody")
    yield f"{name}.shutdown", client.shutdown
    yield "WorkflowExecution.get", lambda: WorkflowExecution.get("one")
    yield "WorkflowExecution.listall", WorkflowExecution.listall
    yield "WorkflowExecution.refresh", execution.refresh
    yield "WorkflowExecution.task_executions", execution.task_executions
    yield "WorkflowExecution.wait", execution.wait
    yield "WorkflowExecution.stop", execution.stop
    yield "NotificationClient.send_event", lambda: notifier.send_event("go")
    yield "NotificationClient.list_events", notifier.list_events
    yield "NotificationClient.register_listener", lambda: notifier.register_listener(Heard())
    yield "NotificationClient.unregister_listener", lambda: notifier.unregister_listener("nobody")


@pytest.mark.parametrize("kind", [Client, Runner])
async def test_each_blocking_form_names_the_call_to_await_instead(kind: type[Client]) -> None:
    async with kind(":memory:", registry=declared()) as client:
        execution = await client.start.aio("waits", name="one")
        token = CURRENT_TASK.set(TaskScope(client, execution.id, "one", "default", "t", 1, 1))
        notifier = NotificationClient()
        CURRENT_TASK.reset(token)

        for name, call in blocking_forms(client, execution, notifier):
            with pytest.raises(SyncInLoopError, match=rf" {name}\.aio\(\):?`? instead") as caught:
                call()
            assert caught.value.name == name

        gc.collect()
        assert [each.name async for each in client.executions.aio()] == ["one"]
        assert not (await execution.refresh.aio()).status.final


@pytest.mark.parametrize("kind", [Client, Runner])
async def test_with_in_a_loop_names_async_with(kind: type[Client]) -> None:
    client = kind(":memory:")

    text = rf"use `async with {kind.__name__}\(\.\.\.\)` here"
    with pytest.raises(UsageError, match=text), client:
        """Never entered."""
    with pytest.raises(SyncInLoopError):
        client.execution("one")  # plain use opens nothing here either

    async with client:
        assert await client.execution.aio("one") is None


@pytest.mark.parametrize("kind", [Client, Runner])
async def test_aio_on_one_that_is_not_open_says_how_to_open_it(kind: type[Client]) -> None:
    client = kind(":memory:", registry=declared())
    name = kind.__name__
    inside = rf"is not open: call {name}\.\w+\.aio\(\) inside `async with {name}\(\.\.\.\)"

    for call in (
        lambda: client.start.aio("waits"),
        lambda: client.execution.aio("one"),
        lambda: anext(client.executions.aio()),
        lambda: client.send_event.aio("go"),
    ):
        with pytest.raises(UsageError, match=inside):
            await call()
    gc.collect()


@pytest.mark.parametrize("kind", [Client, Runner])
async def test_aio_on_one_that_was_closed_says_so(kind: type[Client]) -> None:
    async with kind(":memory:", registry=declared()) as client:
        execution = await client.start.aio("waits")

    with pytest.raises(UsageError, match=rf"{kind.__name__} is closed"):
        await client.start.aio("waits")
    with pytest.raises(UsageError, match=rf"{kind.__name__} is closed"):
        await execution.wait.aio()


async def test_a_blocking_form_in_a_thread_of_the_home_loop_works() -> None:
    async with Client(":memory:", registry=declared()) as client:
        started = await asyncio.to_thread(client.start, "waits", name="one")

    assert started.name == "one"
