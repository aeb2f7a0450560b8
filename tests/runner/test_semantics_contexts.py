"""Who sees which values, statuses and states, and when they are merged."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Event,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    TaskNotFoundError,
    TaskStatus,
    UsageError,
    ValueStateDescriptor,
    Workflow,
    WorkflowRule,
    WorkflowStatus,
    task,
)
from tests.runner.scene import When, ended, turns

COUNT = ValueStateDescriptor("count")


@pytest.mark.parametrize("returned", ["nothing", "the context", "another value"])
async def test_changes_in_place_count_whatever_the_task_returns(returned: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works(context: Context) -> object:
            context["list"].append(3)
            context["deep"]["a"]["b"] = True
            returns: dict[str, object] = {"the context": context, "another value": [1]}
            return returns.get(returned)

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w", {"list": [1, 2], "deep": {"a": {}}})
        done, (run,) = await ended(execution)

    assert done.final_context == {"list": [1, 2, 3], "deep": {"a": {"b": True}}}
    assert run.result == ([1] if returned == "another value" else None)


async def test_tasks_at_once_have_copies_that_are_merged_by_key_in_order_of_success() -> None:
    gates = {name: asyncio.Event() for name in ("a", "b")}
    seen: dict[str, object] = {}
    with Registry() as registry, Workflow("w"):
        for name in gates:

            @task(id=name)
            async def works(context: Context) -> None:
                own = context.task_name
                context[own] = True
                context["last"] = own
                context["both"].append(own)
                if own == "a":
                    del context["gone"]
                await gates[own].wait()
                seen[own] = dict(context)

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.start.aio("w", {"both": [], "gone": 1, "stays": 2})
        for name in ("b", "a"):
            gates[name].set()
            await turns()
        done = await execution.wait.aio()

    assert seen == {
        "a": {"both": ["a"], "stays": 2, "a": True, "last": "a"},
        "b": {"both": ["b"], "gone": 1, "stays": 2, "b": True, "last": "b"},
    }
    assert done.final_context == {"both": ["a"], "stays": 2, "a": True, "b": True, "last": "a"}


async def test_what_an_attempt_that_failed_has_set_is_seen_by_no_later_one() -> None:
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=0)
        async def works(context: Context) -> None:
            assert "first" not in context
            if context.try_number == 1:
                context["first"] = True
                context["list"].append("first")
                raise ConnectionError("no route")

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", {"list": []})

    assert (done.status, done.final_context) == (WorkflowStatus.SUCCESS, {"list": []})


# --- statuses ---


async def test_the_status_of_a_task_is_none_before_its_first_run_and_an_unknown_name_an_error() -> (
    None
):
    seen: dict[str, object] = {}

    def look(where: str, context: Context) -> None:
        with pytest.raises(TaskNotFoundError, match=r"no task 'nobody'"):
            context.get_task_status("nobody")
        seen[where] = [context.get_task_status(name) for name in ("works", "never")]

    def asks(event: Event, context: Context) -> bool:
        look("condition", context)
        return False

    def done(name: str, context: Context) -> None:
        look("callback", context)

    with Registry() as registry, Workflow("w", finish_when_idle=True):

        @task(on_success=done)
        async def works(context: Context) -> None:
            look("task", context)
            await NotificationClient().send_event.aio("said")

        @task()
        async def never() -> None:
            """Its condition says no."""

        never.action_on_condition(TaskAction.START, When(asks))

    async with Runner(":memory:", registry=registry) as runner:
        execution = await runner.execute.aio("w")

    assert execution.status is WorkflowStatus.SUCCESS
    assert set(seen) == {"task", "condition", "callback"}
    assert all(
        each in ([TaskStatus.QUEUED, None], [TaskStatus.RUNNING, None]) for each in seen.values()
    )


async def test_a_workflow_rule_has_no_statuses_to_ask_for() -> None:
    raised: list[str] = []

    def asks(event: Event, context: Context) -> bool:
        try:
            context.get_task_status("works")
        except UsageError as error:
            raised.append(str(error))
        return False

    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            """Never runs."""

    async with Runner(":memory:", registry=registry) as runner:
        await runner.add_workflow_rule.aio("w", WorkflowRule(When(asks)))
        await runner.send_event.aio("said")

    assert len(raised) == 1
    assert "belongs to no workflow execution" in raised[0]


# --- states ---


def counting(seen: list[object], *, at: int = 10**9) -> Callable[[Event, Context], bool]:
    def counts(event: Event, context: Context) -> bool:
        state = context.get_state(COUNT)
        value = (state.value() or 0) + 1
        seen.append(value)
        if value == at:
            state.clear()
            seen.append(state.value())
            return True
        state.update(value)
        return False

    return counts


async def test_a_state_belongs_to_the_execution_in_its_rules_and_to_the_workflow_in_workflow_rules(
    url: str,
) -> None:
    of_tasks: list[object] = []
    of_rules: list[object] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def one() -> None:
            """Never runs."""

        @task()
        async def two() -> None:
            """Never runs; its condition uses the state of the same name."""

        one.action_on_condition(TaskAction.START, When(counting(of_tasks)))
        two.action_on_condition(TaskAction.START, When(counting(of_tasks)))

    async with Runner(url, registry=registry) as runner:
        for name in ("one", "two"):
            await runner.start.aio("w", name=name)
        await runner.add_workflow_rule.aio("w", WorkflowRule(When(counting(of_rules))))
        await runner.send_event.aio("said", execution="one")
        await runner.send_event.aio("said")
        await runner.send_event.aio("said")
        for name in ("one", "two"):
            await runner.stop.aio(name, wait=True)

    # two rules of each execution share its state; the first event was for one execution only
    assert of_tasks == [1, 2, 3, 4, 1, 2, 5, 6, 3, 4]
    assert of_rules == [1, 2]


async def test_a_state_that_was_cleared_is_none_also_for_the_next_runner(url: str) -> None:
    seen: list[object] = []
    with Registry() as registry, Workflow("w"):

        @task()
        async def hears() -> None:
            """Runs at each second event."""

        @task()
        async def never() -> None:
            """Holds the execution."""

        hears.action_on_condition(TaskAction.START, When(counting(seen, at=2)))
        never.action_on_event_received(TaskAction.START, "never")

    for _ in range(4):
        async with Runner(url, registry=registry) as runner:
            if await runner.execution.aio("w-1") is None:
                await runner.start.aio("w", name="w-1")
            await runner.send_event.aio("said")
            await turns()

    assert seen == [1, 2, None, 1, 2, None]


async def test_a_callback_sees_a_copy_whose_values_can_be_changed_in_vain(path: Path) -> None:
    def spoils(name: str, context: Context) -> None:
        context["list"].append("spoiled")

    with Registry() as registry, Workflow("w"):

        @task(on_success=spoils)
        async def works(context: Context) -> None:
            context["list"] = [1]

        @task(dependencies=["works"])
        async def after(context: Context) -> object:
            return context["list"]

    async with Runner(path, registry=registry) as runner:
        done, (_, run) = await ended(await runner.start.aio("w"))

    assert done.final_context == {"list": [1]}
    assert run.result == [1]
