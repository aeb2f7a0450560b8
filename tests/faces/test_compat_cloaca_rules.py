"""Cloacina's trigger rules: asked once all dependencies of a task have ended, however they did."""

import itertools
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow import (
    DefinitionError,
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
    TaskExecution,
    TaskStopped,
    Workflow,
)
from asyncflow.compat import cloaca
from asyncflow.compat.cloaca.rules import RuleDict


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


def ends(how: str) -> Callable[[cloaca.Context], None]:
    """Return the body of a task that ends so."""

    def function(context: cloaca.Context) -> None:
        if how == "fails":
            raise ValueError("kaboom")
        if how == "stops":
            raise TaskStopped

    return function


def add(
    name: str, how: str = "works", needs: Iterable[str] = (), rules: RuleDict | None = None
) -> None:
    """Make a task that ends so."""
    options: dict[str, Any] = {} if rules is None else {"trigger_rules": rules}
    if how == "is skipped":
        options["trigger_rules"] = cloaca.any_of()
    cloaca.task(id=name, dependencies=list(needs), retry_attempts=1, **options)(ends(how))


def outcome(run: TaskExecution) -> str:
    """Say in one word what became of a task."""
    return "skipped" if run.result == "skipped" else str(run.status)


def play(workflow: str = "w", data: dict[str, object] | None = None) -> dict[str, list[str]]:
    """Run a workflow; return what became of each task, once for each time that it ran."""
    found: dict[str, list[str]] = {}
    with Runner(":memory:") as runner:
        for run in runner.execute(workflow, data, timeout="10s").task_executions():
            found.setdefault(run.task_name, []).append(outcome(run))
    return found


SUCCESS, FAILED, SKIPPED = ["SUCCESS"], ["FAILED"], ["skipped"]
ABOUT_A = {
    "success": cloaca.task_success("a"),
    "failed": cloaca.task_failed("a"),
    "skipped": cloaca.task_skipped("a"),
    "always": cloaca.always(),
    "none": cloaca.none_of(cloaca.task_success("a"), cloaca.task_failed("a")),
}


@pytest.mark.parametrize(
    ("how", "run"),
    [
        ("works", {"success", "always"}),
        ("fails", {"failed", "always"}),
        ("stops", {"always", "none"}),
        ("is skipped", {"skipped", "always", "none"}),
    ],
)
def test_a_task_with_rules_runs_or_is_skipped_by_how_its_dependency_ended(
    how: str, run: set[str]
) -> None:
    with cloaca.WorkflowBuilder("w"):
        add("a", how)
        for name, rules in ABOUT_A.items():
            add(name, needs=["a"], rules=rules)

    found = play()

    assert {name for name in ABOUT_A if found[name] == SUCCESS} == run
    assert all(found[name] == SKIPPED for name in ABOUT_A if name not in run)


HOWS = ("works", "fails", "stops", "is skipped")


@pytest.mark.parametrize("hows", list(itertools.product(HOWS, HOWS)))
def test_it_starts_once_when_all_of_its_dependencies_are_over(hows: tuple[str, str]) -> None:
    with cloaca.WorkflowBuilder("w"):
        add("a", hows[0])
        add("b", hows[1])
        add("cleanup", needs=["a", "b"], rules=cloaca.always())

    assert play()["cleanup"] == SUCCESS


def test_dependencies_that_never_run_are_over_and_skipped() -> None:
    with cloaca.WorkflowBuilder("w"):
        add("left", "fails")
        add("right")
        add("both", needs=["left", "right"])
        add("after", needs=["both"])
        add("late", needs=["right"])
        add("cleanup", needs=["after", "late"], rules=cloaca.always())
        add("told", needs=["after"], rules=cloaca.task_skipped("after"))
        add("whole", needs=["after"], rules=cloaca.task_success("after"))

    assert play() == {
        "left": FAILED,
        "right": SUCCESS,
        "late": SUCCESS,
        "cleanup": SUCCESS,
        "told": SUCCESS,
        "whole": SKIPPED,
    }


def test_several_failures_upstream_start_a_task_once() -> None:
    with cloaca.WorkflowBuilder("w"):
        add("a", "fails")
        add("b", "fails")
        add("c", needs=["a", "b"])
        add("d", needs=["c", "b"])
        add("cleanup", needs=["c", "d"], rules=cloaca.always())

    assert play() == {"a": FAILED, "b": FAILED, "cleanup": SUCCESS}


def test_dependents_without_rules_of_a_skipped_task_run_and_of_a_failed_one_do_not() -> None:
    with cloaca.WorkflowBuilder("w"):
        add("skipped", "is skipped")
        add("after", needs=["skipped"])
        add("failed", "fails", rules=cloaca.always())
        add("never", needs=["failed"])

    assert play() == {"skipped": SKIPPED, "after": SUCCESS, "failed": FAILED}


def test_tasks_with_rules_depend_on_each_other() -> None:
    with cloaca.WorkflowBuilder("w"):
        add("fetch", "fails")
        add("mend", needs=["fetch"], rules=cloaca.task_failed("fetch"))
        add("use", needs=["fetch"], rules=cloaca.task_success("fetch"))
        add(
            "report",
            needs=["mend", "use"],
            rules=cloaca.all_of(cloaca.task_success("mend"), cloaca.task_skipped("use")),
        )

    assert play() == {"fetch": FAILED, "mend": SUCCESS, "use": SKIPPED, "report": SUCCESS}


def test_tasks_with_rules_may_be_declared_before_those_that_they_wait_for() -> None:
    with cloaca.WorkflowBuilder("w"):
        add("last", needs=["middle"], rules=cloaca.task_success("middle"))
        add("middle", needs=["first"], rules=cloaca.task_failed("first"))
        add("first", "fails")

    assert play() == {"first": FAILED, "middle": SUCCESS, "last": SUCCESS}


def test_a_dependency_that_an_event_starts_is_waited_for() -> None:
    with cloaca.WorkflowBuilder("w"):
        add("a", "fails")
        b = cloaca.task(id="b", dependencies=["a"])(ends("works"))
        b.action_on_event_received(TaskAction.START, "go")
        add("c", needs=["b"], rules=cloaca.task_success("b"))

        @cloaca.task(dependencies=["a"], trigger_rules=cloaca.always())
        def go(context: cloaca.Context) -> None:
            NotificationClient().send_event("go")

    assert play() == {"a": FAILED, "go": SUCCESS, "b": SUCCESS, "c": SUCCESS}


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, list[int], bool]]:
    """Return how each task ends, which earlier ones it needs, and whether it has rules."""
    found: list[tuple[str, list[int], bool]] = []
    for number in range(draw(st.integers(1, 6))):
        needs = st.lists(st.integers(0, number - 1), unique=True) if number else st.just([])
        found.append((draw(st.sampled_from(HOWS)), draw(needs), draw(st.booleans())))
    return found


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_whatever_the_graph_each_task_runs_once_or_never_as_its_dependencies_ended(
    graph: list[tuple[str, list[int], bool]],
) -> None:
    words = {"works": SUCCESS, "fails": FAILED, "stops": ["STOPPED"], "is skipped": SKIPPED}
    expected: dict[str, list[str]] = {}
    for number, (how, needs, ruled) in enumerate(graph):
        succeeded = all(expected.get(str(each)) in (SUCCESS, SKIPPED) for each in needs)
        if succeeded or ruled or how == "is skipped":
            expected[str(number)] = words[how]

    with Registry():
        with cloaca.WorkflowBuilder("w"):
            for number, (how, needs, ruled) in enumerate(graph):
                rules = cloaca.always() if ruled else None
                add(str(number), how, map(str, needs), rules)
        assert play() == expected


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_skipped_task_changes_nothing_and_calls_nobody_back(kind: str) -> None:
    told: list[str] = []

    def changes(context: cloaca.Context) -> None:
        context.set(f"ran {len(context)}", True)

    async def changes_later(context: cloaca.Context) -> None:
        changes(context)

    def tell(task_id: str, context: cloaca.Context) -> None:
        told.append(task_id)

    async def tell_later(task_id: str, context: cloaca.Context) -> None:
        told.append(task_id)

    with cloaca.WorkflowBuilder("w"):
        for number, rules in enumerate((cloaca.any_of(), cloaca.all_of())):
            cloaca.task(
                id=str(number),
                trigger_rules=rules,
                on_success=tell if kind == "sync" else tell_later,
            )(changes if kind == "sync" else changes_later)

    with cloaca.DefaultRunner(":memory:") as runner:
        done = runner.execute("w")

    assert done.status == "Completed"
    assert done.final_context == {"ran 0": True}
    assert told == ["1"]


def test_a_task_that_was_skipped_once_may_run_the_next_time() -> None:
    with cloaca.WorkflowBuilder("w"):
        a = cloaca.task(id="a", trigger_rules=cloaca.context_value("go", "Exists"))(ends("works"))
        a.action_on_event_received(TaskAction.RESTART, "again")
        add("seen", needs=["a"], rules=cloaca.task_success("a"))

        @cloaca.task(dependencies=[a])
        def go(context: cloaca.Context) -> None:
            context.set("go", True)

        @cloaca.task(dependencies=[go])
        def again(context: cloaca.Context) -> None:
            if "sent" not in context:
                context.set("sent", True)
                NotificationClient().send_event("again")

    found = play()

    assert (found["a"], found["seen"]) == (["skipped", "SUCCESS"], ["skipped", "SUCCESS"])


# --- the context ---


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


def test_a_task_is_asked_again_on_the_file_that_its_runner_left(tmp_path: Path) -> None:
    with cloaca.WorkflowBuilder("w"):
        add("a", "is skipped")
        add("b", needs=["a"], rules=cloaca.task_skipped("a"))

    for count in (1, 2):
        with Runner(tmp_path / "a.db") as runner:
            done = runner.execute("w")
            found = {run.task_name: outcome(run) for run in done.task_executions()}
            assert found == {"a": "skipped", "b": "SUCCESS"}
            assert len(list(runner.executions())) == count


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
