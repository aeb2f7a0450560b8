"""`shutdown(grace=...)`: the call says how long; and nothing of a runner is left after its end."""

import asyncio
import gc
import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    ListenerProcessor,
    NotificationClient,
    Registry,
    Runner,
    SystemClock,
    TaskStatus,
    TriggerResult,
    UsageError,
    VirtualClock,
    Workflow,
    new_event,
    task,
    trigger,
)
from tests.runner.scene import forever, turns, until

SECOND = timedelta(seconds=1)


def hanging(begun: asyncio.Event, swallows: bool = False) -> Registry:
    """Declare a task that does not end, and perhaps does not even when it is cancelled."""
    with Registry() as registry, Workflow("w"):

        @task()
        async def hangs() -> None:
            begun.set()
            try:
                await forever()
            except asyncio.CancelledError:
                if not swallows:
                    raise

    return registry


async def test_the_grace_of_the_call_holds_instead_of_the_runner_s() -> None:
    clock, begun = VirtualClock(), asyncio.Event()
    runner = await Runner(":memory:", registry=hanging(begun), clock=clock, grace="1h").__aenter__()
    await runner.start.aio("w")
    await begun.wait()

    ending = asyncio.create_task(runner.shutdown.aio(grace="3s"))
    await turns()
    await clock.advance(2 * SECOND)
    early = ending.done()
    await clock.advance(SECOND)
    await ending

    assert not early


async def test_a_second_call_may_shorten_the_grace_while_it_is_closing() -> None:
    clock, begun = VirtualClock(), asyncio.Event()
    runner = await Runner(":memory:", registry=hanging(begun), clock=clock, grace="1h").__aenter__()
    await runner.start.aio("w")
    await begun.wait()
    first = asyncio.create_task(runner.shutdown.aio())
    await turns()

    await runner.shutdown.aio(grace=0)
    await first

    assert clock.monotonic() == 0


async def test_a_second_call_may_lengthen_it_and_counts_from_then() -> None:
    clock, begun = VirtualClock(), asyncio.Event()
    runner = await Runner(":memory:", registry=hanging(begun), clock=clock, grace="2s").__aenter__()
    await runner.start.aio("w")
    await begun.wait()
    first = asyncio.create_task(runner.shutdown.aio())
    await turns()
    await clock.advance(SECOND)
    second = asyncio.create_task(runner.shutdown.aio(grace=10))
    await turns()
    await clock.advance(9 * SECOND)
    early = first.done()
    await clock.advance(SECOND)
    await asyncio.gather(first, second)

    assert not early


def test_the_blocking_form_takes_a_grace(url: str) -> None:
    begun = asyncio.Event()
    runner = Runner(url, registry=hanging(begun), grace="1h")
    execution = runner.start("w")

    runner.shutdown(grace="10ms")

    with Client(url) as client:
        found = client.execution(execution.name)
        assert found is not None
        (run,) = found.task_executions()
    assert run.status in {TaskStatus.QUEUED, TaskStatus.RUNNING}


async def test_a_call_that_lets_things_be_keeps_the_runner_s_grace() -> None:
    clock, begun = VirtualClock(), asyncio.Event()
    runner = await Runner(":memory:", registry=hanging(begun), clock=clock, grace="2s").__aenter__()
    await runner.start.aio("w")
    await begun.wait()
    ending = asyncio.create_task(runner.shutdown.aio(grace=None))
    await turns()
    await clock.advance(SECOND)
    early = ending.done()
    await clock.advance(SECOND)
    await ending

    assert not early


@pytest.mark.parametrize("grace", ["soon", -1, object()])
def test_a_grace_that_is_none_is_refused_and_the_runner_stays_open(
    grace: Any,  # noqa: ANN401  what the type checkers refuse
) -> None:
    with Runner(":memory:", registry=Registry()) as runner:
        with pytest.raises((ValueError, TypeError)):
            runner.shutdown(grace=grace)
        runner.send_event("still open")


def test_a_client_takes_no_grace() -> None:
    client: Any = Client(":memory:")

    with pytest.raises(TypeError):
        client.shutdown(grace=1)


class Hears(ListenerProcessor):
    """Hears."""

    def process(self, events: Sequence[Event]) -> None:
        """Be called in a thread."""


def busy(begun: list[str]) -> Registry:  # noqa: C901  one of each kind
    """Declare work of every kind, which does not end by itself."""
    with Registry() as registry:
        with Workflow("w"):

            @task()
            async def swallows() -> None:
                begun.append("swallows")
                try:
                    await forever()
                except asyncio.CancelledError:
                    begun.append("cancelled")

            @task()
            async def waits() -> None:
                event = await new_event.aio("asked", timeout="1h")
                begun.append("waits")
                await event.wait.aio()

            @task(timeout="1h", periodic_expression="interval@0 1 0 0")
            def in_a_thread(context: Context) -> None:
                begun.append("in_a_thread")
                while not context.stop_requested:
                    os.sched_yield()

            @task(retries=1, retry_delay="1h")
            async def fails() -> None:
                await NotificationClient().register_listener.aio(Hears())
                begun.append("fails")
                raise ConnectionError

        @trigger(workflow="w", poll_interval="10ms")
        async def polls() -> TriggerResult:
            if "polls" in begun:
                await forever()
            begun.append("polls")
            return TriggerResult.skip()

    return registry


def descriptors() -> list[str]:
    """Name what this process has open."""
    found: list[str] = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except FileNotFoundError:  # of the listing itself
            continue
    return sorted(each for each in found if not each.startswith("/proc/"))


def threads() -> set[str]:
    """Name the threads, but those of the pool: daemons that wait 10 s for their next job."""
    return {each.name for each in threading.enumerate()} - {"asyncflow worker"}


@pytest.mark.parametrize("grace", ["0s", "50ms"])
async def test_after_a_shutdown_nothing_of_it_is_left(url: str, grace: str) -> None:
    begun: list[str] = []
    clock = SystemClock()
    before = (asyncio.all_tasks(), threads(), descriptors())
    runner = await Runner(url, registry=busy(begun), clock=clock).__aenter__()
    await runner.register_schedule.aio("w", "1h")
    await runner.register_listener.aio(Hears())
    await runner.start.aio("w")
    await until(lambda: {"swallows", "waits", "in_a_thread", "fails", "polls"} <= set(begun))

    await runner.shutdown.aio(grace=grace)
    await turns()
    gc.collect()

    assert "cancelled" in begun
    assert (asyncio.all_tasks(), threads(), descriptors()) == before
    assert (clock._timers.waiting, clock._wall_timers.waiting) == (0, 0)
    with pytest.raises(UsageError, match="closed"):
        await runner.send_event.aio("said")
