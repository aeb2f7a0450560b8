"""SEMANTICS 18 and 19: what a signal refuses, what is stored with it, by whom it was given."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from asyncflow import (
    Client,
    Context,
    Event,
    EventAlreadySignalledError,
    EventClosedError,
    EventNotFoundError,
    EventPhase,
    EventTypeError,
    Registry,
    Runner,
    TooLargeError,
    VirtualClock,
    Workflow,
    new_event,
    task,
)
from tests.client.forms import REFUSED, WARNED, Form, dump_file, form_of, quoted
from tests.runner.asking import asked, asks

HOUR = timedelta(hours=1)


class Approval(BaseModel):
    by: str


class Other(BaseModel):
    by: str


DECLARED: tuple[type[Any], ...] = (bool, int, float, str, Approval)

GIVEN: dict[str, object] = {
    "bool": True,
    "int": 3,
    "float": 1.5,
    "str": "yes",
    "dict": {"by": "me"},
    "wrong dict": {"of": "me"},
    "model": Approval(by="me"),
    "other model": Other(by="me"),
    "None": None,
    "bytes": b"yes",
    "list": [True],
    "nan": float("nan"),
}

TAKEN = {
    (bool, "bool"): True,
    (int, "int"): 3,
    (float, "float"): 1.5,
    (float, "int"): 3.0,
    (str, "str"): "yes",
    (Approval, "dict"): Approval(by="me"),
    (Approval, "model"): Approval(by="me"),
}

SCALARS = {"bool", "int", "float", "str"}


def kind_of(declared: type[Any], given: str) -> type[Exception]:
    if given == "nan" and declared is float:
        return ValueError
    if declared is Approval or given in SCALARS or given == "nan":
        return EventTypeError
    return TypeError


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flows.db"


@pytest.mark.parametrize("declared", DECLARED, ids=lambda each: str(each.__name__))
async def test_each_declared_type_takes_what_is_of_it_and_refuses_all_else(
    path: Path, declared: type[Any]
) -> None:
    got: dict[str, object] = {}

    async def body(context: Context) -> None:
        given = str(context["given"])
        got[given] = await (await new_event.aio("go", data_type=declared)).wait.aio()

    fine = [given for (kind, given) in TAKEN if kind is declared]
    async with Runner(path, registry=asks(body)) as runner:
        for given in fine:
            run = await runner.start.aio("w", {"given": given})
            event = await asked("go", run.name)
            before = dump_file(path)
            for name, payload in GIVEN.items():
                if name in fine:
                    continue
                with pytest.raises(kind_of(declared, name)) as caught:
                    await event.signal.aio(payload)  # type: ignore[arg-type]
                assert isinstance(caught.value, (TypeError, ValueError))
            after = dump_file(path)
            await event.signal.aio(GIVEN[given])  # type: ignore[arg-type]
            await run.wait.aio()
            assert before == after

    assert got == {given: TAKEN[declared, given] for given in fine}
    assert {given: type(value) for given, value in got.items()} == {
        given: type(TAKEN[declared, given]) for given in fine
    }


@pytest.fixture(params=["blocking", "awaited"])
def form(request: pytest.FixtureRequest) -> Iterator[Form]:
    with form_of(str(request.param)) as form:
        yield form


def waiting(form: Form, client: Client, run_name: str) -> Event:
    while (event := form.call(client.event, "go", run_name)) is None:
        pass
    return event


def test_the_same_value_again_is_nothing_and_another_is_an_error(form: Form, path: Path) -> None:
    with form.open(Runner(path, registry=asks(one))) as runner:
        run = form.call(runner.start, "w")
        event = waiting(form, runner, run.name)
        form.call(event.signal, 5, by="first", comment="once")
        form.call(run.wait)
        form.call(event.signal, 5, by="second")
        with pytest.raises(EventAlreadySignalledError, match="another payload"):
            form.call(event.signal, 6)
        shown = form.call(event.refresh)
        form.call(shown.signal, 5)
        sent = [each.value for each in form.items(runner.list_events)]

    assert (shown.value, shown.signalled_by, shown.comment) == (5, "first", "once")
    assert sent == [5]


def test_a_client_signals_and_the_runner_goes_on(form: Form, path: Path) -> None:
    with (
        form.open(Runner(path, registry=asks(one))) as runner,
        form.open(Client(path, registry=Registry())) as client,
    ):
        run = form.call(runner.start, "w")
        theirs = waiting(form, client, run.name)
        form.call(theirs.signal, 5, by="they", comment="from afar")
        (ask,) = form.call(form.call(run.wait, timeout="10s").task_executions)
        mine = form.call(runner.event, "go", run.name)
        form.call(theirs.signal, 5)
        with pytest.raises(EventAlreadySignalledError):
            form.call(theirs.signal, 6)

    assert ask.result == 5
    assert mine is not None
    assert (mine.phase, mine.value) == (EventPhase.SUCCEEDED, 5)
    assert (mine.signalled_by, mine.comment) == ("they", "from afar")
    assert mine.signalled_at is not None


async def test_of_many_that_signal_at_once_one_is_taken(path: Path) -> None:
    async with (
        Runner(path, registry=asks(one)) as runner,
        Client(path, registry=Registry()) as client,
    ):
        run = await runner.start.aio("w")
        found: list[Event] = []
        for each in (runner, client):
            while (event := await each.event.aio("go", run.name)) is None:
                pass
            found.append(event)
        tries = [found[each % 2].signal.aio(each) for each in range(10)]
        ends = await asyncio.gather(*tries, return_exceptions=True)
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        sent = [each.value async for each in runner.list_events.aio()]

    winners = [number for number, end in enumerate(ends) if end is None]
    refused = [end for end in ends if end is not None]
    assert all(isinstance(each, EventAlreadySignalledError) for each in refused)
    assert [ask.result] == winners == sent


# --- sizes ---


async def test_a_payload_over_the_limit_is_refused_before_anything_is_stored(path: Path) -> None:
    async def body(_: Context) -> int:
        return len(await (await new_event.aio("go", data_type=str)).wait.aio())

    async with Runner(path, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        before = dump_file(path)
        with pytest.raises(TooLargeError, match="the payload has"):
            await event.signal.aio(quoted(REFUSED + 1))
        after = dump_file(path)
        with pytest.warns(UserWarning, match="the payload has 2,097,152 bytes"):
            await event.signal.aio(quoted(REFUSED))
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert before == after
    assert ask.result == REFUSED - 2


async def test_a_payload_over_512_kb_is_warned_of(path: Path) -> None:
    async def body(_: Context) -> list[int]:
        events = [await new_event.aio(name, data_type=str) for name in ("small", "large")]
        return [len(await event.wait.aio()) for event in events]

    async with Runner(path, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        await (await asked("small", run.name)).signal.aio(quoted(WARNED))
        large = await asked("large", run.name)
        with pytest.warns(UserWarning, match="the payload has 524,289 bytes"):
            await large.signal.aio(quoted(WARNED + 1))
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == [WARNED - 2, WARNED - 1]


# --- approvals ---


async def test_who_signalled_when_and_why_is_kept_and_shown(path: Path) -> None:
    clock = VirtualClock()
    registry = asks(one)
    async with Runner(path, registry=registry, clock=clock) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await clock.advance(HOUR)
        await event.signal.aio(5, by="me", comment="fine by me")
        await run.wait.aio()
    async with Client(path, registry=Registry(), clock=clock) as client:
        shown = await client.event.aio("go", run.name)

    assert shown is not None
    assert (shown.signalled_by, shown.comment, shown.signalled_at) == (
        "me",
        "fine by me",
        clock.now(),
    )
    assert shown.create_time == clock.now() - HOUR
    told = shown.to_dict()
    assert (told["signalled_by"], told["comment"]) == ("me", "fine by me")
    assert told["signalled_at"] == clock.now().isoformat()


async def test_in_a_task_it_is_the_task_that_signals(path: Path) -> None:
    with Registry() as registry, Workflow("w"):
        task(id="ask")(one)

        @task()
        async def answers(context: Context) -> None:
            await (await asked("go", context.execution_name)).signal.aio(5)

    async with Runner(path, registry=registry) as runner:
        run = await runner.start.aio("w")
        await run.wait.aio()
        shown = await Event.get.aio("go", run.name)

    assert shown is not None
    assert (shown.signalled_by, shown.comment) == (f"{run.name}/answers", None)


async def test_outside_a_task_nobody_is_named_unless_it_is_said(path: Path) -> None:
    async with Runner(path, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        for wrong in ({"by": 1}, {"comment": ["x"]}, {"by": "\ud800"}):
            with pytest.raises((TypeError, ValueError)):
                await event.signal.aio(5, **wrong)
        await event.signal.aio(5)
        await run.wait.aio()
        shown = await event.refresh.aio()

    assert (shown.signalled_by, shown.phase) == (None, EventPhase.SUCCEEDED)


async def test_an_event_that_was_deleted_with_its_workflow_is_not_found(path: Path) -> None:
    async with Runner(path, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await run.stop.aio(wait=True)
        with pytest.raises(EventClosedError):
            await event.signal.aio(5)
        await runner.delete_workflow.aio("w")
        for call in (event.refresh.aio(), event.signal.aio(5), event.wait.aio()):
            with pytest.raises(
                EventNotFoundError, match=f"'go' of workflow execution '{run.name}'"
            ):
                await call
        gone = await Event.get.aio("go", run.name)

    assert gone is None


async def test_a_payload_may_be_signalled_by_a_client_that_does_not_know_its_model(
    path: Path,
) -> None:
    async def body(_: Context) -> str:
        event = await new_event.aio("go", data_type=Approval)
        return (await event.wait.aio()).by

    async with (
        Runner(path, registry=asks(body)) as runner,
        Client(path, registry=Registry()) as client,
    ):
        run = await runner.start.aio("w")
        while (theirs := await client.event.aio("go", run.name)) is None:
            pass
        await theirs.signal.aio({"by": "me"})
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == "me"
