"""The verdicts: what the records say, as medians, as ratios, and beside what must be reached."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contest.heat import Figures
from benchmarks.contest.records import Records


@dataclass(frozen=True)
class Metric:
    """One figure of an event."""

    name: str
    event: str
    unit: str
    of: Callable[[Figures], float | None]
    more_is_better: bool = False
    digits: int = 2


def _median(key: str) -> Callable[[Figures], float]:
    return lambda figures: float(statistics.median(figures[key]))


def _plain(key: str, factor: float = 1) -> Callable[[Figures], float | None]:
    return lambda figures: None if figures[key] is None else float(figures[key]) * factor


def _fired(figures: Figures) -> float:
    return 100 * float(figures["fired"]) / float(figures["expected"])


W1: Final = Metric("W1 one-task workflow", "W1", "ms", _median("ms"))
W2: Final = Metric("W2 chain of 100", "W2", "tasks/s", _median("per_second"), True, 0)
W3: Final = Metric("W3 1,000 parallel tasks", "W3", "tasks/s", _median("per_second"), True, 0)
W3_PEAK: Final = Metric("W3 peak", "W3", "MB", _plain("peak", 2**-20), digits=0)
W4: Final = Metric("W4 1,000 workflows", "W4", "workflows/s", _median("per_second"), True, 0)
W5: Final = Metric("W5 signal", "W5", "ms", _median("ms"))
W6_SIZE: Final = Metric("W6 one of 10,000 waiting", "W6", "KB", _plain("bytes", 2**-10), digits=1)
W6_START: Final = Metric("W6 10,000 started", "W6", "s", _plain("start"), digits=1)
W6_WAKE: Final = Metric("W6 10,000 woken", "W6", "s", _plain("wake"), digits=1)
W8_IMPORT: Final = Metric("W8 import", "W8", "ms", _median("import"), digits=0)
W8_FIRST: Final = Metric("W8 first workflow finished", "W8", "ms", _plain("first"), digits=0)
W9: Final = Metric("W9 next task, since the start", "W9", "ms", _plain("since_start"), digits=0)
W9_PROCESS: Final = Metric(
    "W9 next task, since the process began", "W9", "ms", _plain("since_process"), digits=0
)


def w7(many: str) -> tuple[Metric, Metric, Metric]:
    """Return the figures of one size of W7: CPU, how late, how many fired."""
    event = f"W7 {many}"
    return (
        Metric(f"{event} at 1 s, CPU of one core", event, "%", _plain("cpu"), digits=0),
        Metric(f"{event} at 1 s, p95 late", event, "ms", _plain("p95"), digits=0),
        Metric(f"{event} at 1 s, fired", event, "%", _fired, True, 0),
    )


W7_THOUSAND: Final = w7("1,000")
W7_MANY: Final = w7("10,000")
METRICS: Final = (
    *(W1, W2, W3, W3_PEAK, W4, W5, W6_SIZE, W6_START, W6_WAKE),
    *(*W7_THOUSAND, *W7_MANY, W8_IMPORT, W8_FIRST, W9, W9_PROCESS),
)


@dataclass(frozen=True)
class Bar:
    """What asyncflow must reach in one figure, on its own or beside somebody."""

    metric: Metric
    wanted: float
    against: str = ""
    """Who is beside it; then ``wanted`` is a ratio."""

    cost: bool = False
    """The ratio is what asyncflow needs of the other's figure, else how much faster it is."""

    def reached(self, records: Records) -> float | None:
        """Return the figure or ratio, the median of all rounds; None if it was not measured."""
        own = by_round(records, "asyncflow", self.metric)
        if not self.against:
            return statistics.median(own.values()) if own else None
        other = by_round(records, self.against, self.metric)
        ratios = [self._ratio(own[each], other[each]) for each in own.keys() & other.keys()]
        return statistics.median(ratios) if ratios else None

    def _ratio(self, own: float, other: float) -> float:
        faster = self.metric.more_is_better or self.cost
        return own / other if faster else other / own

    def met(self, reached: float) -> bool:
        """Say whether that is enough."""
        at_least = bool(self.against) and not self.cost
        return reached >= self.wanted if at_least else reached <= self.wanted


DBOS: Final = ("DBOS", "DBOS tuned")
BARS: Final[Sequence[Bar]] = (
    *(Bar(W1, 5, peer) for peer in DBOS),
    Bar(W1, 1.5, "floor", cost=True),
    *(Bar(W2, 5, peer) for peer in DBOS),
    Bar(W2, 0.65, "floor"),
    *(Bar(W3, 40, peer) for peer in DBOS),
    Bar(W3, 8, "Flyte local"),
    Bar(W3, 0.25, "floor"),
    *(Bar(W4, 40, peer) for peer in DBOS),
    Bar(W4, 0.25, "floor"),
    Bar(W5, 300, "DBOS"),
    Bar(W5, 8, "DBOS tuned"),
    Bar(W5, 1, "llama-index (memory)"),
    Bar(W5, 2, "floor", cost=True),
    Bar(W6_SIZE, 8),
    Bar(W6_START, 3.5),
    Bar(W7_MANY[1], 150),
    Bar(W7_MANY[0], 60),
    Bar(W7_MANY[0], 1.5, "floor", cost=True),
    Bar(W8_IMPORT, 400),
    Bar(W8_FIRST, 700),
    Bar(W9, 200),
)


def by_round(records: Records, contestant: str, metric: Metric) -> dict[int, float]:
    """Return a figure of a contestant for each round."""
    found = records.of(contestant, metric.event)
    values = {each.round: metric.of(each.figures) for each in found}
    return {round_: value for round_, value in values.items() if value is not None}


def median(records: Records, contestant: str, metric: Metric) -> float | None:
    """Return the median of all rounds; None if it was not measured."""
    values = by_round(records, contestant, metric).values()
    return statistics.median(values) if values else None
