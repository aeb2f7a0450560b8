"""The calls about schedules, of Client and Runner, in both forms. Nothing ticks here."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest

from asyncflow import (
    Client,
    Registry,
    Runner,
    ScheduleNotFoundError,
    TooLargeError,
    UsageError,
    Workflow,
    WorkflowNotFoundError,
    WorkflowSchedule,
)
from tests.bell import ROOT
from tests.client.forms import REFUSED, Form, dump, quoted
from tests.core.samples import Nothing

KEYS = {
    *("id", "name", "namespace", "workflow_name", "expression", "timezone", "context", "catchup"),
    *("max_catchup", "overlap", "enabled", "next_run_at", "last_run_at"),
    *("created_at", "updated_at"),
}
NOTHING = dict.fromkeys(
    ("ticks", "started", "running", "succeeded", "failed", "stopped", "dropped"), 0
)


def declared() -> Registry:
    with Registry() as registry:
        for name, namespace in (("w", "default"), ("v", "default"), ("w", "team")):
            with Workflow(name, namespace):
                Nothing("only")
    return registry


@dataclass
class Asked:
    form: Form
    client: Client

    def register(self, workflow: str, schedule: str, **options: object) -> WorkflowSchedule:
        given = cast("dict[str, Any]", options)
        return self.form.call(self.client.register_schedule, workflow, schedule, **given)

    def names(self, **options: object) -> list[str]:
        given = cast("dict[str, Any]", options)
        return [each["name"] for each in self.form.call(self.client.list_schedules, **given)]


@pytest.fixture(params=["runner", "client"])
def asked(request: pytest.FixtureRequest, form: Form, tmp_path: Path) -> Iterator[Asked]:
    registry, path = declared(), tmp_path / "flows.db"
    with ExitStack() as stack:
        client: Client = stack.enter_context(form.open(Runner(path, registry=registry)))
        if request.param == "client":
            client = stack.enter_context(form.open(Client(path, registry=registry)))
        yield Asked(form, client)


def test_a_schedule_has_the_documented_keys_and_says_when_it_ticks_next(asked: Asked) -> None:
    made = asked.register("w", "0 3 * * *", context={"a": [1]}, timezone="Europe/Paris")

    assert set(made) == KEYS
    assert (made["name"], made["workflow_name"], made["namespace"]) == ("w", "w", "default")
    assert (made["expression"], made["timezone"]) == ("0 3 * * *", "Europe/Paris")
    assert (made["catchup"], made["max_catchup"], made["overlap"]) == ("one", 100, "skip")
    assert (made["context"], made["enabled"], made["last_run_at"]) == ({"a": [1]}, True, None)
    following = made["next_run_at"]
    assert following is not None
    assert following.tzinfo is UTC
    assert timedelta(0) < following - datetime.now(UTC) <= timedelta(hours=25)
    assert asked.form.call(asked.client.get_schedule, "w") == made


def test_the_same_name_again_changes_the_schedule_and_never_adds_one(asked: Asked) -> None:
    first = asked.register("w", "24h", name="s")
    same = asked.register("w", "24h", name="s")
    changed = asked.register("w", "12h", name="s", overlap="allow")

    assert same == first
    assert (changed["id"], changed["created_at"]) == (first["id"], first["created_at"])
    assert changed["overlap"] == "allow"
    assert asked.names() == ["s"]


def test_one_without_a_name_is_the_only_one_of_its_workflow_until_it_is_deleted(
    asked: Asked,
) -> None:
    asked.register("w", "24h")
    with pytest.raises(UsageError, match="workflow 'w' has a schedule of its own name already"):
        asked.register("w", "12h")
    asked.register("w", "12h", name="other")

    asked.form.call(asked.client.delete_schedule, "w")
    again = asked.register("w", "6h")

    assert again["name"] == "w"
    assert asked.names() == ["other", "w"]


def test_one_that_was_refused_does_not_count(asked: Asked) -> None:
    with pytest.raises(ValueError, match="catchup is one of"):
        asked.register("w", "24h", catchup="some")

    assert asked.register("w", "12h")["name"] == "w"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["a", "b", "c", "a"]),
        ({"namespace": "default"}, ["a", "b", "c"]),
        ({"namespace": "team"}, ["a"]),
        ({"workflow": "v"}, ["c"]),
        ({"enabled_only": True}, ["a", "c", "a"]),
        ({"enabled_only": None, "limit": None, "offset": None}, ["a", "b", "c", "a"]),
        ({"limit": 2, "offset": 1}, ["b", "c"]),
        ({"limit": 0}, []),
        ({"limit": 1 << 70, "offset": 3}, ["a"]),
        ({"offset": 9}, []),
        ({"workflow": "none"}, []),
    ],
)
def test_a_page_of_schedules(asked: Asked, options: dict[str, object], names: list[str]) -> None:
    for workflow, name, namespace in (
        *(("w", "b", None), ("v", "c", "default")),
        *(("w", "a", "team"), ("w", "a", None)),
    ):
        asked.register(workflow, "24h", name=name, namespace=namespace)
    asked.form.call(asked.client.disable_schedule, "b")

    assert asked.names(**options) == names


def test_one_is_disabled_enabled_and_deleted(asked: Asked) -> None:
    call, client = asked.form.call, asked.client
    made = asked.register("w", "24h", name="s")

    for _ in range(2):
        call(client.disable_schedule, "s")
    disabled = call(client.get_schedule, "s")
    for _ in range(2):
        call(client.enable_schedule, "s")
    enabled = call(client.get_schedule, "s")
    call(client.delete_schedule, "s")

    assert disabled is not None
    assert enabled is not None
    assert (disabled["enabled"], disabled["next_run_at"]) == (False, None)
    assert (enabled["enabled"], enabled["id"]) == (True, made["id"])
    assert call(client.get_schedule, "s") is None
    assert asked.names() == []


def test_an_update_changes_what_is_given_and_nothing_else(asked: Asked) -> None:
    made = asked.register("w", "0 3 * * *", timezone="Europe/Paris", context={"a": 1})
    call, client = asked.form.call, asked.client

    changed = call(client.update_schedule, "w", catchup="all", max_catchup=3, context={"b": 2})
    moved = call(client.update_schedule, "w", timezone="Asia/Tokyo")
    other = call(client.update_schedule, "w", schedule="24h")

    given = {"catchup": "all", "max_catchup": 3, "context": {"b": 2}}
    assert changed == {**made, **given, "updated_at": changed["updated_at"]}
    assert (moved["expression"], moved["timezone"]) == ("0 3 * * *", "Asia/Tokyo")
    assert (other["timezone"], other["context"]) == (None, {"b": 2})


def test_of_an_unknown_name_look_ups_find_nothing(asked: Asked) -> None:
    assert asked.form.call(asked.client.get_schedule, "none") is None
    assert asked.form.call(asked.client.get_schedule_history, "none") == []
    assert asked.form.call(asked.client.get_schedule_statistics, "none") == NOTHING
    assert asked.form.call(asked.client.get_schedule_statistics) == NOTHING


Call: TypeAlias = Callable[[Form, Client], object]


def call(name: str, /, *arguments: object, **options: object) -> Call:
    return lambda form, client: form.call(
        getattr(client, name), *arguments, **cast("dict[str, Any]", options)
    )


def registering(schedule: object = "24h", workflow: object = "w", **options: object) -> Call:
    return call("register_schedule", workflow, schedule, **options)


UNKNOWN = r"no schedule 'none' in namespace 'default' \(there: 's'\): register_schedule\(\) makes"
THERE = r"no schedule 's' in namespace 'team' \(there: none\)"
BAD: list[tuple[Call, type[Exception], str]] = [
    *(
        (call(f"{verb}_schedule", "none"), ScheduleNotFoundError, UNKNOWN)
        for verb in ("enable", "disable", "delete", "update")
    ),
    *(
        (call(f"{verb}_schedule", "s", namespace="team"), ScheduleNotFoundError, THERE)
        for verb in ("enable", "disable", "delete", "update")
    ),
    *(
        (call(f"{verb}_schedule", 5), TypeError, "the name of a schedule is .*, not 5")
        for verb in ("enable", "disable", "delete", "update", "get")
    ),
    (call("get_schedule", "s", namespace=3), TypeError, "a namespace is .*, not 3"),
    (call("get_schedule_history", "a\0"), ValueError, "name of a schedule is .* NUL"),
    (call("get_schedule_history", "s", -1), ValueError, "limit is .*, not -1"),
    (call("get_schedule_history", "s", 1, "2"), ValueError, "offset is .*, not '2'"),
    (call("list_schedules", limit=1.5), ValueError, "limit is .*, not 1.5"),
    (call("list_schedules", namespace=""), ValueError, "a namespace is a non-empty string"),
    (call("list_schedules", 5), TypeError, "the name of a workflow is .*, not 5"),
    (call("get_schedule_statistics", 5), TypeError, "the name of a schedule is .*, not 5"),
    (call("get_schedule_statistics", namespace=5), TypeError, "a namespace is .*, not 5"),
    (
        call("get_schedule_statistics", since=datetime(2026, 1, 1)),  # noqa: DTZ001  what is refused
        ValueError,
        r"since is datetime\.datetime\(2026, 1, 1, 0, 0\), which has no time zone: say which",
    ),
    (registering(workflow="none"), WorkflowNotFoundError, "no workflow 'none' in namespace 'def"),
    (registering(workflow=5), TypeError, "a Workflow or the name of one, not 5"),
    (registering(namespace="x"), WorkflowNotFoundError, "no workflow 'w' in namespace 'x'"),
    (registering(name=""), ValueError, "the name of a schedule is a non-empty string"),
    (registering("often"), ValueError, "the schedule of 'w' is 'often', but a schedule is"),
    (registering("61 * * * *"), ValueError, r"the schedule of 'w' is '61 \* \* \* \*', but"),
    (registering("1ms"), ValueError, "the schedule of 'w': an interval is 10 milliseconds or"),
    (registering(None), ValueError, "the schedule of 'w' is None, but"),
    (registering("@daily", timezone="Mars"), ValueError, "a time zone has an IANA name .*'Mars'"),
    (registering(timezone="UTC"), ValueError, "a time zone goes with the text of a cron"),
    (registering(catchup="some"), ValueError, "catchup is one of 'one', 'none', 'all', not 'some"),
    (registering(overlap=None), ValueError, "overlap is one of 'skip', 'allow', 'restart', not N"),
    (registering(max_catchup=0), ValueError, "max_catchup is a whole number from 1 to 1,000, not"),
    (registering(max_catchup=1001), ValueError, "max_catchup is .*, not 1001"),
    (registering(max_catchup=True), ValueError, "max_catchup is .*, not True"),
    (registering(context={"a": b""}), TypeError, r"context\['a'\] is of type bytes"),
    (registering(context=[1]), TypeError, r"a context is made of a mapping .*, not \[1\]"),
    (registering(context={"schedule_name": 1}), ValueError, r"sets context\['schedule_name'\] it"),
    (registering(context={"k": quoted(REFUSED)}), TooLargeError, "the context has 2,097,153 bytes"),
    (call("update_schedule", "s", schedule="often"), ValueError, "the schedule of 's' is 'often'"),
    (call("update_schedule", "s", timezone="UTC"), ValueError, "a time zone goes with the text"),
    (call("update_schedule", "s", max_catchup=-1), ValueError, "max_catchup is .*, not -1"),
    (call("update_schedule", "s", context={"scheduled_time": 1}), ValueError, "sets context"),
]


def test_bad_input_is_refused_by_name_and_leaves_the_store_as_it_was(asked: Asked) -> None:
    asked.register("w", "24h", name="s")
    before = cast("dict[str, object]", dump(asked.client))

    for make, error, text in BAD:
        with pytest.raises(error, match=text) as caught:
            make(asked.form, asked.client)
        assert caught.type is error

    after = cast("dict[str, object]", dump(asked.client))
    assert {**after, "runner": None} == {**before, "runner": None}


ELSEWHERE = """
import sys
from asyncflow import Registry, Runner, Workflow, task

with Registry() as registry, Workflow("w"):
    @task()
    async def end(): ...

with Runner(sys.argv[1], registry=registry) as runner:
    runner.register_schedule("w", "24h", name="s")
    print("open", flush=True)
    sys.stdin.read()
    print(runner.get_schedule("s")["enabled"])
"""


def test_a_client_sees_and_changes_the_schedules_of_another_process(
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
            (found,) = form.call(client.list_schedules)
            changed = form.call(client.update_schedule, "s", schedule="12h")
            form.call(client.disable_schedule, "s")
        ended, _ = process.communicate(timeout=10)

    assert (found["expression"], changed["expression"]) == ("1d", "12h")
    assert (ended, process.returncode) == ("False\n", 0)
