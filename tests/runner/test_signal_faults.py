"""A store that fails while somebody asks, signals and waits: all that was stored is acted upon."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from asyncflow import (
    Client,
    Event,
    EventClosedError,
    EventPhase,
    EventTimedOutError,
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
from asyncflow._failpoint import armed
from asyncflow._runner.trouble import PAUSES
from asyncflow._store.batch import Batch, Receipt
from asyncflow._store.memory.store import MemoryStore
from tests.runner.scene import forever, turns

T = TypeVar("T")

WHEN = ("before", "after")


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store takes it."""
    while True:
        try:
            return await call()
        except StoreError:
            await turns(3)


@asynccontextmanager
async def ticking(clock: VirtualClock) -> AsyncGenerator[None]:
    """Let time go on, whatever happens."""

    async def tick() -> None:
        while True:
            await clock.advance(PAUSES[0])
            await turns(2)

    ticks = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticks.cancel()


async def asked(port: Client, run: str) -> Event[int]:
    while (event := await port.event.aio("approve", run)) is None:
        await turns(3)
    return event


@pytest.mark.parametrize("by_letter", [False, True])
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("failing", range(1, 9))
async def test_a_failed_commit_loses_no_signal_and_starts_nothing_twice(
    path: Path, failing: int, when: str, by_letter: bool
) -> None:
    got: list[int] = []
    heard: list[int] = []
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def asks() -> None:
            event = await insist(lambda: new_event.aio("approve", data_type=int))
            got.append(await event.wait.aio())
            got.append(await event.wait.aio())

        @task()
        async def hears() -> None:
            heard.append(1)

        hears.action_on_event_received(TaskAction.START, "never")
        hears.action_on_event_received(TaskAction.RESTART, "approve")

    async with (
        Runner(path, registry=registry, clock=clock) as runner,
        Client(path, registry=registry, clock=clock) as client,
        ticking(clock),
    ):
        port = client if by_letter else runner
        execution = await runner.start.aio("w")
        with armed(f"store.commit.{when}:{failing}:raise"):
            event = await asked(port, execution.name)
            await insist(lambda: event.signal.aio(7, by="ann"))
            done = await execution.wait.aio()
        runs = await done.task_executions.aio()
        waited = await asked(port, execution.name)

    assert (done.status, got, heard) == (WorkflowStatus.SUCCESS, [7, 7], [1])
    assert {(run.task_name, run.status, run.sequence_number) for run in runs} == {
        (name, TaskStatus.SUCCESS, 1) for name in ("asks", "hears")
    }
    assert (waited.phase, waited.value) == (EventPhase.SUCCEEDED, 7)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("failing", range(1, 6))
async def test_a_failed_commit_makes_no_wait_longer_than_its_timeout(
    path: Path, failing: int, when: str
) -> None:
    ends: list[str] = []
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def asks() -> None:
            event = await insist(lambda: new_event.aio("approve", timeout="1s"))
            try:
                await event.wait.aio()
            except EventTimedOutError:
                ends.append("timed out")

    async with Runner(path, registry=registry, clock=clock) as runner, ticking(clock):
        execution = await runner.start.aio("w")
        with armed(f"store.commit.{when}:{failing}:raise"):
            done = await execution.wait.aio()
        event = await asked(runner, execution.name)

    assert (done.status, ends) == (WorkflowStatus.SUCCESS, ["timed out"])
    assert event.phase is EventPhase.TIMED_OUT


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("failing", range(1, 5))
async def test_a_failed_commit_leaves_nothing_that_waits_for_a_task_that_is_over(
    path: Path, failing: int, when: str
) -> None:
    clock = VirtualClock()
    opened = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def asks() -> None:
            await insist(lambda: new_event.aio("approve", data_type=int))
            opened.set()
            await forever()

    async with Runner(path, registry=registry, clock=clock) as runner, ticking(clock):
        execution = await runner.start.aio("w")
        await opened.wait()
        event = await asked(runner, execution.name)
        waiting = asyncio.create_task(event.refresh.aio())
        await waiting
        waiter = asyncio.create_task(wait_for_end(event))
        await turns(3)
        with armed(f"store.commit.{when}:{failing}:raise"):
            await insist(lambda: execution.stop.aio(wait=True))
            end = await waiter

    assert end == "EventClosedError"


async def wait_for_end(event: Event[int]) -> str:
    try:
        return str(await event.wait.aio())
    except Exception as error:
        return type(error).__name__


class Gated(MemoryStore):
    """Writes only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, batch: Batch) -> Receipt:
        await self.gate.wait()
        await turns(3)  # as a disk would
        return await super().commit(batch)


async def test_a_task_that_asks_once_it_is_being_stopped_is_cancelled_as_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = asyncio.Event()
    raised: list[type[BaseException]] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def asks() -> None:
            await go.wait()
            try:
                await new_event.aio("approve")
            except BaseException as error:
                raised.append(type(error))
                raise

    runner = Runner(":memory:", registry=registry)
    runner._store = store = Gated()
    async with runner:
        execution = await runner.start.aio("w")
        await turns()
        store.gate.clear()
        sending = asyncio.create_task(runner.send_event.aio("said"))
        await turns()
        stopping = asyncio.create_task(execution.stop.aio(wait=True))
        await turns()
        go.set()
        await turns()
        store.gate.set()  # the next transaction answers both, the stop first
        await asyncio.gather(sending, stopping)
        (run,) = await execution.task_executions.aio()

    assert raised == [asyncio.CancelledError]
    assert run.status is TaskStatus.STOPPED
    assert "UsageError" not in caplog.text


class Late(MemoryStore):
    """Holds the first signal back until its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self._first = True

    async def close(self) -> None:
        """Keep everything: another runner goes on."""

    async def commit(self, batch: Batch) -> Receipt:
        if batch.signals and self._first:
            self._first = False
            await self.gate.wait()
        return await super().commit(batch)


async def outcome(event: Event[int], *, waits: bool) -> str:
    """Signal it, or wait for it, and say what came of that."""
    try:
        if waits:
            return f"got {await event.wait.aio()}"
        await event.signal.aio(7)
    except EventClosedError as error:
        return type(error).__name__
    return "taken"


@pytest.mark.parametrize("waits", [False, True])
async def test_whoever_was_told_that_the_time_of_an_event_is_over_is_right_for_ever(
    waits: bool,
) -> None:
    clock = VirtualClock()
    ends: list[str] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def asks() -> None:
            event = await new_event.aio("approve", data_type=int, timeout="1s")
            ends.append(await outcome(event, waits=True))

    store = Late()
    client = Client(":memory:", registry=registry, clock=clock)
    client._store = store
    async with client:
        async with runner_of(store, registry, clock) as runner:
            execution = await runner.start.aio("w")
            event = await asked(client, execution.name)
        early = asyncio.create_task(outcome(event, waits=False))  # in time, and not stored yet
        await turns()
        await clock.advance(timedelta(seconds=1))
        late = await outcome(event, waits=waits)
        store.gate.set()
        first = await early
        async with runner_of(store, registry, clock) as runner, ticking(clock):
            await runner.wait.aio(execution.name)

    assert late == ("EventTimedOutError" if waits else "EventClosedError")
    assert first == "EventClosedError"
    assert ends == ["EventTimedOutError"]


def runner_of(store: MemoryStore, registry: Registry, clock: VirtualClock) -> Runner:
    runner = Runner(":memory:", registry=registry, clock=clock)
    runner._store = store
    return runner
