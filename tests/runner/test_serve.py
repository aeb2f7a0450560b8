"""`Runner.serve`: it works until a signal, in the main thread; handlers are only set meanwhile."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import uvloop

from asyncflow import Registry, Runner, SyncInLoopError, UsageError, VirtualClock, Workflow, task
from asyncflow._model.port import _open_ports
from tests.runner.scene import forever, turns

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (
    asyncio.new_event_loop,
    uvloop.new_event_loop,
)


def handlers() -> list[object]:
    return [signal.getsignal(each) for each in SIGNALS]


def once_served(before: list[object], call: Callable[[], object]) -> None:
    """Call, in a thread, once a runner hears signals, and is open."""

    def wait() -> None:
        while handlers() == before or not _open_ports:
            os.sched_yield()
        call()

    threading.Thread(target=wait).start()


def ends_at_once(number: int, ran: list[str]) -> Registry:
    """Declare a task that sends this process a signal, and ends within the grace."""
    with Registry() as registry, Workflow("w"):

        @task()
        async def signals() -> None:
            os.kill(os.getpid(), number)
            await turns()
            ran.append("to its end")

    return registry


@pytest.mark.parametrize("number", SIGNALS)
def test_the_blocking_form_works_until_a_signal_and_gives_its_grace(number: int, url: str) -> None:
    ran: list[str] = []
    before = handlers()
    with Runner(url, registry=(registry := ends_at_once(number, ran))) as runner:
        once_served(before, lambda: runner.start("w"))
        runner.serve()
        found = handlers()
    with Runner(url, registry=registry) as runner:
        (execution,) = runner.executions()

    assert ran == ["to its end"]
    assert execution.status.final
    assert found == before


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("make", LOOPS)
def test_the_awaited_form_does_the_same_in_any_loop(
    number: int, make: Callable[[], asyncio.AbstractEventLoop], url: str
) -> None:
    ran: list[str] = []
    before = handlers()

    async def main() -> list[object]:
        runner = Runner(url, registry=ends_at_once(number, ran))
        once_served(handlers(), lambda: runner.start("w"))
        inside = handlers()
        await runner.serve.aio()
        assert handlers() == inside
        return inside

    with asyncio.Runner(loop_factory=make) as loop:
        loop.run(main())

    assert ran == ["to its end"]
    assert handlers() == before


def test_it_opens_the_runner_and_closes_it() -> None:
    runner = Runner(":memory:", registry=Registry())
    once_served(handlers(), lambda: os.kill(os.getpid(), signal.SIGTERM))

    runner.serve()

    with pytest.raises(UsageError, match="closed"):
        runner.send_event("said")
    with pytest.raises(UsageError, match=r"closed: Runner\.serve\(\) needs another"):
        runner.serve()


async def test_a_second_signal_ends_the_grace() -> None:
    clock, begun = VirtualClock(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def hangs() -> None:
            begun.set()
            await forever()

    async with Runner(":memory:", registry=registry, clock=clock, grace="1h") as runner:
        await runner.start.aio("w")
        await begun.wait()
        serving = asyncio.create_task(runner.serve.aio())
        await turns()
        os.kill(os.getpid(), signal.SIGTERM)
        await turns()
        await clock.advance(timedelta(minutes=1))
        early = serving.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    assert not early


async def test_it_returns_when_somebody_else_shuts_down() -> None:
    before = handlers()
    async with Runner(":memory:", registry=Registry()) as runner:
        serving = asyncio.create_task(runner.serve.aio())
        await turns()
        meanwhile = handlers()
        await runner.shutdown.aio()
        await serving

    assert meanwhile != before
    assert handlers() == before


async def test_cancelled_it_closes_what_it_has_opened() -> None:
    runner = Runner(":memory:", registry=Registry())
    before = handlers()
    serving = asyncio.create_task(runner.serve.aio())
    await turns(200)
    serving.cancel()
    await asyncio.wait({serving})

    assert serving.cancelled()
    assert handlers() == before
    with pytest.raises(UsageError, match="closed"):
        await runner.send_event.aio("said")


async def test_cancelled_it_leaves_open_what_was_open() -> None:
    async with Runner(":memory:", registry=Registry()) as runner:
        serving = asyncio.create_task(runner.serve.aio())
        await turns()
        serving.cancel()
        await asyncio.wait({serving})
        await runner.send_event.aio("said")


async def test_the_blocking_form_is_refused_in_a_loop() -> None:
    with pytest.raises(SyncInLoopError, match=r"Runner\.serve\.aio"):
        Runner(":memory:").serve()


def test_it_is_refused_outside_of_the_main_thread() -> None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            Runner(":memory:").serve()
        except UsageError as error:
            raised.append(error)
        try:
            asyncio.run(Runner(":memory:").serve.aio())
        except UsageError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert len(raised) == 2
    assert all("only the main thread does" in str(each) for each in raised)


async def test_a_task_cannot_serve_the_runner_that_runs_it() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def serves() -> None:
            await runner.serve.aio()

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")

    assert "cannot serve the runner that runs it" in str(done.error_message)


async def test_an_embedded_runner_leaves_the_handlers_alone(url: str) -> None:
    before = handlers()
    async with Runner(url, registry=Registry()) as runner:
        await runner.send_event.aio("said")
        inside = handlers()
    runner = Runner(url, registry=Registry())
    await asyncio.to_thread(runner.send_event, "said")
    plain = handlers()
    await asyncio.to_thread(runner.shutdown)

    assert inside == before
    assert plain == before
    assert handlers() == before
