"""What every test shares: frozen values, the loop's backend, and properties without a stopwatch."""

import os

import pytest
from hypothesis import settings

# Before asyncflow is imported, here and in the processes that tests start: see asyncflow/_frozen.py.
# `make test-long` sets it to nothing, and runs some tests with the values that users have.
os.environ.setdefault("ASYNCFLOW_FROZEN", "1")

# pytest-timeout ends what hangs; a deadline for each example only fails on busy machines
settings.register_profile("asyncflow", deadline=None, print_blob=True)
settings.load_profile("asyncflow")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded as a "figure", whichever worker ran them."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in getattr(report, "user_properties", []):
            if name == "figure" and report.when == "call":
                terminalreporter.write_line(str(text))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
