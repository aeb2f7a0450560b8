"""A runner that works for long grows by nothing: no memory, no tasks, no descriptors.

How memory is measured: a leak of 1 MB in 100,000 executions is 10 bytes for each, which the
resident size of a process hides for an hour. So the blocks of Python's own allocator are counted,
after a collection. Of each tenth of the time the least count is taken, which leaves out what is
just at work. Past the first three tenths, in which caches fill, the slope between any two is taken,
and the median of these. A block is at most 512 bytes, and here 100 at the mean. The resident size
is printed, and held to the same slope in the hour, which has 360,000 executions.
"""

import itertools
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from tests.crash.nursery import Nursery
from tests.crash.soak import INTERVAL, TRIGGERS

RATE = TRIGGERS / INTERVAL
TENTHS, FILLING = 10, 3
BLOCK = 100
"""Bytes of a block, at the mean."""
SLOPE = 1_000_000 / 100_000
"""Bytes for each execution."""
ASIDE = 2
"""Tasks that may be at work whenever one looks."""

Figures = list[dict[str, float]]


def least(lines: Figures, name: str) -> list[float]:
    """Return the least figure of each tenth of the time, those at the beginning left out."""
    size = len(lines) / TENTHS
    parts = [lines[int(part * size) : int((part + 1) * size)] for part in range(TENTHS)]
    return [min(line[name] for line in part) for part in parts[FILLING:]]


def slope(lines: Figures, name: str) -> float:
    """Return by how much a figure grows with each execution."""
    points = zip(least(lines, "seconds"), least(lines, name), strict=True)
    pairs = itertools.combinations(points, 2)
    return median(
        (after - before) / (later - soon) / RATE for (soon, before), (later, after) in pairs
    )


def started(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (number,) = connection.execute("SELECT max(id) FROM execution").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(300, marks=[pytest.mark.timeout(500), pytest.mark.crash]),
        pytest.param(3600, marks=[pytest.mark.timeout(4000), pytest.mark.nightly]),
    ],
)
def test_a_soak_of_a_thousand_triggers_makes_nothing_grow(
    nursery: Nursery, tmp_path: Path, record_property: Callable[[str, object], None], seconds: int
) -> None:
    database, path = tmp_path / "flows.db", tmp_path / "figures"
    arguments = (str(database), str(path), str(seconds))
    child = nursery.start("tests.crash.soak", *arguments, folder=tmp_path)
    while child.runs:
        time.sleep(1)  # a soak takes real time
    lines: Figures = [json.loads(line) for line in path.read_text().splitlines()]

    number, blocks, resident = started(database), slope(lines, "blocks"), slope(lines, "resident")
    figure = (
        f"soak: {number} executions in {seconds} s; in 100,000 {blocks * BLOCK / 10:+.2f} MB by "
        f"blocks, {resident / 10:+.2f} MB resident of {lines[-1]['resident'] / 1e6:.0f} MB; "
        f"file {lines[-1]['file'] / 1e6:.1f} MB"
    )
    record_property("figure", figure)
    assert child.wait() == 0, child.said()
    # Those that nobody had stopped yet are left to a next runner; nothing else is said.
    assert [line for line in child.said().splitlines() if "tasks still run after" not in line] == []
    assert number > RATE * seconds / 2
    assert blocks * BLOCK < SLOPE
    assert resident < SLOPE or seconds < 3600
    tasks, descriptors = least(lines, "tasks"), least(lines, "descriptors")
    assert max(tasks) - min(tasks) <= ASIDE
    assert max(descriptors) == min(descriptors)
