"""A bounded inbox: callers wait in the order of their coming, and nobody else does."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from asyncflow import (
    Event,
    ListenerProcessor,
    Registry,
    Runner,
    UsageError,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow._runner.callers import Callers
from asyncflow._runner.together import Together
from tests.runner.scene import forever, turns


class Scene:
    """Callers that put their number into a list, for which there is room of two."""

    def __init__(self) -> None:
        self.entries: list[int] = []
        self.put: list[int] = []
        self.callers = Callers(self.entries, most=2)

    async def call(self, number: int) -> None:
        async with self.callers:
            self.entries.append(number)
            self.put.append(number)

    def begin(self, *numbers: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.call(number)) for number in numbers]

    async def take(self) -> None:
        self.entries.clear()
        self.callers.admit()
        await turns()


async def test_callers_wait_for_room_in_the_order_of_their_coming() -> None:
    scene = Scene()
    calls = scene.begin(*range(5))
    await turns()
    first = (list(scene.put), scene.callers.held_back)
    await scene.take()
    second = list(scene.put)
    await scene.take()
    await asyncio.gather(*calls)

    assert first == ([0, 1], 3)
    assert second == [0, 1, 2, 3]
    assert scene.put == [0, 1, 2, 3, 4]
    assert scene.callers.held_back == 0


async def test_one_that_is_cancelled_lets_the_next_in() -> None:
    scene = Scene()
    calls = scene.begin(*range(6))
    await turns()
    calls[2].cancel()
    await turns()
    scene.entries.clear()
    scene.callers.admit()
    calls[3].cancel()  # it was let in, and has not gone on yet
    await turns()
    await scene.take()
    await asyncio.wait(calls)

    assert scene.put == [0, 1, 4, 5]
    assert [each.cancelled() for each in calls] == [False, False, True, True, False, False]


async def test_all_who_wait_are_told_when_it_is_over() -> None:
    scene = Scene()
    calls = scene.begin(*range(4))
    await turns()
    scene.callers.end(UsageError("over"))
    found = await asyncio.gather(*calls, return_exceptions=True)

    assert [str(each) for each in found] == ["None", "None", "over", "over"]


async def test_callers_that_are_held_back_hold_up_no_task_and_are_told_at_shutdown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def first() -> None:
            """End."""

        @task(dependencies=[first])
        async def second() -> None:
            """End."""

    async with Runner(url, registry=registry) as runner:
        execution = await runner.start.aio("w")
        engine = runner._working_engine
        monkeypatch.setattr(engine.driver.callers, "_most", 0)
        held = [asyncio.create_task(runner.send_event.aio(str(each))) for each in range(3)]
        done = await execution.wait.aio()
        await turns()
        waiting = (await runner.statistics.aio()).queues.held_back
    found = await asyncio.gather(*held, return_exceptions=True)

    assert done.status is WorkflowStatus.SUCCESS
    assert waiting == 3
    assert {type(each) for each in found} == {UsageError}


async def test_those_who_ask_at_the_same_time_ask_once_and_after_their_call() -> None:
    asked: list[int] = []
    gate = asyncio.Event()

    async def ask() -> int:
        asked.append(len(asked))
        number = len(asked)
        await gate.wait()
        return number

    together = Together(ask)
    first = asyncio.create_task(together())
    await turns()
    others = [asyncio.create_task(together()) for _ in range(5)]
    await turns()
    others[0].cancel()
    gate.set()
    found = await asyncio.gather(first, *others, return_exceptions=True)

    assert len(asked) == 2
    assert [found[0], *found[2:]] == [1, 2, 2, 2, 2]


async def test_of_an_asking_that_fails_the_others_ask_again() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(0)
        await turns()
        if len(asked) == 1:
            raise OSError
        return len(asked)

    together = Together(ask)
    found = await asyncio.gather(*(together() for _ in range(4)), return_exceptions=True)

    assert isinstance(found[0], OSError)
    assert found[1:] == [2, 2, 2]


async def test_a_listener_that_never_returns_holds_up_nothing(url: str) -> None:
    begun: list[str] = []
    heard: list[str] = []
    gate = threading.Event()

    class InThread(ListenerProcessor):
        def process(self, events: Sequence[Event]) -> None:
            begun.append("thread")
            gate.wait()

    class OnLoop(ListenerProcessor):
        async def process(self, events: Sequence[Event]) -> None:
            begun.append("loop")
            await forever()

    class Hears(ListenerProcessor):
        async def process(self, events: Sequence[Event]) -> None:
            heard.extend(each.key for each in events)

    with Registry() as registry, Workflow("w"):

        @task()
        async def ends() -> None:
            """End."""

    async with Runner(url, registry=registry) as runner:
        ids = [await runner.register_listener.aio(each) for each in (InThread(), OnLoop(), Hears())]
        await runner.send_event.aio("0")
        while len(begun) < 2:
            await turns()
        keys = [str(number) for number in range(1, 501)]
        await asyncio.gather(*(runner.send_event.aio(key) for key in keys))
        done = await runner.execute.aio("w")
        while len(heard) < 501:
            await turns()
        calls = sorted(begun)
        gate.set()
        runner._listeners._all[ids[1]].cut()  # or closing would give it 5 s

    assert done.status is WorkflowStatus.SUCCESS
    assert sorted(heard, key=int) == ["0", *keys]
    assert calls == ["loop", "thread"]


async def test_64_sleeping_threads_in_the_default_executor_have_no_effect() -> None:
    gate = threading.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def on_the_loop() -> None:
            """End."""

        @task()
        def in_a_thread() -> None:
            """End."""

    sleeping = [asyncio.ensure_future(asyncio.to_thread(gate.wait)) for _ in range(64)]
    await turns()
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", timeout="5s")
    gate.set()
    await asyncio.gather(*sleeping)

    assert done.status is WorkflowStatus.SUCCESS
