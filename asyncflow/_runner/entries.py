"""What the driver's inbox takes beside facts and events, with whom to tell of the answer, if any.

The desk answers it. Nothing here decides.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import EventAwaited, ExecutionStarted, Fact
from asyncflow._core.plan import Plan
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.workflow import Workflow
from asyncflow._runner.live import Heard, LiveExecution, Publication, Told
from asyncflow._store.batch import (
    CursorWrite,
    DroppedTicks,
    Expiry,
    FailedPoll,
    NewAwaited,
    NewExecution,
    Notified,
    Refused,
    Signal,
)


@dataclass(slots=True)
class Wanted:
    """A new execution, all but stored.

    Attributes:
        done: told why if it gets no row, and else that it has one: not that, if ``to_its_end``.
    """

    live: LiveExecution
    row: NewExecution
    fact: Fact
    done: asyncio.Future[Refused | None] | None = None
    to_its_end: bool = False

    @classmethod
    def of(
        cls,
        plan: Plan,
        workflow: Workflow,
        row: NewExecution,
        texts: Mapping[str, str],
        done: asyncio.Future[Refused | None] | None = None,
        *,
        to_its_end: bool = False,
    ) -> "Wanted":
        """Return an execution that is to begin with a context, given as JSON text by key."""
        live = LiveExecution(row.name, plan, workflow, ExecutionState.new(plan, texts))
        return cls(live, row, ExecutionStarted(row.created), done, to_its_end)


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """A letter to an execution that has ended: it is taken from the store, nothing else."""

    letter: int


@dataclass(slots=True)
class Impulse:
    """What a poll or a schedule asks for, all in one transaction.

    Attributes:
        done: resolved with what became of each of ``wanted``: why it got no row, None if it did.
    """

    done: asyncio.Future[tuple[Refused | None, ...]]
    wanted: tuple[Wanted, ...] = ()
    cursor: CursorWrite | None = None
    failed: FailedPoll | None = None
    dropped: DroppedTicks | None = None

    def tell(self, refused: Mapping[LiveExecution, Refused]) -> None:
        """Say that it is on disk."""
        if not self.done.done():
            self.done.set_result(tuple(refused.get(each.live) for each in self.wanted))

    def fail(self, error: Exception) -> None:
        """Say that it could not be stored, as far as is known."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class Awaited:
    """A task comes to await an event, or finds it; ``done`` takes its row, None if refused."""

    live: LiveExecution
    fact: EventAwaited
    row: NewAwaited
    done: asyncio.Future[AwaitedRecord | None]

    def fail(self, error: BaseException) -> None:
        """Say that it could not be stored, as far as is known."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class Signalled:
    """A payload for an awaited event; ``done`` takes the offset, None if it was refused."""

    live: LiveExecution
    signal: Signal
    done: asyncio.Future[int | None]

    def fail(self, error: Exception) -> None:
        """Say that it could not be stored, as far as is known."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Expired:
    """The time of an awaited event is over, unless it was signalled."""

    live: LiveExecution
    expiry: Expiry


Entry: TypeAlias = (
    Told
    | Wanted
    | Publication
    | Heard
    | Undeliverable
    | Impulse
    | Awaited
    | Signalled
    | Expired
    | Notified
)
