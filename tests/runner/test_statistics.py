"""`Runner.statistics`: what waits, what was done and how late it was, as frozen values."""

import asyncio
import json
from datetime import timedelta

import pytest

from asyncflow import (
    Lateness,
    Registry,
    Runner,
    TriggerResult,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
    trigger,
)
from asyncflow._runner.meter import Meter, Stored, Throughput
from tests.runner.scene import forever, turns

NONE = Lateness(timedelta(), timedelta())


async def test_it_counts_what_waits_and_what_was_done(url: str) -> None:
    with Registry() as registry:
        with Workflow("ends"):

            @task()
            async def ends() -> None:
                """End."""

        with Workflow("hangs"):

            @task()
            async def hangs() -> None:
                await forever()

    async with Runner(url, registry=registry, grace=0) as runner:
        before = await runner.statistics.aio()
        for _ in range(3):
            await runner.execute.aio("ends")
        await runner.start.aio("hangs")
        await runner.send_event.aio("said")
        await turns()
        found = await runner.statistics.aio()

    assert (before.rates.tasks.total, before.queues.executions) == (0, 0)
    assert found.rates.tasks.total == 3
    assert found.rates.transactions.total >= 7
    assert found.rates.facts.total >= 7
    assert found.rates.tasks.per_second > 0
    assert (found.queues.executions, found.queues.tasks) == (1, 1)
    assert (found.queues.inbox, found.queues.held_back, found.queues.letters) == (0, 0, 0)
    assert found.store.executions[WorkflowStatus.SUCCESS] == 3
    assert found.store.events == 1
    assert found.store.file_bytes > 0
    assert found.runners == 1


async def test_it_says_how_late_polls_and_ticks_began() -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def ends() -> None:
            """End."""

        @trigger(workflow="w", poll_interval="1s")
        async def never() -> TriggerResult:
            return TriggerResult.skip()

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await runner.register_schedule.aio("w", "10s")
        before = await runner.statistics.aio()
        await clock.advance(timedelta(seconds=30))
        found = await runner.statistics.aio()

    assert (before.polls, before.ticks) == (NONE, NONE)
    assert (found.polls, found.ticks) == (NONE, NONE)  # a virtual clock is never late
    assert found.loop is None
    assert found.rates.tasks.total == 3


async def test_it_is_told_as_json() -> None:
    async with Runner(":memory:", registry=Registry()) as runner:
        found = await runner.statistics.aio()

    assert json.loads(found.to_json()) == found.to_dict()
    assert found.to_dict()["runners"] == 1
    assert await found.to_dict.aio() == found.to_dict()


async def test_threads_that_blocking_tasks_wait_for_are_counted() -> None:
    loop, gate = asyncio.get_running_loop(), asyncio.Event()
    with Registry() as registry, Workflow("w"):
        for number in range(3):

            @task(id=f"task-{number}")
            def blocks() -> None:
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        execution = await runner.start.aio("w")
        while (await runner.statistics.aio()).queues.waiting_for_thread < 2:
            await turns()
        gate.set()
        await execution.wait.aio()
        after = await runner.statistics.aio()

    assert after.queues.waiting_for_thread == 0


def test_a_runner_that_is_closed_has_none() -> None:
    runner = Runner(":memory:", registry=Registry())
    runner.shutdown()

    with pytest.raises(UsageError):
        runner.statistics()


def test_a_meter_forgets_what_is_older_than_a_minute() -> None:
    meter = Meter()
    meter.add(1000.0, 30.0)
    meter.add(1030.0, 10.0)

    assert meter.mean(1030.0) == 20.0
    assert meter.most(1030.0) == 30.0
    assert meter.most(1070.0) == 10.0
    assert meter.mean(1200.0) == 0.0


def test_a_throughput_forgets_what_is_older_than_a_minute_but_its_total() -> None:
    stored = Throughput(1000.0)
    stored.add(1000.0, facts=30, tasks=20)
    stored.add(1030.0, facts=10, tasks=0)

    assert stored.per_second(1040.0) == Stored(transactions=0.05, facts=1.0, tasks=0.5)
    assert stored.per_second(1070.0) == Stored(1 / 55, 10 / 55, 0.0)
    assert stored.per_second(1200.0) == Stored(0.0, 0.0, 0.0)
    assert stored.total == Stored(2, 40, 20)
