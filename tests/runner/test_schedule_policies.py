"""Which missed ticks run, what a tick does while an earlier one's execution runs, and history."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Unpack

import pytest

from asyncflow import Client, Runner, VirtualClock, WorkflowStatus
from asyncflow._client.schedule_views import ScheduleTick
from asyncflow._failpoint import armed
from tests.runner.scene import until
from tests.runner.ticking import (
    BREATH,
    DISABLED,
    HOUR,
    MINUTE,
    MISSED,
    OVERLAPS,
    SECOND,
    START,
    Held,
    Policy,
    after,
    answered,
    became,
    iso,
    noting,
)

ALL: Final[Policy] = {"catchup": "all"}


# --- catch-up ---


def dropped(*minutes: int) -> list[tuple[float, str]]:
    return [(each, MISSED) for each in minutes]


def ran(*minutes: int) -> list[tuple[float, str]]:
    return [(each, "SUCCESS") for each in minutes]


@pytest.mark.parametrize(
    ("policy", "wakes", "expected"),
    [
        ({}, 78, [*dropped(10, 20, 30, 40, 50, 60), *ran(70)]),
        ({"catchup": "none"}, 78, dropped(10, 20, 30, 40, 50, 60, 70)),
        ({"catchup": "none"}, 80, [*dropped(10, 20, 30, 40, 50, 60, 70), *ran(80)]),
        (ALL, 78, ran(10, 20, 30, 40, 50, 60, 70)),
        ({**ALL, "overlap": "allow"}, 78, ran(10, 20, 30, 40, 50, 60, 70)),
        ({**ALL, "overlap": "restart"}, 78, ran(10, 20, 30, 40, 50, 60, 70)),
        ({**ALL, "max_catchup": 3}, 78, [*dropped(10, 20, 30, 40), *ran(50, 60, 70)]),
        ({}, 9, []),
    ],
)
async def test_after_78_minutes_of_sleep_the_catch_up_policy_decides(
    url: str, policy: Policy, wakes: int, expected: list[tuple[float, str]]
) -> None:
    log: list[str] = []
    registry = noting(log)
    async with Runner(url, registry=registry, clock=VirtualClock(START)) as runner:
        await runner.register_schedule.aio("w", "*/10 * * * *", **policy)
    clock = VirtualClock(START + wakes * MINUTE + 5 * SECOND)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await answered(runner, clock, "w", len(expected))
        lines = await became(runner, "w")
        counts = await runner.get_schedule_statistics.aio("w")
        late = [line async for line in runner.executions.aio()]

    assert lines == expected
    runs = [START + each * MINUTE for each, what in expected if what == "SUCCESS"]
    # Those that may run beside each other begin in order all the same.
    assert log == iso(runs)
    assert (counts["ticks"], counts["succeeded"]) == (len(expected), len(runs))
    assert counts["dropped"] == len(expected) - len(runs)
    assert len(late) == len(runs)


async def test_the_next_tick_after_a_catch_up_is_on_time(url: str) -> None:
    log: list[str] = []
    registry = noting(log)
    async with Client(url, registry=registry, clock=VirtualClock(START)) as client:
        await client.register_schedule.aio("w", "10s")
    clock = VirtualClock(START + 35 * SECOND)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await clock.advance(5 * SECOND)
        await clock.settle()
        lines = await became(runner, "w", SECOND)

    assert log == iso([START + 30 * SECOND, START + 40 * SECOND])
    assert lines == [(10, MISSED), (20, MISSED), (30, "SUCCESS"), (40, "SUCCESS")]


async def test_of_very_many_missed_ticks_the_oldest_share_a_line(url: str) -> None:
    registry = noting([])
    async with Client(url, registry=registry, clock=VirtualClock(START)) as client:
        await client.register_schedule.aio("w", "1s")
    clock = VirtualClock(START + 30 * 24 * HOUR)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await answered(runner, clock, "w", 1002)
        lines = await runner.get_schedule_history.aio("w", None)

    days = 30 * 24 * 3600
    assert len(lines) == 1002
    newest, oldest = lines[0], lines[-1]
    assert newest["status"] is WorkflowStatus.SUCCESS
    assert newest["scheduled_time"] == START + days * SECOND
    assert (oldest["scheduled_time"], oldest["until"]) == (
        START + SECOND,
        START + (days - 1001) * SECOND,
    )


async def test_what_a_disabled_workflow_misses_is_dropped_and_later_ticks_run() -> None:
    log: list[str] = []
    clock = VirtualClock(START)
    async with Runner(":memory:", registry=noting(log), clock=clock) as runner:
        await runner.register_schedule.aio("w", "1h", **ALL)
        await runner.disable_workflow.aio("w")
        await clock.advance(2 * HOUR)
        await runner.enable_workflow.aio("w")
        await clock.advance(HOUR)
        lines = await became(runner, "w", HOUR)

    assert lines == [(1, DISABLED), (2, DISABLED), (3, "SUCCESS")]
    assert log == iso([START + 3 * HOUR])


# --- overlap ---


@asynccontextmanager
async def hourly(
    held: Held, **policy: Unpack[Policy]
) -> AsyncGenerator[tuple[Runner, VirtualClock]]:
    clock = VirtualClock(START)
    async with Runner(":memory:", registry=held.registry, clock=clock) as runner:
        await runner.register_schedule.aio("w", "1h", **policy)
        yield runner, clock
        held.seen = tuple(held.log)  # what ends because its runner closes answers nothing
        held.released.set()


async def test_a_tick_is_dropped_while_an_earlier_one_runs() -> None:
    held = Held()
    async with hourly(held) as (runner, clock):
        await clock.advance(3 * HOUR)
        running = await runner.get_schedule_statistics.aio("w")
        held.released.set()
        await clock.advance(HOUR)
        lines = await became(runner, "w", HOUR)

    assert list(held.seen) == ["begin 01:00", "end 01:00", "begin 04:00", "end 04:00"]
    assert lines == [(1, "SUCCESS"), (2, OVERLAPS), (3, OVERLAPS), (4, "SUCCESS")]
    assert (running["running"], running["started"], running["dropped"]) == (1, 1, 2)


async def test_executions_of_a_schedule_that_allows_it_run_beside_each_other() -> None:
    held = Held()
    async with hourly(held, overlap="allow") as (runner, clock):
        await clock.advance(3 * HOUR)
        lines = await became(runner, "w", HOUR)

    assert list(held.seen) == ["begin 01:00", "begin 02:00", "begin 03:00"]
    assert lines == [(1, "RUNNING"), (2, "RUNNING"), (3, "RUNNING")]


async def test_a_tick_that_restarts_waits_until_the_earlier_one_is_stopped() -> None:
    held = Held()
    async with hourly(held, overlap="restart") as (runner, clock):
        await clock.advance(3 * HOUR)
        held.released.set()
        await clock.advance(BREATH)
        lines = await runner.get_schedule_history.aio("w")

    assert list(held.seen) == [
        *("begin 01:00", "stop 01:00"),
        *("begin 02:00", "stop 02:00"),
        *("begin 03:00", "end 03:00"),
    ]
    statuses = [each["status"] for each in reversed(lines)]
    assert statuses == [WorkflowStatus.STOPPED, WorkflowStatus.STOPPED, WorkflowStatus.SUCCESS]


async def test_executions_that_others_started_are_in_nobodys_way() -> None:
    held = Held()
    async with hourly(held) as (runner, clock):
        await runner.register_schedule.aio("w", "1h", name="other", overlap="restart")
        await runner.start.aio("w", {"scheduled_time": "2026-03-02T00:00"})
        await clock.advance(HOUR)

    assert sorted(held.seen) == ["begin 00:00", "begin 01:00", "begin 01:00"]


async def test_ticks_that_are_all_to_run_wait_for_each_other() -> None:
    held = Held()
    async with hourly(held, **ALL) as (runner, clock):
        await clock.advance(3 * HOUR)
        before = await became(runner, "w", HOUR)
        held.released.set()
        await clock.advance(MINUTE)
        lines = await became(runner, "w", HOUR)

    assert before == [(1, "RUNNING")]
    assert lines == [(1, "SUCCESS"), (2, "SUCCESS"), (3, "SUCCESS")]
    names = ("01:00", "02:00", "03:00")
    assert list(held.seen) == [f"{verb} {name}" for name in names for verb in ("begin", "end")]


async def test_of_ticks_that_wait_for_each_other_too_many_are_dropped() -> None:
    held = Held()
    async with hourly(held, catchup="all", max_catchup=2) as (runner, clock):
        await clock.advance(6 * HOUR)
        held.released.set()
        await clock.advance(MINUTE)
        lines = await became(runner, "w", HOUR)

    # The second one waited already when the others came.
    assert lines == [
        *((1, "SUCCESS"), (2, "SUCCESS")),
        *((3, MISSED), (4, MISSED), (5, "SUCCESS"), (6, "SUCCESS")),
    ]


async def test_a_schedule_that_is_made_anew_does_not_wait_for_its_predecessor() -> None:
    held = Held()
    async with hourly(held, overlap="restart") as (runner, clock):
        await clock.advance(HOUR)
        await runner.delete_schedule.aio("w")
        await runner.register_schedule.aio("w", "1h", overlap="restart")
        with armed() as passes:
            await clock.advance(HOUR)
        lines = await became(runner, "w", HOUR)

    assert list(held.seen) == ["begin 01:00", "begin 02:00"]
    assert lines == [(2, "RUNNING")]
    assert passes["store.commit.before"] < 10


async def test_an_execution_that_began_hundreds_of_ticks_ago_is_stopped_all_the_same() -> None:
    held = Held()
    async with hourly(held) as (runner, clock):
        await clock.advance(250 * HOUR)
        await runner.update_schedule.aio("w", overlap="restart")
        await clock.advance(HOUR)
        lines = await became(runner, "w", HOUR)

    assert list(held.seen) == ["begin 01:00", "stop 01:00", "begin 11:00"]
    assert lines[0] == (1, "STOPPED")
    assert lines[-1] == (251, "RUNNING")


async def test_a_policy_that_changes_while_a_tick_waits_is_followed() -> None:
    held = Held()
    async with hourly(held, **ALL) as (runner, clock):
        await clock.advance(3 * HOUR)
        await runner.update_schedule.aio("w", catchup="one", overlap="restart")
        await clock.advance(MINUTE)
        lines = await became(runner, "w", HOUR)

    assert list(held.seen) == ["begin 01:00", "stop 01:00", "begin 03:00"]
    assert lines == [(1, "STOPPED"), (2, MISSED), (3, "RUNNING")]


@pytest.mark.parametrize("change", ["disable", "delete"])
async def test_a_tick_that_waits_starts_nothing_when_its_schedule_is_gone(change: str) -> None:
    held = Held()
    async with hourly(held, **ALL) as (runner, clock):
        await clock.advance(2 * HOUR)
        if change == "disable":
            await runner.disable_schedule.aio("w")
        else:
            await runner.delete_schedule.aio("w")
        held.released.set()
        await clock.advance(3 * HOUR)

    assert list(held.seen) == ["begin 01:00", "end 01:00"]


# --- closing ---


async def ticks(runner: Runner) -> list[ScheduleTick]:
    return await runner.get_schedule_history.aio("w", None)


@pytest.mark.parametrize("policy", [{"overlap": "restart"}, ALL])
async def test_a_tick_that_waits_when_its_runner_closes_is_answered_by_the_next_one(
    url: str, policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    clock = VirtualClock(START)
    runner = Runner(url, registry=held.registry, clock=clock, grace=0)
    async with runner:
        await runner.register_schedule.aio("w", "2s", **policy)
        await clock.advance(2 * SECOND)
        await until(lambda: held.log == ["begin 00:00"])
        # The stop is asked for, or the end awaited, when time has come and all is at rest.
        await clock.advance(2 * SECOND)
        before = asyncio.all_tasks()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    warned = [each.getMessage() for each in caplog.records]
    held.released.set()
    second = VirtualClock(START + 5 * SECOND)
    async with Runner(url, registry=held.registry, clock=second) as again:
        await answered(again, second, "w", 2)
        lines = list(reversed(await ticks(again)))

    assert left <= before
    assert all("tasks still run" in each for each in warned)
    assert not [task for task in left if "Timekeeper" in repr(task)]
    assert [each["scheduled_time"] for each in lines] == after(2, 2 * SECOND)
    assert all(each["dropped"] is None for each in lines)
    assert lines[1]["status"] is WorkflowStatus.SUCCESS


async def test_a_closed_runner_answers_no_tick_and_forgets_none(url: str) -> None:
    log: list[str] = []
    clock = VirtualClock(START)
    registry = noting(log)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await runner.register_schedule.aio("w", "1s", **ALL)
        await clock.advance(SECOND)
    await clock.advance(2 * SECOND)
    before = list(log)
    async with Runner(url, registry=registry, clock=clock) as runner:
        await answered(runner, clock, "w", 3)

    assert before == iso(after(1, SECOND))
    assert log == iso(after(3, SECOND))


# --- a store that fails ---


@pytest.mark.parametrize("point", ["store.commit.before", "store.commit.after"])
@pytest.mark.parametrize("failing", range(1, 7))
async def test_a_store_that_fails_loses_no_tick_and_doubles_none(
    url: str, point: str, failing: int
) -> None:
    log: list[str] = []
    clock = VirtualClock(START)
    async with Runner(url, registry=noting(log), clock=clock) as runner:
        await runner.register_schedule.aio("w", "10s", catchup="all", overlap="allow")
        with armed(f"{point}:{failing}:raise") as passes:
            await clock.advance(32 * SECOND)
            await answered(runner, clock, "w", 3)
        lines = await became(runner, "w", timedelta(seconds=10))
        executions = [each.name async for each in runner.executions.aio()]

    assert passes[point] >= failing
    assert sorted(set(log)) == iso(after(3, 10 * SECOND))
    assert lines == [(1, "SUCCESS"), (2, "SUCCESS"), (3, "SUCCESS")]
    assert len(executions) == 3


async def test_a_store_that_cannot_note_a_dropped_tick_notes_it_later(url: str) -> None:
    held = Held()
    clock = VirtualClock(START)
    async with Runner(url, registry=held.registry, clock=clock, grace=0) as runner:
        await runner.register_schedule.aio("w", "10s")
        await clock.advance(11 * SECOND)
        await until(lambda: len(held.log) == 1)
        with armed("store.commit.before:1:raise,store.commit.before:2:raise"):
            await clock.advance(9 * SECOND)
            while len(await ticks(runner)) < 2:
                await clock.advance(BREATH)
        await clock.advance_to(START + 30 * SECOND)
        while len(await ticks(runner)) < 3:
            await clock.advance(BREATH)
        lines = await became(runner, "w", timedelta(seconds=10))

    assert lines == [(1, "RUNNING"), (2, OVERLAPS), (3, OVERLAPS)]


async def test_a_runner_closes_at_once_while_a_tick_waits_for_the_store() -> None:
    log: list[str] = []
    clock = VirtualClock(START)
    async with Runner(":memory:", registry=noting(log), clock=clock) as runner:
        await runner.register_schedule.aio("w", "10s")
        with armed("store.commit.before:1:raise"):
            await clock.advance(10.2 * SECOND)
        before = clock.next_deadline()

    assert log == []
    assert before == START + 11 * SECOND
    assert clock.next_deadline() is None


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, [(1, "RUNNING"), (2, OVERLAPS)]),
        (ALL, [(1, "RUNNING"), (2, OVERLAPS)]),
        ({"overlap": "restart"}, [(1, "STOPPED"), (2, "SUCCESS")]),
    ],
)
async def test_a_parked_execution_is_in_the_way_but_for_a_restart(
    url: str, policy: Policy, expected: list[tuple[float, str]]
) -> None:
    held, log = Held(), list[str]()
    clock = VirtualClock(START)
    async with Runner(url, registry=held.registry, clock=clock, grace=0) as runner:
        await runner.register_schedule.aio("w", "10s", **policy)
        await clock.advance(10.5 * SECOND)
        await until(lambda: len(held.log) == 1)
    # The task that it still needs is not there any more.
    async with Runner(url, registry=noting(log), clock=clock) as runner:
        await clock.advance_to(START + 20 * SECOND)
        while len(await ticks(runner)) < 2:
            await clock.advance(BREATH)
        if policy.get("overlap"):
            await answered(runner, clock, "w", 2)
        lines = await became(runner, "w", 10 * SECOND)

    assert lines == expected
