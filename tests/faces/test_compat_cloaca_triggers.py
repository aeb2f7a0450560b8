"""Cloacina's triggers and cron schedules, by its names, in a runner that really polls."""

import os
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncflow import (
    DefinitionError,
    Registry,
    ScheduleNotFoundError,
    TriggerNotFoundError,
    UsageError,
    WorkflowNotFoundError,
)
from asyncflow.compat import cloaca
from asyncflow.compat.cloaca.triggers import CRON_TRIGGERS

TRIGGER_KEYS = """id trigger_name workflow_name poll_interval_ms allow_concurrent enabled
last_poll_at created_at updated_at"""
TRIGGER_EXECUTION_KEYS = """id schedule_id context_hash workflow_execution_id started_at
completed_at created_at error"""
CRON_KEYS = """id workflow_name cron_expression timezone enabled catchup_policy next_run_at
last_run_at created_at updated_at"""
CRON_EXECUTION_KEYS = """id schedule_id scheduled_time claimed_at workflow_execution_id created_at
updated_at dropped"""


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry
    CRON_TRIGGERS.clear()


def declare(name: str, function: Callable[[cloaca.Context], object]) -> None:
    with cloaca.WorkflowBuilder(name):
        cloaca.task(id="only")(function)


def nothing(context: cloaca.Context) -> None: ...


def await_all(runner: cloaca.DefaultRunner) -> None:
    for execution in runner.runner.executions():
        execution.wait()


def test_a_file_that_arrives_starts_its_workflow_with_its_name(tmp_path: Path) -> None:
    processed_files: set[str] = set()
    seen: list[str] = []
    done = threading.Event()

    @cloaca.trigger(workflow="file_processor", name="file_watcher", poll_interval="10ms")
    def file_watcher() -> cloaca.TriggerResult:
        for filename in sorted(os.listdir(tmp_path)):
            if filename not in processed_files:
                processed_files.add(filename)
                return cloaca.TriggerResult.fire(cloaca.Context({"filename": filename}))
        return cloaca.TriggerResult.skip()

    def process_file(context: cloaca.Context) -> cloaca.Context:
        seen.append(context["filename"])
        context.set("processed", True)
        if len(seen) == 2:
            done.set()
        return context

    declare("file_processor", process_file)

    with cloaca.DefaultRunner(":memory:") as runner:
        for name in ("a.csv", "b.csv"):
            (tmp_path / name).touch()
        done.wait()
        await_all(runner)
        schedule = runner.get_trigger_schedule("file_watcher")
        history = runner.get_trigger_execution_history("file_watcher", limit=10)
        (newest,) = runner.get_trigger_execution_history("file_watcher", limit=1)

    assert seen == ["a.csv", "b.csv"]
    assert schedule is not None
    assert list(schedule) == TRIGGER_KEYS.split()
    assert (schedule["poll_interval_ms"], schedule["enabled"]) == (10, True)
    assert schedule["last_poll_at"].endswith("+00:00")
    assert [list(each) for each in history] == [TRIGGER_EXECUTION_KEYS.split()] * 2
    assert newest["id"] == history[0]["id"]
    assert {each["schedule_id"] for each in history} == {schedule["id"]}
    for each in history:
        assert each["started_at"] <= each["completed_at"]


@pytest.mark.parametrize("concurrent", [False, True])
def test_an_equal_context_waits_for_the_end_of_its_execution_unless_it_need_not(
    concurrent: bool,
) -> None:
    polls = 0
    polled, go_on = threading.Event(), threading.Event()

    @cloaca.trigger("orders", poll_interval="10ms", allow_concurrent=concurrent)
    def orders_waiting() -> cloaca.TriggerResult:
        nonlocal polls
        polls += 1
        if polls == 4:
            polled.set()
        fires = polls <= 3
        context = cloaca.Context({"order_id": 7, "of": ["a", "b"]})
        return cloaca.TriggerResult.fire(context) if fires else cloaca.TriggerResult.skip()

    declare("orders", lambda context: go_on.wait())

    with cloaca.DefaultRunner(":memory:") as runner:
        polled.wait()
        history = runner.get_trigger_execution_history("orders_waiting")
        go_on.set()
        await_all(runner)

    assert len(history) == (3 if concurrent else 1)


def test_a_trigger_that_is_disabled_stays_so_and_the_listing_can_leave_it_out(
    tmp_path: Path,
) -> None:
    for name in ("first", "second"):
        cloaca.trigger(on="any", name=name, poll_interval="1h")(cloaca.TriggerResult.skip)
    declare("any", nothing)
    url = f"sqlite://{tmp_path}/triggers.db"

    with cloaca.DefaultRunner(url) as runner:
        runner.set_trigger_enabled("first", False)
        with pytest.raises(TriggerNotFoundError, match="nope"):
            runner.set_trigger_enabled("nope", False)
        unknown = runner.get_trigger_schedule("nope"), runner.get_trigger_execution_history("nope")
    with cloaca.DefaultRunner(url) as runner:
        names = [each["trigger_name"] for each in runner.list_trigger_schedules()]
        page = [each["trigger_name"] for each in runner.list_trigger_schedules(None, 1, 1)]
        enabled = [each["trigger_name"] for each in runner.list_trigger_schedules(True)]

    assert (names, page, enabled) == (["first", "second"], ["second"], ["second"])
    assert unknown == (None, [])


def test_a_poll_that_raises_is_in_the_history_with_its_error() -> None:
    polled = threading.Event()

    @cloaca.trigger("any", poll_interval="10ms")
    async def broken() -> cloaca.TriggerResult:
        if polled.is_set():
            return cloaca.TriggerResult.skip()
        polled.set()
        raise ValueError("kaboom")

    declare("any", nothing)
    with cloaca.DefaultRunner(":memory:") as runner:
        polled.wait()
        while not (history := runner.get_trigger_execution_history("broken")):
            pass

    assert history[0]["error"] == "ValueError: kaboom"


def test_a_trigger_without_its_workflow_is_an_error_when_the_runner_opens() -> None:
    cloaca.trigger(on="nope", name="lost")(cloaca.TriggerResult.skip)

    with pytest.raises(WorkflowNotFoundError, match="nope"):
        cloaca.DefaultRunner(":memory:")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "told what it starts"),
        ({"workflow": "a", "on": "b"}, "say different things"),
        ({"on": "a", "cron": "@daily", "poll_interval": "5s"}, "cron or poll_interval, not both"),
        ({"on": "a", "timezone": "UTC"}, "belongs to cron"),
        ({"on": "a", "poll_interval": "5x"}, "poll_interval"),
    ],
)
def test_options_of_a_trigger_that_make_no_sense_are_refused(
    options: dict[str, str], message: str
) -> None:
    with pytest.raises(DefinitionError, match=f"trigger 'skip'.*{message}"):
        cloaca.trigger(**options)(cloaca.TriggerResult.skip)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- cron ---


def test_a_cron_schedule_starts_its_workflow_and_is_told_of_by_the_keys_of_the_reference() -> None:
    started = threading.Event()
    contexts: list[dict[str, object]] = []

    def note(context: cloaca.Context) -> None:
        contexts.append(context.to_dict())
        started.set()

    declare("reports", note)
    began = datetime.now(UTC) - timedelta(seconds=2)
    with cloaca.DefaultRunner(":memory:") as runner:
        schedule_id = runner.register_workflow_instance(
            "reports", "eu", "* * * * * *", "Europe/Paris", cloaca.Context({"region": "eu"})
        )
        started.wait()
        runner.set_cron_schedule_enabled(schedule_id, False)
        await_all(runner)
        row = runner.get_cron_schedule(schedule_id)
        history = runner.get_cron_execution_history(schedule_id, 10, 0)
        stats = runner.get_cron_execution_stats(began.isoformat())
        later = runner.get_cron_execution_stats((began + timedelta(hours=1)).isoformat())

    assert sorted(row) == sorted(CRON_KEYS.split())
    assert (row["id"], row["cron_expression"]) == (schedule_id, "* * * * * *")
    assert (row["enabled"], row["catchup_policy"], row["next_run_at"]) == (False, "skip", None)
    assert sorted(history[-1]) == sorted(CRON_EXECUTION_KEYS.split())
    assert history[-1]["schedule_id"] == schedule_id
    assert contexts[0]["region"] == "eu"
    assert contexts[0]["schedule_timezone"] == "Europe/Paris"
    at = datetime.fromisoformat(str(contexts[0]["scheduled_time"]))
    assert at == datetime.fromisoformat(history[-1]["scheduled_time"])
    assert stats == {
        "total_executions": len(contexts),
        "successful_executions": len(contexts),
        "lost_executions": 0,
        "success_rate": 100.0,
    }
    assert (later["total_executions"], later["success_rate"]) == (0, 0.0)


def test_the_same_cron_schedule_has_one_id_however_often_it_is_registered(tmp_path: Path) -> None:
    declare("reports", nothing)
    url = f"sqlite://{tmp_path}/cron.db"

    with cloaca.DefaultRunner(url) as runner:
        first = runner.register_cron_workflow("reports", "0 3 * * *", "UTC")
        runner.set_cron_schedule_enabled(first, False)
        again = runner.register_cron_workflow("reports", " 0 3  * * * ", "UTC")
    with cloaca.DefaultRunner(url) as runner:
        third = runner.register_cron_workflow("reports", "0 3 * * *", "UTC")
        other = runner.register_cron_workflow("reports", "0 3 * * *", "Europe/Paris")
        runner.update_cron_schedule(first, "0 4 * * *", "UTC")
        moved = runner.register_cron_workflow("reports", "0 4 * * *", "UTC")
        new = runner.register_cron_workflow("reports", "0 3 * * *", "UTC")
        rows = runner.list_cron_schedules(None, None, None)
        enabled = {each["id"] for each in runner.list_cron_schedules(True, 100, 0)}
        runner.delete_cron_schedule(other)
        runner.set_cron_schedule_enabled(first, True)
        left = {each["id"] for each in runner.list_cron_schedules(True)}

    assert first == again == third == moved
    assert {each["id"] for each in rows} == {first, other, new}
    assert len(rows) == 3
    assert enabled == {other, new}
    assert left == {first, new}


def test_what_a_cron_schedule_cannot_be_is_refused() -> None:
    declare("reports", nothing)
    config = cloaca.DefaultRunnerConfig(enable_cron_scheduling=False)

    with cloaca.DefaultRunner(":memory:") as runner:
        with pytest.raises(WorkflowNotFoundError, match="nope"):
            runner.register_cron_workflow("nope", "0 3 * * *", "UTC")
        with pytest.raises(ValueError, match="0 3"):
            runner.register_cron_workflow("reports", "0 3", "UTC")
        with pytest.raises(ValueError, match="Mars/X"):
            runner.register_cron_workflow("reports", "0 3 * * *", "Mars/X")
        with pytest.raises(ValueError, match="has an offset"):
            runner.get_cron_execution_stats("2026-01-01T00:00:00")
        for call in (
            runner.get_cron_schedule,
            runner.delete_cron_schedule,
            runner.get_cron_execution_history,
        ):
            with pytest.raises(ScheduleNotFoundError, match="'77'"):
                call("77")
    with (
        cloaca.DefaultRunner.with_config(":memory:", config) as runner,
        pytest.raises(UsageError, match="enable_cron_scheduling"),
    ):
        runner.register_cron_workflow("reports", "0 3 * * *", "UTC")


def test_a_trigger_with_cron_is_a_schedule_of_each_runner_that_opens_later() -> None:
    @cloaca.trigger(on="reports", cron="0 3 * * *", timezone="Europe/Paris")
    def nightly() -> cloaca.TriggerResult:
        raise AssertionError

    declare("reports", nothing)
    with cloaca.DefaultRunner(":memory:") as runner:
        (row,) = runner.list_cron_schedules()
        triggers = runner.list_trigger_schedules()

    assert (row["workflow_name"], row["cron_expression"]) == ("reports", "0 3 * * *")
    assert (row["timezone"], triggers) == ("Europe/Paris", [])


def test_a_cron_trigger_that_cannot_be_registered_leaves_no_runner_open() -> None:
    cloaca.trigger(on="nope", name="lost", cron="0 3 * * *")(cloaca.TriggerResult.skip)
    before = threading.active_count()

    with pytest.raises(WorkflowNotFoundError, match="nope"):
        cloaca.DefaultRunner(":memory:")

    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cron": "nonsense"}, "trigger 'nightly': .*five fields"),
        ({"cron": "0 3 * * *", "timezone": "Mars/X"}, "trigger 'nightly': .*IANA name"),
        ({"cron": "0 3 * * *", "allow_concurrent": "maybe"}, "allow_concurrent is True or False"),
    ],
)
def test_a_cron_trigger_that_makes_no_sense_is_refused_where_it_is_declared(
    options: dict[str, Any], says: str
) -> None:
    def nightly() -> None: ...

    with pytest.raises(DefinitionError, match=says):
        cloaca.trigger("w", **options)(nightly)
