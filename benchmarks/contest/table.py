"""The tables of a run, in Markdown: what must be reached, and everybody's figures."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks.contest import verdicts
from benchmarks.contest.field import ASYNCFLOW, FLOOR, PEERS, Contestant
from benchmarks.contest.records import Records
from benchmarks.contest.verdicts import BARS, Bar, Metric

NONE: Final = "\N{EN DASH}"
NOTHING: Final = "nothing measured yet"
COLUMNS: Final[Sequence[tuple[str, tuple[Metric, ...]]]] = (
    ("W1 ms", (verdicts.W1,)),
    ("W2 /s", (verdicts.W2,)),
    ("W3 /s (peak MB)", (verdicts.W3, verdicts.W3_PEAK)),
    ("W4 /s", (verdicts.W4,)),
    ("W5 ms", (verdicts.W5,)),
    ("W6 KB each; start, wake s", (verdicts.W6_SIZE, verdicts.W6_START, verdicts.W6_WAKE)),
    ("W7 1,000: CPU %, p95 ms, fired %", verdicts.W7_THOUSAND),
    ("W7 10,000: CPU %, p95 ms, fired %", verdicts.W7_MANY),
    ("W8 import, first ms", (verdicts.W8_IMPORT, verdicts.W8_FIRST)),
    ("W9 since start, since process ms", (verdicts.W9, verdicts.W9_PROCESS)),
)


def number(value: float, digits: int) -> str:
    """Return a figure as text, with fewer digits where it is great."""
    return f"{value:,.{0 if value >= 100 else digits}f}"


def markdown(records: Records) -> str:
    """Return all that a run says."""
    if not records.all:
        return NOTHING + "\n"
    parts = (_head(records), _bars(records), _figures(records))
    written = [list(part) for part in parts]
    return "\n".join(line for part in written if part for line in (*part, ""))


def _head(records: Records) -> Iterator[str]:
    about = records.about
    fsync = [each.fsync_ms for each in records.all]
    rounds = len({each.round for each in records.all})
    ran = {each.contestant for each in records.all}
    own = " and ".join(
        text for who, text in ((ASYNCFLOW, "asyncflow"), (FLOOR, "the floor")) if who.name in ran
    )
    loop = f", {own} on {about['loop']}" if own else ""
    yield (
        f"{about['begun']}; {about['machine']}, {about['cpus']} cores; Python {about['python']}, "
        f"SQLite {about['sqlite']}{loop}; "
        f"{'one round' if rounds == 1 else f'medians of {rounds} rounds'}{_fewer(records)}; "
        f"one write and its fsync took {statistics.median(fsync):.2f} ms "
        f"({min(fsync):.2f} to {max(fsync):.2f})."
    )
    versions = about.get("versions", {})
    if versions:
        yield "Peers: " + ", ".join(versions.values()) + "."
    for name, reason in about.get("missing", {}).items():
        yield f"{name} is missing: {reason}."


def _bars(records: Records) -> Iterator[str]:
    if not any(bar.reached(records) is not None for bar in BARS):
        return
    yield "| Work | asyncflow | beside | its | reached | wanted | |"
    yield "|---|---|---|---|---|---|---|"
    for bar in BARS:
        reached, own = bar.reached(records), verdicts.median(records, "asyncflow", bar.metric)
        if reached is None or own is None:
            continue
        other = verdicts.median(records, bar.against, bar.metric) if bar.against else None
        digits, unit = bar.metric.digits, bar.metric.unit
        shown = NONE if other is None else f"{number(other, digits)} {unit}"
        verdict = "yes" if bar.met(reached) else "**no**"
        cells = (
            bar.metric.name,
            f"{number(own, digits)} {unit}",
            bar.against or NONE,
            shown,
            _amount(bar, reached),
            f"at {_least(bar)} {_amount(bar, bar.wanted)}",
            verdict,
        )
        yield f"| {' | '.join(cells)} |"


def _least(bar: Bar) -> str:
    return "least" if bar.against and not bar.cost else "most"


def _fewer(records: Records) -> str:
    """Return which events have had fewer rounds than others, as a quick run has it."""
    rounds = Counter(event for event, _ in {(each.event, each.round) for each in records.all})
    few = [event for event, number in rounds.items() if number < max(rounds.values())]
    return f", of {' and '.join(sorted(few))} fewer" if few else ""


def _amount(bar: Bar, value: float) -> str:
    if not bar.against:
        return f"{number(value, bar.metric.digits)} {bar.metric.unit}"
    if bar.wanted < 1:
        return f"{100 * value:.0f} %"
    if value < 0.1:
        return f"{value:.2g} x"
    return f"{value:.{2 if value < 2 else 0 if value >= 20 else 1}f} x"


def _figures(records: Records) -> Iterator[str]:
    yield f"| | {' | '.join(title for title, _ in COLUMNS)} |"
    yield "|---" * (1 + len(COLUMNS)) + "|"
    for contestant in (ASYNCFLOW, FLOOR, *PEERS):
        cells = [_cell(records, contestant, metrics) for _, metrics in COLUMNS]
        if any(cell != NONE for cell in cells):
            yield f"| {contestant.name} | {' | '.join(cells)} |"


def _cell(records: Records, contestant: Contestant, metrics: tuple[Metric, ...]) -> str:
    event = metrics[0].event
    if not records.of(contestant.name, event):
        failed = [x for x in records.all if (x.contestant, x.event) == (contestant.name, event)]
        return f"failed: {failed[-1].error}" if failed else NONE
    medians = [verdicts.median(records, contestant.name, each) for each in metrics]
    texts = [
        NONE if value is None else number(value, metric.digits)
        for value, metric in zip(medians, metrics, strict=True)
    ]
    fewer = contestant.events.get(event)
    return _joined(metrics)(texts) + (f" ({fewer:,} of them)" if fewer else "")


def _joined(metrics: tuple[Metric, ...]) -> Callable[[list[str]], str]:
    if metrics[0] is verdicts.W3:
        return lambda texts: f"{texts[0]} ({texts[1]})"
    if metrics[0] is verdicts.W6_SIZE:
        return lambda texts: f"{texts[0]}; {', '.join(texts[1:])}"
    return ", ".join
