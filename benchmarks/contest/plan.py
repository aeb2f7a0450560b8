"""The plan of a run: what the command line asks for, and in which order its heats come.

It is read and refused here, before anything runs. Nothing is measured here.
"""

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.contest.environments import cache
from benchmarks.contest.field import ASYNCFLOW, EVENTS, FLOOR, PEERS, Contestant, Event
from benchmarks.contest.records import Records, digest
from benchmarks.yardstick import count, positive

OWN_ONES: Final = (ASYNCFLOW, FLOOR)
QUICK_EVENTS: Final = tuple(each for each in EVENTS if each.name != "W7 1,000")
SECONDS: Final = 20.0
QUICK_SECONDS: Final = 5.0
UNFINISHED: Final = 75
"""The exit status of a run that has more to do."""


@dataclass(frozen=True)
class Plan:
    """What a run consists of."""

    quick: bool
    contestants: Sequence[Contestant]
    events: Sequence[Event]
    rounds: int
    seconds: float
    """That W7 looks."""

    loop: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return what must not change while a run goes on."""
        course = "quick" if self.quick else "full"
        return {"course": course, "loop": self.loop, "seconds": self.seconds}

    def heats(self) -> Iterator[tuple[int, Contestant, Event, int]]:
        """Yield each round's heats, in the order in which they are run."""
        once = {"W6", "W7"} if self.quick else set[str]()
        for round_ in range(self.rounds):
            for event in self.events:
                if round_ and event.workload in once:
                    continue
                present = [
                    (each, many)
                    for each in self.contestants
                    for other, many in each.heats()
                    if other == event
                ]
                for each, many in present if round_ % 2 == 0 else reversed(present):
                    yield round_, each, event, many

    def differs(self, records: Records) -> str | None:
        """Return what differs from the run that is there; None: it can go on."""
        for name, value in self.settings.items():
            kept = records.about.get(name, "unknown")
            if kept != value:
                return f"the {name} of this run is {kept}, not {value}"
        if records.about["sources"] != digest():
            return "the sources have changed since this run began"
        kept_many = {(each.contestant, each.event): each.many for each in records.all}
        for _, who, event, many in self.heats():
            kept = kept_many.get((who.name, event.name), many)
            if kept != many:
                return f"this run has {kept:,} in {event.name} of {who.name}, not {many:,}"
        return None


def names(text: str, valid: Collection[str]) -> list[str]:
    """Return the names that stand in a text, between commas; some have a comma themselves.

    Raises:
        ValueError: for one that is not valid; it says which there are.
    """
    parts, found = text.split(","), list[str]()
    while parts:
        tried = [",".join(parts[:end]).strip() for end in range(len(parts), 0, -1)]
        name = next((each for each in tried if each in valid), None)
        if name is None:
            raise ValueError(f"{tried[-1]!r} is none of: {'; '.join(valid)}")
        found.append(name)
        del parts[: 1 + name.count(",")]
    return found


def asked(words: Sequence[str] | None = None) -> tuple[argparse.Namespace, Plan]:
    """Return what a command line asks for, and its plan; end with a message if that cannot be."""
    parser = _parser()
    given = parser.parse_args(words)
    everybody, events = (OWN_ONES, QUICK_EVENTS) if given.quick else ((*OWN_ONES, *PEERS), EVENTS)
    try:
        only = names(given.only, called(everybody)) if given.only is not None else None
        some = names(given.events, numbered(events)) if given.events is not None else None
    except ValueError as error:
        parser.error(str(error))
    plan = Plan(
        given.quick,
        [each for each in everybody if only is None or {each.name, each.module} & set(only)],
        [each for each in events if some is None or {each.name, each.workload} & set(some)],
        given.rounds,
        given.seconds or (QUICK_SECONDS if given.quick else SECONDS),
        given.loop,
    )
    if not any(plan.heats()):
        parser.error("nobody of --only takes part in any of --events")
    return given, plan


def called(contestants: Sequence[Contestant]) -> list[str]:
    """Return what contestants are called: their names, and modules that stand for several."""
    return list(dict.fromkeys(name for each in contestants for name in (each.name, each.module)))


def numbered(events: Sequence[Event]) -> list[str]:
    """Return what events are called: W7 stands for both of its sizes."""
    return list(dict.fromkeys(name for each in events for name in (each.workload, each.name)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Compare asyncflow, the floor and the peers in W1 to W9. A run that is cut off "
        "goes on where it stopped; what failed is tried again. benchmarks/README.md says more.",
        epilog="Exit status: 0; 1 if asyncflow or the floor failed in each round of an event; "
        f"{UNFINISHED} if the budget was too small for all; 2 if what is asked for cannot be; 130 "
        "after Ctrl-C.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="asyncflow and the floor only, W6 and W7 once")
    add("--rounds", type=count, default=3, metavar="N", help="how often (default: %(default)s)")
    add(
        "--seconds",
        type=positive,
        metavar="S",
        help=f"how long W7 looks (default: {SECONDS:g}; with --quick {QUICK_SECONDS:g})",
    )
    add(
        "--budget",
        type=positive,
        default=float("inf"),
        metavar="S",
        help="begin no heat that would end later than in S seconds (default: no limit)",
    )
    add("--fresh", action="store_true", help="begin a new run; what was measured is lost")
    add("--table", action="store_true", help="only print the table of the last run")
    everybody = "; ".join(called((*OWN_ONES, *PEERS)))
    add("--only", metavar="A,B", help=f"some contestants (default: all): {everybody}")
    add("--events", metavar="W1,W2", help=f"some (default: all): {'; '.join(numbered(EVENTS))}")
    loop = "of asyncflow and the floor (default: %(default)s)"
    add("--loop", choices=["uvloop", "asyncio"], default="uvloop", help=loop)
    results = "where a run is kept (default: build/benchmarks/full or quick)"
    add("--results", type=Path, metavar="FOLDER", help=results)
    environments = "where peers are installed (default: %(default)s)"
    add("--environments", type=Path, default=cache(), metavar="FOLDER", help=environments)
    return parser
