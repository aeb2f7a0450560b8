"""Operators: tasks that declare themselves, with options and rules that make sense."""

from datetime import timedelta
from typing import Any

import pytest

from asyncflow._model.condition import SingleEventCondition, TaskStatusCondition
from asyncflow._model.context import Context
from asyncflow._model.operator import Operator, OperatorConfigItem
from asyncflow._model.policy import Retry
from asyncflow._model.registry import Registry
from asyncflow._model.schedule import Cron, Interval
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow._model.workflow import Workflow
from asyncflow.errors import DefinitionError, DuplicateTaskError
from tests.core.samples import Asked, Nothing, declared


async def in_a_while(error: BaseException) -> bool:
    return True


class InAWhile:
    async def __call__(self, error: BaseException) -> bool:
        return True


def test_an_operator_adds_itself_to_the_open_workflow() -> None:
    with declared() as workflow:
        build = Nothing("build")
        deploy = Nothing(name="deploy")

    assert list(workflow.tasks.values()) == [build, deploy]
    assert build.workflow is workflow
    assert repr(build) == "<Nothing 'build' of workflow 'release'>"


def test_an_operator_outside_a_workflow_is_refused_by_its_name() -> None:
    with pytest.raises(DefinitionError, match="task 'build' is made outside a workflow"):
        Nothing("build")


def test_the_second_task_of_a_name_is_refused() -> None:
    with declared() as workflow:
        first = Nothing("build")
        with pytest.raises(DuplicateTaskError, match="'release' has a task 'build' already") as hit:
            Nothing("build")

    assert workflow.tasks == {"build": first}
    assert (hit.value.task, hit.value.workflow) == ("build", "release")


@pytest.mark.parametrize("name", ["", None, 1, b"build", "\ud800", "a\0"])
def test_a_task_without_a_proper_name_is_refused(name: Any) -> None:  # noqa: ANN401  all that is wrong
    with declared():
        Nothing("build")
        with pytest.raises(DefinitionError, match="the name of a task is"):
            Nothing(name)


def test_an_operator_without_start_cannot_be_made() -> None:
    with declared():
        Nothing("build")
        with pytest.raises(TypeError, match="start"):
            Operator("lazy")  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]  wrong on purpose


def test_options_are_read_once_and_unknown_ones_are_kept() -> None:
    with declared():
        task = Nothing(
            "build",
            retries=3,
            retry_delay="2s",
            retry_backoff="linear",
            retry_max_delay=60,
            retry_jitter=0,
            timeout="1m",
            idempotent=False,
            queue="heavy",
        )

    second = timedelta(seconds=1)
    assert task.retry == Retry(3, 2 * second, "linear", 60 * second, 0)
    assert task.timeout == 60 * second
    assert task.idempotent is False
    assert task.config == {"queue": "heavy"}


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("retrys", "retries"), ("timout", "timeout"), ("on_sucess", "on_success")],
)
def test_what_is_nearly_an_option_is_refused_and_not_kept(misspelt: str, meant: str) -> None:
    text = f"task 'deploy': there is no option {misspelt!r}, did you mean {meant!r}"
    options: dict[str, Any] = {misspelt: 3}
    with declared():
        Nothing("build")
        with pytest.raises(DefinitionError, match=text):
            Nothing("deploy", **options)


def test_by_default_a_task_is_tried_once_without_a_limit() -> None:
    with declared():
        task = Nothing("build")

    assert task.retry == Retry()
    assert task.timeout is None
    assert task.on_success is None
    assert task.on_failure is None
    assert task.idempotent is True
    assert task.rules == []
    assert task.config == {}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("retries", value) for value in (-1, 1.5, "3")),
        *(("retry_delay", value) for value in ("soon", -1, None)),
        ("retry_backoff", "cubic"),
        *(("retry_max_delay", value) for value in ("soon", "1ms")),
        ("retry_jitter", 2),
        *(("timeout", value) for value in (0, "0s", "later", -5)),
        *((hook, "a name") for hook in ("on_success", "on_failure")),
        *(("retry_if", value) for value in ("never", 0, in_a_while, InAWhile())),
        ("idempotent", "yes"),
        *(("dependencies", value) for value in ("build", 1, [None], {"build"})),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_task_and_option(
    option: str,
    value: Any,  # noqa: ANN401  all that is wrong
) -> None:
    with declared() as workflow:
        Nothing("build")
        with pytest.raises(DefinitionError, match=r"^task 'deploy': ") as raised:
            Nothing("deploy", **{option: value})

    assert list(workflow.tasks) == ["build"]
    assert option.removesuffix("ies") in str(raised.value)


def test_a_period_is_kept() -> None:
    option: dict[str, Any] = {OperatorConfigItem.PERIODIC_EXPRESSION: "interval@0 0 1 30"}
    with declared():
        task = Nothing("tick", **option)

    assert task.period == Interval(timedelta(seconds=90))


def test_a_cron_expression_is_kept_with_its_time_zone() -> None:
    with declared():
        daily = Nothing("daily", periodic_expression="cron@0 3 * * *")
        local = Nothing("local", periodic_expression="@daily", periodic_timezone="Asia/Tokyo")

    assert daily.period == Cron("0 3 * * *", "UTC")
    assert local.period == Cron("@daily", "Asia/Tokyo")


@pytest.mark.parametrize("expression", [None, "5s", "interval@0 0 1 0"])
def test_a_time_zone_without_a_cron_expression_is_refused(expression: str | None) -> None:
    with declared():
        Nothing("build")
        with pytest.raises(DefinitionError, match=r"^task 'tick': periodic_"):
            Nothing("tick", periodic_expression=expression, periodic_timezone="UTC")


def test_a_period_that_is_none_is_refused_by_its_task() -> None:
    with declared():
        Nothing("build")
        with pytest.raises(DefinitionError, match=r"^task 'tick': periodic_expression is 'daily'"):
            Nothing("tick", periodic_expression="daily")


def test_hooks_that_are_not_overridden_do_nothing() -> None:
    with declared():
        task = Nothing("build")

    assert task.await_termination(Context(), 1.0) is None
    assert task.stop(Context()) is None
    assert task.get_metrics(Context()) == {}


def test_operators_are_told_apart_by_identity() -> None:
    with declared() as one:
        first = Nothing("build")
    with declared() as other:
        second = Nothing("build")

    assert first != second
    assert len({first, second, one.tasks["build"], other.tasks["build"]}) == 2


# --- rules ---


def test_rules_are_kept_in_order_of_declaration() -> None:
    condition = Asked("load")
    with declared():
        build, test = Nothing("build"), Nothing("test")
        deploy = Nothing("deploy")
        deploy.start_after([build, test])
        deploy.action_on_event_received(action=TaskAction.STOP, event_key="alarm")
        deploy.action_on_task_status(TaskAction.RESTART, {build: TaskStatus.FAILED})
        deploy.action_on_condition(action=TaskAction.START, condition=condition)

    after, event, status, custom = deploy.rules
    assert isinstance(after.condition, TaskStatusCondition)
    assert after.condition.statuses == {"build": TaskStatus.SUCCESS, "test": TaskStatus.SUCCESS}
    assert after.action is TaskAction.START
    assert type(event.condition) is SingleEventCondition
    assert (event.action, list(event.condition.expect_event_keys)) == (TaskAction.STOP, ["alarm"])
    assert isinstance(status.condition, TaskStatusCondition)
    assert status.condition.statuses == {"build": TaskStatus.FAILED}
    assert status.action is TaskAction.RESTART
    assert (custom.condition, custom.action) == (condition, TaskAction.START)


def test_a_task_starts_after_one_or_several() -> None:
    with declared():
        build, test = Nothing("build"), Nothing("test")
        test.start_after(build)
        Nothing("deploy").start_after(tasks=(build, test))

    assert len(test.rules) == 1


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ([], "needs at least one upstream task"),
        (None, "start_after takes a task or a list of tasks, not None"),
        ("build", "start_after takes a task or a list of tasks, not 'build'"),
        (["build"], r"not 'build': names go into dependencies=\[...\]"),
        ([None], "start_after takes tasks, not None"),
    ],
)
def test_what_is_no_upstream_task_is_refused(tasks: Any, text: str) -> None:  # noqa: ANN401  all that is wrong
    with declared():
        task = Nothing("deploy")
        with pytest.raises(DefinitionError, match=f"^task 'deploy': .*{text}"):
            task.start_after(tasks)

    assert task.rules == []


@pytest.mark.parametrize(
    "upstreams", [{}, None, [], {"build": TaskStatus.SUCCESS}, {None: TaskStatus.SUCCESS}]
)
def test_what_is_no_dict_of_upstream_tasks_is_refused(upstreams: Any) -> None:  # noqa: ANN401  all that is wrong
    with declared():
        task = Nothing("deploy")
        with pytest.raises(DefinitionError, match=r"^task 'deploy': .*upstream task"):
            task.action_on_task_status(TaskAction.START, upstreams)


@pytest.mark.parametrize("status", ["SUCCESS", None, TaskAction.START])
def test_what_is_no_status_is_refused_by_its_task(status: Any) -> None:  # noqa: ANN401  all that is wrong
    with declared():
        build, deploy = Nothing("build"), Nothing("deploy")
        with pytest.raises(
            DefinitionError, match="'deploy': the status of 'build' is a TaskStatus"
        ):
            deploy.action_on_task_status(TaskAction.START, {build: status})


def test_a_task_of_another_workflow_is_refused_by_both_names() -> None:
    with Registry():
        with Workflow("one"):
            build = Nothing("build")
        with Workflow("two"):
            deploy = Nothing("deploy")
            text = "task 'deploy' of workflow 'two' cannot wait for task 'build' of workflow 'one'"
            with pytest.raises(DefinitionError, match=text):
                deploy.start_after(build)
            with pytest.raises(DefinitionError, match=text):
                deploy.action_on_task_status(TaskAction.STOP, {build: TaskStatus.FAILED})


@pytest.mark.parametrize("key", ["", None, 7])
def test_what_is_no_event_key_is_refused(key: Any) -> None:  # noqa: ANN401  all that is wrong
    with declared():
        task = Nothing("deploy")
        with pytest.raises(
            DefinitionError, match=r"^task 'deploy': event_key is a non-empty string"
        ):
            task.action_on_event_received(TaskAction.START, key)


@pytest.mark.parametrize("action", ["START", None, TaskStatus.SUCCESS])
def test_what_is_no_action_is_refused_by_the_task(action: Any) -> None:  # noqa: ANN401  all that is wrong
    with declared():
        build, deploy = Nothing("build"), Nothing("deploy")
        with pytest.raises(DefinitionError, match=r"task 'deploy': action is TaskAction\.START"):
            deploy.action_on_event_received(action, "alarm")
        with pytest.raises(DefinitionError, match=r"task 'deploy': action is TaskAction\.START"):
            deploy.action_on_task_status(action, {build: TaskStatus.SUCCESS})

    assert deploy.rules == []


def test_a_rule_after_the_block_is_refused() -> None:
    with declared():
        build, deploy = Nothing("build"), Nothing("deploy")

    with pytest.raises(DefinitionError, match="a rule of task 'deploy' comes too late"):
        deploy.start_after(build)
