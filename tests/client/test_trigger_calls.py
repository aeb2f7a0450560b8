"""The calls about triggers, of Client and Runner, in both forms."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest

from asyncflow import (
    Client,
    Context,
    DefinitionError,
    ExecutionType,
    LargeValueWarning,
    Registry,
    Runner,
    TaskAction,
    TooLargeError,
    TriggerNotFoundError,
    TriggerResult,
    Workflow,
    WorkflowDisabledError,
    WorkflowExecution,
    WorkflowNotFoundError,
    WorkflowStatus,
    task,
    trigger,
)
from asyncflow._runner import ownership
from tests.bell import ROOT
from tests.client.forms import REFUSED, WARNED, Form, dump, quoted

KEYS = {
    *("id", "trigger_name", "workflow_name", "namespace", "poll_interval_ms", "allow_concurrent"),
    *("enabled", "last_poll_at", "created_at", "updated_at"),
}
EXECUTION_KEYS = {
    *("id", "schedule_id", "trigger_name", "context_hash", "key", "workflow_execution_id"),
    *("started_at", "completed_at", "created_at", "error"),
}


def never() -> bool:
    """Skip: what starts here is fired by hand."""
    return False


def declared() -> Registry:
    """Declare a workflow that ends and one that waits, in two namespaces, and their triggers."""
    with Registry() as registry:
        for namespace in ("default", "team"):
            with Workflow("ends", namespace):

                @task()
                async def end(context: Context) -> None:
                    context["seen"] = sorted(context)

            with Workflow("waits", namespace):

                @task()
                async def waiter() -> None: ...

                waiter.action_on_event_received(TaskAction.START, "go")

            trigger("waits", name="b", namespace=namespace, poll_interval="1h")(never)
        trigger("ends", name="a", poll_interval="1500ms")(never)
        trigger("waits", name="c", allow_concurrent=True, poll_interval="1h")(never)
        trigger("ends", name="d", dedup="forever", poll_interval=timedelta(hours=1))(never)
    return registry


@dataclass
class Asked:
    """Who is asked, and the runner that works; often they are one."""

    form: Form
    client: Client
    runner: Runner

    def fire(
        self, name: str, context: Mapping[str, object] | None = None, key: str | None = None
    ) -> WorkflowExecution | None:
        return self.form.call(self.client.fire_trigger, name, context, key=key)

    def fired(
        self, name: str, context: Mapping[str, object] | None = None, key: str | None = None
    ) -> WorkflowExecution:
        found = self.fire(name, context, key)
        assert found is not None
        return found

    def end(self, execution: WorkflowExecution) -> WorkflowExecution:
        return self.form.call(self.client.wait, execution.name, timeout=5)


@pytest.fixture(params=["runner", "client"])
def asked(
    request: pytest.FixtureRequest, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asked]:
    monkeypatch.setattr(ownership, "LOOK", timedelta(milliseconds=5))
    registry, path = declared(), tmp_path / "flows.db"
    with ExitStack() as stack:
        runner = stack.enter_context(form.open(Runner(path, registry=registry)))
        client: Client = runner
        if request.param == "client":
            client = stack.enter_context(form.open(Client(path, registry=registry)))
        yield Asked(form, client, runner)


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


# --- by hand ---


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
        with registry:
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
