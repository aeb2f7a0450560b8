"""How `WorkflowExecution.get` and `listall` find whom to ask: their task's, or the only one."""

from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Registry,
    Runner,
    StoreLocationError,
    TaskStopped,
    UsageError,
    Workflow,
    WorkflowExecution,
    task,
)
from asyncflow._model.port import CURRENT_TASK, StopSign, TaskScope
from tests.client.forms import Form


@pytest.fixture
def registry() -> Registry:
    """Return a registry with tasks that look themselves up."""
    with Registry() as registry, Workflow("look"):

        @task(id="on the loop")
        async def on_the_loop(context: Context) -> dict[str, object]:
            found = await WorkflowExecution.get.aio(context.execution_name)
            listed = [each.name async for each in WorkflowExecution.listall.aio(limit=1)]
            return {"found": found is not None, "listed": listed}

        @task(id="in a thread")
        def in_a_thread(context: Context) -> dict[str, object]:
            found = WorkflowExecution.get(context.execution_name)
            listed = [each.name for each in WorkflowExecution.listall(limit=1)]
            return {"found": found is not None, "listed": listed}

    return registry


def names(form: Form) -> list[str]:
    return [each.name for each in form.items(WorkflowExecution.listall)]


def test_inside_a_task_its_own_runner_is_asked_whoever_else_is_open(
    form: Form, registry: Registry
) -> None:
    with (
        form.open(Client(":memory:", registry=registry)) as other,
        form.open(Runner(":memory:", registry=registry)) as runner,
        form.open(Runner(":memory:", registry=registry)) as twin,
    ):
        form.call(other.start, "look", name="elsewhere")
        ours = form.call(runner.execute, "look", name="ours", timeout="10s")
        theirs = form.call(twin.execute, "look", name="theirs", timeout="10s")

        for done in (ours, theirs):
            runs = form.call(done.task_executions)
            assert [run.result for run in runs] == [{"found": True, "listed": [done.name]}] * 2


@pytest.mark.parametrize("kind", [Client, Runner])
def test_outside_a_task_the_only_one_that_is_open_is_asked(
    form: Form, registry: Registry, kind: type[Client]
) -> None:
    with form.open(kind(":memory:", registry=registry)) as client:
        form.call(client.start, "look", {"n": 1}, name="one")

        found = form.call(WorkflowExecution.get, "one")

        assert found is not None
        assert found.final_context == {"n": 1}
        assert form.call(WorkflowExecution.get, "two") is None
        assert names(form) == ["one"]


@pytest.mark.parametrize("kind", [Client, Runner])
def test_the_current_client_is_the_only_one_that_is_open(
    form: Form, registry: Registry, kind: type[Client]
) -> None:
    with form.open(kind(":memory:", registry=registry)) as client:
        assert Client.current() is client
        assert kind.current() is client


def test_the_current_runner_is_no_mere_client(form: Form) -> None:
    with (
        form.open(Client(":memory:")),
        pytest.raises(UsageError, match=r"Runner\.current\(\) finds Client\(':memory:'\): open"),
    ):
        Runner.current()


def test_the_current_client_of_a_task_is_its_own_runner(form: Form) -> None:
    with Registry() as registry, Workflow("ask"):

        @task(id="ask")
        def ask() -> str:
            return repr(Runner.current())

    with form.open(Client(":memory:")), form.open(Runner(":memory:", registry=registry)) as runner:
        done = form.call(runner.execute, "ask", timeout="10s")

        assert [run.result for run in form.call(done.task_executions)] == [repr(runner)]


def test_without_an_open_one_the_call_says_so(form: Form, tmp_path: Path) -> None:
    Client(tmp_path / "never opened.db")
    with form.open(Client(":memory:")):
        pass  # and closed again
    with pytest.raises(StoreLocationError), form.open(Client(tmp_path)):
        pass  # a directory: it never opens

    text = r"WorkflowExecution\S* finds no open Client or Runner: open one around the call"
    with pytest.raises(UsageError, match=text):
        form.call(WorkflowExecution.get, "one")
    with pytest.raises(UsageError, match=text):
        names(form)


def test_with_several_open_the_call_names_them_and_the_way_out(
    form: Form, registry: Registry, tmp_path: Path
) -> None:
    with (
        form.open(Client(tmp_path / "a.db", registry=registry)) as client,
        form.open(Runner(tmp_path / "b.db", registry=registry)) as runner,
    ):
        form.call(client.start, "look", name="one")

        with pytest.raises(UsageError, match="several") as caught:
            form.call(WorkflowExecution.get, "one")
        with pytest.raises(UsageError, match="several"):
            names(form)

        assert f"Client('{tmp_path}/a.db'), Runner('{tmp_path}/b.db')" in str(caught.value)
        assert "client.execution(...)" in str(caught.value)
        assert form.call(client.execution, "one") is not None
        assert form.call(runner.execution, "one") is None


def test_a_handle_asks_the_one_that_gave_it_whoever_else_opens(
    form: Form, registry: Registry
) -> None:
    with form.open(Runner(":memory:", registry=registry)) as runner:
        done = form.call(runner.execute, "look", timeout="10s")
        with form.open(Client(":memory:")):
            assert form.call(done.refresh).name == done.name
            assert len(form.call(done.task_executions)) == 2


def test_a_listing_goes_on_with_the_one_that_it_began_with(form: Form, registry: Registry) -> None:
    with form.open(Client(":memory:", registry=registry)) as client:
        for name in "abc":
            form.call(client.start, "look", name=name)
        listing = form.items(WorkflowExecution.listall, limit=1)
        found = [next(listing).name]
        with form.open(Client(":memory:")):
            found += [each.name for each in listing]

    assert found == ["c", "b", "a"]


def test_a_task_that_was_told_to_stop_finds_nobody(registry: Registry) -> None:
    with Client(":memory:", registry=registry) as client:
        sign = StopSign(raised=True)
        scope = TaskScope(client, 1, "one", "default", "a task", 1, 1, stop_sign=sign)
        token = CURRENT_TASK.set(scope)
        try:
            with pytest.raises(TaskStopped):
                WorkflowExecution.get("one")
        finally:
            CURRENT_TASK.reset(token)
