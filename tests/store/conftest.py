"""The stores that the conformance suite runs over, each open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow._store.locate import open_store
from asyncflow._store.protocol import Store
from asyncflow._store.sqlite.store import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(":memory:" if request.param == "memory" else tmp_path / "flows.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "flows.db")
    await opened.open()
    yield opened
    await opened.close()
