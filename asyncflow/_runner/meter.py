"""What came to be within the last minute: counts, sums and the most, kept in slots of 5 s.

It keeps no value of its own for long, and tells no time: whoever adds or asks says when.
"""

from dataclasses import dataclass
from typing import Final

SLOT: Final = 5.0
SLOTS: Final = 12


@dataclass(slots=True)
class _Slot:
    number: int = -1
    count: int = 0
    added: float = 0.0
    most: float = 0.0


class Meter:
    """Adds up values; what is older than a minute is forgotten, but for their total."""

    __slots__ = ("_since", "_slots", "total")

    def __init__(self, now: float) -> None:
        """Begin at a moment of a monotonic clock, in seconds."""
        self.total = 0.0
        self._since = now
        self._slots = [_Slot() for _ in range(SLOTS)]

    def add(self, now: float, value: float) -> None:
        """Add a value."""
        number = int(now / SLOT)
        slot = self._slots[number % SLOTS]
        if slot.number != number:
            slot.number, slot.count, slot.added, slot.most = number, 0, 0.0, 0.0
        slot.count += 1
        slot.added += value
        if value > slot.most:  # noqa: PLR1730  a call of max() would cost as much as all of this
            slot.most = value
        self.total += value

    def per_second(self, now: float) -> float:
        """Return how much was added per second of the last minute, or since it began."""
        first = max((int(now / SLOT) - SLOTS + 1) * SLOT, self._since)
        added = sum(slot.added for slot in self._recent(now))
        return added / max(now - first, 1.0)

    def mean(self, now: float) -> float:
        """Return the mean of the last minute's values, 0 without any."""
        recent = self._recent(now)
        count = sum(slot.count for slot in recent)
        return sum(slot.added for slot in recent) / count if count else 0.0

    def most(self, now: float) -> float:
        """Return the greatest of the last minute's values, 0 without any."""
        return max((slot.most for slot in self._recent(now)), default=0.0)

    def _recent(self, now: float) -> list[_Slot]:
        oldest = int(now / SLOT) - SLOTS
        return [slot for slot in self._slots if slot.number > oldest]


@dataclass(frozen=True, slots=True)
class Meters:
    """What a runner measures of its work.

    Attributes:
        facts: stored, as many as each transaction has.
        transactions: one each.
        tasks: attempts that ended, as many as each transaction has.
        polls: seconds by which each began late.
        ticks: likewise.
    """

    facts: Meter
    transactions: Meter
    tasks: Meter
    polls: Meter
    ticks: Meter

    @classmethod
    def begin(cls, now: float) -> "Meters":
        """Begin at a moment of the runner's clock."""
        return cls(Meter(now), Meter(now), Meter(now), Meter(now), Meter(now))
