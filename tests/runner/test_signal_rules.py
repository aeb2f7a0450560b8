"""SEMANTICS 12 and 18: a signal is an event like any other; only a signal answers."""

from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Condition,
    Context,
    Event,
    EventPhase,
    MeetAllCondition,
    MeetAnyCondition,
    NotificationClient,
    Registry,
    Runner,
    SingleEventCondition,
    TaskAction,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowRule,
    WorkflowStatus,
    new_event,
    task,
)
from tests.client.ears import Heard
from tests.runner.asking import asked, asks
from tests.runner.scene import When, forever, until

HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


def ruled(condition: Condition, action: TaskAction = TaskAction.START) -> Registry:
    """Declare a task that asks, and one with a rule that ends at once, or when it is stopped."""
    registry = Registry()
    with registry, Workflow("w"):
        task(id="ask")(one)

        @task()
        async def hears(context: Context) -> int:
            if action is not TaskAction.START and context.sequence_number == 1:
                await forever()
            return context.sequence_number

        if action is not TaskAction.START:
            hears.action_on_event_received(TaskAction.START, "begin")
        hears.action_on_condition(action, condition)
    return registry


@pytest.mark.parametrize(
    ("action", "ends"),
    [
        (TaskAction.START, [("SUCCESS", 1)]),
        (TaskAction.STOP, [("STOPPED", None)]),
        (TaskAction.RESTART, [("STOPPED", None), ("SUCCESS", 2)]),
    ],
)
async def test_a_signal_starts_stops_and_restarts_tasks_by_its_key(
    store: str, action: TaskAction, ends: list[object]
) -> None:
    registry = ruled(SingleEventCondition("go"), action)
    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        if action is not TaskAction.START:
            await runner.send_event.aio("begin", execution=run.name)
        await event.signal.aio(5)
        runs = await (await run.wait.aio()).task_executions.aio()

    assert [each.result for each in runs if each.task_name == "ask"] == [5]
    heard = [(each.status.value, each.result) for each in runs if each.task_name == "hears"]
    assert heard == ends


async def test_a_condition_sees_the_value_who_signalled_the_comment_and_the_run(store: str) -> None:
    seen: list[Event] = []

    def note(event: Event, _: Context) -> bool:
        seen.append(event)
        return True

    async with Runner(store, registry=ruled(When(note, "go"))) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).signal.aio(5, by="me", comment="fine")
        await run.wait.aio()

    (event,) = seen
    assert (event.key, event.value, event.sender, event.context) == ("go", 5, "me", "fine")
    assert (event.run_name, event.namespace, event.offset) == (run.name, "default", None)


@pytest.mark.parametrize("kind", ["all", "any"])
async def test_meet_all_and_meet_any_count_a_signal(store: str, kind: str) -> None:
    parts: list[Condition] = [SingleEventCondition("go"), SingleEventCondition("said")]
    condition = MeetAllCondition("both", parts) if kind == "all" else MeetAnyCondition(parts)
    async with Runner(store, registry=ruled(condition)) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).signal.aio(5)
        if kind == "all":
            before = [each.task_name for each in await run.task_executions.aio()]
            await runner.send_event.aio("said", execution=run.name)
            assert before == ["ask"]
        runs = await (await run.wait.aio()).task_executions.aio()

    assert [each.task_name for each in runs] == ["ask", "hears"]


async def test_rules_answer_a_signal_before_the_end_that_it_brings(store: str) -> None:
    with Registry() as registry, Workflow("w"):
        task(id="ask")(one)

        @task()
        async def again() -> None:
            """End at once: only the task that asks keeps the execution."""

        again.action_on_event_received(TaskAction.RESTART, "go")

    async with Runner(store, registry=registry) as runner:
        runs = [await runner.start.aio("w") for _ in range(20)]
        for run in runs:
            await (await asked("go", run.name)).signal.aio(5)
        ends = [await (await run.wait.aio()).task_executions.aio() for run in runs]

    assert [max(each.sequence_number for each in end) for end in ends] == [2] * 20


async def test_a_workflow_rule_hears_a_signal_once_also_if_it_ends_the_execution(
    store: str,
) -> None:
    registry = asks(one)
    with registry, Workflow("started"):

        @task()
        async def works() -> None:
            """End at once."""

    async with Runner(store, registry=registry) as runner:
        await runner.add_workflow_rule.aio("started", WorkflowRule(SingleEventCondition("go")))
        runs = [await runner.start.aio("w") for _ in range(20)]
        events = [await asked("go", run.name) for run in runs]
        for event in events:
            await event.signal.aio(5)
            await event.signal.aio(5)
        for run in runs:
            await run.wait.aio()
        started = [each.execution_type async for each in runner.executions.aio(workflow="started")]

    assert [each.value for each in started] == ["EVENT"] * 20


async def test_a_workflow_rule_hears_a_signal_of_an_execution_that_was_stopped_since(
    url: str,
) -> None:
    registry = asks(one)
    with registry, Workflow("started"):

        @task()
        async def works() -> None:
            """End at once."""

    async with Runner(url, registry=registry) as runner, Client(url, registry=Registry()) as asker:
        assert runner._engine is not None
        await runner.add_workflow_rule.aio("started", WorkflowRule(SingleEventCondition("go")))
        run = await runner.start.aio("w")
        while (event := await asker.event.aio("go", run.name)) is None:
            pass
        async with runner._engine.ownership._looking:  # it has not read its letters yet
            await event.signal.aio(5)
            await run.stop.aio()
            done = await run.wait.aio()
        started: list[object] = []
        while not started:
            started = [each async for each in runner.executions.aio(workflow="started")]

    assert done.status is WorkflowStatus.STOPPED
    assert len(started) == 1


async def test_listeners_hear_a_signal_here_and_in_another_client(url: str) -> None:
    here, there = Heard(), Heard()
    async with Runner(url, registry=asks(one)) as runner, Client(url, registry=Registry()) as other:
        await runner.register_listener.aio(here, ["go"])
        await other.register_listener.aio(there, ["go"])
        run = await runner.start.aio("w")
        while (event := await runner.event.aio("go", run.name)) is None:
            pass
        await event.signal.aio(5, by="me")
        await until(lambda: bool(here.events) and bool(there.events))
        listed = [each async for each in runner.list_events.aio(["go"])]
        shown = await event.refresh.aio()

    assert here.events == there.events == listed
    assert [(each.value, each.sender, each.run_name) for each in listed] == [(5, "me", run.name)]
    assert shown.offset == listed[0].offset


async def test_a_signal_is_heard_by_its_own_execution_alone(store: str) -> None:
    async with Runner(store, registry=ruled(SingleEventCondition("go"))) as runner:
        run, other = [await runner.start.aio("w") for _ in range(2)]
        await (await asked("go", run.name)).signal.aio(5)
        await run.wait.aio()
        still = await asked("go", other.name)
        runs = await other.task_executions.aio()

    assert still.phase is EventPhase.RUNNING
    assert [(each.task_name, each.status) for each in runs] == [("ask", TaskStatus.RUNNING)]


async def test_send_event_never_answers_a_waiting_event_of_that_name(store: str) -> None:
    with Registry() as registry, Workflow("w"):
        task(id="ask")(one)

        @task()
        async def says() -> None:
            await NotificationClient().send_event.aio("go", 1)

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        sent = await runner.send_event.aio("go", 2)
        named = await runner.send_event.aio("go", 3, execution=run.name)
        await sent.signal.aio(2)  # it has that value
        still = await event.refresh.aio()
        await event.signal.aio(4)
        runs = await (await run.wait.aio()).task_executions.aio()

    assert (sent.phase, named.run_name) == (EventPhase.SUCCEEDED, run.name)
    assert still.phase is EventPhase.RUNNING
    assert [each.result for each in runs if each.task_name == "ask"] == [4]


async def test_a_refused_signal_is_heard_by_nobody(store: str) -> None:
    heard = Heard()
    clock = VirtualClock()

    async def body(_: Context) -> None:
        await new_event.aio("go", timeout="1h")
        await forever()

    async with Runner(store, registry=asks(body), clock=clock, grace=0) as runner:
        await runner.register_listener.aio(heard, ["go"])
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await clock.advance(HOUR)
        with pytest.raises(Exception, match="TIMED_OUT"):
            await event.signal.aio(True)
        listed = [each async for each in runner.list_events.aio()]
        await runner.send_event.aio("go", "last")
        await until(lambda: bool(heard.events))

    assert listed == []
    assert heard.values == ["last"]


async def test_an_execution_that_waits_for_an_event_holds_what_waits_for_its_task(
    store: str,
) -> None:
    with Registry() as registry, Workflow("w"):
        first = task(id="ask")(one)

        @task()
        async def after() -> str:
            return "after"

        after.start_after(first)

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        waiting = await run.refresh.aio()
        await event.signal.aio(5)
        done = await run.wait.aio()

    assert waiting.status is WorkflowStatus.RUNNING
    assert done.status is WorkflowStatus.SUCCESS


async def test_a_rule_that_answers_has_done_so_when_signal_returns(store: str) -> None:
    async with Runner(store, registry=ruled(SingleEventCondition("go"))) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await event.signal.aio(5)
        begun = [each.task_name for each in await run.task_executions.aio()]

    assert begun == ["ask", "hears"]
