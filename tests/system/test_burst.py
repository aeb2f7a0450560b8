"""20,000 events at once: all are handled, in little memory, and the loop is never kept long."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bell import ROOT

Record = Callable[[str, object], None]

MEGABYTE = 1024 * 1024
EVERY = 1_000


def burst(tmp_path: Path, events: int, record: Record) -> None:
    command = [sys.executable, "-m", "tests.system.burst", str(tmp_path / "flows.db"), str(events)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    said = (
        f"{events:,} events in {found['seconds']:.1f} s, {found['rss'] / MEGABYTE:.0f} MB",
        f"the loop worked at most {found['worked'] * 1000:.0f} ms between two pings",
        f"garbage was collected for {found['collected'] * 1000:.0f} ms at once",
        f"the latest ping came after {found['late'] * 1000:.0f} ms",
    )
    record("figure", "; ".join(said))
    assert found["stored"] == events
    assert found["started"] == events // EVERY
    assert found["heard"] >= 1
    assert found["held_back"] > 0
    assert found["waiting"] == 0
    assert found["rss"] < 200 * MEGABYTE


@pytest.mark.long
@pytest.mark.timeout(60)
def test_a_burst_of_20_000_events(tmp_path: Path, record_property: Record) -> None:
    burst(tmp_path, 20_000, record_property)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_million_events_in_bursts(tmp_path: Path, record_property: Record) -> None:
    burst(tmp_path, 1_000_000, record_property)
