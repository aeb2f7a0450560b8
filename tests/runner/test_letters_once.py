"""A letter is heard once by each, whatever becomes of the runner that reads it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    Registry,
    Runner,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowRule,
    WorkflowStatus,
    task,
)
from asyncflow._failpoint import armed
from asyncflow._runner.process import HERE
from asyncflow._store.batch import RunnerRow
from asyncflow._store.sqlite.store import SqliteStore
from tests.runner.scene import When, declare, forever, rows, turns, until
from tests.runner.test_doubt import tick

SECOND = timedelta(seconds=1)
ENDED = (
    "SELECT e.name FROM task_execution t JOIN execution e ON e.id = t.execution "
    "WHERE t.status = 'SUCCESS'"
)


def two_workflows(hanging: asyncio.Event) -> Registry:
    """Declare one that hears at once, and one whose condition hangs until it is let go."""

    async def judged(event: Event, context: Context) -> bool:
        await hanging.wait()
        return True

    with Registry() as registry:
        for name in ("at once", "judged"):
            with Workflow(name):

                @task()
                async def hears(context: Context) -> int:
                    return context.sequence_number

                @task()
                async def holds() -> None:
                    """Never run."""

                if name == "judged":
                    hears.action_on_condition(TaskAction.START, When(judged, "go"))
                else:
                    hears.action_on_event_received(TaskAction.START, "go")
                holds.action_on_event_received(TaskAction.START, "never")
    return registry


@pytest.mark.parametrize("order", [("at once", "judged"), ("judged", "at once")])
async def test_a_letter_that_one_hearer_has_not_answered_goes_to_the_next_runner_for_that_one(
    path: Path, order: tuple[str, str]
) -> None:
    let_go = asyncio.Event()
    registry = two_workflows(let_go)
    async with (
        Runner(path, registry=registry, grace=0) as first,
        Client(path, registry=registry) as client,
    ):
        for name in order:
            await first.start.aio(name, name=name)
        await client.send_event.aio("go")
        await first._working_engine.ownership.look()
        await until(lambda: rows(path, ENDED) == [("at once",)])
        letters = rows(path, "SELECT id FROM inbox")
    let_go.set()
    async with Runner(path, registry=registry) as second:
        await until(lambda: len(rows(path, ENDED)) == 2)
        await turns()
        runs = {
            name: [run.sequence_number for run in await found.task_executions.aio()]
            for name in order
            if (found := await second.execution.aio(name)) is not None
        }

    assert len(letters) == 1
    assert runs == {"at once": [1], "judged": [1]}
    assert rows(path, "SELECT id FROM inbox") == []


async def test_letters_to_several_gone_runners_are_one_event(path: Path) -> None:
    asked: list[str] = []

    def counts(event: Event, context: Context) -> bool:
        asked.append(event.key)
        return True

    with Registry() as registry:
        for name in ("hears", "started"):
            with Workflow(name):

                @task()
                async def works() -> None:
                    """End at once."""

                if name == "hears":
                    works.action_on_condition(TaskAction.START, When(counts, "go"))

    store = SqliteStore(path)
    await store.open()
    for pid in (4_000_001, 4_000_002):
        row = RunnerRow(f"gone-{pid}", pid, "another boot", HERE, VirtualClock().now())
        await store.register(row)
    await store.close()
    async with Client(path, registry=registry) as client:
        await client.start.aio("hears", name="h")
        await client.send_event.aio("go")
        async with Runner(path, registry=registry, clock=VirtualClock()) as runner:
            await runner.add_workflow_rule.aio("started", WorkflowRule(When(counts, "go")))
            done = await client.wait.aio("h", timeout="10s")

    assert done.status is WorkflowStatus.SUCCESS
    assert asked == ["go"]


async def test_what_was_claimed_in_doubt_is_worked_on(path: Path) -> None:
    clock = VirtualClock()
    registry = declare("w", "only", body=lambda context: context.set("done", True))
    async with (
        Runner(path, registry=registry, clock=clock) as runner,
        Client(path, registry=registry) as client,
    ):
        started = await client.start.aio("w")
        with armed("store.claim.after:1:raise"):
            ticking = asyncio.create_task(tick(clock))
            done = await runner.wait.aio(started.name)
        ticking.cancel()

    assert done.final_context == {"done": True}


async def test_stopping_a_parked_execution_whose_commit_is_in_doubt_ends_it(path: Path) -> None:
    clock = VirtualClock()
    async with Runner(path, registry=declare("w", "gone", "kept"), grace=0) as runner:
        await runner.start.aio("w", name="w-1")
        await turns()
    async with Runner(path, registry=declare("w", "kept"), clock=clock) as runner:
        await turns()
        ticking = asyncio.create_task(tick(clock))
        with armed("store.commit.after:1:raise"):
            stopping = asyncio.create_task(runner.stop.aio("w-1", wait=True))
            await asyncio.wait({stopping})
        await until(lambda: rows(path, "SELECT status FROM execution") == [("STOPPED",)])
        ticking.cancel()
        (run,) = await (await runner.wait.aio("w-1")).task_executions.aio()
        stopping.exception()

    assert run.status is TaskStatus.STOPPED


async def test_a_stop_does_not_wait_for_a_condition_that_hangs(url: str) -> None:
    async def hangs(event: Event, context: Context) -> bool:
        await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            await forever()

        works.action_on_condition(TaskAction.RESTART, When(hangs, "go"))

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        sending = asyncio.create_task(runner.send_event.aio("go"))
        await turns()
        await execution.stop.aio(wait=True)
        (run,) = await execution.task_executions.aio()
    sending.exception()

    assert run.status is TaskStatus.STOPPED


async def test_an_end_that_waits_for_a_condition_is_stored_when_the_runner_closes(
    url: str,
) -> None:
    gate = asyncio.Event()

    async def hangs(event: Event, context: Context) -> bool:
        await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> int:
            await gate.wait()
            return context.try_number

        works.action_on_condition(TaskAction.STOP, When(hangs, "go"))

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock) as runner:
        await runner.start.aio("w", name="w-1")
        sending = asyncio.create_task(runner.send_event.aio("go"))
        await turns()
        gate.set()
        await turns()
        closing = asyncio.create_task(runner.shutdown.aio())
        while not closing.done():
            await clock.advance(SECOND)
            await turns(2)
    sending.exception()
    async with Runner(url, registry=registry) as runner:
        done = await runner.wait.aio("w-1")
        (run,) = await done.task_executions.aio()

    assert (run.status, run.result) == (TaskStatus.SUCCESS, 1)


async def test_events_sent_at_once_beside_another_runner_are_each_answered(path: Path) -> None:
    heard: list[object] = []

    def hears(event: Event, context: Context) -> bool:
        heard.append(event.value)
        return False

    with Registry() as registry, Workflow("w"):

        @task()
        async def waits() -> None:
            """Never run."""

        waits.action_on_condition(TaskAction.START, When(hears, "go"))

    async with (
        Runner(path, registry=registry, clock=VirtualClock()) as runner,
        Runner(path, registry=registry, clock=VirtualClock()),
    ):
        await runner.start.aio("w")
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(runner.send_event.aio("go", number))

    assert sorted(map(str, heard)) == sorted(map(str, range(50)))


async def test_a_wish_whose_commit_is_in_doubt_acts_once(path: Path) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def idle() -> None:
            await forever()

        idle.action_on_event_received(TaskAction.START, "never")

    async with (
        Runner(path, registry=registry, clock=clock, grace=0) as runner,
        Client(path, registry=registry) as client,
    ):
        await runner.start.aio("w", name="w-1")
        asked = await client.execution.aio("w-1")
        assert asked is not None
        await asked.restart_task.aio("idle")
        ticking = asyncio.create_task(tick(clock))
        with armed("store.commit.after:1:raise"):
            running = "SELECT seq FROM task_execution WHERE status = 'RUNNING'"
            await until(lambda: bool(rows(path, running)))
        ticking.cancel()
        runs = await asked.task_executions.aio()

    assert [(run.sequence_number, run.status) for run in runs] == [(1, TaskStatus.RUNNING)]


async def test_a_stop_of_one_task_does_not_wait_for_a_condition_that_hangs(url: str) -> None:
    async def hangs(event: Event, context: Context) -> bool:
        await forever()
        return True

    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            await forever()

        works.action_on_condition(TaskAction.RESTART, When(hangs, "go"))

    async with Runner(url, registry=registry, clock=VirtualClock(), grace=0) as runner:
        execution = await runner.start.aio("w")
        sending = asyncio.create_task(runner.send_event.aio("go"))
        await turns()
        await execution.stop_task.aio("works")
        (run,) = await execution.task_executions.aio()
    sending.exception()

    assert run.status is TaskStatus.STOPPING
