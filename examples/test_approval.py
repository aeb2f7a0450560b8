"""How to test a workflow that waits for people: with pytest-asyncio, and days in no time.

Run it with ``python -m pytest examples/test_approval.py``. The marks are for
pytest-asyncio's strict mode, which is its default.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio

from asyncflow import Event, EventClosedError, Runner, TaskStatus, VirtualClock, WorkflowExecution
from examples import approval


@pytest.fixture
def clock() -> VirtualClock:
    """Return a clock that stands still until it is advanced."""
    return VirtualClock()


@pytest_asyncio.fixture
async def runner(clock: VirtualClock) -> AsyncGenerator[Runner]:
    """Yield a runner of its own, which writes nothing."""
    async with Runner(":memory:", clock=clock, grace=0) as runner:
        yield runner


async def start(runner: Runner) -> WorkflowExecution:
    """Start a release."""
    return await runner.start.aio("release", {"version": "1.2"})


async def asked(name: str, execution: WorkflowExecution) -> Event:
    """Return an event once the task waits for it."""
    event = await Event.get.aio(name, execution.name, timeout="10s")
    assert event is not None
    return event


async def outcome(execution: WorkflowExecution) -> tuple[TaskStatus, object]:
    """Return the status and the result of the deployment."""
    done = await execution.wait.aio()
    runs = {run.task_name: run for run in await done.task_executions.aio()}
    return runs["deploy"].status, runs["deploy"].result


@pytest.mark.asyncio
async def test_it_ships_as_people_say(runner: Runner) -> None:
    """Answer twice."""
    execution = await start(runner)

    await (await asked("approve", execution)).signal.aio(True, by="ops")
    rollout = approval.Rollout(region="eu", percent=10)
    await (await asked("rollout", execution)).signal.aio(rollout)

    assert await outcome(execution) == (TaskStatus.SUCCESS, "app-1.2.whl shipped to 10 % of eu")


@pytest.mark.asyncio
async def test_it_does_not_ship_if_nobody_answers_for_two_days(
    runner: Runner, clock: VirtualClock
) -> None:
    """Let the time pass."""
    execution = await start(runner)
    event = await asked("approve", execution)

    await clock.advance(timedelta(days=2))

    status, _ = await outcome(execution)
    assert status is TaskStatus.FAILED
    with pytest.raises(EventClosedError):
        await event.signal.aio(True)
