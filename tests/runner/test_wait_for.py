"""Waiting from outside for a condition or for statuses: `wait_for` in both forms."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from asyncflow import (
    Client,
    Condition,
    Context,
    DefinitionError,
    Event,
    ExecutionNotFoundError,
    MeetAllCondition,
    MeetAnyCondition,
    Registry,
    Runner,
    SingleEventCondition,
    TaskNotFoundError,
    TaskStatus,
    TaskStatusCondition,
    UsageError,
    ValueStateDescriptor,
    VirtualClock,
    WaitTimeoutError,
    Workflow,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._store.memory.store import MemoryStore
from asyncflow._store.queries import Query
from tests.client.forms import Form, form_of
from tests.client.samples import declare
from tests.runner.asking import asked, asks
from tests.runner.scene import When, turns, until

R = TypeVar("R")

SECOND = timedelta(seconds=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


@pytest.fixture(params=["blocking", "awaited"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


class Third(Condition):
    """Met by the third event that it sees."""

    def is_met(self, event: Event, context: Context) -> bool:
        state = context.get_state(ValueStateDescriptor("seen"))
        seen = (state.value() or 0) + 1
        state.update(seen)
        return seen == 3


async def truly(_: Event, __: Context) -> bool:
    await asyncio.sleep(0)
    return True


def listening(client: Client) -> int:
    """Count the listeners that are registered."""
    return len(client._listeners._all)


CONDITIONS: dict[str, tuple[Condition, list[tuple[str, int]], int]] = {
    "single": (SingleEventCondition("a"), [("b", 1), ("a", 2), ("a", 3)], 2),
    "all": (
        MeetAllCondition("both", [SingleEventCondition("a"), SingleEventCondition("b")]),
        [("a", 1), ("a", 2), ("b", 3)],
        3,
    ),
    "any": (
        MeetAnyCondition([SingleEventCondition("a"), SingleEventCondition("b")]),
        [("c", 1), ("b", 2)],
        2,
    ),
    "own": (When(lambda event, _: event.value == 3, "a"), [("a", 1), ("a", 3)], 3),
    "async": (When(truly, "a"), [("a", 1)], 1),
    "stateful": (Third(["a"]), [("a", 1), ("a", 2), ("a", 3)], 3),
    "raising": (
        When(lambda event, _: 6 % int(str(event.value)) == 0, "a"),
        [("a", 0), ("a", 3)],
        3,
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
async def test_it_returns_the_event_that_met_the_condition(store: str, name: str) -> None:
    condition, sent, met = CONDITIONS[name]
    async with Runner(store, registry=Registry()) as runner:
        waiting = asyncio.create_task(runner.wait_for.aio(condition))
        await until(lambda: listening(runner) == 1)
        for key, value in sent:
            await runner.send_event.aio(key, value)
        event = await waiting
        left = listening(runner)

    assert event.value == met
    assert left == 0


def test_both_forms_wait_for_what_was_sent_since_an_offset(kind: str, store: str) -> None:
    with form_of(kind) as form, form.open(Runner(store, registry=Registry())) as runner:
        first, second = (form.call(runner.send_event, "a", value) for value in (1, 2))
        found = waited(form, runner, SingleEventCondition("a"), begin_offset=first.offset)
        with pytest.raises(
            WaitTimeoutError, match=r"SingleEventCondition \('a'\) was not met within"
        ):
            waited(form, runner, SingleEventCondition("a"), timeout=0.05)

    assert found == second


def waited(form: Form, client: Client, condition: Condition, **options: object) -> object:
    return form.call(client.wait_for, condition, **options)  # type: ignore[arg-type]


def test_both_forms_wait_for_the_statuses_of_tasks(kind: str, store: str) -> None:
    registry = Registry()
    declare(registry)
    condition = TaskStatusCondition({"first": TaskStatus.SUCCESS, "second": TaskStatus.SUCCESS})
    with form_of(kind) as form, form.open(Runner(store, registry=registry)) as runner:
        run = form.call(runner.start, "chain", {"given": 1})
        found = waited(form, runner, condition, execution=run.name, timeout="10s")

    assert getattr(found, "name", None) == run.name


async def test_statuses_are_seen_while_a_task_waits_for_a_signal(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        running = TaskStatusCondition({"ask": TaskStatus.RUNNING})
        await runner.wait_for.aio(running, execution=run.name)
        waiting = asyncio.create_task(
            runner.wait_for.aio(
                TaskStatusCondition({"ask": TaskStatus.SUCCESS}), execution=run.name
            )
        )
        await (await asked("go", run.name)).signal.aio(1)
        done = await waiting

    assert (done.name, done.status) == (run.name, WorkflowStatus.SUCCESS)


async def test_a_client_waits_for_the_statuses_of_an_execution_of_another(url: str) -> None:
    async with Runner(url, registry=asks(one)) as runner, Client(url, registry=Registry()) as asker:
        run = await runner.start.aio("w")
        waiting = asyncio.create_task(
            asker.wait_for.aio(TaskStatusCondition({"ask": TaskStatus.SUCCESS}), execution=run.name)
        )
        while (event := await asker.event.aio("go", run.name)) is None:
            pass
        await event.signal.aio(1)
        done = await waiting

    assert done.name == run.name


async def test_a_task_that_never_ran_is_init(store: str) -> None:
    registry = Registry()
    declare(registry)
    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("waits")
        condition = TaskStatusCondition({"waiter": TaskStatus.INIT})
        found = await runner.wait_for.aio(condition, execution=run.name)

    assert found.status is WorkflowStatus.RUNNING


async def test_statuses_that_cannot_come_any_more_are_an_error(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        waiting = asyncio.create_task(
            runner.wait_for.aio(TaskStatusCondition({"ask": TaskStatus.FAILED}), execution=run.name)
        )
        await (await asked("go", run.name)).signal.aio(1)
        with pytest.raises(UsageError, match=r"has ended SUCCESS.*'ask': FAILED"):
            await waiting


async def test_statuses_need_an_execution_that_is_there(store: str) -> None:
    condition = TaskStatusCondition({"ask": TaskStatus.SUCCESS})
    async with Runner(store, registry=Registry()) as runner:
        with pytest.raises(UsageError, match="give execution=name"):
            await runner.wait_for.aio(condition)
        with pytest.raises(ExecutionNotFoundError, match="'other'"):
            await runner.wait_for.aio(condition, execution="other")
        with pytest.raises(DefinitionError):
            await runner.wait_for.aio("said")  # type: ignore[call-overload]


async def test_a_signal_meets_it_too_and_the_context_is_the_executions(store: str) -> None:
    seen: list[object] = []

    def note(event: Event, context: Context) -> bool:
        seen.append((event.value, context["given"], context.get_task_status("ask")))
        return True

    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w", {"given": "x"})
        other = await runner.start.aio("w", {"given": "y"})
        waiting = asyncio.create_task(runner.wait_for.aio(When(note, "go"), execution=run.name))
        await until(lambda: listening(runner) == 1)
        await (await asked("go", other.name)).signal.aio(1)
        await (await asked("go", run.name)).signal.aio(2, by="me")
        event = await waiting

    assert (event.value, event.sender, event.run_name) == (2, "me", run.name)
    assert [each[:2] for each in seen] == [(2, "x")]  # type: ignore[index]


async def test_it_hears_its_namespace_alone(store: str) -> None:
    async with Runner(store, registry=Registry()) as runner:
        waiting = asyncio.create_task(
            runner.wait_for.aio(SingleEventCondition("a"), namespace="team")
        )
        await until(lambda: listening(runner) == 1)
        await runner.send_event.aio("a", 1)
        await runner.send_event.aio("a", 2, namespace="team")
        event = await waiting

    assert (event.value, event.namespace) == (2, "team")


async def test_one_that_is_cancelled_or_takes_too_long_leaves_no_listener(store: str) -> None:
    clock = VirtualClock()
    async with Runner(store, registry=Registry(), clock=clock) as runner:
        cancelled = asyncio.create_task(runner.wait_for.aio(SingleEventCondition("a")))
        timed = asyncio.create_task(runner.wait_for.aio(SingleEventCondition("a"), timeout="1s"))
        await until(lambda: listening(runner) == 2)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        after_cancel = listening(runner)
        await clock.advance(SECOND)
        with pytest.raises(WaitTimeoutError, match="not met within 1s"):
            await timed
        left = listening(runner)

    assert (after_cancel, left) == (1, 0)


async def test_what_a_condition_remembers_ends_with_the_call(store: str) -> None:
    condition = Third(["a"])
    async with Runner(store, registry=Registry()) as runner:
        for _ in range(2):
            waiting = asyncio.create_task(runner.wait_for.aio(condition))
            await until(lambda: listening(runner) == 1)
            values = [await runner.send_event.aio("a", value) for value in range(3)]
            assert await waiting == values[2]


async def test_a_task_may_wait_for_a_condition(store: str) -> None:
    registry = Registry()
    with registry, Workflow("w"):

        @task(id="ask")
        async def waits() -> object:
            return (await runner.wait_for.aio(SingleEventCondition("a"))).value

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        await until(lambda: listening(runner) == 1)
        await runner.send_event.aio("a", 5)
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        left = listening(runner)

    assert ask.result == 5
    assert left == 0


# --- execution.wait ---


async def test_the_wait_for_an_execution_has_a_timeout_and_it_goes_on(store: str) -> None:
    clock = VirtualClock()
    async with Runner(store, registry=asks(one), clock=clock) as runner:
        run = await runner.start.aio("w")
        waiting = asyncio.create_task(run.wait.aio(timeout="1s"))
        event = await asked("go", run.name)
        await clock.advance(SECOND)
        with pytest.raises(TimeoutError):
            await waiting
        await event.signal.aio(1)
        done = await run.wait.aio(timeout="1s")

    assert done.status is WorkflowStatus.SUCCESS


class Slow(MemoryStore):
    """Answers nothing while its gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, query: Query[R]) -> R:
        await self.gate.wait()
        return await super().read(query)


@pytest.mark.parametrize("call", ["wait", "wait_for"])
async def test_the_time_of_a_wait_begins_at_the_call(call: str) -> None:
    clock = VirtualClock()
    runner = Runner(":memory:", registry=asks(one), clock=clock, grace=0)
    runner._store = store = Slow()
    async with runner:
        run = await runner.start.aio("w")
        store.gate.clear()
        begun: Coroutine[Any, Any, object]
        if call == "wait":
            begun = runner.wait.aio(run.name, timeout="1s")
        else:
            condition = TaskStatusCondition({"ask": TaskStatus.SUCCESS})
            begun = runner.wait_for.aio(condition, execution=run.name, timeout="1s")
        waiting = asyncio.ensure_future(begun)
        await turns()
        moving = asyncio.ensure_future(clock.advance(SECOND))
        await turns()
        store.gate.set()
        await moving

        with pytest.raises(WaitTimeoutError):
            await waiting


async def test_a_namespace_that_is_not_the_execution_s_is_refused() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None: ...

    async with Runner(":memory:", registry=registry) as runner:
        run = await runner.execute.aio("w")
        with pytest.raises(UsageError, match="leave the namespace out"):
            await runner.wait_for.aio(
                SingleEventCondition("said"), execution=run.name, namespace="team"
            )


@pytest.mark.parametrize("kind", ["event", "statuses"])
async def test_who_waits_is_told_that_the_runner_closes(kind: str, store: str) -> None:
    async with Runner(store, registry=asks(one), grace=0) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        if kind == "event":
            waiting = asyncio.create_task(runner.wait_for.aio(SingleEventCondition("never")))
        else:
            ended = TaskStatusCondition({"ask": TaskStatus.SUCCESS})
            waiting = asyncio.create_task(runner.wait_for.aio(ended, execution=run.name))  # type: ignore[arg-type]
        await turns()
    with pytest.raises(UsageError):
        await waiting


async def test_who_waits_for_an_event_of_an_execution_is_told_of_its_end(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        never = SingleEventCondition("never")
        waiting = asyncio.create_task(runner.wait_for.aio(never, execution=run.name))
        await turns()
        await event.signal.aio(1)
        with pytest.raises(UsageError, match="has ended SUCCESS"):
            await waiting


async def test_a_condition_cannot_call_asyncflow_here_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Runner(":memory:", registry=Registry()) as runner:

        async def calls(_event: Event, _context: Context) -> bool:
            await runner.send_event.aio("more")
            return True

        waiting = asyncio.create_task(runner.wait_for.aio(When(calls, "said"), timeout="100ms"))
        await turns()
        await runner.send_event.aio("said")
        with pytest.raises(WaitTimeoutError):
            await waiting

    assert "asyncflow cannot be called in it" in caplog.text


async def test_a_task_or_a_status_that_is_not_there_is_an_error_at_once() -> None:
    async with Runner(":memory:", registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        with pytest.raises(TaskNotFoundError, match="aks"):
            await runner.wait_for.aio(
                TaskStatusCondition({"aks": TaskStatus.RUNNING}), execution=run.name
            )
    with pytest.raises(DefinitionError, match="'SUCESS'"):
        TaskStatusCondition({"ask": "SUCESS"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
