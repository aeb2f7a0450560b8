"""The one interface between what decides and what keeps.

A store keeps; it never decides: no verb looks at a status to choose what follows. Six verbs write:
`register`, `release`, `commit`, `append`, `claim` and `change`. Each is one transaction: on return
it is durable, after an error nothing of it is stored. `read` asks, `open` and `close` frame them.
All coroutines are called on the client's home loop.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from asyncflow._store.batch import Batch, Fence, Letter, Receipt, RunnerRow
from asyncflow._store.change import Change
from asyncflow._store.queries import Query

T = TypeVar("T")


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
        """Remove a runner's row; its executions and letters belong to nobody afterwards."""
        ...

    async def commit(self, batch: Batch) -> Receipt:
        """Write a batch: all of it, or nothing. Raises `FencedError` if the fence does not hold."""
        ...

    async def append(self, letters: Sequence[Letter]) -> tuple[int | None, ...]:
        """Put letters where their readers find them; return the offsets of their events.

        A letter to a namespace is put before each registered runner, or, if there is none,
        before the first that comes.
        """
        ...

    async def claim(
        self,
        fence: Fence,
        dead: Sequence[str],
        workflows: Sequence[tuple[str, str]] | None,
        limit: int,
    ) -> tuple[int, ...]:
        """Come to own unfinished executions that nobody owns; return their ids.

        Those for which letters wait come first, then the oldest.

        Args:
            fence: who claims.
            dead: runners whose rows are removed first, so that what they owned is nobody's.
            workflows: (namespace, name) pairs to take; None takes any.
            limit: take at most so many.
        """
        ...

    async def change(self, change: Change) -> tuple[str, ...]:
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
