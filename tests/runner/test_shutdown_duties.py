"""What a closing runner leaves to others at once, and what it does until its grace is over."""

import asyncio
from pathlib import Path

from asyncflow import (
    Client,
    Registry,
    Runner,
    SingleEventCondition,
    Workflow,
    WorkflowRule,
    WorkflowStatus,
    task,
    trigger,
)
from tests.runner.scene import closing, forever, rows, until

HELD = "SELECT DISTINCT kind FROM duty WHERE runner = ?"
NEXT = "SELECT status FROM task_execution WHERE task = 'follows'"
IDS = "SELECT id FROM runner ORDER BY epoch"


class Scene:
    """What is declared, with who did it."""

    def __init__(self) -> None:
        self.ticks: list[str] = []
        self.polls: list[str] = []
        self.followed: list[str] = []
        self.gate = asyncio.Event()

    def registry(self, who: str) -> Registry:
        with Registry() as registry:
            with Workflow("long"):

                @task()
                async def lasts() -> None:
                    await forever()

            with Workflow("steps"):

                @task()
                async def waits() -> None:
                    await self.gate.wait()

                @task(dependencies=["waits"])
                async def follows() -> None:
                    self.followed.append(who)

            with Workflow("ticks"):

                @task()
                async def tells() -> None:
                    self.ticks.append(who)

            with Workflow("ruled"):

                @task()
                async def works() -> None:
                    """End at once."""

            @trigger(workflow="ticks", name="polled", poll_interval="20ms")
            def polled() -> bool:
                self.polls.append(who)
                return False

        return registry

    def runner(self, path: Path, who: str) -> Runner:
        rules = [("ruled", WorkflowRule(SingleEventCondition("go")))]
        return Runner(path, registry=self.registry(who), rules=rules, grace="1h", retention="1h")


async def test_others_poll_and_answer_ticks_while_a_closing_runner_waits(path: Path) -> None:
    scene = Scene()
    async with scene.runner(path, "a") as first, scene.runner(path, "b") as second:
        # Beside each other: one of the closing runner's whose task had not begun stays unfinished.
        await first.register_schedule.aio("ticks", "20ms", overlap="allow")
        await first.start.aio("long")
        await until(lambda: "a" in scene.ticks and "a" in scene.polls)
        ((a,), (b,)) = rows(path, IDS)

        ending = await closing(first)
        await until(lambda: "b" in scene.ticks and "b" in scene.polls)
        held = [{kind for (kind,) in rows(path, HELD.replace("?", f"'{id_}'"))} for id_ in (a, b)]
        early = ending.done()
        await first.shutdown.aio(grace=0)
        await ending
        await second.shutdown.aio(grace=0)

    assert not early
    assert held == [{"RULES"}, {"TRIGGER", "SCHEDULE", "RETENTION"}]


async def test_a_closing_runner_keeps_what_it_has_though_nothing_of_it_runs(path: Path) -> None:
    scene = Scene()
    async with scene.runner(path, "a") as first, scene.runner(path, "b") as second:
        await first.start.aio("long")
        execution = await first.start.aio("steps")
        await until(lambda: first._working_engine.tasks.running == 2)
        ending = await closing(first)
        scene.gate.set()
        await until(lambda: first._working_engine.tasks.running == 1)
        await until(lambda: rows(path, NEXT) == [("QUEUED",)])
        await second.execute.aio("ruled")  # b is at work, and has looked
        early = list(scene.followed)
        await first.shutdown.aio(grace=0)
        await ending
        found = await second.execution.aio(execution.name)
        assert found is not None
        await found.wait.aio()
        await second.shutdown.aio(grace=0)

    assert not early
    assert scene.followed == ["b"]


async def test_a_task_of_a_closing_runner_can_be_stopped_from_elsewhere(path: Path) -> None:
    scene = Scene()
    async with scene.runner(path, "a") as runner, Client(path) as client:
        execution = await runner.start.aio("long")
        await until(lambda: bool(runner._working_engine.tasks.running))
        ending = await closing(runner)
        found = await client.execution.aio(execution.name)
        assert found is not None
        await found.stop.aio(wait=True)
        await ending  # there is nothing more to wait for
        after = await found.refresh.aio()

    assert after.status is WorkflowStatus.STOPPED


async def test_rules_of_a_closing_runner_hear_what_others_send(path: Path) -> None:
    scene = Scene()
    async with scene.runner(path, "a") as runner, Client(path) as client:
        await runner.start.aio("long")
        await until(lambda: bool(runner._working_engine.tasks.running))
        ending = await closing(runner)
        await client.send_event.aio("go")
        started = "SELECT count(*) FROM execution WHERE workflow = 'ruled'"
        await until(lambda: rows(path, started) == [(1,)])
        early = ending.done()
        await runner.shutdown.aio(grace=0)
        await ending

    assert not early


async def test_a_closing_runner_takes_over_no_executions(path: Path) -> None:
    scene = Scene()
    async with scene.runner(path, "a") as runner:
        await runner.start.aio("long", name="own")
        await until(lambda: bool(runner._working_engine.tasks.running))
        ending = await closing(runner)
        async with Client(path, registry=scene.registry("c")) as client:
            await client.start.aio("long", name="new")
            await runner._working_engine.ownership.look()
        owned = rows(path, "SELECT name FROM execution WHERE owner IS NOT NULL")
        await runner.shutdown.aio(grace=0)
        await ending

    assert owned == [("own",)]
