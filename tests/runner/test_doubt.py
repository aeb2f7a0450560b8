"""What is not known for certain is asked of the store, and then goes on: no hang, nothing twice."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    Registry,
    Runner,
    StoreError,
    TaskAction,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow._failpoint import armed
from asyncflow._runner.process import HERE, identity, is_gone
from asyncflow._runner.trouble import PAUSES
from asyncflow._store.batch import Batch, Receipt, RunnerRow
from asyncflow._store.queries import Query, StoredExecutions
from asyncflow._store.sqlite.store import SqliteStore
from tests.runner.scene import When, declare, rows, turns, until

T = TypeVar("T")


async def tick(clock: VirtualClock) -> None:
    """Let time go on, whatever happens."""
    while True:
        await clock.advance(PAUSES[0])
        await turns(2)


@pytest.mark.parametrize("failing", range(1, 9))
async def test_an_error_after_a_commit_reached_the_disk_hangs_nothing_and_runs_nothing_twice(
    path: Path, failing: int
) -> None:
    ran: list[str] = []
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=0)
        async def first(context: Context) -> None:
            ran.append(f"first {context.try_number}")
            if context.try_number == 1:
                raise ConnectionError("no route")

        @task(dependencies=[first])
        async def second() -> None:
            ran.append("second")

        @task(dependencies=[second])
        def third() -> None:
            ran.append("third")

    async with Runner(path, registry=registry, clock=clock) as runner:
        ticking = asyncio.create_task(tick(clock))
        with armed(f"store.commit.after:{failing}:raise"):
            try:
                await runner.start.aio("w", name="w-1")
            except StoreError:
                assert failing == 1
            done = await runner.wait.aio("w-1")
        ticking.cancel()

    assert done.status is WorkflowStatus.SUCCESS
    assert ran == ["first 1", "first 2", "second", "third"]


class Deaf(SqliteStore):
    """Cannot read the states of executions while it is told so."""

    deaf = False

    async def read(self, query: Query[T]) -> T:
        if self.deaf and isinstance(query, StoredExecutions):
            raise StoreError("not now")
        return await super().read(query)


async def test_what_was_claimed_and_could_not_be_read_is_read_later(path: Path) -> None:
    clock = VirtualClock()
    registry = declare("w", "only", body=lambda context: context.set("done", True))
    store = Deaf(str(path))
    runner = Runner(path, registry=registry, clock=clock)
    runner._store = store

    async with runner, Client(path, registry=registry, clock=clock) as client:
        execution = await client.start.aio("w")
        store.deaf = True
        await clock.advance(PAUSES[1])
        await client.send_event.aio("unheard", execution=execution.name)
        store.deaf = False
        ticking = asyncio.create_task(tick(clock))
        done = await runner.wait.aio(execution.name)
        ticking.cancel()

    assert done.final_context == {"done": True}


class Held(SqliteStore):
    """Holds up those who have committed, until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.free = asyncio.Event()
        self.free.set()

    async def commit(self, batch: Batch) -> Receipt:
        receipt = await super().commit(batch)
        await self.free.wait()
        return receipt


async def test_a_start_that_is_on_disk_is_not_taken_over_by_its_own_runner(path: Path) -> None:
    ran: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def only(context: Context) -> None:
            ran.append(context.try_number)

    store = Held(path)
    runner = Runner(path, registry=registry)
    runner._store = store

    async with runner:
        engine = runner._working_engine
        engine.duties.unasked = True
        with armed("store.claim.after:1:raise"), pytest.raises(StoreError):
            await engine.ownership.look()
        store.free.clear()
        starting = asyncio.create_task(runner.start.aio("w"))
        await until(lambda: len(rows(path, "SELECT 1 FROM execution")) == 1)
        looking = asyncio.create_task(engine.ownership.look())
        await asyncio.wait({looking}, timeout=0.3)
        taken = list(engine.driver.lives)
        store.free.set()
        await (await starting).wait.aio()
        await looking

    assert (ran, taken) == ([1], [])


async def test_a_letter_to_an_execution_whose_start_is_in_doubt_waits_for_it(path: Path) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> str:
            return "heard"

        hears.action_on_event_received(TaskAction.START, "said")

    store = Deaf(str(path))
    runner = Runner(path, registry=registry, clock=clock)
    runner._store = store

    async with runner, Client(path, registry=registry, clock=clock) as client:
        store.deaf = True
        with armed("store.commit.after:1:raise"), pytest.raises(StoreError):
            await runner.start.aio("w", name="w-1")
        await client.send_event.aio("said", execution="w-1")
        await clock.advance(PAUSES[1])
        store.deaf = False
        ticking = asyncio.create_task(tick(clock))
        done = await runner.wait.aio("w-1")
        ticking.cancel()
        (run,) = await done.task_executions.aio()

    assert run.result == "heard"


async def test_what_a_condition_raised_is_recorded_on_the_execution() -> None:
    def fails(event: Event, context: Context) -> bool:
        raise LookupError("no such thing")

    async def fails_later(event: Event, context: Context) -> bool:
        raise LookupError("nor later")

    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs on the second event."""

        hears.action_on_condition(TaskAction.START, When(fails))
        hears.action_on_condition(TaskAction.START, When(fails_later))
        hears.action_on_event_received(TaskAction.START, "go")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        waiting = await execution.refresh.aio()
        await runner.send_event.aio("go")
        done = await execution.wait.aio()

    error = "condition of task 'hears': LookupError: no such thing"
    assert (waiting.status, waiting.error_message) == (WorkflowStatus.RUNNING, error)
    assert (done.status, done.error_message) == (WorkflowStatus.SUCCESS, error)


async def test_a_new_definition_is_logged_once_and_its_fingerprint_kept(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Runner(path, registry=declare("w", "a"), grace=0) as runner:
        await runner.start.aio("w", name="w-1")
        await turns()
    (before,) = rows(path, "SELECT fingerprint FROM execution")

    for _ in range(2):
        async with Runner(path, registry=declare("w", "a", "b"), grace=0):
            await turns()

    told = [record for record in caplog.records if "another definition" in record.getMessage()]
    (after,) = rows(path, "SELECT fingerprint FROM execution")
    assert len(told) == 1
    assert before != after


async def test_600_letters_behind_a_hanging_condition_starve_nobody(path: Path) -> None:
    released = asyncio.Event()

    async def slow(event: Event, context: Context) -> bool:
        await released.wait()
        return True

    clock = VirtualClock()
    with Registry() as registry, Workflow("held"):

        @task()
        async def hears() -> None:
            """Runs at last."""

        hears.action_on_condition(TaskAction.START, When(slow))

    with registry, Workflow("free"):

        @task()
        async def free() -> None:
            """Runs at once."""

        free.action_on_event_received(TaskAction.START, "go")

    async with Runner(path, registry=registry, clock=clock) as runner:
        held = await runner.start.aio("held")
        other = await runner.start.aio("free")
        async with Client(path, registry=registry, clock=clock) as client:
            for _ in range(600):
                await client.send_event.aio("said", execution=held.name)
            await client.send_event.aio("go", execution=other.name)
        ticking = asyncio.create_task(tick(clock))
        done = await other.wait.aio()
        released.set()
        late = await held.wait.aio()
        ticking.cancel()

    assert done.status is WorkflowStatus.SUCCESS
    assert late.status is WorkflowStatus.SUCCESS


def test_a_process_that_has_ended_and_was_not_waited_for_is_gone() -> None:
    clock = VirtualClock()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    row = RunnerRow("child", child.pid, identity(child.pid), HERE, clock.now())

    alive = is_gone(row)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombie = is_gone(row)
    child.communicate()

    assert not alive
    assert zombie
    assert is_gone(row)
