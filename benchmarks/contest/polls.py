"""W7: what is noted of many polls at one interval, and how late they were.

Only the standard library is imported.
"""

import asyncio
import time
from collections import defaultdict

from benchmarks.contest.heat import Figures

INTERVAL = 1.0
"""Seconds between two polls of one trigger or schedule."""

SETTLE = 3 * INTERVAL
"""Seconds after the start of which nothing is measured."""

SHIFTED = 0.02
"""A poll that is later than this part of the interval moves the next ones, where nobody says when
they are due: that is asyncflow's rule."""


class Polls:
    """When each of many was polled, and when it was due."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._noted: defaultdict[int, list[tuple[float, float | None]]] = defaultdict(list)

    def note(self, number: int, due: float | None = None) -> None:
        """Note a poll; ``due`` is by time.monotonic(), where that is known."""
        self._noted[number].append((time.monotonic(), due))

    async def observe(self, many: int, seconds: float) -> Figures:
        """Let everything start, then look for so many seconds."""
        await asyncio.sleep(SETTLE)
        begin, used = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        end, cpu = time.monotonic(), time.process_time() - used
        late: list[float] = []
        fired: list[int] = []
        for number in range(many):
            seen = [late for at, late in lateness(self._noted[number]) if begin <= at < end]
            fired.append(len(seen))
            late += seen
        late.sort()
        return {
            "cpu": 100 * cpu / (end - begin),
            "p50": 1000 * late[len(late) // 2] if late else None,
            "p95": 1000 * late[int(len(late) * 0.95)] if late else None,
            "fired": sum(fired),
            "expected": round(many * (end - begin) / INTERVAL),
            "fewest": min(fired),
            "many": many,
        }


def lateness(noted: list[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """Return when each poll came, and by how many seconds it was late.

    Where nobody says when they were due: an interval after the poll before was due, or came if it
    was late enough to move those after it. None is early, so one that seems to be corrects that.
    """
    found: list[tuple[float, float]] = []
    expected = float("inf")
    for at, known in noted:
        due = min(expected, at) if known is None else known
        found.append((at, max(0.0, at - due)))
        expected = INTERVAL + (due if at - due <= SHIFTED * INTERVAL else at)
    return found
