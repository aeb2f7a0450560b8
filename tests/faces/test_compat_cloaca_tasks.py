"""Cloacina's tasks, callbacks and builders mean what asyncflow decides that they mean."""

import os
import threading
from collections.abc import Awaitable, Callable, Generator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from asyncflow import (
    DefinitionError,
    DuplicateTaskError,
    Registry,
)
from asyncflow.compat import cloaca
from tests.faces.cloaca_scene import execute

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


def body(context: cloaca.Context) -> None: ...


# --- what a task leaves ---


def test_what_a_task_changes_counts_whether_it_returns_the_context_or_nothing() -> None:
    def nothing(context: cloaca.Context) -> None:
        context["items"].append(2)
        context.set("new", True)
        context.remove("old")

    def itself(context: cloaca.Context) -> cloaca.Context:
        nothing(context)
        return context

    given: dict[str, object] = {"items": [1], "old": 0}
    for function in (nothing, itself):
        done = execute(function, given)

        assert done.status == "Completed"
        assert done.final_context.to_dict() == {"items": [1, 2], "new": True}
    assert given == {"items": [1], "old": 0}


def test_another_context_that_a_task_returns_replaces_all() -> None:
    done = execute(lambda context: cloaca.Context({"b": 2, "c": 3}), {"a": 1, "b": 1})

    assert done.final_context == {"b": 2, "c": 3}


def test_a_dict_that_a_task_returns_is_added_to_the_context() -> None:
    done = execute(lambda context: {"b": 2}, {"a": 1})

    assert done.final_context == {"a": 1, "b": 2}


def test_a_coroutine_is_a_task_and_the_context_may_have_any_name_or_none() -> None:
    async def awaited(ctx: cloaca.Context) -> None:
        ctx.set("async", True)

    async def changed(ctx: cloaca.Context) -> cloaca.Context:
        ctx.set("later", True)
        return ctx

    def later(ctx: cloaca.Context) -> Awaitable[cloaca.Context]:
        return changed(ctx)

    def bare() -> dict[str, bool]:
        return {"bare": True}

    assert execute(awaited).final_context == {"async": True}
    assert execute(later).final_context == {"later": True}
    assert execute(bare).final_context == {"bare": True}


def test_parallel_tasks_merge_and_dependents_of_a_failed_task_do_not_run() -> None:
    with cloaca.WorkflowBuilder("merged") as builder:
        builder.description("two at once").tag("team", "data")

        @cloaca.task()
        def left(context: cloaca.Context) -> None:
            context.set("left", 1)

        @cloaca.task(retry_attempts=1)
        def right(context: cloaca.Context) -> None:
            raise ValueError("kaboom")

        @cloaca.task(dependencies=[left, "right"])
        def join(context: cloaca.Context) -> None:
            context.set("joined", True)

        @cloaca.task(dependencies=[left])
        def after(context: cloaca.Context) -> None:
            context.set("after", context["left"] + 1)

    with cloaca.DefaultRunner(":memory:") as runner:
        done = runner.execute("merged", cloaca.Context({"given": 0}))

    assert done.status == "Failed"
    assert done.final_context == {"given": 0, "left": 1, "after": 2}
    assert done.error_message is not None
    assert "ValueError: kaboom" in done.error_message
    assert done.start_time is not None
    assert done.end_time is not None
    times = [datetime.fromisoformat(each) for each in (done.start_time, done.end_time)]
    assert times == sorted(times)
    assert [each.isoformat() for each in times] == [done.start_time, done.end_time]
    assert times[0].utcoffset() == timedelta()


# --- options of a task ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry_attempts": -1}, "retry_attempts is the number of all attempts, not -1"),
        ({"retry_delay_ms": -1}, "retry_delay_ms is a number, 0 or more"),
        ({"retry_backoff": "expnential"}, "retry_backoff is 'fixed', 'linear' or 'exponential'"),
        ({"retry_condition": "some"}, "retry_condition is 'all', 'never' or"),
        ({"retry": cloaca.RetryPolicy.default(), "retry_attempts": 2}, "says all of it"),
        ({"retry": 3}, "retry is a RetryPolicy"),
        ({"on_success": "log"}, r"on_success is a function .* \(task_id, context\), not 'log'"),
        ({"on_failure": 1}, r"on_failure is a function .* \(task_id, error, context\), not 1"),
        ({"dependencies": "a"}, "dependencies is a list"),
        ({"invokes": object()}, "no invokes: it has no computation graphs"),
        ({"post_invocation": print}, "no post_invocation"),
        ({"retries": 3}, "there is no option 'retries'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_and_names_the_task(
    options: dict[str, Any], message: str
) -> None:
    with (
        pytest.raises(DefinitionError, match=f"task 'only': .*{message}"),
        cloaca.WorkflowBuilder("refused"),
    ):
        cloaca.task(id="only", **options)(print)


def test_a_function_that_cannot_be_called_with_the_context_is_refused() -> None:
    async def handled(context: cloaca.Context, handle: object) -> None: ...
    def third(context: cloaca.Context, handle: object, other: object) -> None: ...
    def two(context: cloaca.Context, other: object) -> None: ...
    def generator(context: cloaca.Context) -> Generator[None]:
        yield

    refused: tuple[tuple[Callable[..., object], str], ...] = (
        (handled, "a handle is for `def` tasks"),
        (third, "missing a required argument: 'other'"),
        (two, "missing a required argument: 'other'"),
        (generator, "has a yield"),
    )
    for function, message in refused:
        declare: Callable[[Callable[..., Any]], object] = cloaca.task()
        with pytest.raises(DefinitionError, match=message), cloaca.WorkflowBuilder("refused"):
            declare(function)


def test_a_decorated_function_is_called_like_the_function() -> None:
    with cloaca.WorkflowBuilder("called"):

        @cloaca.task(id="double")
        def doubled(context: cloaca.Context) -> int:
            """Double it."""
            return 2 * int(context["n"])

    assert doubled(cloaca.Context({"n": 4})) == 8
    assert (getattr(doubled, "__name__", None), doubled.__doc__, doubled.name) == (
        "doubled",
        "Double it.",
        "double",
    )


# --- callbacks ---


def test_callbacks_get_the_id_the_error_and_a_copy_of_the_context() -> None:
    heard: list[tuple[object, ...]] = []

    def good(task_id: str, context: cloaca.Context) -> None:
        context.set("from callback", True)  # dropped
        heard.append((task_id, context["n"]))

    async def bad(task_id: str, error: str, context: cloaca.Context) -> None:
        heard.append((task_id, error, context.to_dict()))

    def counts(context: cloaca.Context) -> None:
        context.set("n", context.get("n", 0) + 1)

    def fails(context: cloaca.Context) -> None:
        context.set("n", "dropped")
        raise ValueError("kaboom")

    done = execute(counts, on_success=good, on_failure=bad)
    execute(fails, {"n": 5}, on_success=good, on_failure=bad)

    assert done.final_context == {"n": 1}
    assert heard == [("only", 1), ("only", "ValueError: kaboom", {"n": 5})]


def test_an_error_in_a_callback_is_logged_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def buggy(task_id: str, context: cloaca.Context) -> None:
        raise ZeroDivisionError("callback")

    done = execute(lambda ctx: ctx.set("result", 1), on_success=buggy)

    assert (done.status, done.final_context.to_dict()) == ("Completed", {"result": 1})
    assert [each.name for each in caplog.records] == ["asyncflow.callbacks"]


def test_coroutines_need_no_thread_while_the_only_one_is_taken() -> None:
    taken, told = threading.Event(), threading.Event()

    async def tell(task_id: str, context: cloaca.Context) -> None:
        told.set()

    with cloaca.WorkflowBuilder("crowded"):

        @cloaca.task()
        def waits(context: cloaca.Context) -> None:
            taken.set()
            told.wait()

        @cloaca.task(on_success=tell)
        async def works(context: cloaca.Context) -> None:
            while not taken.is_set():
                await anyio.lowlevel.checkpoint()

    config = cloaca.DefaultRunnerConfig(max_concurrent_tasks=1)
    with cloaca.DefaultRunner.with_config(":memory:", config) as runner:
        assert runner.execute("crowded").status == "Completed"


def test_functions_run_one_after_another_if_only_one_may_run_at_once() -> None:
    running = 0
    most = 0

    def counts(context: cloaca.Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        os.sched_yield()
        running -= 1

    with cloaca.WorkflowBuilder("many"):
        for number in range(20):
            cloaca.task(id=f"task-{number}")(counts)

    config = cloaca.DefaultRunnerConfig(max_concurrent_tasks=1)
    with cloaca.DefaultRunner.with_config(":memory:", config) as runner:
        runner.execute("many")

    assert most == 1


# --- builders ---


def test_a_builder_builds_a_workflow_that_knows_its_shape() -> None:
    with cloaca.WorkflowBuilder("diamond") as builder:
        builder.description("a diamond")
        builder.add_task("a")

        @cloaca.task(dependencies=["b", "c"])  # those come later
        def d(context: cloaca.Context) -> None: ...
        @cloaca.task()
        def a(context: cloaca.Context) -> None: ...
        @cloaca.task(dependencies=[a])
        def c(context: cloaca.Context) -> None: ...
        @cloaca.task(dependencies=[a])
        def b(context: cloaca.Context) -> None: ...

        builder.add_task(b)

    built = builder.build()

    built.validate()
    assert (built.name, built.description, len(built.version)) == ("diamond", "a diamond", 16)
    assert built.get_execution_levels() == [["a"], ["c", "b"], ["d"]]
    assert built.topological_sort() == ["a", "c", "b", "d"]
    assert (built.get_roots(), built.get_leaves()) == (["a"], ["d"])
    cloaca.register_workflow_constructor("diamond", lambda: built)
    with pytest.raises(DefinitionError, match="the constructor of workflow 'other'"):
        cloaca.register_workflow_constructor("other", lambda: built)
    builder.add_task("nope")
    with pytest.raises(DefinitionError, match=r"add_task\('nope'\)"):
        builder.build()


def names_a_task_that_is_not_there() -> None:
    with cloaca.WorkflowBuilder("named") as builder:
        cloaca.task()(body)
        builder.add_task("nope")


def has_a_task_twice() -> None:
    with cloaca.WorkflowBuilder("twice"):
        cloaca.task()(body)
        cloaca.task()(body)


def raises_in_its_block() -> None:
    with cloaca.WorkflowBuilder("raising"):
        cloaca.task()(body)
        raise KeyError("user")


def is_empty() -> None:
    with cloaca.WorkflowBuilder("empty"):
        pass


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (names_a_task_that_is_not_there, DefinitionError, r"add_task\('nope'\)"),
        (has_a_task_twice, DuplicateTaskError, "'body' already"),
        (raises_in_its_block, KeyError, "user"),
        (is_empty, DefinitionError, "'empty'"),
        (cloaca.WorkflowBuilder("unbuilt").build, DefinitionError, "'unbuilt' is not declared"),
        (lambda: cloaca.WorkflowBuilder("x", tenant="me"), DefinitionError, "no tenants"),
        (lambda: cloaca.task()(body), DefinitionError, "outside a workflow"),
    ],
)
def test_a_workflow_that_is_declared_wrongly_is_refused_and_not_registered(
    registry: Registry, declare: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        declare()

    assert registry.workflows() == ()
    with cloaca.WorkflowBuilder("free"):  # no block is left open
        cloaca.task()(body)
