"""SEMANTICS 16: a sync task that waits blocks its thread, and gives up its slot meanwhile."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Event,
    EventPhase,
    Registry,
    Runner,
    TaskStatus,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._operators.threads import MOST_WAITING, SLOTS, Slots, slot, without_slot
from tests.client.ears import Heard
from tests.runner import killable_asks
from tests.runner.asking import asked, asks, waiters
from tests.runner.scene import turns, until


def blocks(_: Context) -> int:
    """Wait in a thread."""
    return new_event("go", data_type=int).wait()


def slots_of(runner: Runner) -> Slots:
    assert runner._engine is not None
    slots = runner._engine.tasks._variables[SLOTS]
    assert slots is not None
    return slots


def free(runner: Runner) -> int:
    return slots_of(runner).free


async def test_two_hundred_that_wait_do_not_starve_others(url: str) -> None:
    with Registry() as registry:
        with Workflow("w"):
            task(id="ask")(blocks)
        with Workflow("quick"):

            @task()
            def quick() -> str:
                return "done"

    async with Runner(url, registry=registry, threads=4) as runner:
        runs = [await runner.start.aio("w") for _ in range(200)]
        await until(lambda: slots_of(runner).waiting == 200)
        others = await asyncio.gather(*(runner.execute.aio("quick") for _ in range(8)))
        idle = free(runner)
        for number, run in enumerate(runs):
            event = await runner.event.aio("go", run.name)
            assert event is not None
            await event.signal.aio(number)
        ends = [await (await run.wait.aio()).task_executions.aio() for run in runs]
        left = (slots_of(runner).waiting, free(runner))

    assert {each.status for each in others} == {WorkflowStatus.SUCCESS}
    assert idle == 4
    assert [ask.result for (ask,) in ends] == list(range(200))
    assert left == (0, 4)


async def test_a_thread_takes_its_slot_again_after_the_signal() -> None:
    go = threading.Event()
    order: list[str] = []

    def waits(_: Context) -> None:
        new_event("go").wait()
        order.append("waited")

    def holds() -> None:
        order.append("holds")
        go.wait(10)
        order.append("let go")

    with Registry() as registry:
        with Workflow("w"):
            task(id="ask")(waits)
        with Workflow("long"):
            task(id="long")(holds)

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        long = await runner.start.aio("long")
        await until(lambda: bool(order))
        await event.signal.aio(True)
        await turns()
        go.set()
        await asyncio.gather(run.wait.aio(), long.wait.aio())

    assert order == ["holds", "let go", "waited"]


async def test_the_time_of_a_task_stands_still_while_it_waits_for_its_slot_again() -> None:
    go = threading.Event()
    begun = threading.Event()

    def holds() -> None:
        begun.set()
        go.wait(10)

    with Registry() as registry:
        with Workflow("w"):
            task(id="ask", timeout="1h")(blocks)
        with Workflow("long"):
            task(id="long")(holds)

    clock = VirtualClock()
    async with Runner(":memory:", registry=registry, threads=1, clock=clock) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        long = await runner.start.aio("long")
        await until(begun.is_set)
        await event.signal.aio(5)
        await turns()
        await clock.advance(timedelta(hours=2))
        go.set()
        done = await run.wait.aio()
        (ask,) = await done.task_executions.aio()
        await long.wait.aio()

    assert ask.result == 5


async def test_the_time_of_a_task_ends_its_wait_in_a_thread() -> None:
    clock = VirtualClock()
    registry = asks(blocks, timeout="1h")
    async with Runner(":memory:", registry=registry, clock=clock, threads=1) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        await clock.advance(timedelta(hours=1))
        done = await run.wait.aio()
        await until(lambda: slots_of(runner).waiting == 0)
        left = free(runner)
        event = await Event.get.aio("go", run.name)

    assert done.status is WorkflowStatus.FAILED
    assert left == 1
    assert event is not None
    assert event.phase is EventPhase.FAILED


async def test_an_attempt_whose_time_was_over_in_a_thread_leaves_nobody_to_tell() -> None:
    begun: list[int] = []

    def body(context: Context) -> int:
        begun.append(context.try_number)
        return blocks(context)

    clock = VirtualClock()
    registry = asks(body, timeout="1h", retries=1, retry_delay=0)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        await clock.advance(timedelta(hours=1))
        await until(lambda: begun == [1, 2] and slots_of(runner).waiting == 1)
        left = waiters(runner)
        await event.signal.aio(1)
        done = await run.wait.aio()

    assert left == 1
    assert done.status is WorkflowStatus.SUCCESS


async def test_a_stop_ends_the_wait_of_a_thread_at_once() -> None:
    ends: list[str] = []

    def body(_: Context) -> None:
        try:
            new_event("go").wait()
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    clock = VirtualClock()  # the 10 s of a thread do not pass
    async with Runner(":memory:", registry=asks(body), clock=clock, threads=1) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        await run.stop_task.aio("ask")
        done = await run.wait.aio()
        (ask,) = await done.task_executions.aio()
        left = (slots_of(runner).waiting, free(runner))

    assert ends == ["TaskStopped"]
    assert (ask.status, ask.abandoned) == (TaskStatus.STOPPED, False)
    assert left == (0, 1)


async def test_over_a_thousand_that_wait_are_told_to_be_async() -> None:
    slots = Slots(4)
    SLOTS.set(slots)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        async with slot(), without_slot():
            await never

    waiting = [asyncio.create_task(waits()) for _ in range(MOST_WAITING)]
    await until(lambda: slots.waiting == MOST_WAITING)
    with pytest.raises(UsageError, match=r"1,000 threads wait .* `async def`"):
        await waits()
    free = slots.free
    never.set_result(None)
    await asyncio.gather(*waiting)

    assert free == 4
    assert (slots.waiting, slots.free) == (0, 4)


async def test_a_coroutine_that_waits_needs_no_slot_and_counts_as_no_thread() -> None:
    async def body(_: Context) -> int:
        return await (await new_event.aio("go", data_type=int)).wait.aio()

    async with Runner(":memory:", registry=asks(body), threads=1) as runner:
        runs = [await runner.start.aio("w") for _ in range(20)]
        for run in runs:
            await asked("go", run.name)
        assert (slots_of(runner).waiting, free(runner)) == (0, 1)


async def test_a_thread_that_waits_for_one_of_several_gives_up_its_slot_too() -> None:
    def body(_: Context) -> list[int]:
        first, second = (new_event(name, data_type=int) for name in ("a", "b"))
        either = Event.wait_any(first, second)
        return [either.value, first.wait(), second.wait()]  # type: ignore[list-item]

    async with Runner(":memory:", registry=asks(body), threads=1) as runner:
        run = await runner.start.aio("w")
        second = await asked("b", run.name)
        await until(lambda: (slots_of(runner).waiting, free(runner)) == (1, 1))
        await second.signal.aio(2)
        await (await asked("a", run.name)).signal.aio(1)
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        left = (slots_of(runner).waiting, free(runner))

    assert ask.result == [2, 1, 2]
    assert left == (0, 1)


# --- in a process of its own ---


def apart(name: str) -> Registry:
    registry = Registry()
    with registry:
        with Workflow("w"):
            task(id="ask", isolation="process")(getattr(killable_asks, name))
        with Workflow("quick"):

            @task()
            def quick() -> str:
                return "done"

    return registry


async def test_a_process_that_waits_gives_up_its_slot_and_gets_its_payload(url: str) -> None:
    async with Runner(url, registry=apart("answers"), threads=1) as runner:
        run = await runner.start.aio("w")
        event = await asked("number", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        other = await runner.execute.aio("quick")
        await event.signal.aio(7)
        model = await asked("model", run.name)
        await model.signal.aio({"by": "me"})
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        left = (slots_of(runner).waiting, free(runner))

    assert other.status is WorkflowStatus.SUCCESS
    assert ask.result == [7, "me", "Approval"]
    assert left == (0, 1)


async def test_a_process_that_waits_can_be_stopped(tmp_path: Path) -> None:
    clock = VirtualClock()  # no 10 s pass
    async with Runner(":memory:", registry=apart("waits"), clock=clock, threads=1) as runner:
        run = await runner.start.aio("w")
        await asked("number", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        await run.stop.aio()
        done = await run.wait.aio()
        (ask,) = await done.task_executions.aio()
        left = (slots_of(runner).waiting, free(runner))

    assert (ask.status, ask.abandoned) == (TaskStatus.STOPPED, False)
    assert left == (0, 1)


async def test_a_process_may_log_and_ask_while_it_waits() -> None:
    async with Runner(":memory:", registry=apart("asks_meanwhile"), threads=1) as runner:
        run = await runner.start.aio("w")
        event = await asked("number", run.name)
        heard = Heard()
        await runner.register_listener.aio(heard, ["meanwhile"], begin_offset=0)
        await until(lambda: bool(heard.events))
        await event.signal.aio(3)
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        lines = [line.text async for line in ask.logs.aio()]

    assert ask.result == 3
    assert lines == ["while it waits"]


async def test_a_process_gets_the_errors_of_its_events() -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=apart("times_out"), clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("short", run.name)
        await until(lambda: slots_of(runner).waiting == 1)
        await clock.advance(timedelta(hours=1))
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == ["EventAlreadyExistsError", "EventTimedOutError"]


async def test_a_process_learns_who_has_answered(url: str) -> None:
    async with Runner(url, registry=apart("asks_who")) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await event.signal.aio(True, by="ops")
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == "ops"
