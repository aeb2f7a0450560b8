"""What is written of schedules by those who change them, inside the transaction of the caller."""

import sqlite3

from asyncflow._model.record import ScheduleRecord
from asyncflow._store.change import DropSchedule, PutSchedule
from asyncflow._store.codec import micros
from asyncflow._store.sqlite.numbered import Value

_KEPT = ("namespace", "name", "created")
_COLUMNS = (
    *_KEPT,
    *("workflow", "expression", "timezone", "context", "catchup", "max_catchup", "overlap"),
    *("anchor", "answered", "updated", "enabled", "version"),
)
_UPSERT = (
    f"INSERT INTO schedule ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT (namespace, name) DO UPDATE SET "
    + ", ".join(
        f"{column} = excluded.{column}" for column in _COLUMNS if column not in {*_KEPT, "answered"}
    )
    + ", answered = max(answered, excluded.answered)"  # a tick may have come since it was read
)
_COUNT = "UPDATE schedule_version SET version = version + 1"


def put(db: sqlite3.Connection, change: PutSchedule) -> tuple[str, ...]:
    """Keep a schedule, or return its name if another version of it is there."""
    new = change.schedule
    found: tuple[int] | None = db.execute(
        "SELECT version FROM schedule WHERE namespace = ? AND name = ?", (new.namespace, new.name)
    ).fetchone()
    if (None if found is None else found[0]) != change.instead_of:
        return (new.name,)
    db.execute(_COUNT)
    version: tuple[int] = db.execute("SELECT version FROM schedule_version").fetchone()
    db.execute(_UPSERT, _row(new, version[0]))
    return ()


def drop(db: sqlite3.Connection, change: DropSchedule) -> None:
    """Forget a schedule and its history."""
    found: tuple[int] | None = db.execute(
        "SELECT id FROM schedule WHERE namespace = ? AND name = ?",
        (change.namespace, change.schedule),
    ).fetchone()
    if found is not None:
        db.execute(_COUNT)
        db.execute("DELETE FROM tick WHERE schedule = ?", found)
        db.execute("DELETE FROM schedule WHERE id = ?", found)


def _row(schedule: ScheduleRecord, version: int) -> tuple[Value, ...]:
    return (
        schedule.namespace,
        schedule.name,
        micros(schedule.created),
        schedule.workflow,
        schedule.expression,
        schedule.timezone,
        schedule.context,
        schedule.catchup,
        schedule.max_catchup,
        schedule.overlap,
        micros(schedule.anchor),
        micros(schedule.answered),
        micros(schedule.updated),
        int(schedule.enabled),
        version,
    )
