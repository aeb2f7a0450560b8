"""SEMANTICS 16: an event has a time of its own, and ends with its task; it stays visible."""

from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Event,
    EventClosedError,
    EventPhase,
    EventTimedOutError,
    Registry,
    Runner,
    VirtualClock,
    WorkflowStatus,
    new_event,
)
from tests.runner.asking import asked, asks, phases

HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def test_a_timeout_counts_from_creation_and_survives_restarts(url: str) -> None:
    clock, begun = VirtualClock(), 0

    async def body(_: Context) -> str:
        nonlocal begun
        event = await new_event.aio("go", timeout="3h")
        begun += 1
        try:
            await event.wait.aio()
        except EventTimedOutError:
            return clock.now().isoformat()
        return "signalled"

    registry = asks(body)
    due = clock.now() + 3 * HOUR
    async with Runner(url, registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await clock.advance(HOUR)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(HOUR)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(HOUR - timedelta(seconds=1))
        early = await runner.event.aio("go", run.name)
        await clock.advance(timedelta(seconds=1))
        (ask,) = await (await runner.wait.aio(run.name)).task_executions.aio()
        late = await runner.event.aio("go", run.name)

    assert early is not None
    assert late is not None
    assert begun == 3
    assert (event.deadline, early.phase) == (due, EventPhase.RUNNING)
    assert ask.result == due.isoformat()
    assert (late.phase, late.end_time) == (EventPhase.TIMED_OUT, due)


async def test_one_that_times_out_while_no_runner_is_up_ends_the_wait_of_the_next(url: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> str:
        try:
            await (await new_event.aio("go", timeout="1h")).wait.aio()
        except EventTimedOutError as error:
            return str(error)
        return "signalled"

    registry = asks(body)
    async with Runner(url, registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
    await clock.advance(2 * HOUR)
    async with Runner(url, registry=Registry(), clock=clock) as other:
        before = await other.event.aio("go", run.name)
        assert before is not None
        with pytest.raises(EventClosedError, match="TIMED_OUT"):
            await before.signal.aio(True)
    async with Runner(url, registry=registry, clock=clock) as runner:
        (ask,) = await (await runner.wait.aio(run.name)).task_executions.aio()

    assert (before.phase, before.end_time) == (EventPhase.TIMED_OUT, event.deadline)
    assert "'go'" in str(ask.result)
    assert "TIMED_OUT" in str(ask.result)


async def test_a_retry_makes_a_new_one_after_a_timeout(store: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> bool:
        return await (await new_event.aio("go", timeout="1h")).wait.aio()

    registry = asks(body, retries=1, retry_delay=0)
    async with Runner(store, registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        first = await asked("go", run.name)
        await clock.advance(HOUR)
        second = await asked("go", run.name)
        with pytest.raises(EventClosedError, match="TIMED_OUT"):
            await first.signal.aio(True)
        await second.signal.aio(False)
        done = await run.wait.aio()
        (ask,) = await done.task_executions.aio()
        shown = await phases(run.name)

    assert second.deadline == clock.now() + HOUR
    assert (done.status, ask.try_number, ask.result) == (WorkflowStatus.SUCCESS, 2, False)
    assert shown == [("ask-1-event-go-1", "TIMED_OUT"), ("ask-1-event-go-1.2", "SUCCEEDED")]


async def test_a_timed_out_one_fails_the_task_that_does_not_catch_it(store: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> bool:
        return await (await new_event.aio("go", timeout="1h")).wait.aio()

    async with Runner(store, registry=asks(body), clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await clock.advance(HOUR)
        done = await run.wait.aio()
        event = await Event.get.aio("go", run.name)

    assert event is not None
    assert done.status is WorkflowStatus.FAILED
    assert (done.error_message or "").startswith("task 'ask': EventTimedOutError: event 'go'")
    assert (event.phase, event.signalled_by, event.value) == (EventPhase.TIMED_OUT, None, None)


@pytest.mark.parametrize(
    ("ending", "phase"),
    [("fails", "FAILED"), ("returns", "ABORTED"), ("stopped", "ABORTED"), ("times out", "FAILED")],
)
async def test_the_end_of_its_task_closes_it_and_it_stays_visible(
    store: str, ending: str, phase: str
) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> None:
        event = await new_event.aio("go", prompt="Well?", description="more", data_type=float)
        if ending == "fails":
            raise ValueError("on purpose")
        if ending != "returns":
            await event.wait.aio()

    registry = asks(body, timeout="1h")
    async with Runner(store, registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        if ending in {"stopped", "times out"}:
            await asked("go", run.name)
        if ending == "stopped":
            await run.stop.aio()
        await clock.advance(HOUR)
        await run.wait.aio()
        event = await Event.get.aio("go", run.name)
        assert event is not None
        with pytest.raises(EventClosedError, match=phase):
            await event.signal.aio(1.5)
        with pytest.raises(EventClosedError, match=phase):
            await event.wait.aio()

    assert (event.phase.value, event.prompt, event.description) == (phase, "Well?", "more")
    assert event.expected_type is float
    assert event.end_time is not None
