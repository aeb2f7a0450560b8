"""A part that a runner cannot be without takes it along when it ends: none is open and deaf."""

from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import AsyncflowError, Registry, Runner, UsageError, VirtualClock, Workflow, task
from asyncflow._failpoint import armed
from tests.runner.scene import declare, rows, until

MINUTE = timedelta(minutes=1)


async def gone(path: Path) -> None:
    """Wait until no runner has a row."""
    await until(lambda: rows(path, "SELECT * FROM runner") == [])


@pytest.mark.parametrize(
    "point", ["driver.decide.after", "store.commit.before", "driver.dispatch.after"]
)
async def test_a_runner_whose_driver_is_cancelled_by_nobody_ends_and_lets_go_of_all(
    path: Path, point: str
) -> None:
    async def work() -> None:
        async with Runner(path, registry=declare("w", "only")) as runner:
            with armed(f"{point}:1:cancel"), pytest.raises(UsageError):
                await runner.start.aio("w")
            await gone(path)

    with pytest.raises(AsyncflowError, match="nobody cancelled it"):
        await work()

    assert rows(path, "SELECT owner FROM execution WHERE owner IS NOT NULL") == []


async def test_a_schedule_whose_answer_is_cancelled_by_nobody_ends_the_runner(path: Path) -> None:
    clock = VirtualClock()

    async def work() -> None:
        async with Runner(path, registry=declare("w", "only"), clock=clock) as runner:
            await runner.register_schedule.aio("w", MINUTE)
            with armed("schedule.tick.before:1:cancel"):
                await clock.advance(MINUTE)
            await gone(path)

    with pytest.raises(AsyncflowError, match="nobody cancelled it"):
        await work()


@pytest.mark.parametrize("action", ["raise", "cancel"])
async def test_a_timer_that_fails_ends_the_runner_and_the_next_one_sets_it_anew(
    path: Path, action: str
) -> None:
    clock = VirtualClock()
    begin = clock.now()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=MINUTE)
        async def flaky() -> None:
            if clock.now() < begin + MINUTE:
                raise ConnectionError("no route")

    async def work() -> None:
        async with Runner(path, registry=registry, clock=clock) as runner:
            execution = await runner.start.aio("w", name="w-1")
            with armed(f"timer.fire.before:1:{action}"):
                await clock.advance(2 * MINUTE)  # it waits a little longer, by its jitter
            with pytest.raises(UsageError):
                await execution.wait.aio()

    with pytest.raises(AsyncflowError):
        await work()

    async with Runner(path, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio("w-1")
    assert done.status.value == "SUCCESS"
