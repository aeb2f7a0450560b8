"""SEMANTICS 16: waiting for the first of several events."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    EventTimedOutError,
    Registry,
    Runner,
    UsageError,
    VirtualClock,
    WaitTimeoutError,
    WorkflowStatus,
    new_event,
)
from tests.runner.asking import asked, asks
from tests.runner.scene import forever, turns, until

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


def waiters(runner: Runner) -> int:
    """Count who waits by futures for events of a runner."""
    assert runner._engine is not None
    lives = runner._engine.driver.lives.values()
    return sum(len(each.waiters) for live in lives for each in live.awaiting.values())


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


# --- wait_any ---


async def test_wait_any_returns_the_first_that_is_signalled(store: str) -> None:
    async def body(_: Context) -> list[object]:
        events = [await new_event.aio(each, data_type=int) for each in ("a", "b", "c")]
        first = await Event.wait_any.aio(*events)
        return [first.name, first.value, first.phase.value, await first.wait.aio()]

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        event = await asked("b", run.name)
        await until(lambda: waiters(runner) == 3)
        await event.signal.aio(5)
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == ["b", 5, "SUCCEEDED", 5]


async def test_of_several_that_were_signalled_wait_any_takes_the_first_given(store: str) -> None:
    async def body(_: Context) -> str:
        names = ("a", "b", "c")
        events = [await new_event.aio(each, data_type=int) for each in names]
        for event in (events[2], events[1]):
            await event.signal.aio(1)
        found = [await Event.get.aio(each, run_name=run.name) for each in names]
        first = await Event.wait_any.aio(*[each for each in found if each is not None])
        stale = await Event.wait_any.aio(*events)  # which know of no signal
        return first.name + stale.name

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == "bb"


async def test_wait_any_leaves_out_what_times_out_and_raises_the_last_error(store: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> list[str]:
        short = await new_event.aio("short", timeout="1h")
        long = await new_event.aio("long", timeout="2h")
        answers: list[str] = []
        for events in ((short, long), (short, long), (long,)):
            try:
                answers.append((await Event.wait_any.aio(*events)).name)
            except EventTimedOutError as error:
                answers.append(error.event)
        return answers

    async with Runner(store, registry=asks(body), clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("long", run.name)
        await clock.advance(HOUR)
        await turns()
        still = await run.refresh.aio()
        await clock.advance(HOUR)
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert still.status is WorkflowStatus.RUNNING
    assert ask.result == ["long", "long", "long"]


async def test_wait_any_of_one_that_timed_out_and_one_that_comes_returns_that(store: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> list[object]:
        short = await new_event.aio("short", timeout="1h")
        long = await new_event.aio("long", data_type=str)
        return [(await Event.wait_any.aio(short, long)).value]

    async with Runner(store, registry=asks(body), clock=clock) as runner:
        run = await runner.start.aio("w")
        long = await asked("long", run.name)
        await clock.advance(2 * HOUR)
        await long.signal.aio("late")
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == ["late"]


async def test_wait_any_may_have_a_timeout_and_leaves_no_waiter(store: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> str:
        events = [await new_event.aio(each) for each in ("a", "b")]
        try:
            await Event.wait_any.aio(*events, timeout="1m")
        except WaitTimeoutError as error:
            text = str(error)
        await forever() if waiters(runner) else None
        return text

    async with Runner(store, registry=asks(body), clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("b", run.name)
        await clock.advance(timedelta(minutes=1))
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert "'a', 'b'" in str(ask.result)


async def test_wait_any_of_nothing_is_a_usage_error() -> None:
    async with Runner(":memory:", registry=Registry()):
        with pytest.raises(UsageError, match="at least one"):
            await Event.wait_any.aio()


async def test_wait_any_takes_sent_events_as_signalled(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        sent = await runner.send_event.aio("said", 3)
        assert await Event.wait_any.aio(event, sent) == sent
        assert await sent.wait.aio() == 3


async def test_wait_any_waits_for_events_of_several_executions(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        runs = [await runner.start.aio("w") for _ in range(3)]
        events = [await asked("go", run.name) for run in runs]
        waiting = asyncio.create_task(Event.wait_any.aio(*events))
        await until(lambda: waiters(runner) == 6)
        await events[1].signal.aio(5)
        found = await waiting

    assert (found.run_name, found.value) == (runs[1].name, 5)


async def test_wait_any_asks_the_client_of_its_events_while_others_are_open(url: str) -> None:
    async with Runner(url, registry=asks(one)) as runner, Client(url, registry=Registry()) as asker:
        run = await runner.start.aio("w")
        await until(lambda: waiters(runner) == 1)
        mine, theirs = await runner.event.aio("go", run.name), await asker.event.aio("go", run.name)
        assert mine is not None
        assert theirs is not None
        waits = [asyncio.create_task(Event.wait_any.aio(each)) for each in (mine, theirs)]
        await until(lambda: waiters(runner) == 2)
        await mine.signal.aio(5)
        found = await asyncio.gather(*waits)

    assert [each.value for each in found] == [5, 5]


async def test_wait_any_runs_where_its_events_are_at_home(url: str) -> None:
    def body(_: Context) -> int:
        return new_event("go", data_type=int).wait()

    def elsewhere() -> Event:
        with Client(url, registry=Registry()) as asker:
            while (theirs := asker.event("go", "e")) is None:
                pass
            begun.set()
            return Event.wait_any(theirs)

    async with Runner(url, registry=asks(body)) as runner:
        await runner.start.aio("w", name="e")
        begun, loop = threading.Event(), asyncio.get_running_loop()
        waiting = loop.run_in_executor(None, elsewhere)
        await loop.run_in_executor(None, begun.wait, 10)
        mine = await runner.event.aio("go", "e")
        assert mine is not None
        await mine.signal.aio(5)
        found = await waiting

    assert found.value == 5


async def test_wait_any_refuses_events_of_several_clients(url: str) -> None:
    async with (
        Runner(url, registry=asks(one)) as runner,
        Runner(":memory:", registry=asks(one)) as other,
    ):
        events: list[Event] = []
        for each in (runner, other):
            run = await each.start.aio("w")
            await until(lambda each=each: waiters(each) == 1)  # type: ignore[misc]
            event = await each.event.aio("go", run.name)
            assert event is not None
            events.append(event)
        with pytest.raises(UsageError, match="of one client, not of Runner"):
            await Event.wait_any.aio(*events)
