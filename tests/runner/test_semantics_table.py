"""The guide's table of actions and statuses, read from the guide and held against a real runner."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Registry,
    Runner,
    TaskAction,
    TaskExecution,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    task,
)
from tests.runner.scene import forever, turns

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs/guide.md"
MOMENT = timedelta(milliseconds=20)

INIT, QUEUED, RUNNING, SUCCESS, FAILED, STOPPING, STOPPED, RETRYING = TaskStatus
START, STOP, RESTART = TaskAction
ALIVE = (QUEUED, RUNNING)


def table() -> dict[tuple[TaskStatus, TaskAction], str]:
    """Return what the guide says, by status and action."""
    section = GUIDE.read_text(encoding="utf-8").partition("## Actions and statuses\n")[2]
    lines = re.findall(r"^\|(.+)\|$", section.partition("\n## ")[0], re.MULTILINE)
    head, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {
        (TaskStatus(row[0].split()[0]), TaskAction(action)): words
        for row in rows
        for action, words in zip(head[1:], row[1:], strict=True)
    }


TABLE = table()
Runs = list[tuple[int, tuple[TaskStatus, ...]]]


def runs_after(status: TaskStatus, words: str) -> Runs:
    """Return the runs that there must be at once, each with the statuses that it may have."""
    first = 0 if status is INIT else 1
    old: Runs = [(1, (status,) if status is not QUEUED else ALIVE)] if first else []
    new = (first + 1, ALIVE)
    expected: dict[str, Runs] = {
        "nothing": old,
        "nothing but to forget the new run": old,
        "new run": [*old, new],
        "STOPPING": [(1, (STOPPING,))],
        "STOPPED": [(1, (STOPPED,))],
        "a new run after STOPPED": old,
        "STOPPING, a new run after STOPPED": [(1, (STOPPING,))],
        "STOPPED, then new run": [(1, (STOPPED,)), new],
    }
    return expected[words]


@dataclass
class Scene:
    """An execution of a task that goes on until it is let go, and each of whose rules is a word."""

    runner: Runner
    clock: VirtualClock
    execution: WorkflowExecution
    begun: asyncio.Event
    released: asyncio.Event

    async def send(self, *keys: str) -> None:
        """Send events so that one transaction takes them all."""
        await asyncio.gather(*(self.runner.send_event.aio(key) for key in keys))

    async def runs(self) -> list[TaskExecution]:
        found = await self.execution.task_executions.aio()
        return [run for run in found if run.task_name == "subject"]

    async def bring(self, status: TaskStatus) -> None:
        """Bring the task there; QUEUED lasts for no longer than a transaction."""
        if status in {INIT, QUEUED}:
            return
        await self.send(f"{START} {status}")
        await self.begun.wait()
        if status in {STOPPING, STOPPED}:
            await self.send(STOP)
        if status is STOPPED:
            self.released.set()
        await self.until(lambda runs: [run.status for run in runs] == [status])
        self.begun.clear()

    async def until(self, ready: Callable[[list[TaskExecution]], bool]) -> None:
        while not ready(await self.runs()):
            await self.clock.advance(MOMENT)


async def work(context: Context, how: TaskStatus, released: asyncio.Event) -> None:
    """Bring a first run to the status, as real life would; a later one goes on for ever."""
    if context.sequence_number > 1:
        await forever()
    if how is FAILED:
        context["list"].append(object())  # not retried
    elif how is RETRYING:
        raise ConnectionError("no route")
    elif how is not SUCCESS:
        try:
            await forever()
        finally:
            await released.wait()


def declared(begun: asyncio.Event, released: asyncio.Event, how: TaskStatus) -> Registry:
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay="1h")
        async def subject(context: Context) -> None:
            begun.set()
            await work(context, how, released)

        for status in TaskStatus:
            subject.action_on_event_received(START, f"{START} {status}")
        for action in TaskAction:
            subject.action_on_event_received(action, action)

        @task()
        async def keeper() -> None:
            """Never runs, so that the execution does not end."""

        keeper.action_on_event_received(START, "never")
    return registry


@pytest.mark.parametrize(("status", "action"), [key for key in TABLE if key[0] is not QUEUED])
async def test_in_each_status_an_action_does_to_a_real_task_what_the_guide_says(
    status: TaskStatus, action: TaskAction
) -> None:
    words, clock = TABLE[status, action], VirtualClock()
    expected, pending = runs_after(status, words), words.endswith("a new run after STOPPED")
    begun, released = asyncio.Event(), asyncio.Event()
    registry = declared(begun, released, status)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w", {"list": []})
        scene = Scene(runner, clock, execution, begun, released)
        await scene.bring(status)
        await scene.send(action)
        found = await scene.runs()
        released.set()
        if found and found[-1].status is STOPPING:
            await scene.until(lambda runs: runs[0].status is STOPPED)
        last = await scene.runs()

    assert [run.sequence_number for run in found] == [number for number, _ in expected]
    assert [run.status in allowed for run, (_, allowed) in zip(found, expected, strict=True)] == [
        True for _ in expected
    ]
    assert len(last) == len(found) + pending


@pytest.mark.parametrize("action", list(TaskAction))
async def test_what_is_queued_does_what_the_guide_says(action: TaskAction) -> None:
    words, clock = TABLE[QUEUED, action], VirtualClock()
    begun, released = asyncio.Event(), asyncio.Event()
    registry = declared(begun, released, RUNNING)
    released.set()
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w", {"list": []})
        scene = Scene(runner, clock, execution, begun, released)
        await scene.send(f"{START} {QUEUED}", action)  # one transaction: the body has not begun
        await clock.advance(MOMENT)
        runs = [(run.sequence_number, run.status) for run in await scene.runs()]

    expected: dict[str, list[tuple[int, TaskStatus]]] = {
        "nothing": [(1, RUNNING)],
        "STOPPING": [(1, STOPPED)],
        "STOPPING, a new run after STOPPED": [(1, STOPPED), (2, RUNNING)],
    }
    assert runs == expected[words]
    assert begun.is_set() == (action is not STOP)  # what was stopped never ran


def test_the_guide_has_a_word_for_every_status_and_every_action() -> None:
    assert set(TABLE) == {(status, action) for status in TaskStatus for action in TaskAction}


async def test_a_stop_while_stopping_forgets_the_start_that_waited() -> None:
    clock, begun, released = VirtualClock(), asyncio.Event(), asyncio.Event()
    registry = declared(begun, released, RUNNING)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w", {"list": []})
        scene = Scene(runner, clock, execution, begun, released)
        await scene.bring(STOPPING)
        await scene.send(START)
        await scene.send(STOP)
        released.set()
        await scene.until(lambda runs: runs[0].status is STOPPED)
        await turns()
        runs = await scene.runs()

    assert [(run.sequence_number, run.status) for run in runs] == [(1, STOPPED)]


async def test_starts_and_restarts_that_wait_for_one_stop_are_one() -> None:
    clock, begun, released = VirtualClock(), asyncio.Event(), asyncio.Event()
    registry = declared(begun, released, RUNNING)
    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w", {"list": []})
        scene = Scene(runner, clock, execution, begun, released)
        await scene.bring(STOPPING)
        await scene.send(START, RESTART, START, RESTART)
        waiting = await scene.runs()
        released.set()
        await scene.until(lambda runs: runs[-1].status is RUNNING)
        runs = await scene.runs()

    assert [run.sequence_number for run in waiting] == [1]
    assert [(run.sequence_number, run.status) for run in runs] == [(1, STOPPED), (2, RUNNING)]
