"""Signals where something else comes between: a stop, a time, another question, another class."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel, create_model

from asyncflow import (
    Client,
    Context,
    Event,
    EventClosedError,
    EventPhase,
    EventTypeError,
    Registry,
    Runner,
    TaskAction,
    TaskStopped,
    TooLargeError,
    VirtualClock,
    WaitTimeoutError,
    Workflow,
    WorkflowRule,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._model.port import StopSign
from asyncflow._operators.threads import SLOTS, Slots, slot
from asyncflow._runner.awaiting import Answer
from asyncflow._runner.entries import Awaited
from asyncflow._runner.live import Publication, RuledWorkflow
from asyncflow._runner.work import Work
from asyncflow._store.batch import Batch, Receipt, Signal
from asyncflow._store.queries import AwaitedEvents
from tests.runner.asking import asked, asks
from tests.runner.scene import When, turns, until
from tests.store.samples import event

HOUR = timedelta(hours=1)


async def test_a_thread_that_was_told_to_stop_on_its_way_to_the_loop_does_not_wait() -> None:
    async with Runner(":memory:", registry=Registry()) as runner:
        sign = StopSign()
        SLOTS.set(Slots(1))
        async with slot():
            sign.give()
            with pytest.raises(TaskStopped):
                runner._working_engine.awaits._begin_wait((), sign)


def test_a_rule_hears_a_signal_whose_letter_comes_after_later_ones() -> None:
    workflow = RuledWorkflow(("default", "w"))
    workflow.remember(workflow.hears(Publication(event("k"), letter=9, offset=20)))

    assert workflow.has_heard(Publication(event("k"), letter=10, offset=15))
    signalled = replace(event("k"), awaited=3)
    assert not workflow.has_heard(Publication(signalled, letter=11, offset=15))
    assert workflow.hears(Publication(signalled, letter=11, offset=15)) == {}


async def test_a_thread_takes_its_slot_again_after_a_wait_that_took_too_long() -> None:
    lock, inside, most = threading.Lock(), 0, 0

    def body() -> None:
        nonlocal inside, most
        waiting = new_event("go")
        with pytest.raises(WaitTimeoutError):
            waiting.wait(timeout="20ms")
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.02)
        with lock:
            inside -= 1

    registry = Registry()
    with registry, Workflow("w"):
        for number in range(5):
            task(id=f"t{number}")(body)
    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("w", timeout="10s")

    assert (done.status, most) == (WorkflowStatus.SUCCESS, 1)


async def test_rules_hear_a_signal_before_a_retry_that_finds_it_ends_the_execution(
    path: Path,
) -> None:
    clock = VirtualClock()
    registry = Registry()
    with registry, Workflow("w"):

        @task(retries=1, retry_delay="10ms")
        async def ask(context: Context) -> bool:
            question = await new_event.aio("go")
            if context.try_number == 1:
                raise ValueError("once more")
            return await question.wait.aio()

        @task()
        async def hears() -> None: ...

        hears.action_on_event_received(action=TaskAction.START, event_key="go")

    async with Runner(path, registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        waiting = await asked("go", run.name)
        await until(lambda: runner._working_engine.dispatcher._timers != {})
        (row,) = await runner._store.read(AwaitedEvents())
        # Stored by somebody who does not ring; the next look is a second away.
        answer = replace(event("go"), execution=row.execution, create_time=clock.now())
        await runner._store.commit(Batch(signals=(Signal(row.id, answer, by_letter=True),)))
        await clock.advance(timedelta(milliseconds=20))
        done = await run.wait.aio()
        ran = [each.task_name for each in await done.task_executions.aio()]

    assert waiting.key == "go"
    assert ran == ["ask", "hears"]


async def test_who_asks_as_the_task_ends_is_told_that_nobody_answers() -> None:
    left: list[asyncio.Task[Any]] = []

    async def later() -> None:
        await (await new_event.aio("go")).wait.aio()

    async def body(_: Context) -> None:
        left.append(asyncio.create_task(later()))
        await asyncio.sleep(0)

    async with Runner(":memory:", registry=asks(body)) as runner:
        done = await runner.execute.aio("w")
        (error,) = await asyncio.gather(*left, return_exceptions=True)

    assert done.status is WorkflowStatus.SUCCESS
    assert isinstance(error, Exception)


async def test_an_address_of_an_event_that_timed_out_never_leads_to_another_question() -> None:
    clock, uris = VirtualClock(), ["events/{}/ask-1-event-pay-1/signal"]

    async def body(context: Context) -> bool:
        limit = "1h" if context.try_number == 1 else None
        return await (await new_event.aio("pay", timeout=limit)).wait.aio()

    registry = asks(body, retries=1, retry_delay=0)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        await asked("pay", run.name)
        await clock.advance(HOUR)
        second = await asked("pay", run.name)
        old = await runner.event_at.aio(uris[0].format(run.name))
        new = await runner.event_at.aio(f"events/{run.name}/{second.action_name}/signal")
        assert old is not None
        with pytest.raises(EventClosedError):
            await old.signal.aio(True)

    assert new == second


async def test_a_wait_of_no_time_returns_what_is_there_already(path: Path) -> None:
    async def body(_: Context) -> int:
        return await (await new_event.aio("go", data_type=int)).wait.aio()

    async with Runner(path, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        waiting = await asked("go", run.name)
        with pytest.raises(WaitTimeoutError):
            await waiting.wait.aio(timeout=0)
        await waiting.signal.aio(7)

        assert await waiting.wait.aio(timeout=0) == 7


async def test_another_type_after_a_new_deployment_is_an_error_of_the_task(path: Path) -> None:
    async def number(_: Context) -> int:
        return await (await new_event.aio("go", data_type=int)).wait.aio()

    async def text(_: Context) -> str:
        return await (await new_event.aio("go", data_type=str)).wait.aio()

    async with Runner(path, registry=asks(number)) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).refresh.aio()
    async with Client(path) as client:
        waiting = await client.event.aio("go", run.name)
        assert waiting is not None
        await waiting.signal.aio(3)
    async with Runner(path, registry=asks(text)) as runner:
        done = await runner.wait.aio(run.name)

    assert done.status is WorkflowStatus.FAILED
    assert "EventTypeError: event 'go' takes a payload of type str, not int" in str(
        done.error_message
    )


async def test_two_classes_of_one_name_do_not_refuse_each_others_payloads() -> None:
    numbers: type[BaseModel] = create_model("Answer", __module__=__name__, number=(int, ...))
    texts: type[BaseModel] = create_model("Answer", __module__=__name__, text=(str, ...))

    async def body(_: Context) -> list[str]:
        first = await new_event.aio("number", data_type=numbers)
        second = await new_event.aio("text", data_type=texts)
        return [repr(await first.wait.aio()), repr(await second.wait.aio())]

    async with Runner(":memory:", registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        await (await asked("number", run.name)).signal.aio({"number": 1})
        second = await asked("text", run.name)
        with pytest.raises(EventTypeError):
            await second.signal.aio({"neither": 1})
        await second.signal.aio(texts(text="a"))
        done = await run.wait.aio()
        (ask,) = await done.task_executions.aio()

    assert ask.result == ["Answer(number=1)", "Answer(text='a')"]


async def test_the_same_payload_in_another_order_is_the_same(path: Path) -> None:
    async def body(_: Context) -> None:
        kind: Any = create_model(f"Kept{id(path)}", a=(int, ...), b=(int, ...))
        await (await new_event.aio("go", data_type=kind)).wait.aio()

    async with Runner(path, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        waiting = await asked("go", run.name)
        await waiting.signal.aio({"a": 1, "b": 2})
        await waiting.signal.aio({"b": 2, "a": 1})
        sent = await runner.send_event.aio("sent", "größer")
        await sent.signal.aio("größer")


LONG = "x" * 3_000_000


async def test_what_is_said_beside_a_payload_has_a_limit_too() -> None:
    errors: list[str] = []

    async def body(_: Context) -> None:
        with pytest.raises(TooLargeError, match="prompt"):
            await new_event.aio("go", prompt=LONG)
        with pytest.raises(TooLargeError, match="description"):
            await new_event.aio("go", description=LONG)
        await (await new_event.aio("go")).wait.aio()

    async with Runner(":memory:", registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        waiting = await asked("go", run.name)
        for beside in ({"comment": LONG}, {"by": LONG}):
            with pytest.raises(TooLargeError) as refused:
                await waiting.signal.aio(True, **beside)
            errors.append(str(refused.value)[:11])

    assert errors == ["the comment", "the sender "]


def test_wait_any_of_a_list_says_what_it_takes() -> None:
    with pytest.raises(TypeError, match="one or more objects"):
        Event.wait_any([Event("a")])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_an_answer_that_comes_before_its_event_is_known_to_be_there_is_not_lost() -> None:
    """As of a retry: the transaction has found its event before the signal, and says so later."""
    async with Runner(":memory:", registry=asks(waits_for_ever)) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        engine = runner._working_engine
        (live,) = engine.driver.lives.values()
        (row,) = await runner._store.read(AwaitedEvents())
        answer = Answer(EventPhase.SUCCEEDED, row.created, "true")
        wish = Awaited(live, cast("Any", None), cast("Any", None), asyncio.Future())
        work = Work()
        work.awaited.append(wish)
        with engine.waiters.opening(live):
            engine.waiters.answer(live, row.id, answer)
            engine.waiters.settle(work, Receipt(awaited=(row,)))
        found = await wish.done

    assert found is not None
    assert found.phase is EventPhase.SUCCEEDED


async def waits_for_ever(_: Context) -> None:
    await (await new_event.aio("go")).wait.aio()


async def test_who_waits_for_the_answers_of_rules_and_is_cancelled_takes_them_from_nobody() -> None:
    judged = asyncio.Event()

    async def asked_later(_event: Event, _context: Context) -> bool:
        return await judged.wait()

    registry = asks(waits_for_ever)
    with registry, Workflow("hearer"):

        @task()
        async def hears() -> None: ...

    rules = [("hearer", WorkflowRule(When(asked_later, "go")))]
    async with Runner(":memory:", registry=registry, rules=rules) as runner:
        run = await runner.start.aio("w")
        waiting = await asked("go", run.name)
        signalling = asyncio.create_task(waiting.signal.aio(True))
        ownership = runner._working_engine.ownership
        await until(lambda: any(ownership._letters._there.values()))
        other = asyncio.create_task(ownership.answered(1))
        await turns()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
        judged.set()
        await signalling


async def test_nothing_of_it_is_left(path: Path) -> None:
    async with Runner(path, registry=asks(waits_for_ever)) as runner:
        run = await runner.start.aio("w")
        waiting = await asked("go", run.name)
        await waiting.signal.aio(True)
        await run.wait.aio()
        waiters = runner._working_engine.waiters

    assert waiters._opening == {}
