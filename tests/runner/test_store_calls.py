"""A store that fails before or after any one of its calls: the work is done, and nobody is lied to.

Every call is taken in turn, until a run needs fewer calls than that.
"""

import asyncio
import inspect
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from asyncflow import (
    Context,
    ExecutionExistsError,
    Registry,
    Runner,
    StoreError,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._runner.trouble import PAUSES
from asyncflow._store.protocol import Store
from tests.runner.scene import turns

T = TypeVar("T")

VERBS: Final = frozenset(
    name for name, verb in vars(Store).items() if inspect.iscoroutinefunction(verb)
)
WHOLE: Final = {"open": "before", "close": "after"}
"""Who fails to open leaves nothing open, and who closes lets go: the store itself says so."""


@dataclass
class Fault:
    """Makes one call of a store fail, counted over all of its verbs."""

    number: int
    when: str
    calls: int = 0
    verb: str = ""

    def put_into(self, store: Store) -> None:
        for verb in VERBS & set(dir(store)):
            setattr(store, verb, self._around(verb, getattr(store, verb)))

    def _around(
        self, verb: str, call: Callable[..., Awaitable[object]]
    ) -> Callable[..., Awaitable[object]]:
        async def called(*arguments: object, **named: object) -> object:
            self.calls += 1
            due = self.calls == self.number
            self.verb = verb if due else self.verb
            when = WHOLE.get(verb, self.when)
            if due and when == "before":
                raise StoreError(f"{verb} failed before it began")
            answer = await call(*arguments, **named)
            if due:
                raise StoreError(f"{verb} failed when it was done")
            return answer

        return called

    def __str__(self) -> str:
        return f"call {self.number}, {self.verb}, failed {WHOLE.get(self.verb, self.when)}"


@dataclass
class Scene:
    """One run with one fault, and what it has seen."""

    url: str
    fault: Fault
    clock: VirtualClock = field(default_factory=VirtualClock)
    ran: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    refused: int = 0

    def declare(self) -> Registry:
        with Registry() as registry, Workflow("w"):

            @task()
            async def first(context: Context) -> str:
                return self.note(context)

            @task(dependencies=[first], retries=1, retry_delay=0)
            async def second(context: Context) -> str:
                self.note(context)
                if context.try_number == 1:
                    raise ConnectionError("no route")
                return "second"

            @task(dependencies=[second], idempotent=False)
            def third(context: Context) -> str:
                return self.note(context)

            @task(retries=1, retry_delay=0)
            async def asks(context: Context) -> int:
                event = await new_event.aio("approve", data_type=int)
                answer = await event.wait.aio()
                self.note(context)
                return answer

            @task()
            async def hears(context: Context) -> str:
                return self.note(context)

            hears.action_on_event_received(TaskAction.START, "said")
        return registry

    def note(self, context: Context) -> str:
        self.ran[context.task_name, context.try_number] += 1
        return context.task_name

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except StoreError:
                self.refused += 1

    async def run(self) -> None:
        """Open, ask and close; who is refused asks again."""
        registry = self.declare()
        opened = 0
        while not opened:
            runner = Runner(self.url, registry=registry, clock=self.clock)
            self.fault.put_into(runner._store)
            with suppress(StoreError):
                async with runner:
                    opened += 1
                    ticking = asyncio.create_task(self.tick())
                    try:
                        await self.ask(runner)
                    finally:
                        ticking.cancel()

    async def ask(self, runner: Runner) -> None:
        with suppress(ExecutionExistsError):  # it was stored, and then the store failed
            await self.insist(lambda: runner.start.aio("w", {"in": 0}, name="w-1"))
        sent = await self.insist(lambda: runner.send_event.aio("said", 1))
        event = None
        while event is None:
            event = await self.insist(lambda: runner.event.aio("approve", "w-1"))
            await turns(1)
        asked = event
        await self.insist(lambda: asked.signal.aio(7))
        done = await self.insist(lambda: runner.wait.aio("w-1"))
        runs = await self.insist(done.task_executions.aio)
        offsets = [each.offset for each in await self.insist(lambda: events(runner))]

        assert done.status is WorkflowStatus.SUCCESS
        assert {each.task_name: each.result for each in runs if each.task_name != "asks"} == {
            name: name for name in ("first", "second", "third", "hears")
        }
        assert [each.result for each in runs if each.task_name == "asks"] == [7]
        assert {each.status for each in runs} == {TaskStatus.SUCCESS}
        assert sent.offset in offsets
        assert len(offsets) <= 1 + self.refused  # what was refused may be stored, and nothing more

    async def tick(self) -> None:
        while True:
            await self.clock.advance(PAUSES[0])
            await turns(2)

    def check(self) -> None:
        ran = {name: number for (name, _), number in self.ran.items()}
        assert set(ran) == {"first", "second", "third", "asks", "hears"}
        assert set(self.ran.values()) == {1}


async def events(runner: Runner) -> list[Any]:
    return [each async for each in runner.list_events.aio("said")]


def held() -> tuple[set[threading.Thread], int, int]:
    """Return the threads, the descriptors and the tasks that are there."""
    threads = {each for each in threading.enumerate() if "connection" in each.name}
    return threads, len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())


def is_free(path: Path) -> bool:
    """Say whether nobody has left a transaction open."""
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    return True


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_whichever_call_of_the_store_fails_the_work_is_done_once_and_callers_are_told(
    tmp_path: Path, kind: str, when: str
) -> None:
    for number in count(1):
        path = tmp_path / f"{number}.db"
        before = held()
        scene = Scene(":memory:" if kind == "memory" else str(path), Fault(number, when))
        try:
            async with asyncio.timeout(5):
                await scene.run()
            scene.check()
            assert held() == before
            assert kind == "memory" or is_free(path)
        except BaseException as error:
            error.add_note(str(scene.fault))
            raise
        if scene.fault.calls < number:
            assert number > 15
            break
