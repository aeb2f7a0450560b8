"""What Cloacina's calls answer: dicts of its keys, with times as texts. It asks nobody."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Row = dict[str, Any]
"""One schedule or one execution of it, as Cloacina shows it."""

CATCHUP: Final = {"one": "skip", "none": "none", "all": "run_all"}
"""Cloacina's words: its "skip" runs one late execution, too."""

TRIGGER: Final = (
    *("id", "trigger_name", "workflow_name", "poll_interval_ms", "allow_concurrent", "enabled"),
    *("last_poll_at", "created_at", "updated_at"),
)
TRIGGER_EXECUTION: Final = (
    *("id", "schedule_id", "context_hash", "workflow_execution_id", "started_at", "completed_at"),
    *("created_at", "error"),
)
SCHEDULE: Final = (
    *("id", "workflow_name", "timezone", "enabled", "next_run_at", "last_run_at", "created_at"),
    "updated_at",
)
TICK: Final = ("id", "scheduled_time", "workflow_execution_id", "created_at")

_IDS: Final = {"id", "schedule_id"}


def trigger_row(found: Mapping[str, object]) -> Row:
    """Return the row of a trigger."""
    return _row(found, TRIGGER)


def trigger_execution_row(found: Mapping[str, object]) -> Row:
    """Return the row of what a trigger did once; ``error`` is asyncflow's."""
    return _row(found, TRIGGER_EXECUTION)


def cron_row(found: Mapping[str, object]) -> Row:
    """Return the row of a cron schedule."""
    row = _row(found, SCHEDULE)
    row["cron_expression"] = found["expression"]
    row["catchup_policy"] = CATCHUP.get(str(found["catchup"]), found["catchup"])
    return row


def tick_row(found: Mapping[str, object], schedule: str) -> Row:
    """Return the row of one time at which a schedule was due; ``dropped`` is asyncflow's."""
    row = _row(found, TICK)
    row["schedule_id"] = schedule
    row["claimed_at"] = row["created_at"]
    row["updated_at"] = _plain("", found["completed_at"] or found["created_at"])
    row["dropped"] = found["dropped"]
    return row


def time_text(time: datetime) -> str:
    """Return a time as RFC 3339 has it, in UTC."""
    return time.astimezone(UTC).isoformat()


def _row(found: Mapping[str, object], names: tuple[str, ...]) -> Row:
    return {name: _plain(name, found[name]) for name in names}


def _plain(name: str, value: object) -> object:
    if isinstance(value, datetime):
        return time_text(value)
    return str(value) if name in _IDS and value is not None else value
