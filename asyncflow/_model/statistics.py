"""What a runner tells of itself: values only, one tree. It finds nothing out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import cast

from asyncflow._dual import computed_method
from asyncflow._model.status import WorkflowStatus
from asyncflow._model.value import JsonValue


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late something began, within the last minute.

    Attributes:
        mean: zero, if there was none.
        most: the latest of them.
    """

    mean: timedelta
    most: timedelta


@dataclass(frozen=True, slots=True)
class LoopStatistics:
    """What the watchdog has seen of the home loop.

    Attributes:
        blocked: how often it was blocked for longer than ``Runner(watchdog=...)``.
        longest: the longest of these.
        place: file, line and function that blocked it the last time.
        lateness: from a ping to its answer.
    """

    blocked: int
    longest: timedelta
    place: str | None
    lateness: Lateness


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """What waits now.

    Attributes:
        inbox: facts for the next transactions.
        riding: tasks whose start waits, 10 ms at most, for a transaction to be stored with.
        held_back: calls of this process that wait for room in the inbox.
        letters: what others have put before this runner, read and not answered yet.
        executions: that this runner works on.
        parked: of these, that cannot go on; `WorkflowExecution.parked_reason` says why.
        tasks: that run, or wait for an event or a thread.
        waiting_for_thread: blocking tasks beyond ``Runner(threads=...)``.
    """

    inbox: int
    riding: int
    held_back: int
    letters: int
    executions: int
    parked: int
    tasks: int
    waiting_for_thread: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How many since the runner was opened, and per second of the last minute."""

    total: int
    per_second: float


@dataclass(frozen=True, slots=True)
class RateStatistics:
    """What the runner has stored.

    Attributes:
        facts: that changed something.
        transactions: that held them.
        tasks: attempts that have ended, however.
    """

    facts: Rate
    transactions: Rate
    tasks: Rate


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """How large the store is.

    Attributes:
        file_bytes: of the file; 0 in memory.
        wal_bytes: of the file beside it, where commits go first; 4 MB once a runner that has it
            open has written a little, however little of that counts.
        free_bytes: of the file that nothing needs.
        executions: by status; those that have ended among the newest 10,000 only.
        events: from the oldest to the newest, at most: some between may be gone.
        letters: that wait for their readers, whoever these are.
    """

    file_bytes: int
    wal_bytes: int
    free_bytes: int
    executions: Mapping[WorkflowStatus, int]
    events: int
    letters: int


@dataclass(frozen=True, slots=True)
class LeaseStatistics:
    """How the runner shows others that it lives.

    Attributes:
        beats: how often it has renewed its lease.
        age: how long ago the last time was.
    """

    beats: int
    age: timedelta


@dataclass(frozen=True, slots=True)
class RunnerStatistics:
    """What `Runner.statistics` tells.

    Attributes:
        loop: None without a watchdog.
        polls: how late polls of triggers began.
        ticks: how late ticks of schedules began; not those that were missed.
        lease: None where nobody else can have the store open.
        runners: that are alive and have the store open, this one among them.
    """

    loop: LoopStatistics | None
    queues: QueueStatistics
    rates: RateStatistics
    polls: Lateness
    ticks: Lateness
    store: StoreStatistics
    lease: LeaseStatistics | None
    runners: int

    @computed_method
    def to_dict(self) -> dict[str, JsonValue]:
        """Return it as JSON values; times are in seconds."""
        return cast("dict[str, JsonValue]", _plain(self))

    @computed_method
    def to_json(self) -> str:
        """Return it as JSON text, as `to_dict` gives it."""
        return json.dumps(_plain(self))


def _plain(value: object) -> JsonValue:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return {str(key): _plain(each) for key, each in entries.items()}
    return cast("JsonValue", value)
