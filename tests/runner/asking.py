"""What the tests of awaited events share: one task that asks, and its event once it waits."""

import asyncio
from collections.abc import Awaitable, Callable

from asyncflow import Context, Event, EventPhase, Registry, Runner, Workflow, task

Body = Callable[[Context], Awaitable[object]] | Callable[[Context], object]


async def asked(name: str, run_name: str, action_name: str | None = None) -> Event:
    """Return an event once it waits; the test's timeout ends what never comes."""
    while True:
        found = await Event.get.aio(name, run_name, action_name)
        if found is not None and found.phase is EventPhase.RUNNING:
            return found
        await asyncio.sleep(0)


def asks(body: Body, **options: object) -> Registry:
    """Declare the workflow "w" of the one task "ask"."""
    registry = Registry()
    with registry, Workflow("w"):
        task(id="ask", **options)(body)  # type: ignore[arg-type]
    return registry


def waiters(runner: Runner) -> int:
    """Count who waits by futures for events of a runner."""
    assert runner._engine is not None
    lives = runner._engine.driver.lives.values()
    return sum(len(each.waiters) for live in lives for each in live.awaiting.values())


async def phases(run_name: str) -> list[tuple[str, str]]:
    """Return what a listing shows of an execution: ids and phases."""
    return [(event.action_name, event.phase.value) async for event in Event.listall.aio(run_name)]
