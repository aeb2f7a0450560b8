"""asyncflow, as it comes, on a SQLite file: WAL, synchronous=FULL."""

import asyncio
import time
from functools import partial
from typing import Any, Final

import uvloop

from asyncflow import (
    Context,
    Event,
    Registry,
    Runner,
    TriggerResult,
    Workflow,
    new_event,
    task,
    trigger,
)
from benchmarks.contest.course import (
    LENGTH,
    Run,
    Trail,
    crowd,
    first,
    latencies,
    rates,
    signalled,
    until,
)
from benchmarks.contest.heat import Figures, Heat, check, left_behind, run
from benchmarks.contest.polls import INTERVAL, Polls

AT_ONCE: Final = 128
"""Executions of W6 whose start is asked for at once."""

SKIP: Final = TriggerResult.skip()
SUCCEEDED: Final = {
    table: f"SELECT count(*) FROM {table} WHERE status = 'SUCCESS'"
    for table in ("execution", "task_execution")
}


def check_success(heat: Heat, executions: int, tasks: int) -> None:
    """End with an error unless so many are recorded as SUCCESS."""
    check(heat.database, {SUCCEEDED["execution"]: executions, SUCCEEDED["task_execution"]: tasks})


async def ended(runner: Runner, name: str) -> None:
    """Wait for the end of an execution."""
    execution = await runner.execution.aio(name)
    assert execution is not None, name
    await execution.wait.aio()


def one_task() -> Registry:
    """Declare a workflow of one task."""
    with Registry() as registry, Workflow("one"):

        @task(id="only")
        async def only() -> int:
            return 1

    return registry


def chain(trail: Trail | None = None) -> Registry:
    """Declare a chain; of W9 each task leaves a trail."""
    with Registry() as registry, Workflow("chain"):
        for number in range(LENGTH):

            @task(id=f"t{number}", dependencies=[f"t{number - 1}"] if number else [])
            async def link(number: int = number) -> int:
                return 1 if trail is None else trail.step(number)

    return registry


def wide(many: int) -> Registry:
    """Declare a workflow of many tasks that depend on nothing."""
    with Registry() as registry, Workflow("wide"):
        for number in range(many):

            @task(id=f"t{number}")
            async def one() -> int:
                return 1

    return registry


async def w1(heat: Heat) -> Figures:
    """Run a workflow of one task."""
    async with Runner(heat.database, registry=one_task()) as runner:
        figures = await latencies(partial(runner.execute.aio, "one"), heat.many)
    check_success(heat, figures["runs"], figures["runs"])
    return figures


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    async with Runner(heat.database, registry=chain()) as runner:
        figures = await rates(partial(runner.execute.aio, "chain"), LENGTH)
    check_success(heat, figures["runs"], LENGTH * figures["runs"])
    return figures


async def w3(heat: Heat) -> Figures:
    """Run many tasks beside one another."""
    async with Runner(heat.database, registry=wide(heat.many)) as runner:
        figures = await rates(partial(runner.execute.aio, "wide"), heat.many)
    check_success(heat, figures["runs"], heat.many * figures["runs"])
    return figures


async def w4(heat: Heat) -> Figures:
    """Run many workflows beside one another."""
    async with Runner(heat.database, registry=one_task()) as runner:

        async def all_of_them() -> None:
            await asyncio.gather(*(runner.execute.aio("one") for _ in range(heat.many)))

        figures = await rates(all_of_them, heat.many)
    check_success(heat, heat.many * figures["runs"], heat.many * figures["runs"])
    return figures


class Waiting:
    """A workflow that waits for a signal, and who of it waits or has gone on."""

    def __init__(self) -> None:
        """Declare it."""
        self.arrived: set[str] = set()
        self.stamps: dict[int, float] = {}
        with Registry() as self.registry, Workflow("waits"):

            @task(id="waits")
            async def waits(context: Context) -> int:
                event = await new_event.aio("go", data_type=int)
                self.arrived.add(context.execution_name)
                number = await event.wait.aio()
                self.stamps[number] = time.monotonic()
                return 1


def event_of(number: int) -> Any:  # noqa: ANN401  a coroutine of what the event's type is
    """Return what gets the event that one execution waits for."""
    return Event.get.aio("go", run_name=f"e{number}")


async def w5(heat: Heat) -> Figures:
    """Signal one execution after the other."""
    waiting = Waiting()
    async with Runner(heat.database, registry=waiting.registry) as runner:

        async def wait(number: int) -> Run:
            await runner.start.aio("waits", name=f"e{number}")
            await until(partial(waiting.arrived.__contains__, f"e{number}"))
            event = await event_of(number)
            return partial(event.signal.aio, number)

        figures = await signalled(heat.many, wait, waiting.stamps)
        await ended(runner, f"e{figures['runs'] - 1}")
    check_success(heat, figures["runs"], figures["runs"])
    return figures


async def w6(heat: Heat) -> Figures:
    """Let many wait, then signal them all."""
    waiting = Waiting()
    async with Runner(heat.database, registry=waiting.registry, grace=0) as runner:
        pending: set[asyncio.Task[Any]] = set()

        async def start(number: int) -> None:
            if len(pending) >= AT_ONCE:
                await asyncio.wait(pending)
            each = asyncio.create_task(runner.start.aio("waits", name=f"e{number}"))
            pending.add(each)
            each.add_done_callback(pending.discard)

        async def signal(number: int) -> None:
            event = await event_of(number)
            await event.signal.aio(number)

        figures = await crowd(
            heat.many, start, lambda: len(waiting.arrived), signal, lambda: len(waiting.stamps)
        )
    check(
        heat.database,
        {"SELECT count(*) FROM awaited_event WHERE phase = 'SUCCEEDED'": heat.many},
    )
    return figures


async def w7(heat: Heat) -> Figures:
    """Poll many triggers."""
    polls = Polls()
    registry = one_task()
    with registry:
        for number in range(heat.many):

            @trigger("one", name=f"trigger {number}", poll_interval=INTERVAL)
            async def poll(number: int = number) -> TriggerResult:
                polls.note(number)
                return SKIP

    async with Runner(heat.database, registry=registry):
        return await polls.observe(heat.many, heat.seconds)


async def w8(heat: Heat) -> Figures:
    """Run a first workflow."""
    async with Runner(heat.database, registry=one_task()) as runner:
        figures = await first(partial(runner.execute.aio, "one"), heat)
    check_success(heat, 1, 1)
    return figures


async def crash(heat: Heat) -> Figures:
    """Run a chain of which one task kills this process."""
    async with Runner(heat.database, registry=chain(Trail(heat))) as runner:
        await runner.execute.aio("chain", name="killed")
    return {}


async def w9(heat: Heat) -> Figures:
    """Go on after the crash."""
    sql = "SELECT task FROM task_execution WHERE status = 'SUCCESS'"
    recorded = {int(name[1:]) for (name,) in left_behind(heat.database, sql)}
    trail = Trail(heat)
    opened = time.monotonic()
    async with Runner(heat.database, registry=chain(trail)) as runner:
        await ended(runner, "killed")
    check_success(heat, 1, LENGTH)
    return trail.figures(heat, opened, recorded)


if __name__ == "__main__":
    workloads = {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W7": w7, "W8": w8}
    loops = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    run({**workloads, "W9 crash": crash, "W9": w9}, loops)
