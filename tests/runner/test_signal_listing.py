"""SEMANTICS 17: which event `get` finds, what the listings show, and that nothing stays open."""

from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    EventPhase,
    ExecutionNotFoundError,
    NotificationClient,
    Registry,
    Runner,
    UsageError,
    VirtualClock,
    Workflow,
    new_event,
    task,
)
from tests.client.forms import Form, form_of
from tests.runner.asking import asked, asks, phases
from tests.runner.scene import forever, rows, turns


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


# --- get ---


async def test_get_is_none_if_there_is_none(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)

        assert await Event.get.aio("other", run.name) is None
        assert await Event.get.aio("go", "other") is None
        assert await Event.get.aio("go", run.name, "other") is None
        assert await Event.get.aio("go", run.name, "ask-2") is None
        assert await Event.get.aio("go", run.name, "ask-1-event-go-1") is None


async def test_get_returns_the_waiting_one_first_then_the_newest(store: str) -> None:
    async def body(context: Context) -> None:
        for each in range(2):
            event = await new_event.aio("go", data_type=int)
            await event.wait.aio()
            context["answered"] = each

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).signal.aio(1)
        second = await asked("go", run.name)
        waiting = await Event.get.aio("go", run.name)
        await second.signal.aio(2)
        await run.wait.aio()
        newest = await Event.get.aio("go", run.name)

    assert waiting is not None
    assert newest is not None
    assert (waiting.action_name, waiting.phase) == ("ask-1-event-go-2", EventPhase.RUNNING)
    assert (newest.action_name, newest.value) == ("ask-1-event-go-2", 2)


async def test_of_two_tasks_that_of_one_that_waits_comes_before_a_newer_one(store: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def old() -> object:
            return await (await new_event.aio("go")).wait.aio()

        @task()
        async def new(context: Context) -> None:
            await asked("go", context.execution_name, "old")
            await new_event.aio("go")

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        while ("new-1-event-go-1", "ABORTED") not in await phases(run.name):
            await turns(1)
        found = await Event.get.aio("go", run.name)
        named = await Event.get.aio("go", run.name, action_name="new")

    assert found is not None
    assert named is not None
    assert (found.task_name, named.task_name) == ("old", "new")


async def test_action_name_is_the_task_or_one_run_of_it(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        await run.restart_task.aio("ask")
        await asked("go", run.name, "ask-2")
        found = [await Event.get.aio("go", run.name, each) for each in ("ask", "ask-1", "ask-2")]
        listed = [
            [event.action_name async for event in Event.listall.aio(run.name, each)]
            for each in ("ask", "ask-1", "ask-2", "other")
        ]

    shown = [None if each is None else each.action_name for each in found]
    assert shown == ["ask-2-event-go-1", "ask-1-event-go-1", "ask-2-event-go-1"]
    assert listed == [
        ["ask-1-event-go-1", "ask-2-event-go-1"],
        ["ask-1-event-go-1"],
        ["ask-2-event-go-1"],
        [],
    ]


async def test_a_task_whose_own_name_ends_in_a_number_is_meant_before_a_run(store: str) -> None:
    with Registry() as registry, Workflow("w"):
        for name in ("ask", "ask-2"):
            task(id=name)(one)

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name, "ask")
        await asked("go", run.name, "ask-2")
        found = [
            [event.action_name async for event in Event.listall.aio(run.name, each)]
            for each in ("ask", "ask-2", "ask-1", "ask-2-1")
        ]

    assert found == [
        ["ask-1-event-go-1"],
        ["ask-2-1-event-go-1"],
        ["ask-1-event-go-1"],
        ["ask-2-1-event-go-1"],
    ]


# --- listings ---


async def test_sent_events_are_found_and_listed_after_those_that_tasks_made(store: str) -> None:
    async def body(context: Context) -> object:
        await NotificationClient().send_event.aio("said", {"a": [1]})
        return await one(context)

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
        await runner.send_event.aio("said", "outside", execution=run.name)
        await runner.send_event.aio("said", "to all")
        await event.signal.aio(5)
        for limit in (1, 2, 3, 100):
            listed = [each async for each in Event.listall.aio(run.name, limit=limit)]
            assert [(each.name, each.value) for each in listed] == [
                ("go", 5),
                ("said", {"a": [1]}),
                ("said", "outside"),
            ]
        of_task = [each.value async for each in Event.listall.aio(run.name, "ask")]
        newest = await Event.get.aio("said", run.name)
        said = await Event.get.aio("said", run.name, "ask")

    assert listed[1].expected_type is None
    assert listed[1].to_dict()["expected_type"] is None
    assert listed[1].sender == f"{run.name}/ask"
    assert of_task == [5, {"a": [1]}]
    assert newest is not None
    assert said is not None
    assert (newest.value, said.value) == ("outside", {"a": [1]})


async def test_the_async_iterator_may_also_be_awaited(store: str) -> None:
    async with Runner(store, registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
        names = [event.name async for event in await Event.listall.aio(run_name=run.name)]

    assert names == ["go"]


async def test_listing_an_execution_that_is_not_there_is_an_error() -> None:
    async with Runner(":memory:", registry=Registry()):
        with pytest.raises(ExecutionNotFoundError, match="'other'"):
            [event async for event in Event.listall.aio("other")]


async def test_a_limit_is_a_number_of_at_least_one() -> None:
    async with Runner(":memory:", registry=asks(one)) as runner:
        run = await runner.start.aio("w")
        for limit in (0, -1, True, 1.5):
            with pytest.raises(UsageError, match="limit is a whole number"):
                [event async for event in Event.listall.aio(run.name, limit=limit)]  # type: ignore[arg-type]


def many(registry: Registry) -> None:
    with registry, Workflow("w"):

        @task(id="ask")
        async def ask() -> None:
            for each in range(1000):
                await new_event.aio(f"go {each}", data_type=int)
            await forever()


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
@pytest.mark.parametrize("place", ["memory", "sqlite"])
def test_a_page_of_one_over_a_thousand_events_may_be_left_by_break(
    kind: str, place: str, url: str, path: Path
) -> None:
    registry = Registry()
    many(registry)
    with form_of(kind) as form, form.open(made(place, url, registry)) as runner:
        run = form.call(runner.start, "w")
        while form.call(runner.event, "go 999", run.name) is None:
            pass
        listed = [event.name for event in form.items(Event.listall, run.name, limit=1)]
        names = first(form, run.name)
        waiting = [event.name for event in form.items(runner.waiting_events, limit=1)]
        left = None if place == "memory" else readers(path)

    assert listed == waiting == [f"go {each}" for each in range(1000)]
    assert names == ["go 0", "go 1", "go 2"]
    assert left in {None, 0}


def made(place: str, url: str, registry: Registry) -> Runner:
    return Runner(":memory:" if place == "memory" else url, registry=registry, grace=0)


def first(form: Form, run_name: str) -> list[str]:
    names: list[str] = []
    for event in form.items(Event.listall, run_name, limit=1):
        names.append(event.name)
        if len(names) == 3:
            break
    return names


def readers(path: Path) -> object:
    """Say whether a read transaction is open: 0, or 1 if one keeps the log from being emptied."""
    return rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0]


async def test_waiting_events_are_those_of_all_executions_that_wait_now(store: str) -> None:
    clock = VirtualClock()

    async def short(_: Context) -> object:
        return await (await new_event.aio("short", timeout="1h")).wait.aio()

    registry = asks(one)
    with registry:
        with Workflow("short"):
            task(id="ask")(short)
        with Workflow("w", "team"):
            task(id="ask")(one)

    async with Runner(store, registry=registry, clock=clock) as runner:
        runs = [await runner.start.aio("w") for _ in range(2)]
        timed = await runner.start.aio("short")
        team = await runner.start.aio("w", namespace="team")
        for run, name in ((runs[0], "go"), (runs[1], "go"), (timed, "short"), (team, "go")):
            await asked(name, run.name)
        before = {each.run_name async for each in runner.waiting_events.aio()}
        named = {each.run_name async for each in runner.waiting_events.aio("go")}
        of_team = [each.run_name async for each in runner.waiting_events.aio(namespace="team")]
        await (await asked("go", runs[0].name)).signal.aio(1)
        await clock.advance_to(clock.now().replace(year=clock.now().year + 1))
        after = [each.run_name async for each in runner.waiting_events.aio(limit=1)]

    assert before == {*(run.name for run in runs), timed.name, team.name}
    assert named == before - {timed.name}
    assert of_team == [team.name]
    assert set(after) == {runs[1].name, team.name}


async def test_a_client_of_the_same_file_sees_the_same(url: str) -> None:
    async with Runner(url, registry=asks(one)) as runner, Client(url, registry=Registry()) as asker:
        run = await runner.start.aio("w")
        while (mine := await runner.event.aio("go", run.name)) is None:
            pass
        theirs = await asker.event.aio("go", run.name)
        listed = [event async for event in asker.events.aio(run.name)]

    assert theirs == mine
    assert listed == [mine]
    assert mine.to_dict() == listed[0].to_dict()
