"""Schedules on a runner: each tick starts one execution, in its time, and they can be changed."""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from asyncflow import (
    Client,
    Context,
    ExecutionType,
    Registry,
    Runner,
    ScheduleNotFoundError,
    TriggerResult,
    VirtualClock,
    Workflow,
    WorkflowStatus,
    task,
    trigger,
)
from asyncflow._failpoint import armed
from tests.runner.scene import until
from tests.runner.ticking import HOUR, MINUTE, SECOND, START, after, became, iso, noting, working


async def test_a_month_of_schedules_runs_in_the_order_of_time_each_tick_once() -> None:
    begin, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    clock = VirtualClock(begin)
    ran: list[tuple[str, datetime, datetime]] = []
    polled: list[datetime] = []
    registry = Registry()
    with registry:
        for name in ("hourly", "daily", "each six hours"):
            with Workflow(name):

                @task()
                async def note(context: Context) -> None:
                    due = datetime.fromisoformat(context["scheduled_time"])
                    ran.append((context["schedule_name"], due, clock.now()))

        with Workflow("polled"):

            @task()
            async def note_poll() -> None:
                polled.append(clock.now())

        @trigger("polled", poll_interval="1h", allow_concurrent=True)
        async def each_hour() -> TriggerResult:
            return TriggerResult.fire()

    since = time.monotonic()
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await runner.register_schedule.aio("hourly", "@hourly")
        await runner.register_schedule.aio("daily", "30 2 * * *", timezone="Europe/Paris")
        await runner.register_schedule.aio("each six hours", "6h")
        await clock.advance_to(end)
        statistics = await runner.get_schedule_statistics.aio()
    took = time.monotonic() - since

    assert took < 15
    assert [now for _, _, now in ran] == sorted(now for _, _, now in ran)
    assert all(due == now for _, due, now in ran)
    due_at = {name: [due for each, due, _ in ran if each == name] for name, _, _ in ran}
    assert due_at["hourly"] == after(31 * 24, HOUR, begin)
    assert due_at["each six hours"] == after(31 * 4, 6 * HOUR, begin)
    paris = [due.astimezone(ZoneInfo("Europe/Paris")) for due in due_at["daily"]]
    readings = [(each.day, each.hour, each.minute) for each in paris]
    # On the 29th the clock is put from 2:00 to 3:00.
    assert readings == [(day, 3 if day == 29 else 2, 30) for day in range(1, 32)]
    assert len(polled) == 31 * 24 - 1
    assert {second - first for first, second in itertools.pairwise(polled)} == {HOUR}
    assert statistics["ticks"] == statistics["succeeded"] == len(ran) == 31 * (24 + 4 + 1)


async def test_an_execution_is_periodic_and_finds_its_tick_in_its_context() -> None:
    async with working([]) as (runner, clock):
        await runner.register_schedule.aio(
            "w", "0 3 * * *", name="nightly", timezone="Europe/Paris", context={"tag": [1]}
        )
        await clock.advance_to(START + 2 * HOUR)
        (line,) = await runner.get_schedule_history.aio("nightly")
        done = await runner.execution.aio(line["workflow_execution_id"] or "")

    assert done is not None
    assert done.execution_type is ExecutionType.PERIODIC
    assert done.status is WorkflowStatus.SUCCESS
    assert done.final_context == {
        "tag": [1],
        "scheduled_time": "2026-03-02T03:00:00+01:00",
        "schedule_name": "nightly",
        "schedule_timezone": "Europe/Paris",
        "schedule_expression": "0 3 * * *",
    }
    assert line["scheduled_time"] == START + 2 * HOUR
    assert line["status"] is WorkflowStatus.SUCCESS


async def test_an_interval_counts_from_its_registering_and_tells_of_utc() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await clock.advance(7 * SECOND)
        schedule = await runner.register_schedule.aio("w", timedelta(minutes=10))
        await clock.advance(35 * MINUTE)
        later = await runner.get_schedule.aio("w")

    assert schedule["timezone"] is None
    assert schedule["next_run_at"] == START + 7 * SECOND + 10 * MINUTE
    assert log == iso(after(3, 10 * MINUTE, START + 7 * SECOND))
    assert later is not None
    assert later["last_run_at"] == START + 7 * SECOND + 30 * MINUTE
    assert later["next_run_at"] == START + 7 * SECOND + 40 * MINUTE


# --- changed while it runs ---


async def test_a_disabled_schedule_starts_nothing_and_makes_up_for_nothing() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await runner.register_schedule.aio("w", "@hourly", catchup="all")
        await clock.advance(HOUR)
        await runner.disable_schedule.aio("w")
        disabled = await runner.get_schedule.aio("w")
        await clock.advance(5 * HOUR)
        await runner.enable_schedule.aio("w")
        await clock.advance(HOUR)

        assert disabled is not None
        assert not disabled["enabled"]
        assert disabled["next_run_at"] is None
        assert log == iso([START + HOUR, START + 7 * HOUR])
        assert await became(runner, "w", HOUR) == [(1, "SUCCESS"), (7, "SUCCESS")]
        assert await runner.list_schedules.aio(enabled_only=True) != []


async def test_a_schedule_stays_disabled_through_a_restart_and_when_registered_again(
    url: str,
) -> None:
    log: list[str] = []
    registry = noting(log)
    async with Client(url, registry=registry, clock=VirtualClock(START)) as client:
        await client.register_schedule.aio("w", "1s", catchup="all")
        await client.disable_schedule.aio("w")
    later = VirtualClock(START + HOUR)
    async with Runner(url, registry=registry, clock=later) as runner:
        await later.advance(3 * SECOND)
        again = await runner.register_schedule.aio("w", "1s", catchup="all")
        await later.advance(3 * SECOND)
        lines = await runner.get_schedule_history.aio("w")
        await runner.enable_schedule.aio("w")
        await later.advance(2 * SECOND)

    assert not again["enabled"]
    assert lines == []
    assert log == iso(after(2, SECOND, START + HOUR + 6 * SECOND))


async def test_a_deleted_schedule_starts_nothing_and_its_executions_stay() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await runner.register_schedule.aio("w", "@hourly")
        await clock.advance(HOUR)
        await runner.delete_schedule.aio("w")
        await clock.advance(5 * HOUR)
        executions = [each.name async for each in runner.executions.aio()]

        assert log == iso([START + HOUR])
        assert len(executions) == 1
        assert await runner.list_schedules.aio() == []
        assert await runner.get_schedule_history.aio("w") == []
        with pytest.raises(ScheduleNotFoundError, match="register_schedule"):
            await runner.delete_schedule.aio("w")


async def test_after_its_deletion_a_workflow_may_have_another_schedule_of_its_own_name() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await runner.register_schedule.aio("w", "@hourly")
        await runner.delete_schedule.aio("w")
        await runner.register_schedule.aio("w", "2h")
        await clock.advance(3 * HOUR)

    assert log == iso([START + 2 * HOUR])


async def test_a_refused_schedule_stands_in_the_way_of_no_other() -> None:
    async with working([]) as (runner, _):
        with pytest.raises(ValueError, match="max_catchup"):
            await runner.register_schedule.aio("w", "@hourly", max_catchup=0)
        schedule = await runner.register_schedule.aio("w", "@daily")

    assert schedule["expression"] == "@daily"


async def test_the_timer_of_an_updated_schedule_does_not_fire() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await runner.register_schedule.aio("w", "0 * * * *", context={"kept": 1})
        await clock.advance(30 * MINUTE)
        changed = await runner.update_schedule.aio("w", schedule="45 * * * *")
        await clock.advance(90 * MINUTE)

    assert changed["context"] == {"kept": 1}
    assert log == iso([START + 45 * MINUTE, START + 105 * MINUTE])


async def test_what_an_update_does_not_name_stays() -> None:
    async with working([]) as (runner, clock):
        before = await runner.register_schedule.aio(
            "w", "0 3 * * *", timezone="Europe/Paris", catchup="all", max_catchup=7
        )
        await clock.advance(MINUTE)
        after_ = await runner.update_schedule.aio("w", overlap="allow")
        moved = await runner.update_schedule.aio("w", schedule="0 4 * * *")

    assert after_ == {**before, "overlap": "allow", "updated_at": START + MINUTE}
    assert moved["timezone"] == "Europe/Paris"


async def test_updating_a_context_leaves_the_ticks_where_they_were() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await runner.register_schedule.aio("w", "1h")
        await clock.advance(90 * MINUTE)
        await runner.update_schedule.aio("w", context={"new": 1})
        await clock.advance(HOUR)

    assert log == iso(after(2, HOUR))


async def test_registered_again_a_schedule_keeps_its_anchor_and_its_history() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        first = await runner.register_schedule.aio("w", "1h")
        await clock.advance(90 * MINUTE)
        again = await runner.register_schedule.aio("w", "1h")
        await clock.advance(HOUR)
        lines = await became(runner, "w", HOUR)

    assert again == {**first, "next_run_at": START + 2 * HOUR, "last_run_at": START + HOUR}
    assert log == iso(after(2, HOUR))
    assert lines == [(1, "SUCCESS"), (2, "SUCCESS")]


async def test_two_updates_at_once_are_both_there() -> None:
    async with working([]) as (runner, _):
        await runner.register_schedule.aio("w", "1h")
        await asyncio.gather(
            runner.update_schedule.aio("w", context={"new": 1}),
            runner.update_schedule.aio("w", overlap="allow"),
            runner.update_schedule.aio("w", schedule="2h"),
        )
        found = await runner.get_schedule.aio("w")

    assert found is not None
    assert (found["context"], found["overlap"]) == ({"new": 1}, "allow")
    assert found["next_run_at"] == START + 2 * HOUR


async def test_an_updated_schedule_may_be_registered_as_it_is_now() -> None:
    async with working([]) as (runner, _):
        await runner.register_schedule.aio("w", "1h")
        updated = await runner.update_schedule.aio("w", schedule="2h")
        again = await runner.register_schedule.aio("w", "2h")

    assert again == updated


# --- who runs it ---


async def test_an_open_runner_takes_up_what_a_client_registers_within_a_second(url: str) -> None:
    log: list[str] = []
    registry, clock = noting(log), VirtualClock(START)
    async with (
        Runner(url, registry=registry, clock=clock),
        Client(url, registry=registry, clock=clock) as client,
    ):
        await client.register_schedule.aio("w", "2s")
        await clock.advance(SECOND * 2.5)
        await until(lambda: len(log) == 1)
        await client.update_schedule.aio("w", schedule="3s")
        await clock.advance(SECOND * 3.5)
        await until(lambda: len(log) == 2)
        await client.delete_schedule.aio("w")
        await clock.advance(SECOND * 5)

    assert log == iso([START + 2 * SECOND, START + 5.5 * SECOND])


async def test_a_schedule_waits_until_its_workflow_is_declared_then_its_policy_decides(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    clock, registry = VirtualClock(START), Registry()
    with noting([], "w") as other:
        pass
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        registry.by_name.update(other.by_name)
        await runner.register_schedule.aio("w", "1h", catchup="all", max_catchup=2)
        registry.by_name.clear()
        await clock.advance(4.5 * HOUR)
        with registry, Workflow("other"):

            @task()
            async def nothing() -> None:
                """Is declared in between."""

        await clock.settle()
        before = await became(runner, "w", HOUR)
        with registry, Workflow("w"):

            @task()
            async def note(context: Context) -> None:
                log.append(context["scheduled_time"])

        await clock.advance(HOUR)
        lines = await became(runner, "w", HOUR)

    assert before == []
    assert lines == [(1, "missed"), (2, "missed"), *((each, "SUCCESS") for each in (3, 4, 5))]
    assert log == iso(after(5, HOUR)[2:])
    warned = [each for each in caplog.messages if "does not tick here" in each]
    assert len(warned) == 1


async def test_a_declaration_makes_no_second_timer_of_a_schedule_that_waits() -> None:
    log: list[str] = []
    registry, clock = noting(log), VirtualClock(START)
    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await runner.register_schedule.aio("w", "1h")
        with registry, Workflow("other"):

            @task()
            async def nothing() -> None:
                """Is declared in between."""

        with armed() as passes:
            await clock.advance(HOUR)

    assert log == iso(after(1, HOUR))
    assert passes["timer.fire.before"] == 1


async def test_a_runner_opens_with_schedules_of_workflows_that_it_does_not_know(url: str) -> None:
    log: list[str] = []
    clock = VirtualClock(START)
    async with Client(url, registry=noting([], "theirs"), clock=clock) as client:
        await client.register_schedule.aio("theirs", "1s")
    async with Runner(url, registry=noting(log), clock=clock) as runner:
        await runner.register_schedule.aio("w", "1s")
        await clock.advance(2 * SECOND)
        theirs = await runner.get_schedule_history.aio("theirs")

    assert log == iso(after(2, SECOND))
    assert theirs == []


async def test_a_workflow_is_deleted_with_its_schedules() -> None:
    log: list[str] = []
    async with working(log, "w", "other") as (runner, clock):
        await runner.register_schedule.aio("w", "1h")
        await runner.register_schedule.aio("other", "1h")
        await clock.advance(HOUR)
        await runner.delete_workflow.aio("w")
        with armed() as passes:
            await clock.advance(HOUR)
        names = [each["name"] for each in await runner.list_schedules.aio()]

    assert names == ["other"]
    assert passes["timer.fire.before"] == 1
    assert len(log) == 3


async def test_schedules_are_counted_by_what_their_ticks_became() -> None:
    clock, registry = VirtualClock(START), Registry()
    with registry, Workflow("w"):

        @task()
        async def fails_at_two(context: Context) -> None:
            if "T02" in context["scheduled_time"]:
                raise ValueError("two")

    async with Runner(":memory:", registry=registry, clock=clock) as runner:
        await runner.register_schedule.aio("w", "1h")
        await clock.advance(3 * HOUR)
        await runner.disable_workflow.aio("w")
        await clock.advance(HOUR)
        every = await runner.get_schedule_statistics.aio("w")
        late = await runner.get_schedule_statistics.aio(since=START + 3 * HOUR)

    assert every == {
        "ticks": 4,
        "started": 3,
        "running": 0,
        "succeeded": 2,
        "failed": 1,
        "stopped": 0,
        "dropped": 1,
    }
    assert (late["ticks"], late["succeeded"], late["dropped"]) == (2, 1, 1)
