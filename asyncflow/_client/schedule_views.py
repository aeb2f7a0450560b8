"""Schedules as callers see them, and as text that a store keeps. Nothing is asked here."""

from datetime import datetime
from typing import Any, TypedDict, cast

from asyncflow._core.timetable import next_after
from asyncflow._model.duration import duration_text
from asyncflow._model.record import ScheduleRecord, TickRecord
from asyncflow._model.schedule import CatchUp, Cron, Overlap, Schedule, parse_schedule
from asyncflow._model.status import WorkflowStatus
from asyncflow._model.value import from_json_text


class WorkflowSchedule(TypedDict):
    """A schedule as it is stored. Times are in UTC.

    ``expression`` is what `register_schedule` takes; ``timezone`` is None for an interval;
    ``next_run_at`` is None if it is disabled or over; ``last_run_at`` is the last tick that
    started an execution.
    """

    id: int
    name: str
    namespace: str
    workflow_name: str
    expression: str
    timezone: str | None
    context: dict[str, Any]
    catchup: CatchUp
    max_catchup: int
    overlap: Overlap
    enabled: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ScheduleTick(TypedDict):
    """What became of a tick. Times are in UTC.

    ``workflow_execution_id`` is the name of the execution that it started, None if it was dropped;
    ``dropped`` then says why. ``until`` is the last tick of a line that stands for many.
    """

    id: int
    schedule_name: str
    scheduled_time: datetime
    until: datetime | None
    workflow_execution_id: str | None
    status: WorkflowStatus | None
    dropped: str | None
    created_at: datetime
    completed_at: datetime | None


class ScheduleStatistics(TypedDict):
    """How many lines of histories say what; ``ticks`` is all of them.

    A line is one tick, but for the one that stands for the oldest of over 1,000 that were dropped.
    """

    ticks: int
    started: int
    running: int
    succeeded: int
    failed: int
    stopped: int
    dropped: int


def written(schedule: Schedule) -> tuple[str, str | None]:
    """Return the text and the time zone of a schedule, as `parse_schedule` takes them.

    Raises:
        ValueError: an interval is no whole number of milliseconds.
    """
    if isinstance(schedule, Cron):
        return schedule.expression, schedule.timezone
    return duration_text(schedule.every), None


def read(record: ScheduleRecord) -> Schedule:
    """Return the schedule that a record tells of."""
    return parse_schedule(record.expression, f"schedule {record.name!r}", record.timezone)


def shown(record: ScheduleRecord) -> WorkflowSchedule:
    """Return a schedule as callers see it."""
    following = next_after(read(record), record.anchor, record.answered)
    return WorkflowSchedule(
        id=record.id or 0,
        name=record.name,
        namespace=record.namespace,
        workflow_name=record.workflow,
        expression=record.expression,
        timezone=record.timezone,
        context=cast("dict[str, Any]", from_json_text(record.context)),
        catchup=record.catchup,
        max_catchup=record.max_catchup,
        overlap=record.overlap,
        enabled=record.enabled,
        next_run_at=following if record.enabled else None,
        last_run_at=record.last_run,
        created_at=record.created,
        updated_at=record.updated,
    )


def told(line: TickRecord) -> ScheduleTick:
    return ScheduleTick(
        id=line.id,
        schedule_name=line.schedule,
        scheduled_time=line.at,
        until=line.until,
        workflow_execution_id=line.execution,
        status=line.status,
        dropped=line.dropped,
        created_at=line.noted,
        completed_at=line.ended,
    )
