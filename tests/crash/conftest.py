"""What the crash tests share. Each of them is marked, so that only `make test-crash` runs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.nursery import Nursery

pytest.register_assert_rewrite("tests.crash.verdict")

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("nightly"):
            item.add_marker("crash")
    items.sort(key=lambda item: "soak" not in item.nodeid)  # the longest first


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()
