"""Schedules that make no sense, or would silently replace another one, are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from asyncflow import UsageError, WorkflowNotFoundError
from tests.runner.ticking import HOUR, START, iso, working


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"schedule": "0s"}, ValueError, "the schedule of 'w'"),
        ({"schedule": "5ms"}, ValueError, "10 milliseconds or more"),
        ({"schedule": "soon"}, ValueError, "a schedule is text like"),
        ({"schedule": "61 * * * *"}, ValueError, "61"),
        ({"schedule": "@hourly", "timezone": "Paris"}, ValueError, "IANA name like"),
        ({"schedule": "1h", "timezone": "UTC"}, ValueError, "cron expression"),
        ({"catchup": "most"}, ValueError, "catchup is one of 'one', 'none', 'all', not 'most'"),
        ({"overlap": None}, ValueError, "overlap is one of 'skip', 'allow', 'restart', not None"),
        ({"max_catchup": 1001}, ValueError, "a whole number from 1 to 1,000, not 1001"),
        ({"max_catchup": True}, ValueError, "a whole number from 1 to 1,000, not True"),
        ({"workflow": "v"}, WorkflowNotFoundError, "no workflow 'v'.*w"),
        ({"name": ""}, ValueError, "the name of a schedule"),
        ({"context": {"schedule_name": 1}}, ValueError, r"sets context\['schedule_name'\] itself"),
        ({"context": {"a": float("nan")}}, ValueError, "a"),
    ],
)
async def test_a_schedule_that_makes_no_sense_is_refused_and_told_what_would(
    given: dict[str, Any], error: type[Exception], says: str
) -> None:
    async with working([]) as (runner, _):
        register: Callable[..., Any] = runner.register_schedule.aio
        with pytest.raises(error, match=says):
            await register(**{"workflow": "w", "schedule": "1h", **given})
        if not {"workflow", "name"} & given.keys():
            await runner.register_schedule.aio("w", "1h")
            update: Callable[..., Any] = runner.update_schedule.aio
            kept = {key: value for key, value in given.items() if value is not None}
            if kept:
                with pytest.raises(error):
                    await update("w", **kept)

        assert all(each["expression"] == "1h" for each in await runner.list_schedules.aio())


async def test_a_second_schedule_of_a_workflow_needs_a_name() -> None:
    log: list[str] = []
    async with working(log) as (runner, clock):
        await runner.register_schedule.aio("w", "1h")
        with pytest.raises(UsageError, match="name="):
            await runner.register_schedule.aio("w", "2h")
        await runner.register_schedule.aio("w", "2h", name="second")
        await clock.advance(2 * HOUR)

    assert sorted(log) == iso(
        [START + HOUR, START + 2 * HOUR, START + 2 * HOUR],
    )
