"""What a store in memory keeps: what SQLite has in tables, in dicts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from asyncflow._core.state import Head, Outcome, TaskState
from asyncflow._model.record import EventRecord
from asyncflow._store.batch import FactRecord, InboxItem, NewExecution, RunnerRow

TaskKey = tuple[str, int]
TaskRow = tuple[TaskState, Outcome | None]


@dataclass(slots=True)
class Execution:
    """A row of an execution, and what hangs on it.

    Attributes:
        latest: the greatest sequence number of each task, in the order of these runs.
    """

    id: int
    new: NewExecution
    fingerprint: str
    head: Head = field(default_factory=Head)
    owner: str | None = None
    tasks: dict[TaskKey, TaskRow] = field(default_factory=dict[TaskKey, TaskRow])
    latest: dict[str, int] = field(default_factory=dict[str, int])
    context: dict[str, str] = field(default_factory=dict[str, str])
    facts: list[FactRecord] = field(default_factory=list[FactRecord])


@dataclass(slots=True)
class Tables:
    """Everything that is kept.

    Attributes:
        owned: ids of the unfinished executions of each runner; None has those of nobody.
        events: the one of offset n at n - 1.
        inbox: each item with the runner that it is put before, if it is for a namespace.
    """

    executions: dict[int, Execution] = field(default_factory=dict[int, Execution])
    names: dict[str, int] = field(default_factory=dict[str, int])
    owned: dict[str | None, set[int]] = field(default_factory=dict[str | None, set[int]])
    events: list[EventRecord] = field(default_factory=list[EventRecord])
    inbox: dict[int, tuple[InboxItem, str | None]] = field(
        default_factory=dict[int, tuple[InboxItem, str | None]]
    )
    runners: dict[str, RunnerRow] = field(default_factory=dict[str, RunnerRow])
    epochs: Iterator[int] = field(default_factory=lambda: count(1))
    letter_ids: Iterator[int] = field(default_factory=lambda: count(1))
    fact_ids: Iterator[int] = field(default_factory=lambda: count(1))
