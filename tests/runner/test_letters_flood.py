"""Events wait in the store while many are unanswered; what is asked of executions does not."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

from asyncflow import (
    Client,
    Context,
    Event,
    Registry,
    Runner,
    TaskAction,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._client.event_calls import event_letter
from asyncflow._model.record import EventRecord
from asyncflow._runner.letters import MOST
from tests.runner.scene import When, forever, rows, until

MORE = MOST + 700
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Flood:
    """A workflow whose condition hangs until it is let go, and others beside it."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.begun: list[str] = []
        self.answers: list[object] = []
        self.let_go = asyncio.Event()
        self.registry = Registry()
        with self.registry:
            self._declare_hanging()
            self._declare_others()

    def _declare_hanging(self) -> None:
        async def waits(event: Event) -> bool:
            await self.let_go.wait()
            return hears(event)

        def hears(event: Event) -> bool:
            self.heard.append(event.value)
            return event.value == MORE - 1

        def hangs(event: Event, context: Context) -> bool | Awaitable[bool]:
            return hears(event) if self.let_go.is_set() else waits(event)

        with Workflow("hangs"):

            @task()
            async def last() -> None:
                """Runs at the last one."""

            last.action_on_condition(TaskAction.START, When(hangs, "go"))

    def _declare_others(self) -> None:
        with Workflow("lasts"):

            @task()
            async def lasts(context: Context) -> None:
                self.begun.append(context.execution_name)
                await forever()

        with Workflow("asks"):

            @task()
            async def asks() -> None:
                asked = await new_event.aio("answer", data_type=int)
                self.answers.append(await asked.wait.aio())

    async def pour(self, client: Client) -> None:
        """Send more events than find room."""
        events = [
            event_letter(EventRecord(None, "go", str(number), "default", None, NOW))
            for number in range(MORE)
        ]
        await client._store.append(events)


async def test_a_condition_that_hangs_holds_up_no_wishes_and_no_signals(path: Path) -> None:
    flood = Flood()
    async with (
        Runner(path, registry=flood.registry, grace=0) as runner,
        Client(path, registry=flood.registry) as client,
    ):
        for name, workflow in {"h": "hangs", "l": "lasts", "m": "lasts", "a": "asks"}.items():
            await runner.start.aio(workflow, name=name)
        await until(lambda: bool(rows(path, "SELECT 1 FROM awaited_event")))
        await flood.pour(client)
        letters = runner._working_engine.ownership._letters
        await until(lambda: letters._open >= MOST)

        await client.stop.aio("l", wait=True)
        signal = await client.event.aio("answer", "a")
        assert signal is not None
        await signal.signal.aio(7)
        await until(lambda: flood.answers == [7])
        await client.stop.aio("m", wait=True)
        delivered, heard = letters._open, list(flood.heard)

        flood.let_go.set()
        done = await client.wait.aio("h")
        await until(lambda: rows(path, "SELECT 1 FROM inbox") == [])

    assert heard == []
    assert MOST <= delivered < MORE
    assert flood.heard == list(range(MORE))
    assert done.status is WorkflowStatus.SUCCESS


async def test_wishes_behind_a_flood_are_done_once(path: Path) -> None:
    flood = Flood()
    async with (
        Runner(path, registry=flood.registry, grace=0) as runner,
        Client(path, registry=flood.registry) as client,
    ):
        await runner.start.aio("hangs", name="h")
        await runner.start.aio("lasts", name="l")
        await until(lambda: flood.begun == ["l"])
        await flood.pour(client)
        lasts = await client.execution.aio("l")
        assert lasts is not None
        await lasts.restart_task.aio("lasts")
        await until(lambda: flood.begun == ["l", "l"])
        for _ in range(3):
            await runner._working_engine.ownership.look()
        runs = await lasts.task_executions.aio()

    assert [each.sequence_number for each in runs] == [1, 2]


async def test_wishes_that_come_with_what_is_taken_over_are_done_behind_a_flood(
    path: Path,
) -> None:
    flood = Flood()
    async with (
        Runner(path, registry=flood.registry, grace=0) as heir,
        Client(path, registry=flood.registry) as client,
    ):
        async with Runner(path, registry=flood.registry, grace=0) as other:
            await heir.start.aio("hangs", name="h")
            await other.start.aio("lasts", name="l")
            await until(lambda: flood.begun == ["l"])
            await other._working_engine.ownership._looking.acquire()  # it reads no letters
            await client.stop.aio("l")
            await flood.pour(client)
            letters = heir._working_engine.ownership._letters
            await until(lambda: letters._passed > 0)
        done = await client.wait.aio("l")

    assert done.status is WorkflowStatus.STOPPED
