"""SEMANTICS 16: which event a task finds: its identity through crashes, retries and restarts."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    Event,
    EventAlreadyExistsError,
    EventClosedError,
    EventPhase,
    Registry,
    Runner,
    TaskStatus,
    UsageError,
    Workflow,
    new_event,
    task,
)
from tests.runner.asking import asked, asks, phases
from tests.runner.scene import forever, rows, until

HOUR = timedelta(hours=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


# --- waiting, and the answer ---


async def test_wait_returns_the_payload_and_again_if_called_again(store: str) -> None:
    async def body(_: Context) -> list[object]:
        event = await new_event.aio("go", data_type=int)
        first = await event.wait.aio()
        return [first, await event.wait.aio(), await (await event.refresh.aio()).wait.aio()]

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).signal.aio(7)
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == [7, 7, 7]


async def test_an_event_of_defaults_asks_to_approve_with_a_bool() -> None:
    async def body(_: Context) -> None:
        await new_event.aio("go")
        await forever()

    async with Runner(":memory:", registry=asks(body), grace=0) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)

    assert (event.prompt, event.prompt_type, event.expected_type) == ("Approve?", "text", bool)
    assert (event.description, event.deadline, event.comment) == ("", None, None)
    assert (event.task_name, event.action_name) == ("ask", "ask-1-event-go-1")


async def test_outside_a_task_it_is_a_usage_error() -> None:
    async with Runner(":memory:", registry=Registry()):
        with pytest.raises(UsageError, match=r"new_event\('go'\) works only inside a task"):
            await new_event.aio("go")


def test_outside_a_task_it_is_a_usage_error_in_the_blocking_form() -> None:
    with Runner(":memory:", registry=Registry()), pytest.raises(UsageError, match="inside a task"):
        new_event("go")


# --- identity ---


async def test_after_a_crash_the_task_finds_its_event_and_the_wait_goes_on(
    url: str, path: Path
) -> None:
    tries: list[tuple[int, str]] = []

    async def body(context: Context) -> bool:
        event = await new_event.aio("go")
        tries.append((context.try_number, event.action_name))
        return await event.wait.aio()

    registry = asks(body)
    async with Runner(url, registry=registry) as runner:
        run = await runner.start.aio("w")
        await asked("go", run.name)
    left = rows(path, "SELECT count(*) FROM awaited_event WHERE phase = 'RUNNING'")
    async with Runner(url, registry=registry) as runner:
        await until(lambda: len(tries) == 2)
        await (await asked("go", run.name)).signal.aio(True)
        (ask,) = await (await runner.wait.aio(run.name)).task_executions.aio()
        shown = await phases(run.name)

    assert left == [(1,)]
    assert tries == [(1, "ask-1-event-go-1"), (2, "ask-1-event-go-1")]
    assert ask.result is True
    assert shown == [("ask-1-event-go-1", "SUCCEEDED")]


async def test_signalled_while_no_runner_is_up_the_next_attempt_returns_at_once(url: str) -> None:
    found: list[EventPhase] = []

    async def body(_: Context) -> bool:
        event = await new_event.aio("go")
        found.append(event.phase)
        return await event.wait.aio()

    registry = asks(body)
    async with Runner(url, registry=registry) as runner:
        run = await runner.start.aio("w")
        event = await asked("go", run.name)
    from_outside = Runner(url, registry=Registry())
    async with from_outside as other:
        again = await other.event.aio("go", run.name)
        assert again is not None
        await again.signal.aio(True)
    async with Runner(url, registry=registry) as runner:
        (ask,) = await (await runner.wait.aio(run.name)).task_executions.aio()

    assert event.phase is EventPhase.RUNNING
    assert found == [EventPhase.RUNNING, EventPhase.SUCCEEDED]
    assert ask.result is True


async def test_a_retry_finds_what_was_signalled_and_what_still_waits(store: str) -> None:
    async def body(context: Context) -> list[bool]:
        first = await new_event.aio("first")
        answers = [await first.wait.aio()]
        second = await new_event.aio("second")
        if context.try_number == 1:
            raise ConnectionError("no route")
        return [*answers, await second.wait.aio()]

    async with Runner(store, registry=asks(body, retries=1, retry_delay=0)) as runner:
        run = await runner.start.aio("w")
        await (await asked("first", run.name)).signal.aio(True)
        await (await asked("second", run.name)).signal.aio(False)
        (ask,) = await (await run.wait.aio()).task_executions.aio()
        shown = await phases(run.name)

    assert (ask.try_number, ask.result) == (2, [True, False])
    assert shown == [("ask-1-event-first-1", "SUCCEEDED"), ("ask-1-event-second-1", "SUCCEEDED")]


async def test_a_restart_does_not_find_it(store: str) -> None:
    async def body(_: Context) -> int:
        return await (await new_event.aio("go", data_type=int)).wait.aio()

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        first = await asked("go", run.name)
        await run.restart_task.aio("ask")
        second = await asked("go", run.name, "ask-2")
        with pytest.raises(EventClosedError, match="ABORTED"):
            await first.signal.aio(1)
        await second.signal.aio(2)
        runs = await (await run.wait.aio()).task_executions.aio()
        shown = await phases(run.name)

    assert [(each.status, each.result) for each in runs] == [
        (TaskStatus.STOPPED, None),
        (TaskStatus.SUCCESS, 2),
    ]
    assert shown == [("ask-1-event-go-1", "ABORTED"), ("ask-2-event-go-1", "SUCCEEDED")]


async def test_a_restart_after_the_answer_asks_again(store: str) -> None:
    async def body(_: Context) -> int:
        return await (await new_event.aio("go", data_type=int)).wait.aio()

    with Registry() as registry, Workflow("w"):
        task(id="ask")(body)

        @task()
        async def holds() -> None:
            await forever()

    async with Runner(store, registry=registry) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).signal.aio(1)
        await run.restart_task.aio("ask")
        await (await asked("go", run.name, "ask-2")).signal.aio(2)
        await run.stop_task.aio("holds")
        runs = await (await run.wait.aio()).task_executions.aio()

    results = {each.sequence_number: each.result for each in runs if each.task_name == "ask"}
    assert results[2] == 2


async def test_the_n_th_call_in_an_attempt_is_an_event_of_its_own(url: str) -> None:
    async def body(_: Context) -> list[int]:
        answers: list[int] = []
        for _call in range(3):
            event = await new_event.aio("go", data_type=int)
            answers.append(await event.wait.aio())
        return answers

    registry = asks(body)
    async with Runner(url, registry=registry) as runner:
        run = await runner.start.aio("w")
        for answer in (1, 2):
            await (await asked("go", run.name)).signal.aio(answer)
        while (await asked("go", run.name)).action_name != "ask-1-event-go-3":
            pass
    async with Runner(url, registry=registry) as runner:
        await (await asked("go", run.name)).signal.aio(3)
        (ask,) = await (await runner.wait.aio(run.name)).task_executions.aio()
        shown = await phases(run.name)

    assert ask.result == [1, 2, 3]
    assert shown == [(f"ask-1-event-go-{n}", "SUCCEEDED") for n in (1, 2, 3)]


async def test_the_same_name_twice_while_it_waits_is_refused(store: str) -> None:
    async def body(_: Context) -> list[str]:
        await new_event.aio("go")
        with pytest.raises(EventAlreadyExistsError, match=r"'ask'.*'go' already"):
            await new_event.aio("go", data_type=int)
        other = await new_event.aio("other")
        return [other.action_name]

    async with Runner(store, registry=asks(body)) as runner:
        done = await runner.execute.aio("w")
        (ask,) = await done.task_executions.aio()
        shown = await phases(done.name)

    assert ask.result == ["ask-1-event-other-1"]
    assert shown == [("ask-1-event-go-1", "ABORTED"), ("ask-1-event-other-1", "ABORTED")]


async def test_of_two_of_one_name_at_once_one_is_refused_and_the_other_waits(store: str) -> None:
    async def body(_: Context) -> list[str]:
        made = await asyncio.gather(
            *(new_event.aio("go") for _ in range(2)), return_exceptions=True
        )
        (event,) = (each for each in made if isinstance(each, Event))
        await event.wait.aio()
        again = await new_event.aio("go")  # the refused call does not count
        return [*sorted(type(each).__name__ for each in made), again.action_name]

    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        await (await asked("go", run.name)).signal.aio(True)
        (ask,) = await (await run.wait.aio()).task_executions.aio()

    assert ask.result == ["Event", "EventAlreadyExistsError", "ask-1-event-go-2"]


async def test_two_tasks_and_two_executions_may_wait_for_one_name(store: str) -> None:
    registry = Registry()
    with registry, Workflow("w"):
        for name in ("a", "b"):

            @task(id=name)
            async def ask() -> str:
                return await (await new_event.aio("go", data_type=str)).wait.aio()

    async with Runner(store, registry=registry) as runner:
        runs = [await runner.start.aio("w") for _ in range(2)]
        for number, run in enumerate(runs):
            for name in ("a", "b"):
                await (await asked("go", run.name, name)).signal.aio(f"{name}{number}")
        answers = [
            [each.result for each in await (await run.wait.aio()).task_executions.aio()]
            for run in runs
        ]

    assert answers == [["a0", "b0"], ["a1", "b1"]]
