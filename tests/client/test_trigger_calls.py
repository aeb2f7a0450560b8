"""The calls about triggers, of Client and Runner, in both forms."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest

from asyncflow import (
    Client,
    DefinitionError,
    RedeclaredWarning,
    Registry,
    Runner,
    TooLargeError,
    TriggerNotFoundError,
    WorkflowNotFoundError,
    WorkflowStatus,
    trigger,
)
from asyncflow._runner import ownership
from tests.bell import ROOT
from tests.client.forms import REFUSED, Form, dump, quoted
from tests.client.polled import Asked, asking, declared, never

KEYS = {
    *("id", "trigger_name", "workflow_name", "namespace", "poll_interval_ms", "allow_concurrent"),
    *("enabled", "last_poll_at", "created_at", "updated_at"),
}


@pytest.fixture(params=["runner", "client"])
def asked(
    request: pytest.FixtureRequest, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asked]:
    monkeypatch.setattr(ownership, "LOOK", timedelta(milliseconds=5))
    with asking(str(request.param), form, tmp_path / "flows.db") as asked:
        yield asked


# --- look-ups ---


def test_triggers_are_listed_by_namespace_and_name_with_the_documented_keys(asked: Asked) -> None:
    listed = asked.form.call(asked.client.list_trigger_schedules)

    assert [(each["namespace"], each["trigger_name"]) for each in listed] == [
        *(("default", name) for name in "abcd"),
        ("team", "b"),
    ]
    assert all(set(each) == KEYS for each in listed)
    first = listed[0]
    assert (first["workflow_name"], first["allow_concurrent"], first["enabled"]) == (
        "ends",
        False,
        True,
    )
    assert (first["poll_interval_ms"], type(first["poll_interval_ms"])) == (1500, int)
    assert [each["allow_concurrent"] for each in listed] == [False, False, True, False, False]
    assert len({each["id"] for each in listed}) == 5


def test_times_of_a_trigger_are_aware_and_in_utc(asked: Asked) -> None:
    found = asked.form.call(asked.client.get_trigger_schedule, "b")

    assert found is not None
    assert found["last_poll_at"] is None
    assert found["created_at"].tzinfo is UTC
    assert found["updated_at"] >= found["created_at"]
    assert abs(datetime.now(UTC) - found["created_at"]) < timedelta(minutes=1)


def test_one_trigger_is_looked_up_in_its_namespace(asked: Asked) -> None:
    listed = asked.form.call(asked.client.list_trigger_schedules, namespace="team")
    found = asked.form.call(asked.client.get_trigger_schedule, "b", namespace="team")

    assert listed == [found]
    assert asked.form.call(asked.client.get_trigger_schedule, "a", namespace="team") is None
    assert asked.form.call(asked.client.get_trigger_schedule, "none") is None
    assert asked.form.call(asked.client.get_trigger_execution_history, "none") == []
    assert asked.form.call(asked.client.list_trigger_schedules, namespace="none") == []


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), "abcd"),
        ((True,), "acd"),
        ((False, 2), "ab"),
        ((True, 2, 1), "cd"),
        ((False, None, 3), "d"),
        ((None, None, None), "abcd"),
        ((True, None, None), "acd"),
        ((False, 0), ""),
        ((False, 10, 4), ""),
        ((False, 1 << 70, 1), "bcd"),
        ((False, 5, 1 << 70), ""),
    ],
)
def test_a_page_of_triggers(asked: Asked, options: tuple[Any, ...], names: str) -> None:
    asked.form.call(asked.runner.set_trigger_enabled, "b", False)

    page = asked.form.call(asked.client.list_trigger_schedules, *options, namespace="default")

    assert [each["trigger_name"] for each in page] == list(names)


# --- verbs ---


def test_a_trigger_is_disabled_and_enabled_for_good(asked: Asked) -> None:
    call, client = asked.form.call, asked.client
    before = call(client.get_trigger_schedule, "b")
    assert before is not None

    call(client.set_trigger_enabled, "b", False)
    disabled = call(asked.runner.get_trigger_schedule, "b")
    call(client.set_trigger_enabled, "b", False)
    call(client.set_trigger_enabled, "b", True)
    enabled = call(client.get_trigger_schedule, "b")
    other = call(client.get_trigger_schedule, "b", namespace="team")

    assert disabled is not None
    assert enabled is not None
    assert other is not None
    assert (disabled["enabled"], enabled["enabled"], other["enabled"]) == (False, True, True)
    assert disabled["updated_at"] >= before["updated_at"]
    assert {**enabled, "updated_at": None} == {**before, "updated_at": None}


def test_a_disabled_trigger_stays_disabled_when_it_is_loaded_again(
    form: Form, tmp_path: Path
) -> None:
    path = tmp_path / "flows.db"
    with form.open(Runner(path, registry=declared())) as runner:
        form.call(runner.set_trigger_enabled, "b", False)

    with form.open(Runner(path, registry=declared())) as runner:
        enabled = form.call(runner.list_trigger_schedules, True, namespace="default")

    assert [each["trigger_name"] for each in enabled] == ["a", "c", "d"]


Call: TypeAlias = Callable[[Form, Client], object]


def call(name: str, /, *arguments: object, **options: object) -> Call:
    return lambda form, client: form.call(
        getattr(client, name), *arguments, **cast("dict[str, Any]", options)
    )


UNKNOWN = r"no trigger 'none' in namespace 'default' \(there: 'a', 'b', 'c', 'd'\): .*loaded it"
BAD: list[tuple[Call, type[Exception], str]] = [
    (call("set_trigger_enabled", "none", True), TriggerNotFoundError, UNKNOWN),
    (
        call("set_trigger_enabled", "a", True, namespace="team"),
        TriggerNotFoundError,
        r"no trigger 'a' in namespace 'team' \(there: 'b'\)",
    ),
    (
        call("set_trigger_enabled", "a", False, namespace="empty"),
        TriggerNotFoundError,
        r"no trigger 'a' in namespace 'empty' \(there: none\)",
    ),
    (call("set_trigger_enabled", "a", 1), TypeError, "enabled is True or False, not 1"),
    (call("set_trigger_enabled", "a", None), TypeError, "enabled is True or False, not None"),
    (call("set_trigger_enabled", 5, True), TypeError, "a trigger is a non-empty string, not 5"),
    (call("set_trigger_enabled", "", True), ValueError, "a trigger is a non-empty string, not ''"),
    (call("get_trigger_schedule", None), TypeError, "a trigger is a non-empty string, not None"),
    (call("get_trigger_schedule", "a\0"), ValueError, "a trigger is .* NUL character"),
    (call("get_trigger_schedule", "a", namespace=3), TypeError, "a namespace is .*, not 3"),
    (call("list_trigger_schedules", namespace=3), TypeError, "a namespace is .*, not 3"),
    (call("list_trigger_schedules", namespace=""), ValueError, "a namespace is a non-empty str"),
    (call("list_trigger_schedules", False, -1), ValueError, "limit is a whole number, 0 or more"),
    (call("list_trigger_schedules", False, "9"), ValueError, "limit is .*, or None, not '9'"),
    (call("list_trigger_schedules", limit=True), ValueError, "limit is .*, or None, not True"),
    (call("list_trigger_schedules", offset=1.5), ValueError, "offset is .*, not 1.5"),
    (call("get_trigger_execution_history", "a", -1), ValueError, "limit is .*, not -1"),
    (call("get_trigger_execution_history", "a", 1, -1), ValueError, "offset is .*, not -1"),
    (call("get_trigger_execution_history", 5), TypeError, "a trigger is .*, not 5"),
    (call("fire_trigger", "none"), TriggerNotFoundError, f"{UNKNOWN}, and fired where it is decl"),
    (
        call("fire_trigger", "a", namespace="team"),
        TriggerNotFoundError,
        r"no trigger 'a' in namespace 'team' \(there: 'b'\)",
    ),
    (call("fire_trigger", never), TypeError, "a trigger is a non-empty string, not <function nev"),
    (call("fire_trigger", "a", namespace=3), TypeError, "a namespace is .*, not 3"),
    (call("fire_trigger", "a", [1]), TypeError, r"made of a mapping of names .*, not \[1\]"),
    (call("fire_trigger", "a", {"x": {1}}), TypeError, r"context\['x'\] is of type set"),
    (call("fire_trigger", "a", key=""), ValueError, "the key of a fire is a non-empty string"),
    (call("fire_trigger", "a", key=1), TypeError, "the key of a fire is .*, not 1"),
    (
        call("fire_trigger", "a", {"k": quoted(REFUSED)}),
        TooLargeError,
        "the context has 2,097,153 bytes of JSON, the limit is 2,097,152",
    ),
]


def test_bad_input_is_refused_by_name_and_leaves_the_store_as_it_was(asked: Asked) -> None:
    before = dump(asked.client)

    for make, error, text in BAD:
        with pytest.raises(error, match=text) as caught:
            make(asked.form, asked.client)
        assert caught.type is error

    assert cast("dict[str, object]", dump(asked.client))["execution"] == []
    assert without_clocks(dump(asked.client)) == without_clocks(before)


def without_clocks(tables: object) -> dict[str, object]:
    """Return tables without that of runners, which sign in it that they live."""
    return {
        name: rows for name, rows in cast("dict[str, object]", tables).items() if name != "runner"
    }


# --- who is asked ---


def test_a_client_knows_no_trigger_before_a_runner_has_loaded_it(
    form: Form, tmp_path: Path
) -> None:
    with form.open(Client(tmp_path / "flows.db", registry=declared())) as client:
        listed = form.call(client.list_trigger_schedules)
        with pytest.raises(TriggerNotFoundError, match=r"\(there: none\): .* a runner has loaded"):
            form.call(client.set_trigger_enabled, "a", False)
        fired = form.call(client.fire_trigger, "a")

    assert listed == []
    assert fired is not None
    assert fired.status is WorkflowStatus.INIT


def test_a_trigger_of_an_unknown_workflow_is_refused_when_it_is_fired(form: Form) -> None:
    with Registry() as registry:
        trigger("none", name="t")(never)

    with (
        form.open(Client(":memory:", registry=registry)) as client,
        pytest.raises(WorkflowNotFoundError, match="no workflow 'none' in namespace 'default'"),
    ):
        form.call(client.fire_trigger, "t")


def test_a_trigger_that_is_declared_twice_is_fired_as_the_newest_one(form: Form) -> None:
    registry = declared()
    with form.open(Client(":memory:", registry=registry)) as client:
        with registry, pytest.warns(RedeclaredWarning):
            trigger("waits", name="a")(never)
        fired = form.call(client.fire_trigger, "a")

    assert fired is not None
    assert fired.workflow_name == "waits"


def test_no_one_declares_a_trigger_with_a_wrong_workflow() -> None:
    with Registry() as registry, pytest.raises(DefinitionError):
        trigger(cast("Any", 3))

    assert registry.triggers() == ()


ELSEWHERE = """
import sys
from asyncflow import Registry, Runner, Workflow, task, trigger

with Registry() as registry:
    with Workflow("w"):
        @task()
        async def end(): ...

    @trigger("w", poll_interval="1h")
    def looks():
        return False

with Runner(sys.argv[1], registry=registry) as runner:
    runner.fire_trigger("looks", {"a": 1}).wait()
    print("open", flush=True)
    sys.stdin.read()
    print(runner.get_trigger_schedule("looks")["enabled"])
"""


def test_a_client_sees_and_disables_the_triggers_of_another_process(
    form: Form, tmp_path: Path
) -> None:
    path = tmp_path / "flows.db"
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with Registry() as empty, form.open(Client(path, registry=empty)) as client:
            listed = form.call(client.list_trigger_schedules)
            history = form.call(client.get_trigger_execution_history, "looks")
            form.call(client.set_trigger_enabled, "looks", False)
            with pytest.raises(TriggerNotFoundError, match="and fired where it is declared"):
                form.call(client.fire_trigger, "looks")
        ended, _ = process.communicate(timeout=10)

    assert [(each["trigger_name"], each["last_poll_at"]) for each in listed] == [("looks", None)]
    assert [each["error"] for each in history] == [None]
    assert history[0]["completed_at"] is not None
    assert (ended, process.returncode) == ("False\n", 0)
