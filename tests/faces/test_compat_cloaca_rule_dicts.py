"""What Cloacina's trigger rules say of a context and of each other, and which are refused."""

from collections.abc import Callable, Generator
from typing import Any, cast

import pytest

from asyncflow import DefinitionError, Registry, Workflow
from asyncflow.compat import cloaca
from asyncflow.compat.cloaca.rules import RuleDict
from tests.faces.cloaca_scene import SKIPPED, SUCCESS, add, play


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [
        *((op, 5, {"five", "float"}) for op in ("Equals", "equals", "==", "EQ")),
        ("Equals", True, {"true"}),
        ("Equals", 1, set[str]()),
        ("Equals", ("b", {"c": 1}), {"list"}),
        *((op, 5, {"text", "list", "true", "none", "gone"}) for op in ("NotEquals", "!=", "ne")),
        *((op, 4.5, {"five", "float"}) for op in ("GreaterThan", ">", "gt")),
        *((op, 6, {"five", "float"}) for op in ("LessThan", "<", "lt")),
        ("GreaterThan", "a", set[str]()),
        ("Contains", "b", {"text", "list"}),
        ("Contains", {"c": 1}, {"list"}),
        ("NotContains", "b", {"five", "float", "true", "none", "gone"}),
        ("Exists", None, {"five", "float", "text", "list", "true", "none"}),
        ("notexists", None, {"gone"}),
    ],
)
def test_a_rule_compares_a_value_of_the_context(op: str, value: object, holds: set[str]) -> None:
    values = {
        "five": 5,
        "float": 5.0,
        "text": "abc",
        "list": ["b", {"c": 1}],
        "true": True,
        "none": None,
    }
    with cloaca.WorkflowBuilder("w"):
        for key in (*values, "gone"):
            add(key, rules=cloaca.context_value(key, op, value))

    found = play("w", dict(values))

    assert {key for key in found if found[key] == SUCCESS} == holds


def test_a_rule_sees_what_the_dependencies_left() -> None:
    with cloaca.WorkflowBuilder("w"):

        @cloaca.task()
        def counts(context: cloaca.Context) -> None:
            context.set("rows", 12)

        add("few", needs=["counts"], rules=cloaca.context_value("rows", "<", 10))
        add("many", needs=["counts"], rules=cloaca.context_value("rows", ">", 10))

    assert play("w", {"rows": 0}) == {"counts": SUCCESS, "few": SKIPPED, "many": SUCCESS}


@pytest.mark.parametrize(
    ("rules", "runs"),
    [
        (cloaca.all_of(), True),
        (cloaca.any_of(), False),
        (cloaca.none_of(), True),
        (cloaca.all_of(cloaca.task_success("a"), cloaca.task_failed("b")), True),
        (cloaca.all_of(cloaca.task_success("a"), cloaca.task_failed("a")), False),
        (cloaca.any_of(cloaca.task_failed("a"), cloaca.task_failed("b")), True),
        (cloaca.none_of(cloaca.task_failed("a"), cloaca.task_failed("b")), False),
        (
            cloaca.all_of(
                cloaca.any_of(cloaca.task_failed("a"), cloaca.none_of(cloaca.task_failed("a"))),
                cloaca.always(),
            ),
            True,
        ),
        (cloaca.task_success("public::embedded::w::a"), True),
        ({"type": "TaskFailed", "task_name": "b"}, True),
    ],
)
def test_rules_nest_and_names_may_be_short_or_long(rules: RuleDict, runs: bool) -> None:
    with cloaca.WorkflowBuilder("w"):
        add("a")
        add("b", "fails")
        add("c", needs=["a", "b"], rules=rules)

    assert play()["c"] == (SUCCESS if runs else SKIPPED)


def test_a_rule_may_name_the_decorated_task_and_one_that_is_no_dependency() -> None:
    with cloaca.WorkflowBuilder("w") as builder:

        @cloaca.task()
        def first(context: cloaca.Context) -> None: ...
        @cloaca.task(dependencies=[first])
        def second(context: cloaca.Context) -> None: ...
        @cloaca.task(
            dependencies=[second],
            trigger_rules=cloaca.all_of(cloaca.task_success(first), cloaca.task_success(second)),
        )
        def third(context: cloaca.Context) -> None: ...

    assert play() == dict.fromkeys(("first", "second", "third"), SUCCESS)
    assert builder.build().get_execution_levels() == [["first"], ["second"], ["third"]]


# --- what is refused ---


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("always", r"made by always\(\), .* and 'always' is none"),
        ({}, "and {} is none"),
        ({"type": ["All"]}, "is none of these"),
        ({"type": "Sometimes"}, "is none of these"),
        (cloaca.always, "is none of these"),
        ([cloaca.always()], "is none of these"),
        (cloaca.all_of(cast("Any", "a")), "and 'a' is none"),
        ({"type": "All", "conditions": "a"}, "is none of these"),
        (cloaca.task_success(cast("Any", 5)), "is none of these"),
        (cloaca.context_value(cast("Any", 5), "=="), "is none of these"),
        (cloaca.context_value("n", ">="), r"one of 'Equals' \(==\), .* 'NotExists', not '>='"),
        (cloaca.context_value("n", "==", object()), "compares to a JSON value: .*object"),
        (cloaca.context_value("n", "==", float("nan")), "compares to a JSON value: .*nan"),
    ],
)
def test_rules_of_another_shape_are_refused_where_the_task_is_declared(
    rules: object, message: str
) -> None:
    with cloaca.WorkflowBuilder("refused"):
        with pytest.raises(ValueError, match=f"task 'only': .*{message}"):
            add("only", rules=cast("RuleDict", rules))
        add("other")


def unknown() -> None:
    add("a", rules=cloaca.any_of(cloaca.all_of(cloaca.task_failed("nope"))))


def itself() -> None:
    add("a", rules=cloaca.task_success("a"))


def seven() -> None:
    names = [f"n{number}" for number in range(7)]
    for name in names:
        add(name)
    add("a", needs=names, rules=cloaca.always())


def circle() -> None:
    add("a", needs=["b"], rules=cloaca.always())
    add("b", needs=["a"])


def circle_upstream() -> None:
    add("a", needs=["b"], rules=cloaca.always())
    add("b", needs=["c"])
    add("c", needs=["b"])


def unknown_dependency() -> None:
    add("a", needs=["nope"], rules=cloaca.always())


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (unknown, "rules of task 'a' ask about 'nope', which is no task of it; its tasks are: 'a'"),
        (itself, "trigger_rules of task 'a' ask about itself"),
        (seven, "more than 729 ways: let it depend on at most six tasks"),
        (circle, "tasks wait for each other"),
        (circle_upstream, "tasks wait for each other"),
        (unknown_dependency, "task 'a' depends on 'nope', which is no task"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused_when_the_block_ends(
    registry: Registry, declare: Callable[[], None], message: str
) -> None:
    with (
        pytest.raises(DefinitionError, match=f"workflow 'refused': .*{message}"),
        cloaca.WorkflowBuilder("refused"),
    ):
        declare()

    assert registry.workflows() == ()
    with cloaca.WorkflowBuilder("free"):  # no block is left open
        add("a")


def test_six_dependencies_and_long_chains_are_not_too_many() -> None:
    with cloaca.WorkflowBuilder("w"):
        names = [f"n{number}" for number in range(6)]
        for number, name in enumerate(names):
            add(name, "fails" if number == 3 else "works")
        add("six", needs=names, rules=cloaca.task_failed("n3"))
        add("0")
        for number in range(1, 50):
            add(str(number), "fails" if number == 30 else "works", needs=[str(number - 1)])
        add("chain", needs=["49"], rules=cloaca.task_failed("30"))

    found = play()

    assert found["six"] == found["chain"] == SUCCESS
    assert "31" not in found


def test_rules_outside_a_builders_block_are_refused() -> None:
    with pytest.raises(DefinitionError, match="task 'a': trigger_rules work inside"), Workflow("w"):
        add("a", rules=cloaca.always())
    with pytest.raises(DefinitionError, match="outside a workflow"):
        add("a", rules=cloaca.always())
