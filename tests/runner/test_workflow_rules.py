"""Workflow rules: an event starts a workflow, at most once, with states of the workflow."""

import asyncio
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Condition,
    Context,
    Event,
    ExecutionType,
    MeetAllCondition,
    NotificationClient,
    Registry,
    RuleNotFoundError,
    Runner,
    SingleEventCondition,
    StoreError,
    TaskAction,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowNotFoundError,
    WorkflowRule,
    WorkflowStatus,
    task,
)
from asyncflow._failpoint import armed
from asyncflow._runner.trouble import PAUSES
from tests.runner.scene import ERRORS, When, forever, turns
from tests.runner.test_states import Sums, SumsLater


def declared(*names: str, namespace: str = "default") -> Registry:
    with Registry() as registry:
        for name in names or ("started",):
            with Workflow(name, namespace):

                @task()
                async def works() -> None:
                    """End at once."""

    return registry


async def started(runner: Runner, workflow: str = "started") -> list[WorkflowExecution]:
    await turns()
    return [each async for each in runner.executions.aio(workflow=workflow)]


def on(key: str) -> WorkflowRule:
    return WorkflowRule(SingleEventCondition(key))


async def test_an_event_starts_a_workflow(url: str) -> None:
    async with Runner(url, registry=declared()) as runner:
        name = await runner.add_workflow_rule.aio("started", on("go"))
        await runner.send_event.aio("other")
        before = await started(runner)
        await runner.send_event.aio("go")
        await runner.send_event.aio("go")
        after = await started(runner)
        ends = [await each.wait.aio() for each in after]

    assert (name, before) == ("rule-1", [])
    assert [each.execution_type for each in after] == [ExecutionType.EVENT] * 2
    assert {each.status for each in ends} == {WorkflowStatus.SUCCESS}


async def test_an_event_of_a_task_starts_another_workflow_of_its_namespace(url: str) -> None:
    registry = declared("started")
    with registry:
        for namespace in ("default", "team"):
            with Workflow("says", namespace):

                @task()
                async def says() -> None:
                    await NotificationClient().send_event.aio("go")

    async with Runner(url, registry=registry) as runner:
        await runner.add_workflow_rule.aio("started", on("go"))
        await runner.execute.aio("says", namespace="team")
        before = await started(runner)
        await runner.execute.aio("says")
        after = await started(runner)

    assert (len(before), len(after)) == (0, 1)


async def test_an_event_to_one_execution_starts_nothing_else(url: str) -> None:
    registry = declared("started")
    with registry, Workflow("listens"):

        @task()
        async def hears() -> None:
            """Run by the event."""

        hears.action_on_event_received(TaskAction.START, "go")

    async with (
        Runner(url, registry=registry) as runner,
        Client(url, registry=registry) as client,
    ):
        await runner.add_workflow_rule.aio("started", on("go"))
        for sender in (runner, client):
            execution = await runner.start.aio("listens")
            await sender.send_event.aio("go", execution=execution.name)
            await runner.wait.aio(execution.name, timeout="10s")

        assert await started(runner) == []


@pytest.mark.parametrize("kind", [Sums, SumsLater])
async def test_one_event_starts_a_workflow_once_however_many_rules_it_meets(
    kind: type[Sums],
) -> None:
    async with Runner(":memory:", registry=declared("one", "two")) as runner:
        for workflow in ("one", "one", "two"):
            await runner.add_workflow_rule.aio(workflow, WorkflowRule(kind(0)))
        await runner.send_event.aio("number", 1)

        assert len(await started(runner, "one")) == 1
        assert len(await started(runner, "two")) == 1


@pytest.mark.parametrize("kind", [Sums, SumsLater])
async def test_states_of_rules_belong_to_the_workflow_and_outlive_the_runner(
    url: str, kind: type[Sums]
) -> None:
    counted: list[int] = []
    for _ in range(3):
        async with Runner(url, registry=declared("one", "two")) as runner:
            await runner.add_workflow_rule.aio("one", WorkflowRule(kind(50)), name="sum")
            await runner.add_workflow_rule.aio("two", WorkflowRule(kind(1000)), name="sum")
            await runner.send_event.aio("number", 20)
            counted.append(len(await started(runner, "one")))

    assert counted == [0, 0, 1]


async def test_each_rule_sees_the_event_in_order_of_its_adding() -> None:
    seen: list[str] = []

    def sees(name: str, *, met: bool) -> WorkflowRule:
        def note(event: Event, context: Context) -> bool:
            seen.append(f"{name} {event.value} {event.offset}")
            return met

        return WorkflowRule(When(note, "go"))

    async with Runner(":memory:", registry=declared()) as runner:
        for name, met in (("a", False), ("b", True), ("c", True)):
            await runner.add_workflow_rule.aio("started", sees(name, met=met), name=name)
        await runner.send_event.aio("go", 1)

        assert seen == ["a 1 None", "b 1 None", "c 1 None"]
        assert len(await started(runner)) == 1


async def test_a_rule_that_raises_is_not_met_and_what_it_changed_is_undone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Runner(":memory:", registry=declared()) as runner:
        await runner.add_workflow_rule.aio("started", WorkflowRule(Sums(30, fail_at=7)))
        for number in (10, 7, 7, 7, 10):
            await runner.send_event.aio("number", number)
        before = await started(runner)
        await runner.send_event.aio("number", 10)
        after = await started(runner)

    assert (len(before), len(after)) == (0, 1)
    assert "condition of workflow rule 'rule-1' in workflow 'started'" in caplog.text


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", ERRORS)
async def test_a_rule_that_would_end_a_program_hinders_no_other(
    error: type[BaseException], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def sync(event: Event, context: Context) -> bool:
        raise error

    async def late(event: Event, context: Context) -> bool:
        raise error

    async with Runner(":memory:", registry=declared("started", "other")) as runner:
        bad = WorkflowRule(When(sync if kind == "sync" else late))
        await runner.add_workflow_rule.aio("started", bad)
        await runner.add_workflow_rule.aio("other", on("said"))
        for _ in range(2):
            await runner.send_event.aio("said")
        found, others = await started(runner), await started(runner, "other")

    assert (len(found), len(others)) == (0, 2)
    assert "condition of workflow rule 'rule-1' in workflow 'started'" in caplog.text


async def test_a_paused_rule_does_nothing_also_after_a_restart(url: str) -> None:
    counted: list[int] = []
    for _ in range(2):
        async with Runner(url, registry=declared()) as runner:
            await runner.add_workflow_rule.aio("started", on("go"), name="on go")
            if not counted:
                await runner.pause_workflow_rule.aio("started", "on go")
            await runner.send_event.aio("go")
            counted.append(len(await started(runner)))
            paused = [rule.paused for rule in await runner.list_workflow_rules.aio()]
            assert paused == [True]
    async with Runner(url, registry=declared()) as runner:
        await runner.add_workflow_rule.aio("started", on("go"), name="on go")
        await runner.resume_workflow_rule.aio("started", "on go")
        await runner.send_event.aio("go")
        counted.append(len(await started(runner)))

    assert counted == [0, 0, 1]


async def test_a_rule_without_a_name_gets_one_that_is_free(url: str) -> None:
    async with Runner(url, registry=declared()) as runner:
        names = [await runner.add_workflow_rule.aio("started", on("go")) for _ in range(2)]
        await runner.delete_workflow_rule.aio("started", "rule-1")
        names.append(await runner.add_workflow_rule.aio("started", on("go")))

    assert names == ["rule-1", "rule-2", "rule-3"]


async def test_a_deleted_rule_does_nothing(url: str) -> None:
    async with Runner(url, registry=declared()) as runner:
        await runner.add_workflow_rule.aio("started", on("go"), name="on go")
        await runner.delete_workflow_rule.aio("started", "on go")
        await runner.send_event.aio("go")

        assert await started(runner) == []
        assert await runner.list_workflow_rules.aio() == []


async def test_another_process_pauses_a_rule_within_a_second(path: Path) -> None:
    async with (
        Runner(path, registry=declared(), clock=VirtualClock()) as runner,
        Client(path, registry=declared()) as client,
    ):
        await runner.add_workflow_rule.aio("started", on("go"), name="on go")
        await client.pause_workflow_rule.aio("started", "on go")
        await runner._working_engine.ownership.look()  # as it does each second
        await runner.send_event.aio("go")

        assert await started(runner) == []


async def test_a_rule_that_is_not_there_is_named(url: str) -> None:
    async with Runner(url, registry=declared()) as runner:
        await runner.add_workflow_rule.aio("started", on("go"), name="on go")
        for call in (
            runner.pause_workflow_rule,
            runner.resume_workflow_rule,
            runner.delete_workflow_rule,
        ):
            with pytest.raises(RuleNotFoundError, match=r"no workflow rule 'x'; .* are: 'on go'"):
                await call.aio("started", "x")
        with pytest.raises(UsageError, match="'on go' already: give another name"):
            await runner.add_workflow_rule.aio("started", on("go"), name="on go")
        with pytest.raises(WorkflowNotFoundError):
            await runner.add_workflow_rule.aio("nobody", on("go"))
        with pytest.raises(TypeError, match=r"a workflow rule is a WorkflowRule\(condition\), not"):
            await runner.add_workflow_rule.aio("started", SingleEventCondition("go"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  wrong on purpose


async def test_a_set_of_events_starts_a_workflow_once_it_is_complete(url: str) -> None:
    both = MeetAllCondition("both", [SingleEventCondition("x"), SingleEventCondition("y")])
    async with Runner(url, registry=declared()) as runner:
        await runner.add_workflow_rule.aio("started", WorkflowRule(both))
        for key in ("x", "x", "y", "y", "x"):
            await runner.send_event.aio(key)

        assert len(await started(runner)) == 2


@pytest.mark.parametrize("point", ["before", "after"])
async def test_an_event_that_could_not_be_stored_starts_nothing_twice(
    path: Path, point: str
) -> None:
    clock = VirtualClock()
    async with Runner(path, registry=declared(), clock=clock) as runner:
        await runner.add_workflow_rule.aio("started", WorkflowRule(Sums(20)))
        await runner.send_event.aio("number", 10)
        with armed(f"store.commit.{point}:1:raise"), pytest.raises(StoreError):
            await runner.send_event.aio("number", 10)
        await clock.advance(PAUSES[1])
        first = len(await started(runner))
        await runner.send_event.aio("number", 10)
        second = len(await started(runner))

    assert (first, second) == ((0, 1) if point == "before" else (1, 1))


async def test_two_runners_with_one_rule_start_a_workflow_once_per_event(path: Path) -> None:
    clock = VirtualClock()
    async with (
        Runner(path, registry=declared(), clock=clock) as one,
        Runner(path, registry=declared(), clock=clock) as two,
    ):
        for runner in (one, two):
            await runner.add_workflow_rule.aio("started", on("go"))
        await one.send_event.aio("go")
        await clock.advance(PAUSES[1])

        assert len(await started(one)) == 1


class Never(Condition):
    """Hangs until the runner closes."""

    def __init__(self) -> None:
        super().__init__(expect_event_keys=["go"])

    async def is_met(self, event: Event, context: Context) -> bool:
        await forever()
        return True


async def test_a_rule_that_hangs_holds_up_its_own_workflow_only() -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=declared("one", "two"), clock=clock) as runner:
        await runner.add_workflow_rule.aio("one", WorkflowRule(Never()))
        await runner.add_workflow_rule.aio("two", on("go"))
        sending = asyncio.create_task(runner.send_event.aio("go"))
        await turns()
        two = await started(runner, "two")
        early = sending.done()
        await clock.advance(PAUSES[1] * 7)
        await sending

    assert (len(two), early) == (1, False)


async def test_a_rule_of_the_runner_itself_hears_what_was_sent_while_none_was_open(
    path: Path,
) -> None:
    async with Client(path, registry=declared()) as client:
        await client.send_event.aio("go")
    async with Runner(path, registry=declared(), rules=[("started", on("go"))]) as runner:
        found = await started(runner)
        name = await runner.add_workflow_rule.aio("started", on("other"))

    assert (len(found), name) == (1, "rule-2")


async def test_a_rule_of_the_runner_that_cannot_be_is_refused_when_it_opens(url: str) -> None:
    with pytest.raises(WorkflowNotFoundError):
        await Runner(url, registry=declared(), rules=[("nobody", on("go"))]).__aenter__()


async def test_a_refresh_that_began_before_an_adding_does_not_undo_it(url: str) -> None:
    async with Runner(url, registry=declared("one", "two")) as runner:
        await runner.add_workflow_rule.aio("one", on("go"))
        rulebook = runner._working_engine.rulebook
        async with asyncio.TaskGroup() as group:
            group.create_task(rulebook.refresh())
            group.create_task(runner.add_workflow_rule.aio("two", on("go")))
            group.create_task(rulebook.refresh())
        await runner.send_event.aio("go")

        assert len(await started(runner, "two")) == 1


async def test_deleted_rules_leave_nothing_behind_in_memory(url: str) -> None:
    async with Runner(url, registry=declared()) as runner:
        for number in range(3):
            name = f"rule {number}"
            await runner.add_workflow_rule.aio("started", on(f"key {number}"), name=name)
            await runner.delete_workflow_rule.aio("started", name)
        rulebook = runner._working_engine.rulebook

        assert (rulebook._by_key, rulebook._workflows) == ({}, {})
