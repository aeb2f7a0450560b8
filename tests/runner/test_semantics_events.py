"""Who hears an event, and how it is judged."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from asyncflow import (
    Client,
    Condition,
    Context,
    Event,
    ExecutionType,
    MeetAllCondition,
    MeetAnyCondition,
    NotificationClient,
    Registry,
    Runner,
    SingleEventCondition,
    TaskAction,
    TaskStatus,
    UsageError,
    VirtualClock,
    Workflow,
    WorkflowRule,
    WorkflowStatus,
    task,
)
from tests.client.ears import Heard
from tests.runner.scene import When, ended, forever, turns, until

MANUAL, EVENT, PERIODIC = ExecutionType
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


# --- scopes ---


async def test_namespace_and_execution_are_both_checked() -> None:
    with Registry() as registry:
        for namespace in ("default", "team"):
            with Workflow("w", namespace):

                @task()
                async def hears() -> None:
                    """Runs when it hears."""

                hears.action_on_event_received(TaskAction.START, "go")

    async with Runner(":memory:", registry=registry) as runner:
        ours = await runner.start.aio("w", name="ours")
        theirs = await runner.start.aio("w", name="theirs", namespace="team")
        with pytest.raises(UsageError, match="'theirs'"):
            await runner.send_event.aio("go", execution="theirs", namespace="default")
        stored = [event async for event in runner.list_events.aio()]
        sent = await runner.send_event.aio("go", execution="theirs")
        done = await theirs.wait.aio()
        silent = await ours.task_executions.aio()

    assert stored == []
    assert sent.namespace == "team"
    assert done.status is WorkflowStatus.SUCCESS
    assert silent == []


async def test_what_a_task_says_goes_to_its_execution_to_rules_and_listeners_and_no_further() -> (
    None
):
    heard, far = Heard(), Heard()
    with Registry() as registry:

        def hears_in(name: str, namespace: str) -> None:
            with Workflow(name, namespace):

                @task()
                async def says(context: Context) -> None:
                    if context.get("says"):
                        await NotificationClient().send_event.aio("go", context.execution_name)

                @task()
                async def hears() -> None:
                    """Runs when it hears."""

                hears.action_on_event_received(TaskAction.START, "go")

        hears_in("w", "default")
        hears_in("other", "default")
        hears_in("w", "team")
        for namespace in ("default", "team"):
            with Workflow("started", namespace):

                @task()
                async def works() -> None:
                    """End at once."""

    async with Runner(":memory:", registry=registry) as runner:
        for namespace, ear in (("default", heard), ("team", far)):
            await runner.register_listener.aio(ear, ["go"], namespace=namespace)
            rule = WorkflowRule(SingleEventCondition("go"))
            await runner.add_workflow_rule.aio("started", rule, namespace=namespace)
        deaf = [
            await runner.start.aio("w", name="same workflow"),
            await runner.start.aio("other", name="other workflow"),
            await runner.start.aio("w", name="other namespace", namespace="team"),
        ]
        done, runs = await ended(await runner.start.aio("w", {"says": True}, name="speaker"))
        await until(lambda: bool(heard.events))
        silent = [len(await each.task_executions.aio()) for each in deaf]
        started = [each.namespace async for each in runner.executions.aio(workflow="started")]

    assert done.status is WorkflowStatus.SUCCESS
    assert [run.task_name for run in runs] == ["says", "hears"]
    assert silent == [1, 1, 1]
    assert started == ["default"]
    assert (heard.values, far.values) == (["speaker"], [])


async def test_of_three_executions_a_broadcast_reaches_the_two_that_have_not_ended() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears(context: Context) -> int:
            return context.sequence_number

        hears.action_on_event_received(TaskAction.START, "go")

    async with Runner(":memory:", registry=registry) as runner:
        first, second, third = [await runner.start.aio("w") for _ in range(3)]
        await first.stop.aio(wait=True)
        await runner.send_event.aio("go")
        found = [await ended(each) for each in (first, second, third)]

    assert [(done.status, len(runs)) for done, runs in found] == [
        (WorkflowStatus.STOPPED, 0),
        (WorkflowStatus.SUCCESS, 1),
        (WorkflowStatus.SUCCESS, 1),
    ]


# --- conditions ---


class Every(Condition):
    """Counts in the execution's state what it sees of its key; met by each second one."""

    def __init__(self, key: str, seen: list[object]) -> None:
        super().__init__([key])
        self.seen = seen

    def is_met(self, event: Event, context: Context) -> bool:
        self.seen.append(event.value)
        return len(self.seen) % 2 == 0


async def test_keys_match_exactly_on_their_whole_way() -> None:
    seen: list[object] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs at each second event of the key."""

        hears.action_on_condition(TaskAction.START, Every("a.b", seen))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        for key in ("a.b", "a", "a.", "A.B", "a.b ", "a*", "a.b.c", "a.b"):
            await runner.send_event.aio(key, key)
        done = await execution.wait.aio()

    assert seen == ["a.b", "a.b"]
    assert done.status is WorkflowStatus.SUCCESS


@pytest.mark.parametrize("kind", ["all", "any"])
async def test_all_starts_a_task_once_per_complete_set_and_any_at_each_event(kind: str) -> None:
    parts = [SingleEventCondition("x"), SingleEventCondition("y")]
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs as the condition says."""

        @task()
        async def keeper() -> None:
            """Holds the execution."""

        keeper.action_on_event_received(TaskAction.START, "never")
        both = MeetAllCondition("both", parts) if kind == "all" else MeetAnyCondition(parts)
        hears.action_on_condition(TaskAction.START, both)

    counts: list[int] = []
    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        for key in ("x", "x", "y", "z", "y", "x"):
            await runner.send_event.aio(key)
            await turns()
            counts.append(len(await execution.task_executions.aio()))

    assert counts == ([0, 0, 1, 1, 1, 2] if kind == "all" else [1, 2, 3, 3, 4, 5])


async def test_a_condition_that_raises_keeps_no_other_rule_and_no_other_task_from_starting() -> (
    None
):
    asked: list[str] = []

    def fails(event: Event, context: Context) -> bool:
        asked.append("fails")
        raise LookupError("no such thing")

    def fine(event: Event, context: Context) -> bool:
        asked.append("fine")
        return True

    with Registry() as registry, Workflow("w"):
        for name in ("a", "b", "c"):

            @task(id=name)
            async def works() -> None:
                """Run by its second rule, or not at all."""

            works.action_on_condition(TaskAction.START, When(fails))
            if name != "b":
                works.action_on_condition(TaskAction.START, When(fine))
            else:
                works.action_on_event_received(TaskAction.START, "never")

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w")
        await runner.send_event.aio("said")
        await turns()
        seen = await execution.refresh.aio()
        runs = await execution.task_executions.aio()

    assert asked == ["fails", "fine", "fails", "fails", "fine"]
    assert [(run.task_name, run.status) for run in runs] == [
        ("a", TaskStatus.SUCCESS),
        ("c", TaskStatus.SUCCESS),
    ]
    assert seen.status is WorkflowStatus.RUNNING
    assert seen.error_message == "condition of task 'a': LookupError: no such thing"


# --- many at once ---


async def test_tasks_and_callers_in_16_threads_at_once_get_offsets_that_are_all_heard_in_order(
    url: str,
) -> None:
    heard: list[object] = []
    heard_by_rule: list[object] = []

    def notes(event: Event, context: Context) -> bool:
        heard.append(event.value)
        return False

    def rules(event: Event, context: Context) -> bool:
        heard_by_rule.append(event.value)
        return False

    start = threading.Barrier(16, timeout=10)
    offsets: list[list[int | None]] = []
    with Registry() as registry, Workflow("w"):
        for number in range(8):

            @task(id=f"task {number}")
            def says(context: Context) -> None:
                start.wait()
                speaker = NotificationClient()
                events = [speaker.send_event("n", f"{context.task_name} {n}") for n in range(20)]
                offsets.append([event.offset for event in events])

        @task()
        async def never() -> None:
            """Its condition notes."""

        never.action_on_condition(TaskAction.START, When(notes, "n"))

    async with Runner(url, registry=registry) as runner, Client(url) as client:
        await runner.add_workflow_rule.aio("w", WorkflowRule(When(rules, "n")))

        def calls(number: int) -> None:
            start.wait()
            sender = runner if number % 2 else client
            events = [sender.send_event("n", f"call {number} {n}") for n in range(20)]
            offsets.append([event.offset for event in events])

        await runner.start.aio("w")
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, calls, n) for n in range(8)))
        await until(lambda: len(heard) == 320)
        await until(lambda: len(offsets) == 16)
        listed = [event async for event in runner.list_events.aio("n")]

    assert all(each == sorted(each, key=lambda offset: offset or 0) for each in offsets)
    assert sorted(str(offset) for each in offsets for offset in each) == sorted(
        str(event.offset) for event in listed
    )
    assert len({event.offset for event in listed}) == len(listed) == 320
    assert sorted(map(str, heard)) == sorted(str(event.value) for event in listed)
    assert sorted(map(str, heard_by_rule)) == sorted(map(str, heard))


async def test_between_conditions_that_take_long_others_have_their_turn() -> None:
    clock = VirtualClock()
    asked, others = list[int](), list[int]()

    def long(_event: Event, _context: Context) -> bool:
        asked.append(len(others))
        clock._seconds += 0.006  # as if it had worked for so long
        return False

    with Registry() as registry, Workflow("w"):

        @task()
        async def stays() -> None:
            await forever()

        @task()
        async def hears() -> None: ...

        hears.action_on_condition(TaskAction.START, When(long))

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        for _ in range(20):
            await runner.start.aio("w")

        async def counts() -> None:
            while len(asked) < 20:
                others.append(1)
                await turns(1)

        counting = asyncio.create_task(counts())
        await runner.send_event.aio("said")
        await counting

    assert len(set(asked)) == 20  # between any two of them
