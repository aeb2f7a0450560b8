"""Firing a trigger by hand, of Client and Runner, in both forms, and its history."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncflow import (
    ExecutionType,
    LargeValueWarning,
    TriggerResult,
    WorkflowDisabledError,
    WorkflowStatus,
)
from asyncflow._runner import ownership
from tests.client.forms import WARNED, Form, quoted
from tests.client.polled import Asked, asking

EXECUTION_KEYS = {
    *("id", "schedule_id", "trigger_name", "context_hash", "key", "workflow_execution_id"),
    *("started_at", "completed_at", "created_at", "error"),
}


@pytest.fixture(params=["runner", "client"])
def asked(
    request: pytest.FixtureRequest, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asked]:
    monkeypatch.setattr(ownership, "LOOK", timedelta(milliseconds=5))
    with asking(str(request.param), form, tmp_path / "flows.db") as asked:
        yield asked


def test_a_fire_by_hand_is_manual_and_ends_like_any_other(asked: Asked) -> None:
    fired = asked.fired("a", {"n": 1})
    done = asked.end(fired)

    assert fired.execution_type is ExecutionType.MANUAL
    assert (fired.workflow_name, fired.namespace) == ("ends", "default")
    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"n": 1, "seen": ["n"]}


def test_while_one_runs_an_equal_one_is_none_and_then_starts_again(asked: Asked) -> None:
    first = asked.fired("b", {"a": {"x": 1, "y": 2}})

    equal = asked.fire("b", {"a": {"y": 2, "x": 1}})
    other = asked.fire("b", {"a": {"x": 1}})
    keyed = asked.fire("b", {"a": {"x": 1, "y": 2}}, "k")
    same_key = asked.fire("b", {"another": "context"}, "k")
    asked.form.call(asked.client.stop, first.name, wait=True)
    again = asked.fire("b", {"a": {"x": 1, "y": 2}})

    assert (equal, same_key) == (None, None)
    assert len({each.name for each in (first, other, keyed, again) if each is not None}) == 4


def test_triggers_of_one_name_in_two_namespaces_do_not_hold_up_each_other(asked: Asked) -> None:
    first = asked.form.call(asked.client.fire_trigger, "b")
    other = asked.form.call(asked.client.fire_trigger, "b", namespace="team")

    assert first is not None
    assert other is not None
    assert (first.namespace, other.namespace) == ("default", "team")


def test_where_it_is_allowed_equal_ones_run_side_by_side(asked: Asked) -> None:
    assert asked.fired("c", {"a": 1}).name != asked.fired("c", {"a": 1}).name


def test_with_dedup_an_equal_one_never_starts_again(asked: Asked) -> None:
    done = asked.end(asked.fired("d", {"a": 1}))
    keyed = asked.end(asked.fired("d", {"a": 2}, "k"))

    assert (done.status, keyed.status) == (WorkflowStatus.SUCCESS, WorkflowStatus.SUCCESS)
    assert asked.fire("d", {"a": 1}) is None
    assert asked.fire("d", {"a": 3}, "k") is None
    assert asked.fire("d", {"a": 2}) is not None


def test_the_history_has_what_was_fired_newest_first(asked: Asked) -> None:
    first = asked.end(asked.fired("a", {"n": 1}))
    second = asked.end(asked.fired("a", {"n": 2}, "k"))
    asked.fired("b")

    history = asked.form.call(asked.client.get_trigger_execution_history, "a")
    schedule = asked.form.call(asked.client.get_trigger_schedule, "a")

    assert schedule is not None
    assert all(set(each) == EXECUTION_KEYS for each in history)
    assert [(each["workflow_execution_id"], each["key"]) for each in history] == [
        (second.name, "k"),
        (first.name, None),
    ]
    assert {each["schedule_id"] for each in history} == {schedule["id"]}
    assert {each["trigger_name"] for each in history} == {"a"}
    (fire,) = TriggerResult.fire({"n": 1}).fires
    assert history[1]["context_hash"] == fire.context_hash
    for each, execution in zip(history, (second, first), strict=True):
        assert each["error"] is None
        assert each["completed_at"] == execution.end_date
        assert each["started_at"] == each["created_at"]
        assert each["started_at"].tzinfo is UTC


@pytest.mark.parametrize(
    ("page", "numbers"),
    [
        ((), "43210"),
        ((2,), "43"),
        ((2, 1), "32"),
        ((None, None), "43210"),
        ((None, 3), "10"),
        ((0,), ""),
        ((9, 9), ""),
        ((1 << 70, 1), "3210"),
    ],
)
def test_a_page_of_the_history(asked: Asked, page: tuple[Any, ...], numbers: str) -> None:
    for number in range(5):
        asked.fired("a", key=str(number))

    history = asked.form.call(asked.client.get_trigger_execution_history, "a", *page)

    assert [each["key"] for each in history] == list(numbers)


def test_a_disabled_trigger_is_fired_by_hand_all_the_same(asked: Asked) -> None:
    asked.form.call(asked.client.set_trigger_enabled, "a", False)

    assert asked.end(asked.fired("a")).status is WorkflowStatus.SUCCESS


def test_the_trigger_of_a_disabled_workflow_is_refused_until_it_is_enabled(asked: Asked) -> None:
    asked.form.call(asked.client.disable_workflow, "ends")

    with pytest.raises(WorkflowDisabledError, match=r"workflow 'ends' .* is disabled"):
        asked.fire("a")
    assert asked.form.call(asked.client.get_trigger_execution_history, "a") == []
    asked.form.call(asked.client.enable_workflow, "ends")

    assert asked.fire("a") is not None


def test_a_large_context_is_warned_of(asked: Asked) -> None:
    with pytest.warns(LargeValueWarning, match="the context has 524,289 bytes of JSON"):
        fired = asked.fired("b", {"k": quoted(WARNED)})

    assert fired.final_context == {"k": quoted(WARNED)}
