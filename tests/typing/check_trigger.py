"""What type checkers must make of triggers and schedules; nothing is run.

Each `type: ignore` stands where a wrong call must be rejected, as in `check_dual`.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, assert_type

from asyncflow import (
    Client,
    Runner,
    ScheduleStatistics,
    ScheduleTick,
    Trigger,
    TriggerExecution,
    TriggerResult,
    TriggerSchedule,
    WorkflowExecution,
    WorkflowSchedule,
    trigger,
)


@trigger("typed", poll_interval=timedelta(seconds=1), dedup="forever")
def looks(cursor: int | None, *, deep: bool = False) -> TriggerResult:
    return TriggerResult.fire({"a": 1}, "key", cursor=(cursor or 0) + deep)


@trigger(workflow="typed", name="other", poll_interval="100ms", poll_timeout=5)
async def waits() -> bool:
    return True


async def check_that_a_trigger_is_its_function() -> None:
    assert_type(looks(1, deep=True), TriggerResult)
    assert_type(await waits(), bool)
    coroutine: Coroutine[Any, Any, bool] = waits()
    coroutine.close()
    kept: Trigger[[], Coroutine[Any, Any, bool]] = waits
    assert_type(kept.name, str)


def check_wrong_calls() -> None:
    looks()  # type: ignore[call-arg]
    looks("1")  # type: ignore[arg-type]
    looks(1, True)  # type: ignore[call-arg]
    waits(1)  # type: ignore[call-arg, unused-coroutine]
    trigger(looks)  # type: ignore[arg-type]
    trigger("typed", dedup="ever")  # type: ignore[arg-type]
    TriggerResult.fire([1])  # type: ignore[arg-type]
    TriggerResult.fire_many([1])  # type: ignore[list-item]


def check_results() -> None:
    fired = TriggerResult.fire({"a": 1})
    assert_type(fired, TriggerResult)
    assert_type(TriggerResult.skip(cursor=None), TriggerResult)
    assert_type(TriggerResult.fire_many([fired, {"a": 2}], cursor=[1]), TriggerResult)
    assert_type(fired.is_fire_result(), bool)


def check_the_blocking_forms(client: Client) -> None:
    assert_type(client.list_trigger_schedules(True, 1, 2), list[TriggerSchedule])
    assert_type(client.get_trigger_schedule("t"), TriggerSchedule | None)
    client.set_trigger_enabled("t", False)
    assert_type(client.get_trigger_execution_history("t", 1), list[TriggerExecution])
    assert_type(client.fire_trigger("t", {"a": 1}, key="k"), WorkflowExecution | None)
    made = client.register_schedule("w", "@daily", timezone="Europe/Paris", overlap="restart")
    assert_type(made, WorkflowSchedule)
    assert_type(made["enabled"], bool)
    assert_type(client.update_schedule("w", schedule=5), WorkflowSchedule)
    assert_type(client.get_schedule_statistics(), ScheduleStatistics)


async def check_the_awaited_forms(runner: Runner) -> None:
    assert_type(await runner.list_trigger_schedules.aio(limit=None), list[TriggerSchedule])
    assert_type(await runner.fire_trigger.aio("t"), WorkflowExecution | None)
    assert_type(await runner.get_schedule.aio("w"), WorkflowSchedule | None)
    assert_type(await runner.list_schedules.aio("w", enabled_only=True), list[WorkflowSchedule])
    assert_type(await runner.get_schedule_history.aio("w"), list[ScheduleTick])
    await runner.disable_schedule.aio("w")
