"""A part that a runner cannot be without takes it along when it ends: none is open and deaf."""

from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import AsyncflowError, Registry, Runner, UsageError, VirtualClock, Workflow, task
from asyncflow._failpoint import FailpointError, armed
from tests.runner.scene import declare, rows, until

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    "point", ["driver.decide.after", "store.commit.before", "driver.dispatch.after"]
)
async def test_a_runner_whose_driver_is_cancelled_by_nobody_ends_and_lets_go_of_all(
    path: Path, point: str
) -> None:
    registry = declare("w", "only")

    with pytest.raises(AsyncflowError, match="nobody cancelled it"):
        async with Runner(path, registry=registry) as runner:
            with armed(f"{point}:1:cancel"), pytest.raises(UsageError):
                await runner.start.aio("w")
            await until(lambda: rows(path, "SELECT * FROM runner") == [])

    assert rows(path, "SELECT owner FROM execution WHERE owner IS NOT NULL") == []


async def test_a_schedule_whose_answer_is_cancelled_by_nobody_ends_the_runner(path: Path) -> None:
    clock = VirtualClock()

    with pytest.raises(AsyncflowError, match="nobody cancelled it"):
        async with Runner(path, registry=declare("w", "only"), clock=clock) as runner:
            await runner.register_schedule.aio("w", MINUTE)
            with armed("schedule.tick.before:1:cancel"):
                await clock.advance(MINUTE)
            await until(lambda: rows(path, "SELECT * FROM runner") == [])


@pytest.mark.parametrize("action", ["raise", "cancel"])
async def test_a_timer_that_fails_ends_the_runner_and_the_next_one_sets_it_anew(
    path: Path, action: str
) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=MINUTE)
        async def flaky() -> None:
            if clock.now() < begin + MINUTE:
                raise ConnectionError("no route")

    begin = clock.now()
    with pytest.raises((FailpointError, AsyncflowError)):
        async with Runner(path, registry=registry, clock=clock) as runner:
            execution = await runner.start.aio("w")
            with armed(f"timer.fire.before:1:{action}"):
                await clock.advance(2 * MINUTE)  # it waits a little longer, by its jitter
            with pytest.raises(UsageError):
                await execution.wait.aio()

    async with Runner(path, registry=registry, clock=clock) as runner:
        done = await runner.wait.aio(execution.name)
    assert done.status.value == "SUCCESS"
