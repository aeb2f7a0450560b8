"""What a runner forgets, when, and that nobody is held up by it."""

import logging
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import Context, Registry, Runner, VirtualClock, Workflow, WorkflowStatus, task
from asyncflow._failpoint import armed
from asyncflow._runner.retention import AT_ONCE, Retention
from asyncflow._store.batch import Batch, ExecutionWrite, Fence
from asyncflow._store.sqlite.store import SqliteStore
from tests.store import samples
from tests.store.samples import ENDED, new

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as declared:
        with Workflow("w"):

            @task()
            async def works(context: Context) -> None:
                context["k"] = 1

        yield declared


async def names(runner: Runner) -> list[str]:
    return [each.name async for each in runner.executions.aio()]


async def test_what_ended_longer_ago_is_forgotten_every_minute(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    caplog.set_level(logging.INFO, "asyncflow._runner.retention")
    async with Runner(":memory:", registry=registry, clock=clock, retention="1h") as runner:
        await runner.execute.aio("w", name="a")
        await clock.advance(HOUR / 2)
        await runner.execute.aio("w", name="b")
        before = await names(runner)

        await clock.advance(HOUR / 2 + MINUTE)

        assert (before, await names(runner)) == (["b", "a"], ["b"])
        assert await runner.execute.aio("w", name="a")
    assert [r.message for r in caplog.records if "forgotten" in r.message] == [
        "forgotten, older than 1:00:00: 1 executions, 0 events, 0 lines of histories"
    ]


async def test_without_retention_nothing_is_forgotten_and_no_clock_stops_for_it(
    registry: Registry,
) -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await runner.execute.aio("w", name="a")
        await clock.settle()

        assert clock.next_deadline() is None
        await clock.advance(timedelta(days=1000))
        assert await names(runner) == ["a"]


async def test_a_store_that_refuses_is_asked_again_a_minute_later(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=registry, clock=clock, retention=60) as runner:
        await runner.execute.aio("w", name="a")
        with armed("store.sweep.before:1:raise"):
            await clock.advance(MINUTE * 1.5)
            refused = await names(runner)
            await clock.advance(MINUTE)

        assert (refused, await names(runner)) == (["a"], [])
        done = await runner.execute.aio("w", name="b")
        assert done.status is WorkflowStatus.SUCCESS
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "what is old stays for now: the failpoint store.sweep.before was told to raise at pass 1"
    ]


async def test_only_who_has_the_duty_sweeps(registry: Registry, tmp_path: Path) -> None:
    url, clocks = f"sqlite:///{tmp_path / 'flows.db'}", (VirtualClock(), VirtualClock())
    async with Runner(url, registry=registry, clock=clocks[0], retention=60) as first:
        await first.execute.aio("w", name="a")
        async with Runner(url, registry=registry, clock=clocks[1], retention=60) as second:
            with armed() as passes:
                await clocks[1].advance(HOUR)
            assert not passes["store.sweep.before"]
            assert await names(second) == ["a"]

            await first.shutdown.aio()
            while await names(second):
                await clocks[1].advance(HOUR)


async def test_a_replaced_runner_ends_its_sweeping(registry: Registry) -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        stale = Fence("replaced", 1)

        await Retention(runner._store, clock, stale, HOUR, lambda: True).run()


@pytest.mark.parametrize("wrong", [0, -1, "", "soon", "-1h"])
def test_a_retention_that_is_no_duration_is_refused(wrong: str | float) -> None:
    with pytest.raises(ValueError, match="retention"):
        Runner(":memory:", retention=wrong)


async def fill(path: Path, many: int) -> None:
    store = SqliteStore(path)
    await store.open()
    tasks = tuple(samples.task(f"t{n}") for n in range(10))
    value = {"k": '"' + "x" * 1000 + '"'}
    for first in range(0, many, 100):
        made = [new(f"old{first + n}") for n in range(100)]
        writes = tuple(ExecutionWrite(each, ENDED, tasks, value) for each in made)
        await store.commit(Batch(None, writes))
    await store.close()


async def test_a_long_sweep_holds_nobody_up_and_the_file_shrinks(
    path: Path, registry: Registry
) -> None:
    many = 2000
    await fill(path, many)
    before = path.stat().st_size
    took: list[float] = []

    with armed() as passes:
        async with Runner(path, registry=registry, retention="1h") as runner:
            while passes["store.sweep.after"] < many // AT_ONCE:
                began = time.perf_counter()
                await runner.send_event.aio("x")
                took.append(time.perf_counter() - began)
            left = await names(runner)

    took.sort()
    half, most = took[len(took) // 2] * 1000, took[-1] * 1000
    text = (
        f"{len(took)} events beside a sweep of {many}: half in {half:.1f} ms, all in {most:.1f}\n"
    )
    sys.stdout.write(text)
    assert left == []
    assert len(took) > 2 * many / AT_ONCE
    assert path.stat().st_size < before / 2
