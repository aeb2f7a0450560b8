"""The one interface between what decides and what keeps.

A store keeps; it never decides: no verb looks at a status to choose what follows. Seven verbs
write: `register`, `release`, `commit`, `append`, `claim`, `change` and `sweep`, and `Pulse.renew`
is the eighth. Each is one transaction: on return it is durable (a beat need not be), after an error
nothing of it is stored. `read` asks, `open` and `close` frame them. All coroutines are called on
the client's home loop.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar

from asyncflow._store.batch import (
    Batch,
    Claimed,
    Dead,
    Duty,
    Fence,
    Letter,
    Receipt,
    RunnerRow,
    Swept,
)
from asyncflow._store.change import Change
from asyncflow._store.queries import Query
from asyncflow.errors import FencedError, StoreDamagedError, StoreGoneError

T = TypeVar("T")

HOPELESS: Final = (FencedError, StoreGoneError, StoreDamagedError)
"""Errors after which nothing that a runner writes will ever be stored."""


class Store(Protocol):
    """Keeps executions, events, letters and runners.

    Errors are `StoreError`s: what the database says is its cause.
    """

    @property
    def shared(self) -> bool:
        """Whether somebody else may write to it, of which nobody here is told."""
        ...

    @property
    def location(self) -> str:
        """Where it keeps them, for people to read."""
        ...

    async def open(self) -> None:
        """Make or upgrade what is needed, or raise without leaving anything behind."""
        ...

    async def close(self) -> None:
        """Let go of everything; idempotent."""
        ...

    async def register(self, runner: RunnerRow) -> Fence:
        """Add a runner's row under a fresh epoch, greater than any before it."""
        ...

    async def release(self, fence: Fence) -> None:
        """Remove a runner's row; what it had belongs to nobody afterwards.

        It went in peace: its executions begin to count their recoveries anew, but for those that
        are parked.
        """
        ...

    async def commit(self, batch: Batch) -> Receipt:
        """Write a batch: all of it, or nothing. Raises `FencedError` if the fence does not hold."""
        ...

    async def append(
        self, letters: Sequence[Letter], fence: Fence | None = None
    ) -> tuple[int | None, ...]:
        """Put letters where their readers find them; return the offsets of their events.

        A letter to a namespace is put before each registered runner. It is also addressed to
        nobody, if there is no runner, or if who is to hear it belongs to nobody just now: rules
        that expect its event, or executions of the namespace. ``fence`` is that of the runner that
        writes, if it is one.
        """
        ...

    async def claim(
        self,
        fence: Fence,
        dead: Sequence[Dead],
        workflows: Sequence[tuple[str, str]] | None,
        limit: int,
        duties: Mapping[Duty, frozenset[str]] | None = None,
    ) -> Claimed:
        """Come to own unfinished executions that nobody owns, letters, and duties.

        Executions for which letters wait come first, then those that the `LAST_FACTS` are about,
        the last one first: somebody was at work on these. Then the oldest. Letters to a namespace
        that are addressed to nobody, those of the dead included, go to the claimer with what it
        gains: executions of the namespace, or the duty of rules that expect the event. While
        there is more of that, it gets copies, and they stay for the next; else it gets them, for
        nobody else will come for them.

        Args:
            fence: who claims.
            dead: runners whose rows are removed first, so that what they had is nobody's. One that
                has counted another beat since is left alone.
            workflows: (namespace, name) pairs to take; None takes any.
            limit: take at most so many.
            duties: those that it can do, each with the keys of events that its rules expect; it
                gets those that nobody has, what it has is kept up to date, and what it has of
                others it gives up. Duties of rules stay, also while nobody has them. None: it
                keeps what it has.
        """
        ...

    async def sweep(self, fence: Fence, before: datetime, limit: int) -> Swept:
        """Forget what ended before that time, oldest first, at most ``limit`` of each kind.

        Executions go with all that is theirs; events to a namespace, letters to nobody and lines of
        histories by their own age. What must be remembered stays: a letter's event, and what
        starts once.
        """
        ...

    async def change(self, change: Change, fence: Fence | None = None) -> tuple[str, ...]:
        """Make a change that somebody asked for by a call.

        Returns:
            What stands in the way, and nothing was changed: of `DeleteWorkflow` the names of
            unfinished executions, at most ten; of `PutSchedule` the schedule's name. Empty if it
            was changed.
        """
        ...

    async def read(self, query: Query[T]) -> T:
        """Answer a question from what is committed."""
        ...

    def pulse(self) -> "Pulse":
        """Return what renews leases, on a thread of its own: no loop need run for it."""
        ...


class Pulse(Protocol):
    """Renews leases, whatever the loop does. It is used on one thread, and closed there."""

    def renew(self, fence: Fence) -> None:
        """Count a beat. Raises `FencedError` if the runner was replaced; else `StoreError`."""
        ...

    def close(self) -> None:
        """Let go of everything; idempotent."""
        ...
