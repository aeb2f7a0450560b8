"""Which store an address means. It opens nothing, and asks the disk for links only."""

import os
from pathlib import Path

from asyncflow._store.memory.store import MemoryStore
from asyncflow._store.protocol import Store
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow.errors import StoreLocationError

MEMORY = ":memory:"
_SUPPORTED = "give sqlite:///relative.db, sqlite:////absolute.db, a path, or :memory:"


def open_store(address: str | Path | os.PathLike[str] | None) -> Store:
    """Return the store of an address; it is not opened yet.

    Args:
        address: ``:memory:``, ``sqlite://`` or ``sqlite:///:memory:`` for one that ends with its
            process; ``sqlite:///rel.db``, ``sqlite:////abs.db`` or a path for a file. What
            follows ``sqlite:///`` is taken as it is written, nothing is decoded.

    Raises:
        StoreLocationError: it is empty, or names a database that is not supported.
    """
    if address is None:
        message = f"no address of a store: {_SUPPORTED}"
        raise StoreLocationError(message)
    if not isinstance(address, str):
        return SqliteStore(os.fspath(address))
    if not address.strip():
        message = f"the address of the store is empty: {_SUPPORTED}"
        raise StoreLocationError(message)
    scheme, separator, rest = address.partition("://")
    if separator:
        return _from_url(address, scheme, rest)
    if address == MEMORY:
        return MemoryStore()
    if address.startswith(("sqlite:", "file:")):
        message = f"{address!r} is half a URL: {_SUPPORTED}"
        raise StoreLocationError(message)
    return SqliteStore(address)


def _from_url(address: str, scheme: str, rest: str) -> Store:
    if scheme.lower() != "sqlite":
        message = f"{scheme}:// is not supported (in {address!r}): {_SUPPORTED}"
        raise StoreLocationError(message)
    if rest in ("", f"/{MEMORY}"):
        return MemoryStore()
    if "?" in rest:
        message = (
            f"{address!r} has parameters after '?', there are none: leave them out; "
            "a file with '?' in its name can be given as a Path"
        )
        raise StoreLocationError(message)
    path = rest.removeprefix("/")
    if path == rest or not path.strip():
        message = f"{address!r} names no file, two slashes name a host: {_SUPPORTED}"
        raise StoreLocationError(message)
    return SqliteStore(path)
