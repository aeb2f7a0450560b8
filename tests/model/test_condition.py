"""Conditions and rules: what they expect, when they are met, and what is no condition at all."""

from collections.abc import Awaitable
from typing import Any

import pytest

from asyncflow._model.condition import Condition, SingleEventCondition, TaskStatusCondition
from asyncflow._model.context import Context, KnownStatuses
from asyncflow._model.event import Event
from asyncflow._model.rule import TaskRule, WorkflowRule
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow.errors import DefinitionError
from tests.core.samples import Nothing, declared

ANY: Any = None


class Over(Condition):
    """Met by a number over a limit."""

    def __init__(self, keys: list[str], limit: int) -> None:
        super().__init__(expect_event_keys=keys)
        self.limit = limit

    def is_met(self, event: Event, context: Context) -> bool:
        return isinstance(event.value, int) and event.value > self.limit


class Later(Over):
    """The same, but one must wait for it."""

    def is_met(self, event: Event, context: Context) -> Awaitable[bool]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  narrower on purpose
        return self._later(event)

    async def _later(self, event: Event) -> bool:
        return event.value == self.limit


class Forgetful(Condition):
    """Its author forgot super().__init__()."""

    def __init__(self) -> None:
        pass

    def is_met(self, event: Event, context: Context) -> bool:
        return True


def statuses(**found: TaskStatus) -> Context:
    return Context.of({}, statuses=KnownStatuses(found))


def test_a_condition_is_made_with_the_keys_that_it_expects() -> None:
    assert list(Over(["a", "b"], 0).expect_event_keys) == ["a", "b"]
    assert list(SingleEventCondition("a").expect_event_keys) == ["a"]


@pytest.mark.parametrize("keys", ["key", [], None, [""], [1], {"a"}, {"a": 1}, ["a", None]])
def test_keys_that_name_no_events_are_refused_by_the_name_of_the_condition(keys: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(DefinitionError, match=r"Over: (expect_event_keys is|an event key is)"):
        Over(keys, 0)


@pytest.mark.parametrize("key", ["", None, 1, "\ud800", "a\0"])
def test_an_event_key_is_a_non_empty_string(key: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(DefinitionError, match="expect_event_key is"):
        SingleEventCondition(key)


def test_a_condition_without_is_met_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="is_met"):
        Condition(["a"])  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]  wrong on purpose


def test_an_event_of_the_key_meets_the_single_condition() -> None:
    condition = SingleEventCondition("a")

    assert condition.is_met(Event("a"), Context())
    assert not condition.is_met(Event("A"), Context())


def test_statuses_are_met_all_at_once_only() -> None:
    condition = TaskStatusCondition({"a": TaskStatus.SUCCESS, "b": TaskStatus.FAILED})

    assert condition.is_met(Event("x"), statuses(a=TaskStatus.SUCCESS, b=TaskStatus.FAILED))
    assert not condition.is_met(Event("x"), statuses(a=TaskStatus.SUCCESS, b=TaskStatus.SUCCESS))
    assert not condition.is_met(Event("x"), statuses(a=TaskStatus.SUCCESS))


def test_a_task_that_never_ran_has_the_status_init() -> None:
    assert TaskStatusCondition({"a": TaskStatus.INIT}).is_met(Event("x"), statuses())


def test_a_status_condition_needs_a_task() -> None:
    with pytest.raises(DefinitionError, match="at least one task"):
        TaskStatusCondition({})


def test_a_task_rule_gives_its_action_if_its_condition_is_met() -> None:
    rule = TaskRule(condition=Over(["load"], 5), action=TaskAction.STOP)

    assert rule.trigger(Event("load", 6), Context()) is TaskAction.STOP
    assert rule.trigger(Event("load", 5), Context()) is None


def test_a_workflow_rule_says_whether_to_start() -> None:
    rule = WorkflowRule(condition=Over(["load"], 5))

    assert rule.trigger(Event("load", 6), Context()) is True
    assert rule.trigger(Event("load", 5), Context()) is False


async def test_rules_may_wait_for_their_condition() -> None:
    task_rule = TaskRule(Later(["load"], 5), TaskAction.START)
    workflow_rule = WorkflowRule(Later(["load"], 5))

    for value, action in ((5, TaskAction.START), (6, None)):
        event = Event("load", value)
        triggered, starts = task_rule.trigger(event, ANY), workflow_rule.trigger(event, ANY)
        assert isinstance(triggered, Awaitable)
        assert isinstance(starts, Awaitable)
        assert await triggered is action
        assert await starts is (action is not None)


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Forgetful(), r"Forgetful has no expect_event_keys: call super\(\).__init__"),
        (Forgetful, r"condition is an instance of Condition, not .*: make an instance of it"),
        (lambda: True, "condition is an instance of Condition"),
        (None, "condition is an instance of Condition, not None"),
        ("key", "condition is an instance of Condition, not 'key'"),
    ],
)
def test_what_is_no_condition_is_refused_where_it_is_used(
    condition: Any,  # noqa: ANN401  all that is wrong
    text: str,
) -> None:
    with pytest.raises(DefinitionError, match=text):
        TaskRule(condition, TaskAction.START)
    with pytest.raises(DefinitionError, match=text):
        WorkflowRule(condition)
    with declared():
        task = Nothing("build")
        with pytest.raises(DefinitionError, match=f"task 'build': {text}"):
            task.action_on_condition(TaskAction.START, condition)


@pytest.mark.parametrize("action", ["START", None, TaskStatus.STOPPED])
def test_an_action_is_a_task_action(action: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(DefinitionError, match=r"action is TaskAction.START, STOP or RESTART, not"):
        TaskRule(SingleEventCondition("a"), action)


def test_keys_that_a_subclass_sets_itself_are_keys_too() -> None:
    condition = Forgetful()
    condition.expect_event_keys = ["a"]

    rule = WorkflowRule(condition)

    assert list(rule.condition.expect_event_keys) == ["a"]
