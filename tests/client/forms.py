"""Both forms of every call behind one face, so that a test's body is written once."""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import ParamSpec, TypeVar

from asyncflow import Client
from asyncflow._dual import Dual, DualIterator
from asyncflow._store.memory.store import MemoryStore

P = ParamSpec("P")
R = TypeVar("R")
ClientT = TypeVar("ClientT", bound=Client)

WARNED, REFUSED = 512 * 1024, 2 * 1024 * 1024
"""Bytes of JSON."""


def quoted(size: int) -> str:
    """Return a string that has so many bytes of JSON."""
    return "x" * (size - len('""'))


class Form(ABC):
    """One of the two forms."""

    @abstractmethod
    def open(self, client: ClientT) -> AbstractContextManager[ClientT]: ...

    @abstractmethod
    def call(self, dual: Dual[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    @abstractmethod
    def items(self, dual: DualIterator[P, R], *args: P.args, **kwargs: P.kwargs) -> Iterator[R]: ...


class Blocking(Form):
    """`x.f(...)`: the home is a thread of its own."""

    @contextmanager
    def open(self, client: ClientT) -> Generator[ClientT]:
        with client:
            yield client

    def call(self, dual: Dual[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return dual(*args, **kwargs)

    def items(self, dual: DualIterator[P, R], *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return dual(*args, **kwargs)


class Awaited(Form):
    """`await x.f.aio(...)`: the home is the loop that this runs."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    @contextmanager
    def open(self, client: ClientT) -> Generator[ClientT]:
        self._runner.run(client.__aenter__())
        try:
            yield client
        finally:
            self._runner.run(client.__aexit__(None, None, None))

    def call(self, dual: Dual[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._runner.run(dual.aio(*args, **kwargs))

    def items(self, dual: DualIterator[P, R], *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        listing = dual.aio(*args, **kwargs)
        while True:
            try:
                yield self._runner.run(listing.__anext__())
            except StopAsyncIteration:
                return


@contextmanager
def form_of(name: str) -> Generator[Form]:
    if name == "blocking":
        yield Blocking()
        return
    with asyncio.Runner() as runner:
        yield Awaited(runner)


def dump(client: Client) -> object:
    """Return all that a client's open store keeps."""
    store = client._store
    if isinstance(store, MemoryStore):
        tables = store._opened()
        rows = [
            (each.new, each.head, each.owner, each.context) for each in tables.executions.values()
        ]
        return repr(
            (rows, [astuple(each) for each in tables.events.values()], tables.inbox, tables.runners)
        )
    return dump_file(Path(store.location))


def dump_file(path: Path) -> object:
    with closing(sqlite3.connect(path)) as db:
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        ]
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
