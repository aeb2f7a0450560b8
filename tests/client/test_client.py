"""Client and Runner answer alike, in both forms; each body here is run in all four ways."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncflow import (
    Client,
    Context,
    ExecutionExistsError,
    ExecutionNotFoundError,
    ExecutionType,
    Registry,
    Runner,
    TaskStatus,
    UsageError,
    WaitTimeoutError,
    Workflow,
    WorkflowStatus,
)
from asyncflow._runner import ownership
from tests.client.forms import Form
from tests.client.samples import declare


@dataclass
class Asked:
    """Who is asked, and the runner that works; often they are one."""

    form: Form
    client: Client
    runner: Runner
    chain: Workflow


@pytest.fixture(params=["runner", "client"])
def asked(
    request: pytest.FixtureRequest, form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asked]:
    monkeypatch.setattr(ownership, "LOOK", timedelta(milliseconds=5))
    registry = Registry()
    chain = declare(registry)
    path = tmp_path / "flows.db"
    with ExitStack() as stack:
        runner = stack.enter_context(form.open(Runner(path, registry=registry)))
        client: Client = runner
        if request.param == "client":
            client = stack.enter_context(form.open(Client(path, registry=registry)))
        yield Asked(form, client, runner, chain)


def test_start_returns_once_the_execution_is_on_disk(asked: Asked) -> None:
    started = asked.form.call(asked.client.start, "waits", {"given": 1}, name="first run")

    with closing(sqlite3.connect(asked.client.location)) as db:
        rows = db.execute("SELECT id, name, workflow, namespace FROM execution").fetchall()
        texts = db.execute("SELECT key, value FROM context").fetchall()
    assert rows == [(started.id, "first run", "waits", "default")]
    assert texts == [("given", "1")]
    assert started.name == "first run"
    assert started.execution_type is ExecutionType.MANUAL
    assert not started.status.final
    assert started.final_context == {"given": 1}


def test_an_execution_without_a_name_gets_one_of_its_own(asked: Asked) -> None:
    names = {asked.form.call(asked.client.start, "waits").name for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("waits-") for name in names)


def test_a_name_that_is_taken_is_refused_and_the_first_one_is_untouched(asked: Asked) -> None:
    first = asked.form.call(asked.client.start, "waits", {"n": 1}, name="taken")

    with pytest.raises(ExecutionExistsError, match="'taken' already: give another name"):
        asked.form.call(asked.client.start, "chain", {"n": 2}, name="taken")

    again = asked.form.call(asked.client.execution, "taken")
    assert again is not None
    assert (again.id, again.workflow_name, again.final_context) == (first.id, "waits", {"n": 1})


def test_execute_returns_the_execution_once_it_has_ended(asked: Asked) -> None:
    before = datetime.now(UTC)

    done = asked.form.call(asked.client.execute, "chain", {"given": 1}, timeout="10s")
    runs = asked.form.call(done.task_executions)

    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"given": 1, "seen": [1, "second"]}
    assert done.begin_date is not None
    assert done.end_date is not None
    assert before <= done.begin_date <= done.end_date
    assert [(run.task_name, run.status, run.result) for run in runs] == [
        ("first", TaskStatus.SUCCESS, "done"),
        ("second", TaskStatus.SUCCESS, None),
    ]
    assert runs[0].key.workflow_execution_id == done.id


def test_a_workflow_itself_may_be_started_instead_of_its_name(asked: Asked) -> None:
    done = asked.form.call(asked.client.execute, asked.chain, timeout="10s")

    assert (done.workflow_name, done.status) == ("chain", WorkflowStatus.SUCCESS)


def test_a_name_is_looked_up_in_the_namespace(asked: Asked) -> None:
    started = asked.form.call(asked.client.start, "waits", namespace="team")

    assert started.namespace == "team"


def test_a_context_object_is_taken_with_what_was_changed_inside_its_values(asked: Asked) -> None:
    context = Context({"list": [1]})
    context["list"].append(2)

    started = asked.form.call(asked.client.start, "waits", context)

    assert started.final_context == {"list": [1, 2]}


def test_wait_that_takes_too_long_raises_and_the_execution_goes_on(asked: Asked) -> None:
    started = asked.form.call(asked.client.start, "waits", name="slow")

    why = "(it goes on|no runner had taken it up: open one that has workflow 'waits')"
    with pytest.raises(WaitTimeoutError, match=rf"'slow' has not ended .*; {why}"):
        asked.form.call(started.wait, timeout=0)
    with pytest.raises(TimeoutError):
        asked.form.call(asked.client.wait, "slow", timeout="1ms")
    asked.form.call(asked.client.send_event, "go", execution="slow")
    done = asked.form.call(asked.client.wait, "slow", timeout="10s")

    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {"came": True}


def test_execute_that_takes_too_long_raises_and_the_execution_goes_on(asked: Asked) -> None:
    with pytest.raises(WaitTimeoutError, match="'slow'"):
        asked.form.call(asked.client.execute, "waits", name="slow", timeout=0)

    found = asked.form.call(asked.client.execution, "slow")
    assert found is not None
    assert not found.status.final


def test_what_has_ended_is_in_time_for_any_timeout(asked: Asked) -> None:
    done = asked.form.call(asked.client.execute, "chain", timeout="10s")

    again = asked.form.call(done.wait, timeout=0)

    assert again.status is WorkflowStatus.SUCCESS


def test_stop_ends_an_execution(asked: Asked) -> None:
    started = asked.form.call(asked.client.start, "waits")

    asked.form.call(asked.client.stop, started.name, wait=True)

    done = asked.form.call(started.refresh)
    assert (started.status.final, done.status) == (False, WorkflowStatus.STOPPED)


def test_stop_of_what_has_ended_changes_nothing(asked: Asked) -> None:
    done = asked.form.call(asked.client.execute, "chain", timeout="10s")

    asked.form.call(asked.client.stop, done.name, wait=True)
    asked.form.call(done.stop, wait=True)

    assert asked.form.call(done.refresh).status is WorkflowStatus.SUCCESS


def test_an_unknown_execution_is_none_to_look_up_and_an_error_to_ask(asked: Asked) -> None:
    assert asked.form.call(asked.client.execution, "none") is None

    with pytest.raises(ExecutionNotFoundError, match=r"'none'.*listall"):
        asked.form.call(asked.client.wait, "none")
    with pytest.raises(ExecutionNotFoundError, match=r"'none'.*listall"):
        asked.form.call(asked.client.stop, "none")
    with pytest.raises(ExecutionNotFoundError, match="'none'"):
        asked.form.call(asked.client.send_event, "go", execution="none")


def test_a_handle_is_a_snapshot_that_refresh_does_not_change(asked: Asked) -> None:
    started = asked.form.call(asked.client.start, "waits")
    asked.form.call(asked.runner.send_event, "go", execution=started.name)
    asked.form.call(asked.client.wait, started.name, timeout="10s")

    fresh = asked.form.call(started.refresh)

    assert not started.status.final
    assert started.final_context == {}
    assert fresh.status is WorkflowStatus.SUCCESS
    assert fresh.final_context == {"came": True}


def test_30_executions_are_listed_newest_first_page_by_page(asked: Asked) -> None:
    names = [asked.form.call(asked.client.start, "waits").name for _ in range(30)]

    one_by_one = [each.name for each in asked.form.items(asked.client.executions, limit=1)]
    by_seven = [each.name for each in asked.form.items(asked.client.executions, limit=7)]
    all_at_once = [each.name for each in asked.form.items(asked.client.executions, limit=10**30)]
    listing = asked.form.items(asked.client.executions, limit=1)
    first = [each.name for each in itertools.islice(listing, 3)]  # and then nobody asks any more

    assert one_by_one == by_seven == all_at_once == names[::-1]
    assert first == names[:-4:-1]
    assert asked.form.call(asked.client.execution, names[0]) is not None


def test_listing_filters_by_workflow_namespace_and_status(asked: Asked) -> None:
    form, client = asked.form, asked.client
    form.call(client.execute, "chain", name="ended", timeout="10s")
    form.call(client.start, "waits", name="waits")
    form.call(client.start, "waits", name="of the team", namespace="team")
    form.call(client.stop, form.call(client.start, "waits", name="stopped").name, wait=True)

    def names(**filters: Any) -> list[str]:  # noqa: ANN401  each filter has its own type
        return [each.name for each in form.items(client.executions, **filters)]

    unfinished = [status for status in WorkflowStatus if not status.final]
    assert names() == ["stopped", "of the team", "waits", "ended"]
    assert names(workflow="chain") == ["ended"]
    assert names(namespace="team") == ["of the team"]
    assert names(workflow="waits", namespace="default") == ["stopped", "waits"]
    assert names(status=WorkflowStatus.SUCCESS) == ["ended"]
    assert names(status="STOPPED") == ["stopped"]
    assert names(status=unfinished) == ["of the team", "waits"]
    assert names(status=(each for each in unfinished), limit=1) == ["of the team", "waits"]
    assert names(status=[]) == []
    assert names(workflow="chain", namespace="team") == []


def test_a_listed_execution_leaves_its_context_to_refresh(asked: Asked) -> None:
    asked.form.call(asked.client.start, "waits", {"given": 1}, name="one")
    (listed,) = asked.form.items(asked.client.executions)

    with pytest.raises(UsageError, match=r"'one': refresh\(\) fetches it"):
        _ = listed.final_context

    assert asked.form.call(listed.refresh).final_context == {"given": 1}


def test_send_event_returns_what_was_stored_under_growing_offsets(asked: Asked) -> None:
    before = datetime.now(UTC)

    sent = asked.form.call(
        asked.client.send_event, "go", {"n": [1]}, namespace="team", sender="me", context="why"
    )
    after = asked.form.call(asked.client.send_event, "go")

    assert (sent.key, sent.value, sent.context) == ("go", {"n": [1]}, "why")
    assert (sent.namespace, sent.sender) == ("team", "me")
    assert sent.create_time is not None
    assert before <= sent.create_time <= datetime.now(UTC)
    assert sent.offset is not None
    assert after.offset is not None
    assert after.offset > sent.offset
    assert (after.value, after.context, after.sender, after.namespace) == (
        *(None, None, None),
        "default",
    )


def test_an_event_to_one_execution_is_heard_by_no_other(asked: Asked) -> None:
    one, other = (asked.form.call(asked.client.start, "waits") for _ in range(2))

    event = asked.form.call(asked.client.send_event, "go", execution=one.name)
    done = asked.form.call(one.wait, timeout="10s")

    assert event.namespace == "default"
    assert done.final_context == {"came": True}
    assert asked.form.call(other.task_executions) == []


def test_an_event_to_a_namespace_is_heard_by_all_of_it_and_by_nobody_else(asked: Asked) -> None:
    ours = [asked.form.call(asked.client.start, "waits") for _ in range(2)]
    theirs = asked.form.call(asked.client.start, "waits", namespace="team")
    for each in (*ours, theirs):  # those that a runner has taken hear a broadcast
        while asked.form.call(each.refresh).status is WorkflowStatus.INIT:
            pass

    asked.form.call(asked.client.send_event, "go")
    ends = [asked.form.call(each.wait, timeout="10s") for each in ours]

    assert [end.final_context for end in ends] == [{"came": True}] * 2
    assert asked.form.call(theirs.task_executions) == []


def test_an_event_to_a_finished_execution_is_stored_and_changes_nothing(asked: Asked) -> None:
    done = asked.form.call(asked.client.execute, "chain", timeout="10s")

    event = asked.form.call(asked.client.send_event, "go", execution=done.name)

    assert event.offset is not None
    assert len(asked.form.call(done.task_executions)) == 2
