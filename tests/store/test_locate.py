"""Which store an address means."""

from pathlib import Path, PurePosixPath

import pytest

from asyncflow._store.locate import open_store
from asyncflow._store.memory.store import MemoryStore
from asyncflow._store.sqlite.store import SqliteStore
from asyncflow.errors import StoreLocationError


@pytest.mark.parametrize("address", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_memory_is_memory(address: str) -> None:
    store = open_store(address)

    assert isinstance(store, MemoryStore)
    assert store.location == ":memory:"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("flows.db", "flows.db"),
        ("data/flows.db", "data/flows.db"),
        ("/srv/flows.db", "/srv/flows.db"),
        ("sqlite:///flows.db", "flows.db"),
        ("sqlite:///data/flows.db", "data/flows.db"),
        ("SQLite:////srv/flows.db", "/srv/flows.db"),
        ("sqlite:///a%20b#c.db", "a%20b#c.db"),
        ("what?.db", "what?.db"),
        (Path("what?.db"), "what?.db"),
        (PurePosixPath("/srv/flows.db"), "/srv/flows.db"),
    ],
)
def test_a_path_is_taken_as_it_is_written(
    address: str | Path, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    store = open_store(address)

    assert isinstance(store, SqliteStore)
    assert store.location == str(tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_looked_up_when_the_store_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("flows.db")
    monkeypatch.chdir("/")

    assert store.location == str(tmp_path / "flows.db")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "no address"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("postgres://db/flows", "postgres:// is not supported"),
        ("sqlite+aiosqlite:///flows.db", "is not supported"),
        ("sqlite://flows.db", "two slashes name a host"),
        ("sqlite:///", "names no file"),
        ("sqlite:flows.db", "half a URL"),
        ("file:flows.db", "half a URL"),
        ("sqlite:///flows.db?mode=ro", "parameters"),
    ],
)
def test_an_address_that_means_nothing_is_refused_with_what_does(
    address: str | None, said: str
) -> None:
    with pytest.raises(StoreLocationError, match=said) as caught:
        open_store(address)

    assert isinstance(caught.value, ValueError)
    assert "sqlite:///" in str(caught.value)
