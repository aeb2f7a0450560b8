"""What every test shares: the loop's backend, and properties without a stopwatch."""

import pytest
from hypothesis import settings

# pytest-timeout ends what hangs; a deadline for each example only fails on busy machines
settings.register_profile("asyncflow", deadline=None, print_blob=True)
settings.load_profile("asyncflow")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
