"""The field: who takes part, in which environment, and in which workloads, how many of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

OWN: Final = ""
"""The environment that these benchmarks run in: it has asyncflow."""

REQUIREMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "dbos": ("dbos==3.4.0",),
    "llama": ("llama-index-workflows==2.26.1",),
    "flyte": ("flyte==2.12.1",),
    "apscheduler": ("apscheduler[sqlalchemy]==4.0.0a6", "aiosqlite", "sniffio"),
    "prefect": ("prefect>=3.8,<4", "fastapi<0.151"),
    "cloaca": ("cloaca", "--only-binary=:all:"),
    "plot": ("matplotlib>=3.9",),
}
"""What pip installs into each environment, whom it is for first; the last one draws."""


@dataclass(frozen=True)
class Event:
    """A workload and how many tasks, workflows, waiters or schedules it has by its name."""

    workload: str
    many: int

    @property
    def name(self) -> str:
        """Return what it is called: W7 is there in two sizes."""
        return f"{self.workload} {self.many:,}" if self.workload == "W7" else self.workload


EVENTS: Final = (
    Event("W1", 100),
    Event("W2", 1),
    Event("W3", 1000),
    Event("W4", 1000),
    Event("W5", 100),
    Event("W6", 10_000),
    Event("W7", 1000),
    Event("W7", 10_000),
    Event("W8", 1),
    Event("W9", 1),
)
ALL: Final[Mapping[str, int | None]] = dict.fromkeys([event.name for event in EVENTS])


@dataclass(frozen=True)
class Contestant:
    """Who takes part, and where it can."""

    name: str
    module: str
    """Of `benchmarks.contestants`."""

    environment: str
    imports: str
    """The modules whose import W8 times."""

    events: Mapping[str, int | None]
    """The events it can do, by name; a number where it does fewer than others, being too slow."""

    variant: str = ""

    def heats(self) -> Iterator[tuple[Event, int]]:
        """Yield its events and how many it does in each."""
        for event in EVENTS:
            if event.name in self.events:
                yield event, self.events[event.name] or event.many


def _events(*names: str, **fewer: int) -> Mapping[str, int | None]:
    return {**dict.fromkeys(names), **fewer}


ASYNCFLOW: Final = Contestant("asyncflow", "asyncflow", OWN, "asyncflow", ALL)
FLOOR: Final = Contestant("floor", "floor", OWN, "aiosqlite, uvloop", ALL)

PEERS: Final = (
    Contestant(
        "DBOS",
        "dbos",
        "dbos",
        "dbos",
        {**_events("W1", "W2", "W3", "W8", "W9"), "W4": 200, "W5": 20},
    ),
    Contestant(
        "DBOS tuned",
        "dbos",
        "dbos",
        "dbos",
        {**_events("W1", "W2", "W3", "W4", "W5", "W7 1,000", "W8", "W9"), "W6": 500},
        "tuned",
    ),
    Contestant(
        "llama-index (memory)",
        "llama",
        "llama",
        "workflows",
        {**_events("W1", "W2", "W3", "W4", "W5", "W8"), "W6": 1000},
    ),
    Contestant("Flyte local", "flyte", "flyte", "flyte", _events("W1", "W2", "W3", "W4", "W8")),
    Contestant(
        "Flyte local, cache",
        "flyte",
        "flyte",
        "flyte",
        _events("W1", "W2", "W3", "W4", "W8"),
        "cache",
    ),
    Contestant(
        "APScheduler (memory)",
        "apscheduler",
        "apscheduler",
        "apscheduler",
        _events("W1", "W2", "W7 1,000", "W7 10,000"),
        "memory",
    ),
    Contestant(
        "APScheduler, SQLite",
        "apscheduler",
        "apscheduler",
        "apscheduler",
        {**_events("W1", "W2", "W7 1,000", "W8"), "W4": 200},
        "sqlite",
    ),
    Contestant("Prefect", "prefect", "prefect", "prefect", {"W1": 20, **_events("W2")}),
    Contestant("cloaca", "cloaca", "cloaca", "cloaca", {"W1": 20, **_events("W2")}),
)
