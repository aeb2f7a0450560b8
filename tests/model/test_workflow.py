"""Workflows: a block that ends well registers one, and every other end registers nothing."""

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow._model.condition import TaskStatusCondition
from asyncflow._model.registry import Registry
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow._model.workflow import Workflow, WorkflowBuilder, WorkflowContextManager
from asyncflow.errors import DefinitionError, DuplicateTaskError
from tests.core.samples import Asked, Nothing, declared


def declare(body: Callable[[], object], name: str = "release") -> None:
    with Workflow(name):
        body()


def refused(body: Callable[[], object], text: str) -> None:
    """See that a block is refused with such a message, and registers nothing."""
    with Registry() as registry, pytest.raises(DefinitionError, match=text):
        declare(body)

    assert registry.workflows() == ()


def test_a_block_that_ends_well_registers_the_workflow() -> None:
    with Registry() as registry, Workflow(name="release", owner="ops") as workflow:
        Nothing("build")
        assert registry.workflows() == ()

    assert registry.workflows() == (workflow,)
    assert workflow.declared
    assert (workflow.name, workflow.namespace) == ("release", "default")
    assert (workflow.finish_when_idle, workflow.config) == (False, {"owner": "ops"})
    assert repr(workflow) == "<Workflow 'release' in namespace 'default'>"


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt(), DefinitionError("no")])
def test_an_exception_in_the_block_passes_unchanged_and_registers_nothing(
    error: BaseException,
) -> None:
    workflow = Workflow("release")

    def body() -> None:
        with workflow:
            Nothing("build")
            raise error

    with Registry() as registry, pytest.raises(type(error)) as raised:
        body()

    assert raised.value is error
    assert registry.workflows() == ()
    assert not workflow.declared
    assert WorkflowContextManager.get_current_workflow() is None


def test_an_empty_workflow_is_refused() -> None:
    refused(lambda: None, "workflow 'release' has no task")


def test_blocks_do_not_nest() -> None:
    def body() -> None:
        Nothing("build")
        declare(lambda: Nothing("deploy"), "inner")

    refused(body, "workflow 'inner' is declared inside workflow 'release'")

    assert WorkflowContextManager.get_current_workflow() is None


def test_a_block_opens_once_only() -> None:
    with declared() as workflow:
        Nothing("build")

    with (
        pytest.raises(DefinitionError, match=r"a second block comes too late: .* 'release'"),
        workflow,
    ):
        pass
    assert WorkflowContextManager.get_current_workflow() is None
    assert workflow.declared


def test_what_still_runs_in_the_blocks_context_cannot_add_a_task_later() -> None:
    with declared() as workflow:
        Nothing("build")
        inside = contextvars.copy_context()

    with pytest.raises(DefinitionError, match="task 'deploy' comes too late"):
        inside.run(Nothing, "deploy")
    assert list(workflow.tasks) == ["build"]


def test_threads_do_not_see_each_others_blocks() -> None:
    seen: list[object] = []
    with declared() as workflow:
        Nothing("build")
        thread = threading.Thread(
            target=lambda: seen.append(WorkflowContextManager.get_current_workflow())
        )
        thread.start()
        thread.join()
        assert WorkflowContextManager.get_current_workflow() is workflow

    assert seen == [None]


@pytest.mark.parametrize("name", ["", None, 1, "\ud800", "a\0"])
def test_names_are_non_empty_strings(name: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(DefinitionError, match="the name of a workflow is"):
        Workflow(name)
    with pytest.raises(DefinitionError, match="the namespace of workflow 'release' is"):
        Workflow("release", namespace=name)


def test_finish_when_idle_is_a_flag() -> None:
    wrong: Any = "no"
    with pytest.raises(DefinitionError, match="'release': finish_when_idle is True or False"):
        Workflow("release", finish_when_idle=wrong)


# --- dependencies ---


def test_what_is_nearly_an_option_of_a_workflow_is_refused() -> None:
    text = "workflow 'release': there is no option 'finish_when_idel', did you mean"
    with pytest.raises(DefinitionError, match=text):
        Workflow("release", finish_when_idel=True)


def test_dependencies_become_the_first_rule_also_on_later_tasks() -> None:
    with declared() as workflow:
        deploy = Nothing("deploy", dependencies=["build", "test"])
        deploy.action_on_event_received(TaskAction.STOP, "alarm")
        build = Nothing("build")
        Nothing("test", dependencies=[build])

    first, second = workflow.tasks["deploy"].rules
    assert isinstance(first.condition, TaskStatusCondition)
    assert list(first.condition.statuses.items()) == [
        ("build", TaskStatus.SUCCESS),
        ("test", TaskStatus.SUCCESS),
    ]
    assert (first.action, second.action) == (TaskAction.START, TaskAction.STOP)


def test_an_unknown_dependency_is_refused_by_both_names() -> None:
    text = "'release': task 'deploy' depends on 'biuld', .* its tasks are: 'build', 'deploy'"

    def body() -> None:
        Nothing("build")
        Nothing("deploy", dependencies=["biuld"])

    refused(body, text)


def test_a_dependency_of_another_workflow_is_refused_by_both_names() -> None:
    with Registry(), Workflow("other"):
        build = Nothing("build")

    refused(
        lambda: Nothing("deploy", dependencies=[build]),
        "'deploy' of workflow 'release' .* task 'build' of workflow 'other'",
    )


# --- cycles ---


def test_tasks_that_only_each_other_could_start_are_refused_by_their_names() -> None:
    def body() -> None:
        Nothing("free")
        Nothing("after", dependencies=["c"])
        Nothing("a", dependencies=["free", "c"])
        Nothing("b", dependencies=["a"])
        Nothing("c", dependencies=["b"])

    refused(body, "'release': tasks wait for each other, .*: 'c' -> 'b' -> 'a' -> 'c';")


def test_a_task_that_waits_for_itself_is_refused() -> None:
    refused(lambda: Nothing("a", dependencies=["a"]), "'a' -> 'a'")


def test_a_cycle_of_other_statuses_is_refused_too() -> None:
    def body() -> None:
        a, b = Nothing("a"), Nothing("b", dependencies=["a"])
        a.action_on_task_status(TaskAction.START, {b: TaskStatus.FAILED})

    refused(body, "'a' -> 'b' -> 'a'")


def test_a_loop_that_an_event_enters_is_fine() -> None:
    with declared() as workflow:
        a, b = Nothing("a", dependencies=["b"]), Nothing("b", dependencies=["a"])
        b.action_on_event_received(TaskAction.START, "go")
        a.action_on_event_received(TaskAction.STOP, "halt")

    assert workflow.declared


@pytest.mark.parametrize("action", [TaskAction.START, TaskAction.RESTART])
def test_a_loop_that_a_condition_enters_is_fine(action: TaskAction) -> None:
    with declared() as workflow:
        Nothing("a", dependencies=["b"]).action_on_condition(action, Asked("go"))
        Nothing("b", dependencies=["a"])

    assert workflow.declared


def test_a_loop_that_only_a_stop_could_enter_is_refused() -> None:
    def body() -> None:
        Nothing("a", dependencies=["b"]).action_on_event_received(TaskAction.STOP, "halt")
        Nothing("b", dependencies=["a"])

    refused(body, "'a' -> 'b' -> 'a'")


def test_a_loop_that_another_task_enters_is_fine() -> None:
    with declared() as workflow:
        first = Nothing("first")
        a = Nothing("a", dependencies=["b"])
        Nothing("b", dependencies=["a"])
        a.start_after(first)

    assert workflow.declared


def test_a_task_that_is_only_restarted_starts_with_the_workflow_and_enters_its_loop() -> None:
    with declared() as workflow:
        a = Nothing("a")
        b = Nothing("b", dependencies=["a"])
        a.action_on_task_status(TaskAction.RESTART, {b: TaskStatus.FAILED})

    assert workflow.declared


def test_a_task_that_waits_for_one_that_has_not_run_can_start() -> None:
    with declared() as workflow:
        a = Nothing("a", dependencies=["b"])
        b = Nothing("b")
        b.action_on_task_status(TaskAction.START, {a: TaskStatus.INIT})

    assert workflow.declared


def test_ten_thousand_tasks_in_the_worst_order_are_checked_at_once() -> None:
    with declared() as workflow:
        for number in range(10_000):
            Nothing(f"t{number}", dependencies=[f"t{number + 1}"])
        Nothing("t10000")

    assert len(workflow.tasks) == 10_001


@given(st.lists(st.lists(st.integers(0, 7), max_size=2), min_size=8, max_size=8))
def test_dependencies_are_refused_exactly_if_some_task_cannot_be_reached(
    graph: list[list[int]],
) -> None:
    reached = set[int]()
    for _ in graph:
        reached |= {task for task, needs in enumerate(graph) if reached.issuperset(needs)}

    def body() -> None:
        for task, needs in enumerate(graph):
            Nothing(str(task), dependencies=[str(each) for each in needs])

    if len(reached) < len(graph):
        refused(body, "wait for each other")
    else:
        with Registry():
            declare(body)


# --- rules by name, the builder, the context manager ---


def test_a_workflow_takes_rules_by_the_name_of_the_task() -> None:
    condition = Asked("load")
    with declared() as workflow:
        build, deploy = Nothing("build"), Nothing("deploy")
        workflow.action_on_task_status("deploy", TaskAction.START, {build: TaskStatus.SUCCESS})
        workflow.action_on_event_received("deploy", "alarm", TaskAction.STOP)
        workflow.action_on_condition("deploy", TaskAction.RESTART, condition)

    assert [rule.action for rule in deploy.rules] == ["START", "STOP", "RESTART"]
    assert list(deploy.rules[1].condition.expect_event_keys) == ["alarm"]
    assert deploy.rules[2].condition is condition


def test_a_rule_for_an_unknown_task_is_refused_by_its_name() -> None:
    with declared() as workflow:
        Nothing("build")
        with pytest.raises(
            DefinitionError, match=r"'release' has no task 'deploy' yet: .* 'build'"
        ):
            workflow.action_on_event_received("deploy", "alarm", TaskAction.STOP)


def test_the_builder_declares_a_workflow_in_its_block() -> None:
    with Registry() as registry, WorkflowBuilder("release", namespace="ops") as builder:
        builder.description("Ship it")
        builder.tag("team", "core").tag("tier", "1")
        Nothing("build")

    workflow = builder.build()
    assert registry.workflow("release", "ops") is workflow
    assert workflow.description == "Ship it"
    assert workflow.tags == {"team": "core", "tier": "1"}
    assert list(workflow.tasks) == ["build"]


def test_the_builder_has_no_workflow_before_its_block_has_ended_well() -> None:
    builder = WorkflowBuilder("release")
    text = "workflow 'release' is not declared: make its tasks inside"
    with pytest.raises(DefinitionError, match=text):
        builder.build()

    def body() -> None:
        with builder:
            Nothing("build")
            Nothing("build")

    with Registry(), pytest.raises(DuplicateTaskError):
        body()

    with pytest.raises(DefinitionError, match=text):
        builder.build()


def test_the_context_manager_keeps_the_current_workflow() -> None:
    workflow = Workflow("release")

    assert WorkflowContextManager.get_current_workflow() is None
    WorkflowContextManager.push_context_managed_workflow(workflow)
    assert WorkflowContextManager.get_current_workflow() is workflow
    assert WorkflowContextManager.pop_context_managed_workflow() is workflow
    assert WorkflowContextManager.pop_context_managed_workflow() is None
