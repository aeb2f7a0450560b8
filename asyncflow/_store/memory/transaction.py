"""The failpoints around a change of the dicts."""

from collections.abc import Generator
from contextlib import contextmanager

from asyncflow._failpoint import hit


@contextmanager
def transaction(point: str) -> Generator[None, None, None]:
    """Pass ``{point}.before`` and ``{point}.after``; make a checked change between them."""
    # The point before a commit comes before the first change: nothing could be undone later.
    hit(f"{point}.before")
    yield
    hit(f"{point}.after")
