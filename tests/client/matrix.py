"""The places that each call with both forms is made from; the calls are in tests/client/rows.py.

A place makes a runner, calls one row there, and returns what came of it.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from asyncflow import (
    Context,
    NotificationClient,
    Registry,
    Runner,
    SingleEventCondition,
    TaskAction,
    TriggerResult,
    Workflow,
    WorkflowRule,
    task,
    trigger,
)
from asyncflow._dual import DualIterator
from asyncflow._model.port import CURRENT_TASK, TaskScope
from tests.client.ears import Heard
from tests.client.rows import ROWS, Row, World

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds after which a call is said to hang."""


@dataclass(frozen=True)
class Came:
    """What came of one call, and how long it took in seconds."""

    value: object
    error: BaseException | None
    seconds: float


def blocking(row: Row, world: World) -> Came:
    """Make a call in its blocking form."""
    begin = time.perf_counter()
    try:
        bound: Any = row.call(world)
        value = bound(*row.arguments(world))
        if isinstance(bound, DualIterator):
            value = list(value)
    except Exception as error:
        return Came(None, error, time.perf_counter() - begin)
    return Came(value, None, time.perf_counter() - begin)


async def awaited(row: Row, world: World) -> Came:
    """Make a call in its other form."""
    begin = time.perf_counter()
    try:
        bound: Any = row.call(world)
        made = bound.aio(*row.arguments(world))
        listing = isinstance(bound, DualIterator)
        value = [each async for each in made] if listing else await made
    except Exception as error:
        return Came(None, error, time.perf_counter() - begin)
    return Came(value, None, time.perf_counter() - begin)


Inside: TypeAlias = Callable[[Context], object]
Place: TypeAlias = Callable[[Row], Came]


def declared(inside: Inside = lambda context: None) -> Registry:
    """Declare a workflow that ends, one that does not, and one that does what a test wants."""
    with Registry() as registry:
        with Workflow("quick"):

            @task()
            async def ends() -> None:
                """End at once."""

        with Workflow("open"):

            @task()
            async def waits() -> None:
                """Wait for an event that never comes."""

            waits.action_on_event_received(TaskAction.START, "never")
        with Workflow("calls"):
            task(id="call")(inside)

        with Workflow("polled"):

            @task()
            async def ends_too() -> None:
                """End at once."""

        @trigger("polled", poll_interval="1h")
        async def looks() -> TriggerResult:
            return TriggerResult.skip()

    return registry


async def furnish(runner: Runner) -> World:
    """Let a runner have one of each thing that can be asked."""
    done = await runner.execute.aio("quick", name="done")
    (run,) = await done.task_executions.aio()
    opened = await runner.start.aio("open", name="open")
    sent = await runner.send_event.aio("first", 1)
    rule = WorkflowRule(SingleEventCondition("never"))
    await runner.add_workflow_rule.aio("quick", rule, name="rule")
    token = CURRENT_TASK.set(TaskScope(runner, opened.id, "open", "default", "waits", 1, 1))
    notifier = NotificationClient()
    CURRENT_TASK.reset(token)
    fired = await runner.fire_trigger.aio("looks", key="first")
    assert fired is not None
    await fired.wait.aio()
    await runner.register_schedule.aio("polled", "@daily", name="daily")
    heard = await runner.register_listener.aio(Heard())
    by_task = await notifier.register_listener.aio(Heard())
    return World(runner, done, opened, run, notifier, heard, by_task, sent)


def open_runner(inside: Inside = lambda context: None) -> Runner:
    return Runner(":memory:", registry=declared(inside), grace=0)


# --- places ---


def watched(call: Callable[[], T]) -> T:
    """Return what it returns, called in a thread that cannot hang whoever waits for it."""
    ended: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            ended.put((call(),))
        except BaseException as error:
            ended.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        came = ended.get(timeout=PATIENCE)
    except Empty:
        raise AssertionError(f"it has not returned after {PATIENCE} s") from None
    if isinstance(came, BaseException):
        raise came
    return came[0]


async def watched_beside(call: Callable[[], T]) -> T:
    """Do as `watched` does, while the loop of the caller runs on."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: watched(call))


def in_a_loop(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(make())


def in_this_thread(row: Row) -> Came:
    """No loop: the thread that opened it."""
    with open_runner() as runner:
        return blocking(row, in_a_loop(lambda: furnish(runner)))


def in_a_thread(row: Row) -> Came:
    """No loop: another thread than that which opened it."""
    with open_runner() as runner:
        world = in_a_loop(lambda: furnish(runner))
        return watched(lambda: blocking(row, world))


def in_a_thread_of_a_loop(row: Row) -> Came:
    """No loop here: the home is the loop of another thread."""

    async def main() -> Came:
        async with open_runner() as runner:
            world = await furnish(runner)
            return await watched_beside(lambda: blocking(row, world))

    return in_a_loop(main)


def blocking_in_its_loop(row: Row) -> Came:
    async def main() -> Came:
        async with open_runner() as runner:
            return blocking(row, await furnish(runner))

    return in_a_loop(main)


def in_its_loop(row: Row) -> Came:
    async def main() -> Came:
        async with open_runner() as runner:
            return await awaited(row, await furnish(runner))

    return in_a_loop(main)


def in_a_foreign_loop(row: Row) -> Came:
    """The home is a thread of its own."""
    with open_runner() as runner:
        world = in_a_loop(lambda: furnish(runner))
        return watched(lambda: in_a_loop(lambda: awaited(row, world)))


def in_a_foreign_loop_of_a_loop(row: Row) -> Came:
    """The home is the loop of another thread."""

    async def main() -> Came:
        async with open_runner() as runner:
            world = await furnish(runner)
            return await watched_beside(lambda: in_a_loop(lambda: awaited(row, world)))

    return in_a_loop(main)


def blocking_in_a_foreign_loop(row: Row) -> Came:
    async def elsewhere(world: World) -> Came:
        return blocking(row, world)

    async def main() -> Came:
        async with open_runner() as runner:
            world = await furnish(runner)
            return await watched_beside(lambda: in_a_loop(lambda: elsewhere(world)))

    return in_a_loop(main)


def on_a_loop_that_stands_still(row: Row) -> Came:
    """The home is a loop that this very thread would have to run."""
    with asyncio.Runner() as loop:
        runner = open_runner()
        loop.run(runner.__aenter__())
        world = loop.run(furnish(runner))
        try:
            return blocking(row, world)
        finally:
            loop.run(runner.shutdown.aio())


def in_a_task(row: Row, make: Callable[[Callable[[], World], list[Came]], Inside]) -> Came:
    """Call what is made of a way to the world, as a task of the workflow "calls"."""
    worlds: list[World] = []
    came: list[Came] = []

    def world() -> World:
        return replace(worlds[0], notifier=NotificationClient())

    async def main() -> None:
        async with open_runner(make(world, came)) as runner:
            worlds.append(await furnish(runner))
            await runner.execute.aio("calls")

    in_a_loop(main)
    return came[0]


def in_a_task_s_thread(row: Row) -> Came:
    def make(world: Callable[[], World], came: list[Came]) -> Inside:
        return lambda context: came.append(blocking(row, world()))

    return in_a_task(row, make)


def in_a_loop_in_a_task_s_thread(row: Row) -> Came:
    def make(world: Callable[[], World], came: list[Came]) -> Inside:
        return lambda context: came.append(in_a_loop(lambda: awaited(row, world())))

    return in_a_task(row, make)


def in_an_async_task(row: Row) -> Came:
    def make(world: Callable[[], World], came: list[Came]) -> Inside:
        async def inside(context: Context) -> None:
            came.append(await awaited(row, world()))

        return inside

    return in_a_task(row, make)


def blocking_in_an_async_task(row: Row) -> Came:
    def make(world: Callable[[], World], came: list[Came]) -> Inside:
        async def inside(context: Context) -> None:
            came.append(blocking(row, world()))

        return inside

    return in_a_task(row, make)


def after_its_end(row: Row) -> Came:
    with open_runner() as runner:
        world = in_a_loop(lambda: furnish(runner))
    return blocking(row, world)


def in_a_loop_after_its_end(row: Row) -> Came:
    with open_runner() as runner:
        world = in_a_loop(lambda: furnish(runner))
    return in_a_loop(lambda: awaited(row, world))


FORKED: dict[str, Callable[[World, Row], Came]] = {
    "a client of the parent": lambda world, row: blocking(row, world),
    "a client of the parent, in a loop": lambda world, row: in_a_loop(lambda: awaited(row, world)),
    "a client of its own": lambda world, row: in_this_thread(row),
    "a client of its own, in a loop": lambda world, row: in_its_loop(row),
}
"""What a forked child may call: the runner that was open before, or another one."""


def told(row: Row, came: Came) -> str:
    """Say in one line what came of a call."""
    if came.error is not None:
        return f"{type(came.error).__name__}: {came.error}"
    return "right" if row.right(came.value) else f"wrong: {came.value!r}"


def main() -> None:
    """Fork while a runner is open, and print what came of every call in the child."""
    with open_runner() as runner:
        world = in_a_loop(lambda: furnish(runner))
        child = os.fork()
        if child:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        signal.alarm(10)  # the end of a child that hangs
        for place, call in FORKED.items():
            for name, row in ROWS.items():
                came = watched(lambda call=call, row=row: call(world, row))  # type: ignore[misc]
                print(place, name, f"{came.seconds:.3f}", told(row, came), sep="\t", flush=True)  # noqa: T201
        os._exit(0)


if __name__ == "__main__":
    main()
