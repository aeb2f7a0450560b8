"""Whoever is asked, in both forms."""

from collections.abc import Iterator

import pytest

from tests.client.forms import Form, form_of


@pytest.fixture(params=["blocking", "awaited"])
def form(request: pytest.FixtureRequest) -> Iterator[Form]:
    with form_of(str(request.param)) as form:
        yield form
