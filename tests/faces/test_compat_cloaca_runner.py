"""Cloacina's contexts, runner and settings, and what is left out."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from asyncflow import Context as AsyncflowContext
from asyncflow import (
    Registry,
    StoreLocationError,
    TaskAction,
    UsageError,
    WaitTimeoutError,
    WorkflowNotFoundError,
)
from asyncflow.compat import cloaca
from asyncflow.compat.cloaca.left_out import LEFT_OUT

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


# --- contexts ---


def test_a_context_has_the_methods_of_the_reference() -> None:
    context = cloaca.Context({"a": 1})

    context.set("b", [1, 2])
    context["c"] = None
    context.insert("d", "x")
    context.update("d", "y")
    context.update_from_dict({"e": {"f": True}})
    removed = context.remove("a"), context.remove("a")
    del context["b"]

    assert removed == (1, None)
    assert context.to_dict() == {"c": None, "d": "y", "e": {"f": True}}
    assert (context.get("c", 5), context.get("a", 5), context["d"]) == (None, 5, "y")
    assert ("c" in context, "a" in context, len(context)) == (True, False, 3)
    assert json.loads(context.to_json()) == context.to_dict()
    assert repr(cloaca.Context({"a": 1})) == 'Context({"a": 1})'
    assert cloaca.Context.from_json(context.to_json()) == context
    assert list(context) == list(context.keys()) == ["c", "d", "e"]
    assert dict(context.items()) == context.to_dict() == dict(AsyncflowContext(context))


def test_a_context_refuses_what_the_reference_refuses() -> None:
    context = cloaca.Context({"a": 1})

    with pytest.raises(ValueError, match="Key already exists: a"):
        context.insert("a", 2)
    with pytest.raises(KeyError, match="missing"):
        context.update("missing", 2)
    with pytest.raises(KeyError, match="missing"):
        context["missing"]
    with pytest.raises(KeyError, match="missing"):
        del context["missing"]
    with pytest.raises(ValueError, match="JSON object"):
        cloaca.Context.from_json("[1]")
    with pytest.raises(TypeError, match=r"context\['a'\]"):
        context.set("a", object())
    with pytest.raises(TypeError, match="mapping"):
        cloaca.Context([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match=r"os\.environ"):
        context.secret("key")
    assert context.to_dict() == {"a": 1}


# --- the runner ---


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite://{}/a.db", "a.db"),
        ("{}/b.db", "b.db"),
        ("file:{}/c.db", "c.db"),
        (":memory:", None),
        ("sqlite://:memory:", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_an_address_is_read_as_the_reference_says(
    url: str, file: str | None, tmp_path: Path
) -> None:
    with cloaca.DefaultRunner(url.format(tmp_path)):
        there = {each.name for each in tmp_path.glob("*.db")}

    assert there == ({file} if file else set())


def test_a_relative_address_is_relative_and_its_parameters_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.warns(UserWarning, match="mode=rwc") as warned:
        cloaca.DefaultRunner("sqlite://d.db?mode=rwc").shutdown()

    assert (tmp_path / "d.db").exists()
    assert warned[0].filename == __file__


def test_other_databases_and_schemas_are_refused() -> None:
    with pytest.raises(StoreLocationError, match="postgresql"):
        cloaca.DefaultRunner("postgresql://localhost/x")
    with pytest.raises(UsageError, match="no schema"):
        cloaca.DefaultRunner.with_schema("postgresql://localhost/x", "tenant")


def test_a_runner_says_what_is_unknown_and_is_shut_down_twice() -> None:
    runner = cloaca.DefaultRunner(":memory:")

    with pytest.raises(WorkflowNotFoundError, match="nope"):
        runner.execute("nope", cloaca.Context({}))
    runner.shutdown()
    runner.shutdown()

    with pytest.raises(UsageError, match="clos"):
        runner.execute("nope", cloaca.Context({}))


def test_what_ran_is_in_the_file_for_the_next_runner(tmp_path: Path) -> None:
    with cloaca.WorkflowBuilder("kept"):

        @cloaca.task()
        def only(context: cloaca.Context) -> None:
            context.set("n", 1)

    with cloaca.DefaultRunner(f"sqlite://{tmp_path}/kept.db") as runner:
        name = runner.execute("kept", cloaca.Context()).execution_name

    with cloaca.DefaultRunner(f"sqlite://{tmp_path}/kept.db") as runner:
        found = runner.runner.execution(name)

    assert found is not None
    assert found.final_context == {"n": 1}


async def test_in_a_coroutine_no_runner_is_made_which_would_block_it() -> None:
    with pytest.raises(UsageError, match=r"use `async with Runner\(...\)` here"):
        cloaca.DefaultRunner(":memory:")


# --- settings ---


def test_settings_are_checked_when_they_are_given_and_when_they_are_set() -> None:
    config = cloaca.DefaultRunnerConfig(max_concurrent_tasks=2)

    config.task_timeout_seconds = 5
    with pytest.raises(ValueError, match="max_concurrent_tasks must be a whole number >= 1"):
        config.max_concurrent_tasks = 0
    with pytest.raises(ValueError, match="cron_max_catchup_executions must be <= 1000"):
        cloaca.DefaultRunnerConfig(cron_max_catchup_executions=1001)
    with pytest.raises(ValueError, match="scheduler_poll_interval_ms must be a whole number >= 10"):
        cloaca.DefaultRunnerConfig(scheduler_poll_interval_ms=9)
    with pytest.raises(ValueError, match="enable_recovery must be True or False"):
        cloaca.DefaultRunnerConfig(enable_recovery=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(AttributeError, match="max_tasks"):
        setattr(config, "max_" + "tasks", 1)

    assert (config.max_concurrent_tasks, config.to_dict()["task_timeout_seconds"]) == (2, 5)
    assert cloaca.DefaultRunnerConfig.default().to_dict()["max_concurrent_tasks"] == 4


def test_the_settings_limit_threads_and_how_long_a_call_waits() -> None:
    with cloaca.WorkflowBuilder("slow") as builder:

        @cloaca.task()
        async def slow(context: cloaca.Context) -> None: ...

        slow.action_on_event_received(action=TaskAction.START, event_key="never")

    config = cloaca.DefaultRunnerConfig(max_concurrent_tasks=1, workflow_timeout_seconds=1)
    with cloaca.DefaultRunner.with_config(":memory:", config) as runner:
        with pytest.raises(WaitTimeoutError):
            runner.execute(builder.build().name, cloaca.Context())
        (execution,) = runner.runner.executions()

    assert not execution.status.final


# --- what is not there ---


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_says_what_to_do_instead_and_is_in_the_page(name: str) -> None:
    page = (ROOT / "docs/migrate-from-cloacina.md").read_text(encoding="utf-8")

    with pytest.raises(UsageError, match=rf"asyncflow has no {name}\(\): \w"):
        getattr(cloaca, name)("x", y=1)

    assert f"`{name}`" in page


def test_a_name_that_nobody_knows_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        getattr(cloaca, "no" + "pe")
