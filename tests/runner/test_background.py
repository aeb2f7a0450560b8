"""However much waits to be taken over, a runner works at once, and loses nothing of it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asyncflow import Client, Registry, Runner, TaskAction, VirtualClock, Workflow, task
from asyncflow._client.event_calls import event_letter
from asyncflow._client.executions import new_execution
from asyncflow._core.plan import Plan
from asyncflow._core.state import Head
from asyncflow._model.record import EventRecord
from asyncflow._runner.ownership import AT_LEAST, AT_ONCE
from asyncflow._store.batch import Batch, ExecutionWrite, Letter
from asyncflow._store.sqlite.store import SqliteStore
from tests.runner.scene import forever, rows, until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def declared(begun: list[str]) -> Registry:
    """Declare a workflow that waits for ever once it has begun, and one that is done at once."""
    registry = Registry()
    with registry, Workflow("waits"):

        @task()
        async def waits() -> None:
            begun.append("waits")
            await forever()

    with registry, Workflow("quick"):

        @task()
        async def quick() -> None: ...

    return registry


def listening(*keys: str) -> Registry:
    """Declare a workflow with a task for each key."""
    registry = Registry()
    with registry, Workflow("hears"):
        for key in keys:

            @task(id=key)
            async def hears() -> None: ...

            hears.action_on_event_received(TaskAction.START, key)
    return registry


async def leave(
    path: Path, registry: Registry, number: int, letters: Iterable[Letter] = ()
) -> Sequence[int | object]:
    """Store executions that nobody owns, and letters."""
    plan = Plan.of(registry.workflows()[0])
    new = (new_execution(plan, f"e{each}", NOW) for each in range(number))
    store = SqliteStore(path)
    await store.open()
    try:
        receipt = await store.commit(
            Batch(executions=tuple(ExecutionWrite(x, Head()) for x in new))
        )
        await store.append(tuple(letters))
    finally:
        await store.close()
    return receipt.ids


def said(key: str, execution: int | None = None) -> Letter:
    """Return the letter of an event."""
    return event_letter(EventRecord(None, key, "null", "default", None, NOW, None, execution))


def count(path: Path, status: str) -> int:
    """Count task executions by the database alone."""
    ((number,),) = rows(path, f"SELECT count(*) FROM task_execution WHERE status = '{status}'")
    assert isinstance(number, int)
    return number


async def test_new_work_is_done_while_most_waits_and_a_virtual_clock_lets_all_of_it_begin(
    path: Path,
) -> None:
    begun, clock = list[str](), VirtualClock()
    registry = declared(begun)
    await leave(path, registry, 3 * AT_ONCE)
    async with Runner(path, registry=registry, clock=clock, grace=0) as runner:
        at_first = len(begun)
        done = await runner.execute.aio("quick")
        meanwhile = len(begun)
        await clock.settle()
        at_last = len(begun)

    assert done.status == "SUCCESS"
    assert at_first <= AT_ONCE
    assert meanwhile < 3 * AT_ONCE
    assert at_last == 3 * AT_ONCE


async def test_an_execution_with_a_letter_goes_on_before_those_that_are_older(path: Path) -> None:
    begun, number = list[str](), 6 * AT_ONCE
    registry = declared(begun)
    await leave(path, registry, number)
    async with Client(path, registry=registry) as client:
        await client.stop.aio(f"e{number - 1}")
        async with Runner(path, registry=registry, grace=0) as runner:
            stopped = [await stopped_after(path, number - 1, begun)]
            await client.stop.aio(f"e{number - 2}")
            stopped.append(await stopped_after(path, number - 2, begun))
            await runner.stop.aio(f"e{number - 3}")
            stopped.append(await stopped_after(path, number - 3, begun))

    assert max(stopped) < number - 3


async def stopped_after(path: Path, number: int, begun: list[str]) -> int:
    """Return how many had begun when an execution was stopped."""
    sql = f"SELECT 1 FROM execution WHERE status = 'STOPPED' AND name = 'e{number}'"
    await until(lambda: bool(rows(path, sql)))
    return len(begun)


@pytest.mark.parametrize("others", [0, 1])
async def test_a_broadcast_is_heard_by_those_that_were_still_to_be_taken_over(
    others: int, path: Path
) -> None:
    registry = listening("said")
    await leave(path, registry, 3 * AT_ONCE)
    async with Runner(path, registry=registry, clock=VirtualClock()) as runner:
        if others:
            async with Runner(path, registry=Registry(), clock=VirtualClock()):
                await runner.send_event.aio("said")
        else:
            await runner.send_event.aio("said")
        await until(lambda: count(path, "SUCCESS") == 3 * AT_ONCE)

    assert rows(path, "SELECT DISTINCT status FROM execution") == [("SUCCESS",)]


async def test_a_letter_to_one_comes_before_a_later_broadcast_also_where_it_was_not_there_yet(
    path: Path,
) -> None:
    registry, number = listening("one", "all"), AT_ONCE + 100
    ids = await leave(path, registry, number)
    assert all(isinstance(each, int) for each in ids)
    letters = [said("one", each) for each in ids if isinstance(each, int)]
    store = SqliteStore(path)
    await store.open()
    await store.append([*letters, said("all")])
    await store.close()
    async with Runner(path, registry=registry, clock=VirtualClock()):
        await until(lambda: not rows(path, "SELECT id FROM inbox"))
        await until(lambda: count(path, "SUCCESS") == 2 * number)

    assert rows(path, "SELECT DISTINCT status FROM execution") == [("SUCCESS",)]


async def test_calls_in_between_take_over_nothing_twice_and_not_all_at_once(path: Path) -> None:
    begun, waiting, number = list[str](), list[int](), 6 * AT_ONCE
    registry = declared(begun)
    await leave(path, registry, number)
    async with (
        Client(path, registry=registry) as client,
        Runner(path, registry=registry, grace=0) as runner,
    ):
        while len(begun) < number:
            await client.send_event.aio("said")
            waiting.append(runner._working_engine.ownership._recovery.waiting)
        owned = rows(path, "SELECT count(*) FROM execution WHERE owner IS NOT NULL")

    assert len(begun) == number
    assert owned == [(number,)]
    assert max(waiting) <= 2 * AT_ONCE + AT_LEAST


async def test_closing_does_not_wait_for_what_was_not_taken_over(path: Path) -> None:
    begun = list[str]()
    registry = declared(begun)
    await leave(path, registry, 6 * AT_ONCE)
    async with Runner(path, registry=registry, grace=0):
        pass
    left = rows(path, "SELECT count(*) FROM execution WHERE owner IS NULL")

    assert len(begun) <= 3 * AT_ONCE
    assert left == [(6 * AT_ONCE,)]


async def test_what_no_runner_knows_is_parked_also_where_there_is_much_of_it(path: Path) -> None:
    clock = VirtualClock()
    await leave(path, declared([]), 3 * AT_ONCE)
    async with Runner(path, registry=Registry(), clock=clock):
        await clock.settle()
        parked = rows(path, "SELECT count(*) FROM execution WHERE parked_reason IS NOT NULL")

    assert parked == [(3 * AT_ONCE,)]
