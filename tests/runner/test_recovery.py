"""What one runner leaves, the next one goes on with; what clients ask for by letter is done."""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    ExecutionParkedError,
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
from asyncflow._client.client import event_letter
from asyncflow._model.record import EventRecord
from tests.runner.scene import When, forever, turns, until

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MOMENT = timedelta(milliseconds=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flows.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def declare(name: str, *tasks: str, body: Callable[[Context], None] | None = None) -> Registry:
    """Declare tasks in a chain; without a body they hang."""
    registry = Registry()
    with registry, Workflow(name):
        before: list[str] = []
        for each in tasks:

            @task(id=each, dependencies=list(before))
            async def work(context: Context) -> None:
                if body is None:
                    await forever()
                else:
                    body(context)

            before = [each]
    return registry


async def test_a_running_task_runs_again_and_one_that_is_not_idempotent_has_failed(
    url: str, path: Path
) -> None:
    log: list[tuple[str, int]] = []
    hang = True
    with Registry() as registry, Workflow("w"):

        @task()
        async def twice(context: Context) -> str:
            log.append(("twice", context.try_number))
            if hang:
                await forever()
            return context.idempotency_key

        @task(idempotent=False)
        async def once(context: Context) -> None:
            log.append(("once", context.try_number))
            await forever()

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w", name="e")
        await clock.advance(MOMENT)
    left = rows(path, "SELECT task, status, try_number FROM task_execution ORDER BY task")
    owner = rows(path, "SELECT owner, status FROM execution")
    hang = False
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        runs = {run.task_name: run for run in await done.task_executions.aio()}

    assert left == [("once", "RUNNING", 1), ("twice", "RUNNING", 1)]
    assert owner == [(None, "RUNNING")]
    assert sorted(log) == [("once", 1), ("twice", 1), ("twice", 2)]
    assert (runs["twice"].status, runs["twice"].try_number) == (TaskStatus.SUCCESS, 2)
    assert runs["twice"].result == "e/twice/1"
    assert (runs["once"].status, runs["once"].try_number) == (TaskStatus.FAILED, 1)
    assert (runs["once"].error_message or "").startswith("CrashError")
    assert done.status is WorkflowStatus.FAILED


async def test_a_crash_takes_no_retry_from_a_task(url: str) -> None:
    log: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=0)
        async def works(context: Context) -> None:
            log.append(context.try_number)
            if len(log) == 1:
                await forever()
            if len(log) == 2:
                raise ConnectionError("no route")

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await clock.advance(MOMENT)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(MOMENT)
        done = await runner.wait.aio(execution.name)

    assert log == [1, 2, 3]
    assert done.status is WorkflowStatus.SUCCESS


async def test_a_retry_that_waits_comes_in_the_next_runner_and_never_early(url: str) -> None:
    clock = VirtualClock()
    at: list[timedelta] = []
    start = clock.now()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h", retry_jitter=0)
        async def fails() -> None:
            at.append(clock.now() - start)
            raise ConnectionError("no route")

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.settle()
    await clock.advance(HOUR / 2)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(HOUR / 2 - MOMENT)
        early = len(at)
        await clock.advance(MOMENT)
        done = await runner.wait.aio(execution.name)
        (run,) = await done.task_executions.aio()

    assert early == 1
    assert at == [timedelta(0), HOUR]
    assert (run.status, run.try_number) == (TaskStatus.FAILED, 2)


async def test_a_retry_that_fell_due_meanwhile_comes_at_once(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h")
        async def fails(context: Context) -> None:
            if context.try_number == 1:
                raise ConnectionError("no route")

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await clock.settle()
    await clock.advance(3 * HOUR)
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)

    assert done.status is WorkflowStatus.SUCCESS
    assert done.end_date == clock.now()


async def test_a_stopping_task_is_stopped_and_its_restart_made(url: str) -> None:
    clock = VirtualClock()
    log: list[int] = []
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def again(context: Context) -> None:
            log.append(context.sequence_number)
            if len(log) == 1:
                begun.set()
                try:
                    await forever()
                except asyncio.CancelledError:
                    await forever()

        again.action_on_event_received(TaskAction.RESTART, "again")

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await runner.send_event.aio("again")
        (left,) = await execution.task_executions.aio()
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
        runs = await done.task_executions.aio()

    assert left.status is TaskStatus.STOPPING
    assert [(run.sequence_number, run.status) for run in runs] == [
        (1, TaskStatus.STOPPED),
        (2, TaskStatus.SUCCESS),
    ]
    assert log == [1, 2]


async def test_a_stop_that_was_asked_for_is_carried_out_by_the_next_runner(url: str) -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stubborn() -> None:
            begun.set()
            while True:
                try:
                    await forever()
                except asyncio.CancelledError:
                    if over:
                        raise

    over = False
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await execution.stop.aio()
        ending = asyncio.create_task(runner.shutdown.aio())
        await turns()
        over = True
        await clock.advance(timedelta(seconds=5))
        await ending
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)

    assert done.status is WorkflowStatus.STOPPED


# --- parked ---


async def test_an_execution_whose_task_is_gone_is_parked_until_its_definition_is_back(
    url: str,
) -> None:
    ran: list[str] = []
    clock = VirtualClock()
    async with Runner(url, registry=declare("w", "a", "b"), clock=clock, grace=0) as runner:
        first = await runner.start.aio("w")
        await clock.advance(MOMENT)

    registry = declare("w", "b", body=lambda context: ran.append(context.task_name))
    async with Runner(url, registry=registry, clock=clock) as runner:
        with pytest.raises(ExecutionParkedError, match="'a', which has not ended"):
            await runner.wait.aio(first.name)
        parked = await first_or_fail(runner, first.name)
        other = await runner.execute.aio("w")
        before = list(ran)

    registry = declare("w", "a", "b", body=lambda context: ran.append(context.task_name))
    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(first.name)

    assert parked == (WorkflowStatus.RUNNING, True)
    assert other.status is WorkflowStatus.SUCCESS
    assert before == ["b"]
    assert ran == ["b", "a", "b"]
    assert (done.status, done.parked_reason) == (WorkflowStatus.SUCCESS, None)


async def first_or_fail(runner: Runner, name: str) -> tuple[WorkflowStatus, bool]:
    found = await runner.execution.aio(name)
    assert found is not None
    return found.status, found.parked_reason is not None


async def test_an_execution_whose_workflow_is_not_declared_is_parked_and_can_be_stopped(
    url: str,
) -> None:
    clock = VirtualClock()
    async with Runner(url, registry=declare("w", "a"), clock=clock, grace=0) as runner:
        left = await runner.start.aio("w")
        await clock.advance(MOMENT)

    async with Runner(url, registry=declare("other", "b"), clock=clock) as runner:
        with pytest.raises(ExecutionParkedError, match="workflow 'w' is not declared"):
            await runner.wait.aio(left.name)
        await runner.send_event.aio("said", execution=left.name)
        await runner.stop.aio(left.name, wait=True)
        done = await runner.wait.aio(left.name)
        (run,) = await done.task_executions.aio()

    assert (done.status, run.status) == (WorkflowStatus.STOPPED, TaskStatus.STOPPED)


async def test_an_execution_that_never_began_is_parked_and_begins_when_it_is_declared(
    url: str,
) -> None:
    async with Client(url, registry=declare("w", "a", body=lambda context: None)) as client:
        left = await client.start.aio("w")
    async with Runner(url, registry=Registry()) as runner:
        with pytest.raises(ExecutionParkedError, match="workflow 'w' is not declared"):
            await runner.wait.aio(left.name)
    async with Runner(url, registry=declare("w", "a", body=lambda context: None)) as runner:
        done = await runner.wait.aio(left.name)

    assert done.status is WorkflowStatus.SUCCESS


# --- clients, and several runners ---


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
