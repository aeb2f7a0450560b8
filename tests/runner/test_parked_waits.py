"""Who waits for a parked execution is told so, but not while a request to it is on its way."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    ExecutionParkedError,
    Registry,
    Runner,
    TaskStatus,
    TaskStatusCondition,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    task,
)
from asyncflow._core.decide import TRIES
from tests.runner.scene import forever, until


class Scene:
    """A workflow that ends at once when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = False
        self.registry = Registry()
        with self.registry, Workflow("w"):

            @task()
            async def works() -> None:
                self.begun += 1
                if not self.may_end:
                    await forever()


async def given_up(path: Path, scene: Scene) -> None:
    """Leave an execution that was recovered too often."""
    async with Runner(path, registry=scene.registry, grace=0) as runner:
        await runner.start.aio("w", name="a")
        await until(lambda: scene.begun == 1)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE execution SET recoveries = ?", (TRIES,))
    scene.may_end = True


@asynccontextmanager
async def asking(path: Path, scene: Scene, who: str) -> AsyncGenerator[WorkflowExecution]:
    """Open the owner of the parked execution, and give its handle from the view of ``who``."""
    await given_up(path, scene)
    async with AsyncExitStack() as stack:
        owner = Runner(path, registry=scene.registry, grace=0)
        await stack.enter_async_context(owner)
        asker: Client = owner
        if who == "client":
            asker = await stack.enter_async_context(Client(path, registry=scene.registry))
        elif who == "runner":
            asker = await stack.enter_async_context(Runner(path, registry=scene.registry, grace=0))
        found = await asker.execution.aio("a")
        assert found is not None
        assert found.parked_reason is not None
        yield found


@pytest.mark.parametrize("who", ["owner", "client", "runner"])
async def test_stopping_a_parked_execution_waits_for_its_end(path: Path, who: str) -> None:
    async with asking(path, Scene(), who) as parked:
        await parked.stop.aio(wait=True)
        after = await parked.refresh.aio()

    assert after.status is WorkflowStatus.STOPPED


@pytest.mark.parametrize("who", ["owner", "client", "runner"])
@pytest.mark.parametrize("verb", ["start_task", "restart_task"])
async def test_the_end_of_one_that_was_told_to_go_on_is_waited_for(
    path: Path, who: str, verb: str
) -> None:
    async with asking(path, Scene(), who) as parked:
        await getattr(parked, verb).aio("works")
        done = await parked.wait.aio()

    assert done.status is WorkflowStatus.SUCCESS


async def test_statuses_of_one_that_was_told_to_go_on_are_waited_for(path: Path) -> None:
    scene = Scene()
    async with (
        asking(path, scene, "client") as parked,
        Client(path, registry=scene.registry) as client,
    ):
        await parked.restart_task.aio("works")
        condition = TaskStatusCondition({"works": TaskStatus.SUCCESS})
        found = await client.wait_for.aio(condition, execution="a")

    assert found.name == "a"


async def test_one_that_is_told_nothing_is_not_waited_for(path: Path) -> None:
    async with asking(path, Scene(), "client") as parked:
        with pytest.raises(ExecutionParkedError):
            await parked.wait.aio()
