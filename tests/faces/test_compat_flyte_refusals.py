"""Flyte's face: what it refuses, what goes in and out of a run, and whose runner it is."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from asyncflow import (
    AsyncflowError,
    Client,
    EventClosedError,
    EventTimedOutError,
    ExecutionNotFoundError,
    Runner,
    SyncInLoopError,
    UsageError,
)
from asyncflow.compat import flyte
from asyncflow.compat.flyte.errors import (
    EventAlreadyExistsError,
    EventFailedError,
    EventTimedoutError,
)
from asyncflow.compat.flyte.remote import Run
from tests.faces.flyte_scene import session


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a working directory, declarations and a session of its own."""
    monkeypatch.chdir(tmp_path)
    with session():
        yield tmp_path


# --- what is refused, and what outside a task ---


def test_outside_a_task_an_event_can_be_made_and_not_waited_for() -> None:
    event = flyte.new_event("ok", "Approve?", "text", int)

    assert event.name == "ok"
    with pytest.raises(RuntimeError, match="can only be awaited within a task context"):
        event.wait()


async def test_in_a_coroutine_outside_a_task_too() -> None:
    event = await flyte.new_event("ok")

    with pytest.raises(RuntimeError, match="can only be awaited within a task context"):
        await event.wait()


@pytest.mark.parametrize("data_type", [dict, bytes, None, "bool", list])
def test_another_type_of_event_is_refused_in_flytes_words(data_type: type) -> None:
    with pytest.raises(TypeError, match="Invalid data_type"):
        flyte.new_event("ok", data_type=data_type)


@pytest.mark.parametrize("timeout", [0, -1, 0.0, timedelta(0), timedelta(days=-1)])
def test_a_timeout_must_be_positive(timeout: timedelta | float) -> None:
    with pytest.raises(ValueError, match="timeout must be positive"):
        flyte.new_event("ok", timeout=timeout)


def test_a_task_that_waits_for_an_event_makes_no_second_one_of_its_name() -> None:
    env = flyte.TaskEnvironment("twice")

    @env.task
    async def twice() -> str:
        await flyte.new_event.aio("ok")
        try:
            await flyte.new_event.aio("ok")
        except EventAlreadyExistsError:
            return "refused"
        return "made"

    assert flyte.with_runcontext(mode="local").run(twice).outputs() == ("refused",)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [("Image", "leave it out"), ("map", "call plain functions"), ("deploy", "no cluster")],
)
def test_what_is_not_there_says_what_to_do_instead(name: str, way_out: str) -> None:
    with pytest.raises(UsageError, match=way_out):
        getattr(flyte, name)


def test_a_name_that_flyte_has_not_either_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        getattr(flyte, "nonsense")  # noqa: B009  a type checker knows that it is not there


def test_every_name_of_the_module_resolves() -> None:
    assert [name for name in flyte.__all__ if not hasattr(flyte, name)] == []


def test_a_setting_that_would_change_what_happens_is_refused() -> None:
    env = flyte.TaskEnvironment("e", image="python", resources=None)
    task: Any = env.task

    with pytest.raises(UsageError, match="no setting 'retrys'"):
        task(retrys=3)
    with pytest.raises(UsageError, match="no setting 'nmae'"):
        flyte.TaskEnvironment("e", nmae="x")


def test_retries_and_a_timeout_are_those_of_the_task() -> None:
    @flyte.TaskEnvironment("e").task(retries=2, timeout=timedelta(minutes=1))
    def work() -> None: ...

    (operator,) = work.workflow.tasks.values()
    assert (operator.retry.retries, operator.timeout) == (2, timedelta(minutes=1))


def test_flytes_errors_are_those_of_asyncflow_too() -> None:
    assert issubclass(EventTimedoutError, EventTimedOutError)
    assert issubclass(EventTimedoutError, TimeoutError)
    assert issubclass(EventFailedError, EventClosedError)
    assert issubclass(EventAlreadyExistsError, AsyncflowError)


async def test_a_blocking_call_in_a_coroutine_names_the_other_form() -> None:
    flyte.init()  # opens nothing here
    with pytest.raises(SyncInLoopError, match=r"await init\.aio\(\) first"):
        Run.get("r")

    await flyte.init.aio()
    with pytest.raises(SyncInLoopError, match="aio"):
        Run.get("r")


def test_a_run_that_is_not_there_is_named() -> None:
    with pytest.raises(ExecutionNotFoundError, match="no-run"):
        Run.get("no-run")


# --- inputs, outputs, and whose runner it is ---


class Order(BaseModel):
    number: int
    at: datetime


@dataclass
class Bill:
    total: float


AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_inputs_and_outputs_are_what_annotations_say() -> None:
    env = flyte.TaskEnvironment("typed")

    @env.task
    async def bill(
        order: Order,
        factor: float = 2.0,
        plain: Any = None,  # noqa: ANN401  as it is given
    ) -> tuple[Bill, datetime]:
        assert isinstance(order, Order)
        return Bill(order.number * factor), order.at

    r = flyte.run(bill, Order(number=3, at=AT), plain=[1])

    assert r.outputs() == (Bill(6.0), AT)
    assert r.inputs() == {"order": Order(number=3, at=AT), "factor": 2.0, "plain": [1]}


def test_inputs_that_are_not_those_of_the_task_are_refused_at_once() -> None:
    env = flyte.TaskEnvironment("typed")

    @env.task
    def square(x: int) -> int:
        return x * x

    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        flyte.run(square)
    with pytest.raises(ValueError, match="valid integer"):
        flyte.run(square, x="three")
    assert square(3) == 9


async def test_a_def_task_is_awaited_in_a_thread() -> None:
    env = flyte.TaskEnvironment("threads")

    @env.task
    def where() -> str:
        return threading.current_thread().name

    assert await where.aio() != threading.current_thread().name


def test_a_runner_that_the_program_has_opened_is_used(here: Path) -> None:
    env = flyte.TaskEnvironment("own")

    @env.task
    def one() -> int:
        return 1

    with Runner("own.db") as runner:
        flyte.init(project="flytesnacks", domain="development")
        r = flyte.run(one)

        assert r.outputs() == (1,)
        found = runner.execution(r.name)
        assert found is not None
        assert [each.name for each in Run.listall()] == [r.name]

    assert not (here / "asyncflow.db").exists()


def test_init_says_where_the_store_is(here: Path) -> None:
    flyte.init(store=here / "a.db")
    flyte.init(store=here / "b.db")

    assert (here / "b.db").exists()
    assert not (here / "asyncflow.db").exists()


def test_of_several_that_are_open_none_is_guessed(here: Path) -> None:
    with Client("a.db"), Client("b.db"), pytest.raises(UsageError, match="finds several"):
        Run.get("r")


def test_an_event_has_a_webhook() -> None:
    webhook = flyte.EventWebhook(
        url="https://hooks.example.com/approvals",
        payload={"callback_uri": "{callback_uri}", "text": "Approve prod write?"},
    )

    assert webhook.body("asyncflow:/x", {}) == {
        "callback_uri": "asyncflow:/x",
        "text": "Approve prod write?",
    }
