"""Cloacina's trigger rules: asked once all dependencies of a task have ended, however they did."""

import itertools
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow import (
    NotificationClient,
    Registry,
    Runner,
    TaskAction,
)
from asyncflow.compat import cloaca
from tests.faces.cloaca_scene import FAILED, SKIPPED, SUCCESS, add, ends, outcome, play


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


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

        @cloaca.task(dependencies=[go, "seen"])  # once that has looked at the first run
        def again(context: cloaca.Context) -> None:
            if "sent" not in context:
                context.set("sent", True)
                NotificationClient().send_event("again")

    found = play()

    assert (found["a"], found["seen"]) == (["skipped", "SUCCESS"], ["skipped", "SUCCESS"])


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
