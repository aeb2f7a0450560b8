"""What clients and other runners ask for is done once, whoever owns the execution."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow._client.event_calls import event_letter
from asyncflow._failpoint import armed
from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Letter
from tests.runner.scene import When, declare, forever, rows, turns, until

SECOND = timedelta(seconds=1)


def listening() -> Registry:
    """Declare a workflow that waits for an event and writes who runs it."""
    registry = Registry()
    with registry, Workflow("w"):

        @task()
        async def hears(context: Context) -> None:
            context["heard"] = True

        hears.action_on_event_received(TaskAction.START, "said")
    return registry


async def test_a_client_starts_what_the_next_runner_works_on(url: str) -> None:
    registry = declare("w", "a", body=lambda context: context.set("ran", context["in"]))
    async with Client(url, registry=registry) as client:
        started = await client.start.aio("w", {"in": 1})
        async with Runner(url, registry=registry):
            done = await client.wait.aio(started.name)

    assert started.status is WorkflowStatus.INIT
    assert done.final_context == {"in": 1, "ran": 1}


async def test_a_running_runner_takes_over_what_a_client_starts_within_a_second(url: str) -> None:
    clock = VirtualClock()
    registry = declare("w", "a", body=lambda context: None)
    async with (
        Runner(url, registry=registry, clock=clock) as runner,
        Client(url, registry=registry) as client,
    ):
        started = await client.start.aio("w")
        await clock.advance(SECOND)
        done = await asyncio.wait_for(client.wait.aio(started.name), 10)
        assert runner.location == client.location

    assert done.status is WorkflowStatus.SUCCESS


async def test_letters_of_a_client_stop_and_bring_events(url: str, path: Path) -> None:
    clock = VirtualClock()
    registry = listening()
    async with (
        Runner(url, registry=registry, clock=clock) as runner,
        Client(url, registry=registry) as client,
    ):
        one, two, three = [await runner.start.aio("w") for _ in range(3)]
        await client.send_event.aio("said", execution=one.name)
        await client.stop.aio(two.name)
        await clock.advance(SECOND)
        first, second = await one.wait.aio(), await two.wait.aio()
        third = await three.refresh.aio()
        await client.send_event.aio("said")
        await client.send_event.aio("said", namespace="elsewhere")
        await clock.advance(SECOND)
        last = await three.wait.aio()
        await clock.advance(SECOND)
        await until(lambda: not rows(path, "SELECT id FROM inbox"))

    assert (first.status, first.final_context) == ("SUCCESS", {"heard": True})
    assert (second.status, second.final_context) == ("STOPPED", {})
    assert (third.status, third.final_context) == ("RUNNING", {})
    assert (last.status, last.final_context) == ("SUCCESS", {"heard": True})


async def test_letters_wait_for_a_runner_that_is_not_there_yet(url: str) -> None:
    registry = listening()
    async with Runner(url, registry=registry) as runner:
        heard, stopped = [await runner.start.aio("w") for _ in range(2)]
    async with Client(url, registry=registry) as client:
        await client.send_event.aio("said", execution=heard.name)
        await client.stop.aio(stopped.name)
    async with Runner(url, registry=registry) as runner:
        ends = [await runner.wait.aio(each.name) for each in (heard, stopped)]

    assert [end.status for end in ends] == [WorkflowStatus.SUCCESS, WorkflowStatus.STOPPED]


async def test_an_event_to_a_finished_execution_is_stored_and_ignored(url: str, path: Path) -> None:
    registry = listening()
    async with Runner(url, registry=registry) as runner, Client(url) as client:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        done = await execution.wait.aio()
        event = await runner.send_event.aio("said", "late", execution=execution.name)
        other = await client.send_event.aio("said", "later", execution=execution.name)
        after = await execution.refresh.aio()
        runs = await after.task_executions.aio()

    assert (event.offset, other.offset) == (2, 3)
    assert [row[0] for row in rows(path, 'SELECT value FROM event ORDER BY "offset"')] == [
        "null",
        '"late"',
        '"later"',
    ]
    assert len(runs) == 1
    assert after.end_date == done.end_date


async def test_a_broadcast_reaches_the_executions_of_all_runners_at_once(url: str) -> None:
    clock = VirtualClock()
    registry = listening()
    async with (
        Runner(url, registry=registry, clock=clock) as one,
        Runner(url, registry=registry, clock=clock) as two,
    ):
        # the first one has not looked since the second one came
        mine, other = await one.start.aio("w"), await two.start.aio("w")
        event = await one.send_event.aio("said")
        answered = await mine.task_executions.aio()
        await clock.advance(SECOND)
        ends = [await mine.wait.aio(), await other.wait.aio()]

    assert event.offset == 1
    assert len(answered) == 1, "the sender's own executions have answered on return"
    assert [end.final_context for end in ends] == [{"heard": True}] * 2


async def test_a_tasks_own_event_is_answered_on_return_beside_another_runner(url: str) -> None:
    clock = VirtualClock()
    seen: list[TaskStatus | None] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            await forever()

        @task()
        async def speaks(context: Context) -> None:
            await NotificationClient().send_event.aio("said")
            seen.append(context.get_task_status("hears"))

        hears.action_on_event_received(TaskAction.START, "said")

    async with (
        Runner(url, registry=Registry(), clock=clock),
        Runner(url, registry=registry, clock=clock) as runner,
    ):
        execution = await runner.start.aio("w")
        await until(lambda: bool(seen))
        await execution.stop.aio(wait=True)

    assert seen[0] in {TaskStatus.QUEUED, TaskStatus.RUNNING}


async def test_a_runner_stops_and_waits_for_what_another_one_owns(url: str) -> None:
    clock = VirtualClock()
    registry = listening()
    async with (
        Runner(url, registry=registry, clock=clock) as one,
        Runner(url, registry=registry, clock=clock) as two,
    ):
        execution = await one.start.aio("w")
        await two.stop.aio(execution.name)
        waiting = asyncio.create_task(two.wait.aio(execution.name))
        while not waiting.done():
            await clock.advance(SECOND)
        done = await waiting

    assert done.status is WorkflowStatus.STOPPED


async def test_each_letter_counts_once(url: str) -> None:
    clock = VirtualClock()
    heard: list[object] = []

    async def counts(event: Event, context: Context) -> bool:
        heard.append(event.value)
        await turns(1)
        return event.value == 99

    with Registry() as registry, Workflow("w"):

        @task()
        async def last() -> None:
            """Runs at the last one."""

        last.action_on_condition(TaskAction.START, When(counts))

    async with Runner(url, registry=registry, clock=clock) as runner, Client(url) as client:
        execution = await runner.start.aio("w")
        for number in range(100):
            await client.send_event.aio("said", number)
            if number % 20 == 0:
                await clock.advance(SECOND)
        await clock.advance(SECOND)
        done = await execution.wait.aio()

    assert heard == list(range(100))
    assert done.status is WorkflowStatus.SUCCESS


async def test_more_letters_than_one_look_reads_are_all_read_by_it(url: str) -> None:
    clock = VirtualClock()
    heard: list[object] = []

    def counts(event: Event, context: Context) -> bool:
        heard.append(event.value)
        return event.value == 1199

    with Registry() as registry, Workflow("w"):

        @task()
        async def last() -> None:
            """Runs at the last one."""

        last.action_on_condition(TaskAction.START, When(counts))

    async with Client(url, registry=registry) as client:
        await client.start.aio("w", name="e")
        now = clock.now()
        letters = [
            event_letter(EventRecord(None, "said", str(number), "default", None, now))
            for number in range(1200)
        ]
        await client._store.append(letters)
        async with Runner(url, registry=registry, clock=clock) as runner:
            done = await runner.wait.aio("e")

    assert heard == list(range(1200))
    assert done.status is WorkflowStatus.SUCCESS


@pytest.mark.parametrize("target", ["nobody hears it", "it has ended"])
async def test_a_letter_without_a_reader_is_taken_from_the_store_whatever_fails(
    url: str, path: Path, target: str
) -> None:
    clock = VirtualClock()
    async with Runner(url, registry=listening(), clock=clock) as runner, Client(url) as client:
        execution = await runner.start.aio("w")
        if target == "it has ended":
            await execution.stop.aio(wait=True)
        with armed("store.commit.before:1:raise"):
            await client.send_event.aio("unheard", execution=execution.name)
            while rows(path, "SELECT id FROM inbox"):
                await clock.advance(SECOND)
        await runner.stop.aio(execution.name)


async def test_a_letter_of_an_unknown_kind_stays_there_and_hinders_no_other(
    url: str, path: Path
) -> None:
    registry = listening()
    async with Client(url, registry=registry) as client:
        await client.start.aio("w", name="e")
        stored = await client.execution.aio("e")
        assert stored is not None
        letter = Letter("default", "FromTheFuture", "{}", datetime.now(UTC), stored.id)
        await client._store.append([letter])
        await client.stop.aio("e")
    async with Runner(url, registry=registry) as runner:
        done = await runner.wait.aio("e")

    assert done.status is WorkflowStatus.STOPPED
