"""Draws the results of a run, for an interpreter that has matplotlib.

    python -m benchmarks.contest.plot RESULTS.JSON PLOT.SVG

One panel for each workload, one bar for each contestant, on a logarithmic scale.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

PANELS: Final = (
    "W1 one-task workflow",
    "W2 chain of 100",
    "W3 1,000 parallel tasks",
    "W4 1,000 workflows",
    "W5 signal",
    "W6 one of 10,000 waiting",
    "W7 1,000 at 1 s, p95 late",
    "W8 first workflow finished",
)
RATES: Final = ("tasks/s", "workflows/s")
OWN: Final = {"asyncflow": "tab:blue", "floor": "tab:gray"}


def panel(axes: Any, title: str, figures: dict[str, Any]) -> None:  # noqa: ANN401  matplotlib's
    """Draw one workload, the best at the top."""
    unit = figures.pop("unit")
    many = unit in RATES
    names = sorted(figures, key=lambda name: float(figures[name]), reverse=not many)
    bars = axes.barh(
        names,
        [figures[name] for name in names],
        color=[OWN.get(name, "tab:orange") for name in names],
    )
    values = [float(figures[name]) for name in names]
    labels = [f"{each:,.{0 if each >= 100 else 2}f}" for each in values]
    axes.bar_label(bars, labels, padding=2, fontsize=7)
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_title(f"{title}, {unit} ({'more' if many else 'less'} is better)", fontsize=9)
    axes.tick_params(labelsize=7)
    axes.tick_params(which="minor", labelbottom=False)


def main() -> None:
    """Draw a file of results into a file."""
    results, plot = Path(sys.argv[1]), Path(sys.argv[2])
    medians = json.loads(results.read_text(encoding="utf-8"))["medians"]
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    pyplot: Any = import_module("matplotlib.pyplot")
    shown = [title for title in PANELS if len(medians.get(title, {})) > 1]
    figure, grid = pyplot.subplots(max(1, (len(shown) + 1) // 2), 2, figsize=(11, 8), squeeze=False)
    places = [axes for row in grid for axes in row]
    for axes, title in zip(places, shown, strict=False):
        panel(axes, title, medians[title])
    for axes in places[len(shown) :]:
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(plot)


if __name__ == "__main__":
    main()
