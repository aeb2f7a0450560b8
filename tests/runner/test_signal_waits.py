"""SEMANTICS 16: who waits for an event, from where, for how long, and what ends a wait."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    EventClosedError,
    EventPhase,
    Registry,
    Runner,
    TaskStatus,
    UsageError,
    VirtualClock,
    WaitTimeoutError,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from tests.runner.asking import asked, asks, waiters
from tests.runner.scene import rows, until

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


# --- several who wait ---


async def test_two_waiters_in_one_task_both_get_the_payload(store: str) -> None:
    async def body(_: Context) -> list[int]:
        event = await new_event.aio("go", data_type=int)
        return list(await asyncio.gather(event.wait.aio(), event.wait.aio()))

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await until(lambda: waiters(runner) == 2)
        await event.signal.aio(5)
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        left = waiters(runner)

    assert ask.result == [5, 5]
    assert left == 0


async def test_another_task_and_somebody_outside_wait_for_it_too(store: str) -> None:
    with Registry() as registry, Workflow("w"):
        task(id="ask")(one)

        @task()
        async def other(context: Context) -> object:
            return await (await asked("go", context.execution_name)).wait.aio()

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        outside = asyncio.create_task(event.wait.aio())
        await until(lambda: waiters(runner) == 3)
        await event.signal.aio(5)
        runs = await (await run.wait.aio()).task_executions.aio()

    assert await outside == 5
    assert [each.result for each in runs] == [5, 5]


async def test_a_cancelled_waiter_does_not_disturb_the_other(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        first, second = (asyncio.create_task(event.wait.aio()) for _ in range(2))
        await until(lambda: waiters(runner) == 3)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        left = waiters(runner)
        await event.signal.aio(5)
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert left == 2
    assert (await second, ask.result) == (5, 5)


async def test_waiters_outside_are_told_that_it_closed(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        outside = asyncio.create_task(event.wait.aio())
        await until(lambda: waiters(runner) == 2)
        await run.stop.aio(wait=True)
        with pytest.raises(EventClosedError, match="ABORTED"):
            await outside


async def test_threads_outside_wait_for_it_in_the_blocking_form(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(3) as threads:
            waits = [loop.run_in_executor(threads, event.wait) for _ in range(3)]
            await until(lambda: waiters(runner) == 4)
            await event.signal.aio(5)
            answers = await asyncio.gather(*waits)

    assert answers == [5, 5, 5]


# --- timeouts of a wait ---


async def test_a_wait_that_takes_too_long_ends_and_the_event_waits_on(store: str) -> None:
    clock = VirtualClock()

    async def body(_: Context) -> list[object]:
        event = await new_event.aio("go", data_type=int)
        try:
            await event.wait.aio(timeout="1m")
        except WaitTimeoutError as error:
            return [str(error), await event.wait.aio(timeout=HOUR)]
        return []

    async with Runner(store, registry=asks(body), clock=clock) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await clock.advance(timedelta(minutes=1))
        again = await event.refresh.aio()
        left = waiters(runner)
        await again.signal.aio(5)
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert again.phase is EventPhase.RUNNING
    assert left == 1
    assert isinstance(ask.result, list)
    assert "'go'" in str(ask.result[0])
    assert "waits on" in str(ask.result[0])
    assert ask.result[1] == 5


async def test_a_wait_of_no_time_looks_once(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        with pytest.raises(WaitTimeoutError):
            await event.wait.aio(timeout=0)
        await event.signal.aio(5)
        assert await event.wait.aio(timeout="5s") == 5


async def test_the_time_of_a_task_passes_while_it_waits(store: str) -> None:
    clock = VirtualClock()
    async with Runner(store, registry=asks(one, timeout="1h"), clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await clock.advance(HOUR)
        done = await run.wait.aio()
        event = await Event.get.aio("go", run.name)

    assert done.status is WorkflowStatus.FAILED
    assert "TimeoutError" in (done.error_message or "")
    assert event is not None
    assert event.phase is EventPhase.FAILED


# --- stops and shutdowns ---


async def test_a_stop_ends_the_wait_of_an_async_task_at_once(store: str) -> None:
    ends: list[type[BaseException]] = []

    async def body(_: Context) -> None:
        event = await new_event.aio("go")
        try:
            await event.wait.aio()
        except BaseException as error:
            ends.append(type(error))
            raise

    clock = VirtualClock()
    async with Runner(store, registry=asks(body), clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await until(lambda: waiters(runner) == 1)
        await run.stop_task.aio("ask")
        done = await run.wait.aio()
        (ask,) = await done.task_executions.aio()

    assert ends == [asyncio.CancelledError]
    assert (done.status, ask.status, ask.abandoned) == (
        WorkflowStatus.STOPPED,
        TaskStatus.STOPPED,
        False,
    )


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_shutdown_takes_no_grace_for_what_waits_and_the_next_runner_goes_on(
    kind: str, url: str, path: Path
) -> None:
    begun: list[int] = []

    def blocks(context: Context) -> int:
        event = new_event("go", data_type=int)
        begun.append(context.try_number)
        return event.wait()

    async def awaits(context: Context) -> int:
        event = await new_event.aio("go", data_type=int)
        begun.append(context.try_number)
        return await event.wait.aio()

    clock = VirtualClock()  # no grace passes, or this never ends
    registry = asks(awaits if kind == "async" else blocks)
    async with Runner(url, registry=registry, clock=clock, grace="1h") as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await until(lambda: waiters(runner) == 1)
    left = rows(path, "SELECT status FROM task_execution")
    async with Runner(url, registry=registry, clock=clock) as runner:
        await until(lambda: len(begun) == 2)
        await (await asked("go", run.name)).signal.aio(5)
        (ask,) = await (await runner.wait.aio(run.name)).task_executions.aio()

    assert left == [("RUNNING",)]
    assert begun == [1, 2]
    assert (ask.result, ask.try_number) == (5, 2)


async def test_a_waiter_outside_is_told_when_its_runner_closes(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        waiting = asyncio.create_task(event.wait.aio())
        await until(lambda: waiters(runner) == 2)
    with pytest.raises((UsageError, asyncio.CancelledError)):
        await waiting


# --- of another owner ---


async def test_a_client_waits_for_an_event_that_a_runner_owns(url: str) -> None:
    async with Runner(url, registry=asks(one)) as runner, Client(url, registry=Registry()) as asker:
        run = await runner.start.aio("w")
        await until_waits(runner)
        theirs = await asker.event.aio("go", run.name)
        assert theirs is not None
        outside = asyncio.create_task(theirs.wait.aio())
        timed = asyncio.create_task(theirs.wait.aio(timeout="20s"))
        await theirs.signal.aio(5)
        answers = [await outside, await timed]
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert answers == [5, 5]
    assert ask.result == 5


async def test_a_task_waits_for_an_event_of_an_execution_that_another_runner_owns(url: str) -> None:
    with Registry() as registry, Workflow("other"):

        @task()
        async def other(context: Context) -> object:
            event = await Event.get.aio("go", str(context["run"]))
            assert event is not None
            return await event.wait.aio()

    async with (
        Runner(url, registry=asks(one)) as runner,
        Runner(url, registry=registry) as neighbour,
    ):
        run = await runner.start.aio("w")
        await until_waits(runner)
        waiting = await neighbour.start.aio("other", {"run": run.name})
        mine = await runner.event.aio("go", run.name)
        assert mine is not None
        both = asyncio.create_task(Event.wait_any.aio(mine, timeout="20s"))
        await mine.signal.aio(5)
        (theirs,) = await (await waiting.wait.aio()).task_executions.aio()

    assert theirs.result == 5
    assert (await both).value == 5


async def until_waits(runner: Runner) -> None:
    await until(lambda: waiters(runner) == 1)


def test_a_script_without_asyncio_waits_too(url: str) -> None:
    def body(_: Context) -> int:
        return new_event("go", data_type=int).wait()

    with Runner(url, registry=asks(body)) as runner:
        run = runner.start("w")
        while (event := Event.get("go", run.name)) is None:
            pass
        answers: list[object] = []
        waiting = threading.Thread(target=lambda: answers.append(event.wait()))
        waiting.start()
        event.signal(5)
        waiting.join()
        (ask,) = run.wait(timeout="10s").task_executions()

    assert answers == [5]
    assert ask.result == 5
