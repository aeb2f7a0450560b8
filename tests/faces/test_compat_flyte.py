"""Flyte's documented code runs with only its imports changed."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncflow import (
    EventPhase,
    EventTimedOutError,
    EventTypeError,
)
from asyncflow.compat import flyte
from asyncflow.compat.flyte.errors import (
    ActionAbortedError,
    EventAlreadyExistsError,
    EventFailedError,
    EventTimedoutError,
    RunFailedError,
)
from asyncflow.compat.flyte.remote import Event, Run
from tests.faces.flyte_scene import run_program, session, waiting, waiting_aio


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a working directory, declarations and a session of its own."""
    monkeypatch.chdir(tmp_path)
    with session():
        yield tmp_path


# --- authors, as documented ---


def test_an_approval_stops_a_run_until_another_thread_signals_it() -> None:
    env = flyte.TaskEnvironment("approvals")

    @env.task
    async def transform() -> str:
        return "staged"

    written: list[str] = []

    @env.task
    async def write_to_prod(staged: str) -> None:
        written.append(staged)

    @env.task
    async def etl_pipeline() -> None:
        staged = await transform()

        approval = await flyte.new_event(
            "prod_write_approval",
            prompt="Approve writing staged data to production?",
            data_type=bool,
            timeout=timedelta(hours=24),
        )
        if not await approval.wait():
            raise RuntimeError("Pipeline rejected by reviewer")

        await write_to_prod(staged)

    flyte.init()
    r = flyte.run(etl_pipeline)
    event = waiting("prod_write_approval", r)
    assert (event.expected_type, event.phase, event.run_name) == (bool, "RUNNING", r.name)
    assert event.prompt == "Approve writing staged data to production?"

    thread = threading.Thread(target=event.signal, args=(True,))
    thread.start()
    r.wait()
    thread.join()

    assert (r.phase, r.outputs(), written) == ("SUCCEEDED", (), ["staged"])


async def test_the_same_in_coroutines_with_aio_at_every_call() -> None:
    env = flyte.TaskEnvironment(name="events")

    @env.task
    async def next_task(value: int) -> int:
        return value + 1

    @env.task
    async def my_task(x: int) -> int:
        event1 = await flyte.new_event.aio("my_event", prompt="Is it ok to continue?")
        event2 = await flyte.new_event.aio(
            "proceed_event", prompt="What should I add to x?", data_type=int
        )
        if await event1.wait.aio():
            return await next_task(x + await event2.wait.aio())
        return -1

    await flyte.init.aio()
    r = await flyte.run.aio(my_task, x=10)
    await waiting_aio("proceed_event", r)
    found = [each async for each in Event.listall.aio(run_name=r.name)]
    assert [each.name for each in found] == ["my_event", "proceed_event"]
    again = [each async for each in await Event.listall.aio(r.name, limit=1)]
    assert [each.action_name for each in again] == [each.action_name for each in found]

    await found[1].signal.aio(5)
    await found[0].signal.aio(True)

    assert await r.outputs.aio() == (16,)
    assert (await Run.get.aio(r.name)).phase == "SUCCEEDED"
    assert await r.inputs.aio() == {"x": 10}


def test_a_def_task_blocks_where_an_async_one_awaits() -> None:
    env = flyte.TaskEnvironment(name="events")

    @env.task(retries=2, timeout=60)
    def my_task(x: int) -> int:
        event = flyte.new_event("how_many", data_type=int)
        return x * int(event.wait()) + int(event.wait())

    r = flyte.run(my_task, 3)
    waiting("how_many", r).signal(4)

    assert r.outputs() == (16,)


def test_every_type_of_payload_goes_through_a_chain() -> None:
    env = flyte.TaskEnvironment(name="chained_conditions")

    @env.task
    async def deploy(tag: str, batch_size: int, threshold: float) -> str:
        return f"deployed {tag} (batch_size={batch_size}, threshold={threshold:.2f})"

    @env.task
    async def chained_signals() -> str:
        approval = await flyte.new_condition.aio(
            "approval", prompt="## Go?", prompt_type="markdown", timeout=timedelta(minutes=5)
        )
        try:
            approved = await approval.wait.aio()
        except flyte.errors.ConditionTimedoutError:
            return "aborted: approval timed out"
        if not approved:
            return "rejected"
        batch = await flyte.new_condition.aio("batch_size", data_type=int)
        size = await batch.wait.aio()
        limit = await flyte.new_condition.aio("threshold", data_type=float)
        threshold = await limit.wait.aio()
        named = await flyte.new_condition.aio("release_tag", data_type=str)
        tag = await named.wait.aio()
        return await deploy(tag=tag, batch_size=size, threshold=threshold)

    flyte.init_from_config()
    r = flyte.run(chained_signals)
    for name, payload in {"approval": True, "batch_size": 8, "threshold": 1}.items():
        waiting(name, r).signal(payload)
    waiting("release_tag", r).signal("v2.1.0")

    assert r.outputs() == ("deployed v2.1.0 (batch_size=8, threshold=1.00)",)
    assert [each.phase for each in Event.listall(run_name=r.name)] == ["SUCCEEDED"] * 4


def test_a_task_goes_on_with_a_default_if_nobody_answers_in_time() -> None:
    env = flyte.TaskEnvironment("defaults")

    @env.task
    async def with_default() -> float:
        ev = await flyte.new_event("threshold", data_type=float, timeout=0.01)
        try:
            threshold = await ev.wait()
        except EventTimedoutError:
            threshold = 0.5
        return float(threshold)

    r = flyte.with_runcontext(mode="local").run(with_default)

    assert (r.outputs(), r.phase) == ((0.5,), "SUCCEEDED")
    event = Event.get("threshold", r.name)
    assert event is not None
    assert event.phase is EventPhase.TIMED_OUT
    with pytest.raises(EventTimedOutError):
        event.signal(0.7)


# --- signalling ---


@pytest.fixture
def asking() -> Iterator[Run]:
    """Start a run that waits for "ok"; abort it at the end, or closing would give it its grace."""
    env = flyte.TaskEnvironment("deploy")

    @env.task
    async def etl_pipeline() -> bool:
        event = await flyte.new_event("ok")
        return bool(await event.wait())

    run = flyte.with_runcontext(name="deploy-run-123").run(etl_pipeline)
    yield run
    run.abort()
    run.wait()


def test_an_event_is_found_by_its_run_and_its_parent_action(asking: Run) -> None:
    waiting("ok", asking)

    for action in (None, "a0", "etl_pipeline", "etl_pipeline-1"):
        event = flyte.remote.Event.get("ok", run_name="deploy-run-123", action_name=action)
        assert event is not None
        assert event.action_name == "etl_pipeline-1-event-ok-1"
        assert event.to_dict()["expected_type"] == "bool"
        assert '"name": "ok"' in event.to_json()
    assert Event.get("ok", "deploy-run-123", "other") is None
    assert Event.get("ok", "no-run") is None
    assert list(Event.listall("deploy-run-123", "other")) == []


def test_a_second_signal_is_refused_by_flytes_error_and_the_same_one_is_not(asking: Run) -> None:
    event = waiting("ok", asking)
    event.signal(True)

    event.signal(True)
    with pytest.raises(EventAlreadyExistsError, match="another payload"):
        event.signal(False)

    assert asking.outputs() == (True,)


@pytest.mark.parametrize("payload", [1, "yes", 1.0])
def test_a_payload_of_another_type_is_a_type_error(asking: Run, payload: object) -> None:
    event: Any = waiting("ok", asking)

    with pytest.raises(EventTypeError):
        event.signal(payload)
    with pytest.raises(TypeError, match="payload must be bool, int, float or str, not list"):
        event.signal([payload])


def test_an_aborted_run_aborts_its_event(asking: Run) -> None:
    event = waiting("ok", asking)

    asking.abort("no longer needed")
    asking.wait()

    assert asking.phase == "ABORTED"
    with pytest.raises(ActionAbortedError):
        event.signal(True)
    with pytest.raises(RunFailedError, match="is ABORTED, and has no outputs"):
        asking.outputs()


def test_an_event_whose_task_has_failed_says_so() -> None:
    env = flyte.TaskEnvironment("failing")

    @env.task
    async def fails() -> None:
        await flyte.new_event.aio("ok")
        raise ValueError("no")

    r = flyte.run(fails)
    r.wait()
    event = Event.get("ok", r.name)
    assert event is not None

    assert r.phase == "FAILED"
    with pytest.raises(EventFailedError):
        event.signal(True)
    with pytest.raises(RunFailedError, match="ValueError: no"):
        r.outputs()
    with pytest.raises(RunFailedError, match="ValueError: no"):
        flyte.with_runcontext(mode="local").run(fails)


def test_an_event_is_signalled_by_another_program(here: Path, asking: Run) -> None:
    waiting("ok", asking)
    program = """
        import asyncflow.compat.flyte as flyte
        import asyncflow.compat.flyte.remote as remote

        flyte.init()
        while not (event := remote.Event.get("ok", run_name="deploy-run-123")):
            pass
        event.signal(True)
        print(remote.Run.get("deploy-run-123").outputs())
    """

    assert run_program(here, program) == "(True,)\n"
    assert asking.outputs() == (True,)


def test_a_program_that_died_goes_on_when_it_is_started_again(here: Path) -> None:
    program = """
        import os, signal, sys
        import asyncflow.compat.flyte as flyte
        from asyncflow.compat.flyte.remote import Event, Run

        env = flyte.TaskEnvironment(name="deploy")

        @env.task
        async def ship(tag: str) -> str:
            event = await flyte.new_event.aio("ok")
            return f"{tag}: {await event.wait.aio()}"

        flyte.init()
        if sys.argv[1:]:
            flyte.with_runcontext(name="r").run(ship, tag="v1")
            while Event.get("ok", "r") is None:
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        Event.get("ok", "r").signal(True)
        print(Run.get("r").outputs()[0])
    """

    run_program(here, program, "first", status=-9)

    assert run_program(here, program) == "v1: True\n"
