"""A compiled workflow: its indexes, and the fingerprint that tells whether it changed."""

from collections.abc import Callable

import pytest

from asyncflow._core.execution import Counts, ExecutionState
from asyncflow._core.plan import Plan
from asyncflow._model.status import TaskAction, TaskStatus
from tests.core.samples import Asked, Nothing, declared

START, STOP, RESTART = TaskAction


def test_rules_are_numbered_in_order_of_declaration() -> None:
    with declared() as workflow:
        a, b = Nothing("a"), Nothing("b")
        b.start_after(a)
        b.action_on_event_received(action=STOP, event_key="no")
        a.action_on_event_received(action=RESTART, event_key="go")
        b.action_on_event_received(action=RESTART, event_key="go")
    plan = Plan.of(workflow)

    found = [(rule.index, rule.task) for rule in plan.by_key["go"]]
    assert found == sorted(found)
    heard = [rule.index for rules in plan.by_key.values() for rule in rules]
    assert sorted([*heard, *(rule.index for rule in plan.status_rules)]) == [0, 1, 2, 3]


def test_only_a_condition_that_has_a_say_is_kept() -> None:
    with declared() as workflow:
        a = Nothing("a")
        a.action_on_event_received(action=START, event_key="go")
        a.action_on_condition(START, Asked("go"))
    plain, judged = Plan.of(workflow).by_key["go"]

    assert plain.condition is None
    assert isinstance(judged.condition, Asked)


def test_a_condition_on_several_keys_is_found_by_each_once() -> None:
    with declared() as workflow:
        Nothing("a").action_on_condition(START, Asked("go", "come", "go"))
    plan = Plan.of(workflow)

    assert set(plan.by_key) == {"go", "come"}
    assert plan.by_key["go"] == plan.by_key["come"]
    assert len(plan.by_key["go"]) == 1


def test_tasks_that_hold_the_same_things_share_them() -> None:
    with declared() as workflow:
        a, b, c = map(Nothing, "abc")
        c.start_after([a, b])
    plan = Plan.of(workflow)

    assert plan.by_status["a", TaskStatus.SUCCESS] is plan.by_status["b", TaskStatus.SUCCESS]
    assert len({id(task.retry) for task in plan.tasks.values()}) == 1


def test_an_execution_that_has_not_begun_counts_who_waits_for_events() -> None:
    with declared() as workflow:
        for name, action in zip("abc", TaskAction, strict=True):
            Nothing(name).action_on_event_received(action=action, event_key="go")
    plan = Plan.of(workflow)

    assert ExecutionState.new(plan, {}).counts == Counts(waiting=2)  # STOP is nothing to wait for


def base(_a: Nothing, _b: Nothing) -> None:
    """Add no rule."""


def after(a: Nothing, b: Nothing) -> None:
    b.start_after(a)


def after_failure(a: Nothing, b: Nothing) -> None:
    b.action_on_task_status(START, {a: TaskStatus.FAILED})


def on_event(_a: Nothing, b: Nothing) -> None:
    b.action_on_event_received(action=START, event_key="go")


def on_other_event(_a: Nothing, b: Nothing) -> None:
    b.action_on_event_received(action=START, event_key="come")


def stopped_by_event(_a: Nothing, b: Nothing) -> None:
    b.action_on_event_received(action=STOP, event_key="go")


def on_condition(_a: Nothing, b: Nothing) -> None:
    b.action_on_condition(START, Asked("go"))


def on_event_for_the_other(a: Nothing, _b: Nothing) -> None:
    a.action_on_event_received(action=START, event_key="go")


RULES = (
    base,
    after,
    after_failure,
    on_event,
    on_other_event,
    stopped_by_event,
    on_condition,
    on_event_for_the_other,
)
Rules = Callable[[Nothing, Nothing], None]


def fingerprint(
    rules: Rules = base,
    *,
    finish_when_idle: bool = False,
    retries: int = 0,
    idempotent: bool = True,
    name: str = "a",
) -> str:
    with declared(finish_when_idle=finish_when_idle) as workflow:
        rules(Nothing(name, retries=retries, idempotent=idempotent), Nothing("b"))
    return Plan.of(workflow).fingerprint


@pytest.mark.parametrize("rules", RULES)
def test_equal_definitions_have_one_fingerprint(rules: Rules) -> None:
    assert fingerprint(rules) == fingerprint(rules)


def test_the_fingerprint_changes_with_the_rules() -> None:
    assert len({fingerprint(rules) for rules in RULES}) == len(RULES)


def test_the_fingerprint_changes_with_the_options() -> None:
    prints = {
        fingerprint(),
        fingerprint(finish_when_idle=True),
        fingerprint(retries=1),
        fingerprint(idempotent=False),
        fingerprint(name="c"),
    }

    assert len(prints) == 5
