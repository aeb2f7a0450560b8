"""After crashes those go on one at a time that may have been what ended the process."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    ExecutionParkedError,
    Registry,
    Runner,
    TaskAction,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow._core.decide import TRIES
from tests.runner.scene import forever, rows, turns, until

SECOND = timedelta(seconds=1)


class Scene:
    """A workflow of one task that lasts until it is let go, and who has begun it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.registry = Registry()
        with self.registry, Workflow("w"):

            @task()
            async def lasts(context: Context) -> None:
                self.begun.append(context.execution_name)
                await self.ends.setdefault(context.execution_name, asyncio.Event()).wait()

            @task()
            async def asked() -> None:
                self.begun.append("asked")
                await forever()

            asked.action_on_event_received(TaskAction.START, "go")

    def end(self, name: str) -> None:
        self.ends.setdefault(name, asyncio.Event()).set()


async def left(path: Path, scene: Scene, **recoveries: int) -> None:
    """Leave executions as a crash leaves them that was not their first."""
    async with Runner(path, registry=scene.registry, grace=0) as runner:
        for name in recoveries:
            await runner.start.aio("w", name=name)
        await until(lambda: len(scene.begun) == len(recoveries))
    with closing(sqlite3.connect(path)) as database, database:
        for name, count in recoveries.items():
            sql = "UPDATE execution SET recoveries = ? WHERE name = ?"
            database.execute(sql, (count, name))
    scene.begun.clear()


def recoveries(path: Path) -> dict[str, int]:
    found = rows(path, "SELECT name, recoveries FROM execution")
    return {str(name): int(str(count)) for name, count in found}


async def test_they_begin_again_one_at_a_time_the_most_suspect_first(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=2, b=4, c=3, innocent=1, new=0)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0):
        begun = [sorted(scene.begun)]
        await clock.advance(SECOND)
        begun.append(scene.begun[2:])
        for _ in range(2):
            await clock.advance(19 * SECOND)
            begun.append(scene.begun[3:])
            await clock.advance(SECOND)
            begun.append(scene.begun[3:])

    assert begun == [["innocent", "new"], ["b"], [], ["c"], ["c"], ["c", "a"]]


async def test_who_survives_while_others_wait_has_its_last_recovery_taken_off(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=2, b=3)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0):
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["b"])
        before = recoveries(path)
        await clock.advance(30 * SECOND)
        await until(lambda: scene.begun == ["b", "a"])
        during = recoveries(path)
        await clock.advance(60 * SECOND)
        after = recoveries(path)

    assert (before["b"], during["b"]) == (4, 3)
    assert after["a"] == 3  # the last one: nobody waits for it


async def test_the_end_of_a_task_lets_the_next_one_go_on_at_once(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=2, b=3)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0) as runner:
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["b"])
        scene.end("b")
        await until(lambda: scene.begun == ["b", "a"])
        scene.end("a")
        await until(lambda: set(recoveries(path).values()) == {0})
        names = [each.name async for each in runner.executions.aio(status=WorkflowStatus.RUNNING)]

    assert sorted(names) == ["a", "b"]  # they wait for an event


async def test_many_have_a_minute_in_all_and_five_seconds_each_at_least(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, **{f"e{number:03}": 2 for number in range(80)})
    async with Runner(path, registry=scene.registry, clock=clock, grace=0):
        await clock.advance(SECOND)
        await until(lambda: len(scene.begun) == 1)
        for number in range(1, 80):
            await clock.advance(4 * SECOND)
            assert len(scene.begun) == number
            await clock.advance(SECOND)
            assert len(scene.begun) == number + 1


async def test_what_is_told_to_one_that_waits_is_heard_in_its_turn(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=2, b=3)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0) as runner:
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["b"])
        telling = asyncio.create_task(runner.send_event.aio("go", execution="a"))
        await turns()
        before = list(scene.begun)
        scene.end("b")
        await telling
        await until(lambda: len(scene.begun) == 3)
        runs = [
            each
            for name in ("a",)
            for each in await (await runner.execution.aio(name)).task_executions.aio()  # type: ignore[union-attr]
        ]

    assert before == ["b"]
    assert sorted(scene.begun[1:]) == ["a", "asked"]
    assert {each.task_name: each.try_number for each in runs} == {"lasts": 2, "asked": 1}


async def test_one_that_waits_can_be_stopped(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=2, b=3, c=2)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0) as runner:
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["b"])
        await runner.stop.aio("a", wait=True)
        scene.end("b")
        await until(lambda: scene.begun == ["b", "c"])


async def test_any_number_that_wait_can_be_stopped(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    names = [f"e{number:04}" for number in range(1_200)]
    await left(path, scene, first=4, **dict.fromkeys(names, 2), last=2)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0) as runner:
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["first"])
        await asyncio.gather(*(runner.stop.aio(name, wait=True) for name in names))
        scene.end("first")
        await until(lambda: scene.begun == ["first", "last"])
        scene.end("last")
        await until(lambda: not runner._working_engine.suspects._waiting)


async def test_one_is_parked_after_five_times_and_tried_again_by_a_call(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=TRIES, b=0)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0) as runner:
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["b"])
        parked = await runner.execution.aio("a")
        assert parked is not None
        with pytest.raises(ExecutionParkedError, match="start or restart one of its tasks"):
            await parked.wait.aio()
        with pytest.raises(ExecutionParkedError):
            await parked.stop_task.aio("lasts")
        await parked.restart_task.aio("lasts")
        await until(lambda: scene.begun == ["b", "a"])
        after = await parked.refresh.aio()
        runs = await after.task_executions.aio()

    assert after.parked_reason is None
    assert recoveries(path)["a"] == 0
    assert [(each.sequence_number, each.try_number) for each in runs] == [(1, 1), (2, 1)]


async def test_a_runner_that_closes_leaves_those_that_wait_to_the_next(path: Path) -> None:
    scene, clock = Scene(), VirtualClock()
    await left(path, scene, a=2, b=3)
    async with Runner(path, registry=scene.registry, clock=clock, grace=0):
        await clock.advance(SECOND)
        await until(lambda: scene.begun == ["b"])
    async with Runner(path, registry=scene.registry, clock=clock, grace=0):
        await until(lambda: sorted(scene.begun) == ["a", "b", "b"])  # the first went in peace
