"""What came to be within the last minute: counts, means and the most, kept in slots of 5 s.

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
    """Takes values; what is older than a minute is forgotten."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        """Begin with none."""
        self._slots = [_Slot() for _ in range(SLOTS)]

    def add(self, now: float, value: float) -> None:
        """Add a value, at a moment of a monotonic clock, in seconds."""
        number = int(now / SLOT)
        slot = self._slots[number % SLOTS]
        if slot.number != number:
            slot.number, slot.count, slot.added, slot.most = number, 0, 0.0, 0.0
        slot.count += 1
        slot.added += value
        if value > slot.most:  # noqa: PLR1730  a call of max() would cost as much as all of this
            slot.most = value

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


@dataclass(slots=True)
class Stored:
    """Counts of what was put on disk, in all or for each second.

    Attributes:
        facts: of all transactions.
        tasks: attempts that ended.
    """

    transactions: float = 0
    facts: float = 0
    tasks: float = 0


class Throughput:
    """Counts transactions, and what they store: together, since each of them asks for it."""

    __slots__ = ("_numbers", "_since", "_slots", "total")

    def __init__(self, now: float) -> None:
        """Begin at a moment of a monotonic clock, in seconds."""
        self.total = Stored()
        self._since = now
        self._numbers = [-1] * SLOTS
        self._slots = [Stored() for _ in range(SLOTS)]

    def add(self, now: float, facts: int, tasks: int) -> None:
        """Count a transaction."""
        number = int(now / SLOT)
        place = number % SLOTS
        if self._numbers[place] != number:
            self._numbers[place], self._slots[place] = number, Stored()
        slot, total = self._slots[place], self.total
        slot.transactions += 1
        slot.facts += facts
        slot.tasks += tasks
        total.transactions += 1
        total.facts += facts
        total.tasks += tasks

    def per_second(self, now: float) -> Stored:
        """Return how much there was in a second of the last minute, or since it began."""
        oldest = int(now / SLOT) - SLOTS
        numbered = zip(self._numbers, self._slots, strict=True)
        recent = [slot for number, slot in numbered if number > oldest]
        seconds = max(now - max((oldest + 1) * SLOT, self._since), 1.0)
        return Stored(
            transactions=sum(slot.transactions for slot in recent) / seconds,
            facts=sum(slot.facts for slot in recent) / seconds,
            tasks=sum(slot.tasks for slot in recent) / seconds,
        )


@dataclass(frozen=True, slots=True)
class Meters:
    """What a runner measures of its work.

    Attributes:
        stored: what its transactions have put on disk.
        polls: seconds by which each began late.
        ticks: likewise.
    """

    stored: Throughput
    polls: Meter
    ticks: Meter

    @classmethod
    def begin(cls, now: float) -> "Meters":
        """Begin at a moment of the runner's clock."""
        return cls(Throughput(now), Meter(), Meter())
