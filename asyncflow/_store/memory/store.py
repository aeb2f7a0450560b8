"""The store in dicts: a verb checks everything first and never awaits, which makes it atomic."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

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
from asyncflow._store.memory import changes, owners, reads, sweep, writes
from asyncflow._store.memory.pulse import MemoryPulse
from asyncflow._store.memory.tables import Tables
from asyncflow._store.memory.transaction import transaction
from asyncflow._store.queries import Query
from asyncflow._store.refusal import not_open

T = TypeVar("T")


class MemoryStore:
    """A `Store` without a disk: it keeps until it is closed."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._tables: Tables | None = None

    @property
    def shared(self) -> bool:
        """Never: it belongs to the one who made it."""
        return False

    @property
    def location(self) -> str:
        """Its address."""
        return ":memory:"

    async def open(self) -> None:
        """Begin with nothing; no effect when it is open."""
        if self._tables is None:
            self._tables = Tables()

    async def close(self) -> None:
        """Forget everything; idempotent."""
        self._tables = None

    async def register(self, runner: RunnerRow) -> Fence:
        """Add a runner's row under a fresh epoch."""
        tables = self._opened()
        with transaction("store.register"):
            return owners.register(tables, runner)

    async def release(self, fence: Fence) -> None:
        """Remove a runner's row, if the fence holds."""
        tables = self._opened()
        with transaction("store.release"):
            owners.release(tables, fence)

    async def commit(self, batch: Batch) -> Receipt:
        """Write a batch."""
        tables = self._opened()
        writes.check_batch(tables, batch)
        with transaction("store.commit"):
            return writes.commit(tables, batch)

    async def append(
        self, letters: Sequence[Letter], fence: Fence | None = None
    ) -> tuple[int | None, ...]:
        """Put letters into the inbox, those to a namespace once for each runner."""
        tables = self._opened()
        writes.check_letters(tables, letters, fence)
        with transaction("store.append"):
            return writes.append(tables, letters)

    async def claim(
        self,
        fence: Fence,
        dead: Sequence[Dead],
        workflows: Sequence[tuple[str, str]] | None,
        limit: int,
        duties: Mapping[Duty, frozenset[str]] | None = None,
    ) -> Claimed:
        """Come to own what nobody does."""
        tables = self._opened()
        owners.check_claim(tables, fence, dead)
        with transaction("store.claim"):
            return owners.claim(tables, fence, dead, workflows, limit, wanted=duties)

    async def sweep(self, fence: Fence, before: datetime, limit: int) -> Swept:
        """Forget some of what is old."""
        tables = self._opened()
        owners.check_fence(tables, fence)
        with transaction("store.sweep"):
            return sweep.sweep(tables, before, limit)

    async def change(self, change: Change, fence: Fence | None = None) -> tuple[str, ...]:
        """Make a change that somebody asked for by a call."""
        tables = self._opened()
        owners.check_fence(tables, fence)
        with transaction("store.change"):
            return changes.change(tables, change)

    async def read(self, query: Query[T]) -> T:
        """Answer a question."""
        return reads.answer(self._opened(), query)

    def pulse(self) -> MemoryPulse:
        """Return what renews leases."""
        return MemoryPulse(self._opened)

    def _opened(self) -> Tables:
        if self._tables is None:
            raise not_open(self.location)
        return self._tables
