"""Cancels a call at its n-th suspension, and sees that nothing of it is left."""

import asyncio
import inspect
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from asyncflow import (
    AsyncflowError,
    Client,
    Event,
    EventPhase,
    Runner,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._dual import DualIterator
from asyncflow._store.protocol import Store
from tests.client.matrix import declared, furnish
from tests.client.rows import ROWS, Row, World

PATIENCE: Final = 15.0
"""Seconds after which a call is said to hang."""

VERBS: Final = frozenset(
    name for name, verb in vars(Store).items() if inspect.iscoroutinefunction(verb)
)


class Future(Protocol):
    """What a coroutine waits for."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> None: ...


@dataclass
class Cut:
    """Awaits a coroutine, and cancels its own task at the n-th suspension.

    ``late`` is when what it waits for has come, and the task has not gone on yet.
    """

    coroutine: Coroutine[Any, Any, object]
    number: int
    late: bool
    done: bool = False

    def __await__(self) -> Generator[Any, Any, object]:
        suspensions = 0
        answer: object = None
        error: BaseException | None = None
        while True:
            try:
                if error is None:
                    future = self.coroutine.send(answer)
                else:
                    future = self.coroutine.throw(error)
            except StopIteration as end:
                value: object = end.value
                return value
            suspensions += 1
            if suspensions == self.number:
                self._cancel(future)
            answer = error = None
            try:
                answer = yield future
            except BaseException as raised:  # it is the coroutine's own, which may catch it
                error = raised

    def _cancel(self, future: Future | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.done = True
        if self.late and future is not None:
            future.add_done_callback(lambda _: task.cancel())  # before the task's own
        else:
            task.cancel()

    async def run(self) -> object:
        """Be awaited by a task of its own."""
        return await self


def slowed(port: Client) -> None:
    """Let each verb of the port's store give up the loop before and after it."""
    store = port._store
    for verb in VERBS & set(dir(store)):
        setattr(store, verb, _slow(getattr(store, verb)))


def _slow(call: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    async def called(*arguments: object, **named: object) -> object:
        await asyncio.sleep(0)
        answer = await call(*arguments, **named)
        await asyncio.sleep(0)
        return answer

    return called


Call: TypeAlias = Callable[[World], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Case:
    """A call, and whether its answer is right.

    Attributes:
        last: the runner is closed by it.
        asks: it is about an event that a task awaits.
    """

    call: Call
    right: Callable[[Any], bool]
    last: bool = False
    asks: bool = False


def of_row(row: Row) -> Case:
    async def call(world: World) -> object:
        bound: Any = row.call(world)
        made = bound.aio(*row.arguments(world))
        return [each async for each in made] if isinstance(bound, DualIterator) else await made

    return Case(call, row.right, last=row is ROWS["Runner.shutdown"])


async def _asked(world: World) -> Event[bool]:
    """Return the event that a task awaits."""
    event: Event[bool] | None = await world.runner.event.aio("approve", "asks")
    assert event is not None
    return event


async def _signal(world: World) -> object:
    event = await _asked(world)
    await event.signal.aio(True)
    return (await event.refresh.aio()).phase


async def _wait(world: World) -> object:
    event = await _asked(world)
    soon(world, lambda: event.signal.aio(True))
    return await event.wait.aio()


async def _wait_any(world: World) -> object:
    event = await _asked(world)
    soon(world, lambda: event.signal.aio(True))
    return (await Event.wait_any.aio(event)).value


async def _wait_for_the_end(world: World) -> object:
    soon(world, world.open.stop.aio)
    return (await world.open.wait.aio()).status


async def _stop(world: World) -> object:
    await world.open.stop.aio(wait=True)
    return (await world.open.refresh.aio()).status


CASES: Final = {
    **{name: of_row(row) for name, row in ROWS.items()},
    "Event.signal of one that waits": Case(
        _signal, lambda found: found is EventPhase.SUCCEEDED, asks=True
    ),
    "Event.wait for a signal": Case(_wait, lambda found: found is True, asks=True),
    "Event.wait_any for a signal": Case(_wait_any, lambda found: found is True, asks=True),
    "WorkflowExecution.wait for its end": Case(_wait_for_the_end, lambda found: found.final),
    "WorkflowExecution.stop to its end": Case(_stop, lambda found: found.final),
}


def soon(world: World, call: Callable[[], Awaitable[object]]) -> None:
    """Make a call a little later, unless it was made meanwhile."""

    async def later() -> None:
        await asyncio.sleep(0.005)  # the call that is cut has to be waiting by then
        await call()

    _LATER[world.runner] = asyncio.create_task(later())


_LATER: Final[dict[Runner, asyncio.Task[None]]] = {}


async def is_cut(case: Case, url: str | Path, number: int, *, late: bool) -> bool:
    """Cut one call short; say whether it has so many suspensions."""
    registry = declared()
    with registry, Workflow("asks"):

        @task()
        async def asks() -> bool:
            event = await new_event.aio("approve")
            return await event.wait.aio()

    runner = Runner(url, registry=registry, grace=0)
    slowed(runner)
    async with asyncio.timeout(PATIENCE), runner:
        world = await furnish(runner)
        if case.asks:
            await runner.start.aio("asks", name="asks")
            while await runner.event.aio("approve", "asks") is None:  # noqa: ASYNC110  a task makes it
                await asyncio.sleep(0.001)  # a task makes it
        before = asyncio.all_tasks()
        cut = Cut(case.call(world), number, late)
        calling = asyncio.create_task(cut.run())
        await asyncio.wait({calling})
        later = _LATER.pop(runner, None)
        if later is not None:
            await later
        if not cut.done:
            assert case.right(calling.result())
            return False
        assert calling.cancelled(), "a cancellation was swallowed"
        if case.last:
            await runner.shutdown.aio()
        else:
            await _check(case, world, before | {calling})
        return True


async def _check(case: Case, world: World, before: set[asyncio.Task[Any]]) -> None:
    """See that nothing of the call goes on, that it can be made again, and another one, too."""
    while not asyncio.all_tasks() <= before:  # noqa: ASYNC110  what it has started ends
        await asyncio.sleep(0)
    with suppress(AsyncflowError):  # it may have been done
        await case.call(world)
    later = _LATER.pop(world.runner, None)
    if later is not None:
        await later
    after = await world.runner.execute.aio("polled")
    assert after.status is WorkflowStatus.SUCCESS


def held() -> tuple[int, int]:
    """Return how many threads of stores and leases, and descriptors, there are.

    Threads of tasks and listeners stay for a while, for the next that wants one.
    """
    names = ("connection", "lease")
    threads = [each for each in threading.enumerate() if any(n in each.name for n in names)]
    return len(threads), len(os.listdir("/proc/self/fd"))


def is_free(path: Path) -> bool:
    """Say whether nobody has left a transaction open."""
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    return True
