"""Several runners on one file: what one does alone for all, and who does it next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Condition,
    Context,
    Event,
    NotificationClient,
    Registry,
    Runner,
    SingleEventCondition,
    TaskAction,
    TriggerResult,
    ValueStateDescriptor,
    VirtualClock,
    Workflow,
    WorkflowRule,
    new_event,
    task,
    trigger,
)
from asyncflow._store.batch import Duty, DutyKind
from tests.runner.scene import forever, rows, until

RULES, TRIGGER, SCHEDULE = DutyKind.RULES, DutyKind.TRIGGER, DutyKind.SCHEDULE
SECOND = timedelta(seconds=1)
HELD = "SELECT kind, name, runner FROM duty ORDER BY kind, name"
STARTED = "SELECT count(*) FROM execution WHERE workflow = 'started'"
ORDER = "SELECT status FROM execution WHERE workflow = 'order'"
LETTERS = "SELECT count(*) FROM inbox"


class EveryThird(Condition):
    """Counts events, and is met by each third."""

    def __init__(self, *keys: str) -> None:
        super().__init__(list(keys))

    def is_met(self, event: Event, context: Context) -> bool:
        count = context.get_state(ValueStateDescriptor("count"))
        seen = int(count.value() or 0) + 1
        count.update(seen)
        return seen % 3 == 0


def on(*keys: str) -> WorkflowRule:
    return WorkflowRule(EveryThird(*keys) if len(keys) > 1 else SingleEventCondition(*keys))


def declared(*others: str) -> Registry:
    with Registry() as registry:
        for name in ("started", *others):
            with Workflow(name):

                @task()
                async def works() -> None:
                    """End at once."""

        with Workflow("says"):

            @task()
            async def says() -> None:
                await NotificationClient().send_event.aio("go")

        with Workflow("asks"):

            @task()
            async def asks() -> None:
                await (await new_event.aio("go", data_type=int)).wait.aio()

        with Workflow("long"):

            @task()
            async def lasts() -> None:
                await forever()

    return registry


def epochs(path: Path) -> list[object]:
    """Return the ids of the runners, oldest first."""
    return [id_ for (id_,) in rows(path, "SELECT id FROM runner ORDER BY epoch")]


async def two(stack: AsyncExitStack, url: str, *rules: tuple[str, WorkflowRule]) -> list[Runner]:
    """Open two runners that declare the same; the first comes to all duties."""
    registry = declared()
    return [
        await stack.enter_async_context(Runner(url, registry=registry, rules=rules, grace=0))
        for _ in "ab"
    ]


async def test_the_first_runner_has_the_duties_and_the_next_gets_them_when_it_is_gone(
    url: str, path: Path
) -> None:
    registry = declared()
    with registry:

        @trigger(workflow="started", poll_interval="1h")
        def never() -> bool:
            return False

    rules = [("started", on("go"))]
    async with AsyncExitStack() as stack:
        first = Runner(url, registry=registry, rules=rules)
        await stack.enter_async_context(first)
        await first.register_schedule.aio("started", "1h")
        await stack.enter_async_context(Runner(url, registry=registry, rules=rules))
        a, b = epochs(path)
        before = rows(path, HELD)
        await first.shutdown.aio()
        await until(lambda: {holder for *_, holder in rows(path, HELD)} == {b})
        after = rows(path, HELD)

    assert {(kind, holder) for kind, _, holder in before} == {
        ("RULES", a),
        ("TRIGGER", a),
        ("SCHEDULE", a),
    }
    assert {(kind, holder) for kind, _, holder in after} == {
        ("RULES", b),
        ("TRIGGER", b),
        ("SCHEDULE", b),
    }
    assert rows(path, HELD) == [("RULES", "started", "")]  # nobody: letters are kept for the next


@pytest.mark.parametrize("sender", [0, 1, "client"])
async def test_a_broadcast_starts_a_workflow_once_whoever_sends_it(
    url: str, path: Path, sender: int | str
) -> None:
    async with AsyncExitStack() as stack:
        runners = await two(stack, url, ("started", on("go")))
        client = await stack.enter_async_context(Client(url, registry=declared()))
        asked = client if isinstance(sender, str) else runners[int(sender)]
        for _ in range(10):
            await asked.send_event.aio("go")
        await until(lambda: rows(path, LETTERS) == [(0,)])
        started = rows(path, STARTED)

    assert started == [(10,)]


@pytest.mark.parametrize("sender", [0, 1])
async def test_an_event_of_a_task_reaches_the_rules_of_the_runner_on_duty(
    url: str, path: Path, sender: int
) -> None:
    async with AsyncExitStack() as stack:
        runners = await two(stack, url, ("started", on("go")))
        for _ in range(5):
            await runners[sender].execute.aio("says")
        await until(lambda: rows(path, LETTERS) == [(0,)])
        started = rows(path, STARTED)

    assert started == [(5,)]


@pytest.mark.parametrize("owner", [0, 1])
@pytest.mark.parametrize("sender", [0, 1, "client"])
async def test_a_signal_reaches_the_rules_of_the_runner_on_duty_once(
    url: str, path: Path, owner: int, sender: int | str
) -> None:
    async with AsyncExitStack() as stack:
        runners = await two(stack, url, ("started", on("go")))
        client = await stack.enter_async_context(Client(url, registry=declared()))
        asked = client if isinstance(sender, str) else runners[int(sender)]
        run = await runners[owner].start.aio("asks")
        while (waiting := await asked.event.aio("go", run.name)) is None:
            pass
        await waiting.signal.aio(3)
        await run.wait.aio()
        await until(lambda: rows(path, LETTERS) == [(0,)])
        started = rows(path, STARTED)

    assert started == [(1,)]


async def test_states_of_rules_count_on_where_the_next_runner_comes_on_duty(
    url: str, path: Path
) -> None:
    registry, rules = declared(), [("started", on("go", "went"))]
    async with (
        Runner(url, registry=registry, rules=rules) as first,
        Runner(url, registry=registry, rules=rules) as second,
    ):
        for _ in range(2):
            await second.send_event.aio("go")
            await second.execute.aio("says")
        await until(lambda: rows(path, LETTERS) == [(0,)])
        before = rows(path, STARTED)
        await first.shutdown.aio()
        for _ in range(2):
            await second.execute.aio("says")
        await until(lambda: rows(path, LETTERS) == [(0,)])
        after = rows(path, STARTED)

    assert (before, after) == ([(1,)], [(2,)])


async def test_a_rule_that_is_added_where_another_is_on_duty_waits_for_the_duty(
    url: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    registry = declared()
    async with Runner(url, registry=registry) as first, Runner(url, registry=registry) as second:
        await first.add_workflow_rule.aio("started", on("go"))
        await second.add_workflow_rule.aio("started", on("other"), name="mine")
        await second.send_event.aio("other")
        await until(lambda: rows(path, LETTERS) == [(0,)])
        before = rows(path, STARTED)
        await first.shutdown.aio()
        await until(lambda: rows(path, HELD) == [("RULES", "started", *epochs(path))])
        await second.send_event.aio("other")
        after = rows(path, STARTED)

    assert (before, after) == ([(0,)], [(1,)])
    assert "another runner judges events for workflow 'started'" in caplog.text


async def test_letters_of_one_that_closes_are_heard_by_the_rules_of_the_next(
    url: str, path: Path
) -> None:
    registry, rules = declared(), [("started", on("go"))]
    async with Client(url, registry=registry) as client:
        await client.send_event.aio("go")  # to nobody
        async with Runner(url, registry=registry):  # has no rules, and takes it
            pass
        await client.send_event.aio("go")
        async with Runner(url, registry=registry, rules=rules):
            started = rows(path, STARTED)

    assert started == [(1,)]


async def test_another_runner_takes_no_letters_from_those_that_are_to_hear_them(
    url: str, path: Path
) -> None:
    with Registry() as service:
        with Workflow("order"):

            @task()
            async def begins() -> None:
                """End at once."""

            @task()
            async def paid() -> None:
                """End at once."""

            paid.action_on_event_received(TaskAction.START, "paid")

        with Workflow("started"):

            @task()
            async def works() -> None:
                """End at once."""

    rules = [("started", on("go"))]
    async with Runner(url, registry=declared()) as script:
        async with Runner(url, registry=service, rules=rules, grace=0) as first:
            await first.start.aio("order")
        await script._working_engine.ownership.look()
        async with Client(url, registry=service) as client:
            await client.send_event.aio("paid")
            await client.send_event.aio("go")
        await script._working_engine.ownership.look()
        async with Runner(url, registry=service, rules=rules, grace=0):
            await until(lambda: rows(path, STARTED) == [(1,)])
            await until(lambda: rows(path, ORDER) == [("SUCCESS",)])
            await until(lambda: rows(path, LETTERS) == [(0,)])


def polled(poll: Callable[..., Awaitable[TriggerResult]]) -> Registry:
    """Declare a workflow, and what polls for it each second."""
    with Registry() as registry:
        with Workflow("w"):

            @task()
            async def works() -> None:
                """End at once."""

        trigger(workflow="w", name="polled", poll_interval="1s", allow_concurrent=True)(poll)
    return registry


async def test_a_trigger_is_polled_by_one_runner_and_goes_on_from_its_cursor(url: str) -> None:
    polls: list[tuple[str, int]] = []

    def by(name: str) -> Registry:
        async def poll(cursor: int | None) -> TriggerResult:
            polls.append((name, cursor or 0))
            return TriggerResult.skip(cursor=(cursor or 0) + 1)

        return polled(poll)

    clocks = VirtualClock(), VirtualClock()
    async with (
        Runner(url, registry=by("a"), clock=clocks[0]) as first,
        Runner(url, registry=by("b"), clock=clocks[1]) as second,
    ):
        for _ in range(4):
            for clock in clocks:
                await clock.advance(SECOND)
        await first.shutdown.aio()
        alone = list(polls)
        duty = Duty(TRIGGER, "default", "polled")
        await until(lambda: second._working_engine.duties.has(duty))
        while len(polls) < len(alone) + 3:
            await clocks[1].advance(SECOND)

    assert {name for name, _ in alone} == {"a"}
    assert {name for name, _ in polls[len(alone) :]} == {"b"}
    assert [cursor for _, cursor in polls] == list(range(len(polls)))


async def test_who_takes_a_trigger_over_goes_on_from_a_poll_that_ended_after_that(
    url: str,
) -> None:
    polls: list[tuple[str, int]] = []
    begun, goes_on = asyncio.Event(), asyncio.Event()

    def by(name: str) -> Registry:
        async def poll(cursor: int | None) -> TriggerResult:
            polls.append((name, cursor or 0))
            if name == "a":
                begun.set()
                await goes_on.wait()
            return TriggerResult.skip(cursor=(cursor or 0) + 1)

        return polled(poll)

    clocks = VirtualClock(), VirtualClock()
    async with (
        Runner(url, registry=by("a"), clock=clocks[0]) as first,
        Runner(url, registry=by("b"), clock=clocks[1]) as second,
    ):
        while not begun.is_set():
            await clocks[0].advance(SECOND)
        leaving = asyncio.create_task(first.shutdown.aio())
        duty = Duty(TRIGGER, "default", "polled")
        await until(lambda: second._working_engine.duties.has(duty))
        goes_on.set()
        await leaving
        while len(polls) < 2:
            await clocks[1].advance(SECOND)

    assert polls[:2] == [("a", 0), ("b", 1)]


async def test_what_a_poll_fires_is_not_lost_to_the_cursor_of_the_runner_before(
    url: str, path: Path
) -> None:
    found = [1, 2]
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def poll() -> TriggerResult:
        if not found:
            return TriggerResult.skip()
        number = found.pop(0)
        if number == 1:
            begun.set()
            await goes_on.wait()
        return TriggerResult.fire(cursor=number)

    clocks = VirtualClock(), VirtualClock()
    async with (
        Runner(url, registry=polled(poll), clock=clocks[0]) as first,
        Runner(url, registry=polled(poll), clock=clocks[1]) as second,
    ):
        while not begun.is_set():
            await clocks[0].advance(SECOND)
        leaving = asyncio.create_task(first.shutdown.aio())
        duty = Duty(TRIGGER, "default", "polled")
        await until(lambda: second._working_engine.duties.has(duty))
        goes_on.set()
        await leaving
        while found:
            await clocks[1].advance(SECOND)
        await until(lambda: rows(path, "SELECT count(*) FROM execution") == [(2,)])

    assert rows(path, "SELECT cursor FROM trigger_schedule") == [("2",)]


async def test_the_ticks_that_nobody_answered_follow_the_policy_of_the_schedule(
    url: str, path: Path
) -> None:
    registry = declared()
    clocks = VirtualClock(), VirtualClock()
    async with (
        Runner(url, registry=registry, clock=clocks[0]) as first,
        Runner(url, registry=registry, clock=clocks[1]) as second,
    ):
        await first.register_schedule.aio("started", "1s", catchup="all", overlap="allow")
        await clocks[0].advance(3 * SECOND)
        await clocks[1].advance(3 * SECOND)
        before = rows(path, STARTED)
        await first.shutdown.aio()
        await clocks[1].advance(4 * SECOND)
        duty = Duty(SCHEDULE, "default", "schedule-1")
        await until(lambda: bool(rows(path, "SELECT 1 FROM duty WHERE kind = 'SCHEDULE'")))
        await until(lambda: rows(path, STARTED) == [(7,)])
        await clocks[1].advance(SECOND)
        after = rows(path, STARTED)
        held = second._working_engine.duties.wanted

    assert (before, after) == ([(3,)], [(8,)])
    assert {each.kind for each in held} == {duty.kind}
