"""What every store refuses, in the same words."""

from collections.abc import Iterable

from asyncflow._store.batch import Fence
from asyncflow.errors import FencedError, StoreError


def fenced(fence: Fence) -> FencedError:
    """Return the error for a fence that does not hold."""
    return FencedError(
        f"runner {fence.runner!r} (epoch {fence.epoch}) was replaced and writes nothing any more: "
        "what it owned belongs to others, open a new runner"
    )


def unknown_executions(ids: Iterable[int]) -> StoreError:
    """Return the error for executions that have no row."""
    return StoreError(
        f"the store has no workflow execution of id {', '.join(map(str, sorted(ids)))}: "
        "nothing was stored, look it up again by its name"
    )


def not_open(location: str) -> StoreError:
    """Return the error for a verb outside of open and close."""
    return StoreError(f"the store {location} is not open: open it first")
