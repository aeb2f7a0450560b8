"""Duties that a runner gives back, or comes to while what they are about is changed."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from asyncflow import (
    Context,
    Registry,
    Runner,
    SingleEventCondition,
    Workflow,
    WorkflowRule,
    task,
    trigger,
)
from asyncflow._model.record import EventRecord
from asyncflow._store.queries import Query, Runners, Schedules
from tests.runner.scene import rows, turns, until

T = TypeVar("T")

EPOCHS = "SELECT id FROM runner ORDER BY epoch"
GO = WorkflowRule(SingleEventCondition("go"))
HELD = "SELECT kind, name, runner FROM duty ORDER BY kind, name"


def ticking(log: list[str], *names: str) -> Registry:
    """Declare workflows that note that they were started."""
    with Registry() as registry:
        for name in names:
            with Workflow(name):

                @task()
                async def works(context: Context) -> None:
                    log.append(context.execution_name.rpartition("-")[0])

    return registry


async def test_a_schedule_that_is_enabled_ticks_where_it_was_disabled_at_the_takeover(
    url: str, path: Path
) -> None:
    log: list[str] = []
    async with (
        Runner(url, registry=ticking(log, "w"), grace=0) as first,
        Runner(url, registry=ticking(log, "w"), grace=0) as second,
    ):
        await first.register_schedule.aio("w", "20ms", name="s")
        await first.disable_schedule.aio("s")
        await until(lambda: not second._working_engine.timekeeper._schedules)
        await first.shutdown.aio()
        await until(lambda: len(rows(path, EPOCHS)) == 1)
        await second._working_engine.ownership.look()
        log.clear()
        await second.enable_schedule.aio("s")
        await until(lambda: len(log) > 1)


async def test_a_name_is_free_for_another_runner_s_schedule_once_it_is_deleted(url: str) -> None:
    log: list[str] = []
    async with (
        Runner(url, registry=ticking(log, "w"), grace=0) as first,
        Runner(url, registry=ticking(log, "v"), grace=0) as second,
    ):
        await first.register_schedule.aio("w", "1h", name="nightly")
        await first.delete_schedule.aio("nightly")
        await second.register_schedule.aio("v", "20ms", name="nightly")
        await until(lambda: len(log) > 1)

    assert set(log) == {"v"}


async def test_a_schedule_that_others_replaced_is_left_to_those_who_know_its_workflow(
    url: str,
) -> None:
    log: list[str] = []
    async with (
        Runner(url, registry=ticking(log, "w"), grace=0) as first,
        Runner(url, registry=ticking(log, "v"), grace=0) as second,
    ):
        await first.register_schedule.aio("w", "1h", name="nightly")
        await second.delete_schedule.aio("nightly")
        await second.register_schedule.aio("v", "20ms", name="nightly")
        await until(lambda: len(log) > 1)


async def test_who_deletes_its_last_rule_leaves_the_workflow_to_rules_of_others(
    url: str, path: Path
) -> None:
    log: list[str] = []
    registry = ticking(log, "started")
    async with (
        Runner(url, registry=registry, grace=0) as first,
        Runner(url, registry=registry, grace=0) as second,
    ):
        (_, (later,)) = rows(path, EPOCHS)
        await first.add_workflow_rule.aio("started", GO, name="one")
        await first.delete_workflow_rule.aio("started", "one")
        await second.add_workflow_rule.aio("started", GO, name="two")
        held = rows(path, HELD)
        await second.send_event.aio("go")
        await until(lambda: log == ["started"])

    assert held == [("RULES", "started", later)]


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql)


def once_after(
    monkeypatch: pytest.MonkeyPatch,
    runner: Runner,
    asked: Callable[[Query[Any]], bool],
    meanwhile: Callable[[], Awaitable[None]],
) -> list[object]:
    """Let the first such answer of the store be late: this happens first."""
    read, late = runner._store.read, list[object]()

    async def reading(query: Query[T]) -> T:
        found = await read(query)
        if asked(query) and not late:
            late.append(found)
            await meanwhile()
        return found

    monkeypatch.setattr(runner._store, "read", reading)
    return late


async def test_a_schedule_that_is_changed_while_its_runner_comes_on_duty_ticks(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    async with Runner(url, registry=ticking(log, "w"), grace=0) as runner:
        changing: list[asyncio.Task[object]] = []

        async def change() -> None:
            changed = runner.update_schedule.aio("s", context={"k": 1})
            changing.append(asyncio.ensure_future(changed))
            await turns(3000)

        def asked(query: Query[Any]) -> bool:
            return isinstance(query, Schedules) and query.name is None

        late = once_after(monkeypatch, runner, asked, change)
        await runner.register_schedule.aio("w", "20ms", name="s")
        await asyncio.gather(*changing)
        log.clear()
        await until(lambda: len(log) > 1)

    assert late


async def test_a_trigger_that_is_declared_anew_while_its_runner_comes_on_duty_is_polled(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls: list[int] = []
    registry = ticking([], "w")

    def declare(version: int) -> None:
        with registry:

            @trigger(workflow="w", name="polled", poll_interval="10ms")
            def polled() -> bool:
                polls.append(version)
                return False

    declare(1)
    async with (
        Runner(url, registry=registry, grace=0) as first,
        Runner(url, registry=registry, grace=0) as second,
    ):
        await second.register_schedule.aio("w", "1h", name="s")
        pollers = second._working_engine.pollers
        old = pollers._pollers["default", "polled"]

        async def redeclare() -> None:
            declare(2)
            await until(lambda: pollers._pollers["default", "polled"] is not old)

        def asked(query: Query[Any]) -> bool:
            return isinstance(query, Schedules) and old.on_duty

        late = once_after(monkeypatch, second, asked, redeclare)
        await first.register_schedule.aio("w", "1h", name="other")
        await until(lambda: len(second._working_engine.timekeeper._schedules) == 2)
        await first.shutdown.aio()
        await until(lambda: polls[-1] == 2)

    assert late


async def test_a_runner_that_counts_a_beat_meanwhile_hears_of_an_event_by_letter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Runner(path, registry=ticking([], "w"), grace=0, lease="1h") as runner:
        store, ownership = runner._store, runner._working_engine.ownership
        (own,) = await store.read(Runners())
        await store.register(replace(own, id="gone by its process number", process="another"))
        event = EventRecord(None, "go", "null", "default", None, own.since)
        looks: list[object] = []

        async def beat() -> None:
            execute(path, "UPDATE runner SET beat = beat + 1 WHERE process = 'another'")

        def asked(query: Query[Any]) -> bool:
            looks.extend([query] if isinstance(query, Runners) else [])
            return len(looks) > 1

        once_after(monkeypatch, runner, asked, beat)
        found = await ownership.others(event)
        later = await ownership.others(event)

    assert (found, later) == (True, False)
