"""Compare asyncflow, the floor and the peers in W1 to W9, in rounds, heat by heat.

    python -m benchmarks.compare --help

Each heat is a process of its own. In a round each event has all its contestants one after the
other, in turned order in every second round, so that what else the machine does hits them all. A
run that is cut off goes on where it stopped; what failed is tried again.
"""

import compileall
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from benchmarks.contest.environments import Missing, interpreter, version
from benchmarks.contest.field import OWN, PEERS, Contestant, Event
from benchmarks.contest.heat import Figures, Heat
from benchmarks.contest.plan import OWN_ONES, UNFINISHED, Plan, asked
from benchmarks.contest.records import ROOT, Record, Records, digest
from benchmarks.contest.table import markdown
from benchmarks.contest.verdicts import BARS, METRICS, median
from benchmarks.yardstick import fsync_ms

LONGEST: Final = 240.0
"""Seconds after which a heat has failed."""

UNKNOWN: Final = 30.0
"""Seconds that a heat is thought to take before the first of its kind."""

IMPORT: Final = (
    "import time; begin = time.perf_counter(); import {0}; print(time.perf_counter() - begin)"
)


class Contest:
    """Runs the heats of a plan that have no record yet."""

    def __init__(self, plan: Plan, records: Records, environments: Path) -> None:
        """Begin with no environment looked at."""
        self._plan, self._records, self._environments = plan, records, environments
        self._pythons: dict[str, str | None] = {}
        self._log = records.folder / "errors.log"

    def run(self, budget: float) -> bool:
        """Run heats until all are done, or the next would take longer than there is time.

        What has failed is tried again after all others, and does not make a run unfinished.
        """
        begin = time.monotonic()
        for tries, (round_, contestant, event, many) in self._left():
            python = self._python(contestant)
            if python is None:
                continue
            if time.monotonic() + self._expected(contestant, event) > begin + budget:
                return tries > 0
            record = self._heat(python, round_, contestant, event, many)
            self._records.add(record)
            shown = record.error or f"{record.seconds:.1f} s"
            print(f"round {round_ + 1}: {event.name}, {contestant.name}: {shown}", flush=True)
        return True

    def _left(self) -> list[tuple[int, tuple[int, Contestant, Event, int]]]:
        """Return the heats without figures and how often they have failed; those come last."""
        left = [
            (tries, heat)
            for heat in self._plan.heats()
            if (tries := self._records.tries(heat[1].name, heat[2].name, heat[0])) is not None
        ]
        return sorted(left, key=itemgetter(0))

    def _python(self, contestant: Contestant) -> str | None:
        name = contestant.environment
        if name not in self._pythons:
            try:
                self._pythons[name] = python = interpreter(self._environments, name)
                if name != OWN:
                    found = version(python, name, contestant.imports)
                    self._records.found(name, found)
            except (Missing, OSError, subprocess.CalledProcessError) as error:
                self._pythons[name] = None
                self._records.missed(name, str(error))
                print(f"{name} is missing: {error}", flush=True)
        return self._pythons[name]

    def _expected(self, contestant: Contestant, event: Event) -> float:
        before = [
            each.seconds
            for each in self._records.all
            if (each.contestant, each.event) == (contestant.name, event.name)
        ]
        return max(before, default=UNKNOWN)

    def _heat(
        self, python: str, round_: int, contestant: Contestant, event: Event, many: int
    ) -> Record:
        begin, error, figures = time.monotonic(), "", {}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            fsync = fsync_ms(Path(folder))
            try:
                if event.workload == "W9":
                    self._process(python, contestant, folder, "W9 crash", many)
                figures = self._process(python, contestant, folder, event.workload, many)
                if event.workload == "W8":
                    figures["import"] = [1000 * self._import(python, contestant) for _ in range(3)]
            except (Failed, subprocess.TimeoutExpired) as failure:
                error = str(failure)
        seconds = time.monotonic() - begin
        return Record(contestant.name, event.name, many, round_, seconds, fsync, figures, error)

    def _process(
        self, python: str, contestant: Contestant, folder: str, workload: str, many: int
    ) -> Figures:
        heat = Heat(
            workload=workload,
            folder=folder,
            variant=contestant.variant,
            many=many,
            seconds=self._plan.seconds,
            loop=self._plan.loop,
            begun=time.monotonic(),
        )
        module = f"benchmarks.contestants.{contestant.module}"
        status, output = self._output([python, "-m", module, heat.text()], folder)
        if workload == "W9 crash" and status == -signal.SIGKILL:
            return {}
        if status:
            raise Failed(self._log.read_text(encoding="utf-8").splitlines()[-1])
        figures: Figures = json.loads(output.splitlines()[-1])
        return figures

    def _import(self, python: str, contestant: Contestant) -> float:
        with tempfile.TemporaryDirectory() as folder:
            code = IMPORT.format(contestant.imports)
            status, output = self._output([python, "-c", code], folder)
        if status:
            raise Failed("it cannot be imported")
        return float(output)

    def _output(self, command: list[str], home: str) -> tuple[int, str]:
        # A peer that keeps something in the home folder keeps it in that of this heat.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": home}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"== {' '.join(command[2:])}\n")
            log.flush()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            try:
                output, _ = process.communicate(timeout=LONGEST)
            finally:
                # With what it has started: the server of a peer must not outlive it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, output


class Failed(Exception):  # noqa: N818  of a contestant, not of this program
    """A heat has no figures; the text says why."""


def summary(records: Records) -> dict[str, Any]:
    """Return the medians and what was reached, for other programs."""
    names = sorted({each.contestant for each in records.all})
    medians: Mapping[str, Any] = {
        metric.name: {
            "unit": metric.unit,
            **{
                name: value
                for name in names
                if (value := median(records, name, metric)) is not None
            },
        }
        for metric in METRICS
    }
    bars = [
        {
            "metric": bar.metric.name,
            "against": bar.against,
            "reached": reached,
            "wanted": bar.wanted,
            "met": bar.met(reached),
        }
        for bar in BARS
        if (reached := bar.reached(records)) is not None
    ]
    return {"about": records.about, "medians": medians, "bars": bars}


def write(records: Records, environments: Path) -> None:
    """Write what a run says: a table, its figures as JSON, and a plot if there is what draws it."""
    (records.folder / "table.md").write_text(markdown(records), encoding="utf-8")
    results = records.folder / "results.json"
    results.write_text(json.dumps(summary(records), indent=1), encoding="utf-8")
    if not any(each.contestant == PEERS[0].name for each in records.all):
        return
    try:
        python = interpreter(environments, "plot")
    except (Missing, OSError, subprocess.CalledProcessError) as error:
        print(f"no plot: {error}")
        return
    plot = records.folder / "plot.svg"
    command = [python, "-m", "benchmarks.contest.plot", str(results), str(plot)]
    subprocess.run(command, cwd=ROOT, check=False)


def main() -> int:
    """Run what is left of a run, and print its table."""
    given, plan = asked()
    default = ROOT / "build" / "benchmarks" / ("quick" if given.quick else "full")
    records = Records(given.results or default)
    if given.table:
        print(markdown(records))
        return 0
    if given.fresh or not records.about or (given.quick and is_over(records)):
        records.begin(plan.settings)
    elif reason := plan.differs(records):
        print(f"{reason}: ask for the same, or begin a new run with --fresh", file=sys.stderr)
        return 2
    for folder in ("asyncflow", "benchmarks"):  # as an installer does it for the peers
        compileall.compile_dir(ROOT / folder, quiet=1)
    done = Contest(plan, records, given.environments).run(given.budget)
    if records.all:
        write(records, given.environments)
    print(markdown(records))
    if not done:
        print("there is more to do: call again")
        return UNFINISHED
    records.end()
    return fell_out(plan, records)


def fell_out(plan: Plan, records: Records) -> int:
    """Say who of the own ones has no figures in an event, and return the exit status for that.

    A peer that fails stands in the table only: it is not ours to mend.
    """
    heats = dict.fromkeys((x.name, event.name) for _, x, event, _ in plan.heats() if x in OWN_ONES)
    out = [heat for heat in heats if not records.of(*heat)]
    for name, event in out:
        print(f"{name} has no figures in {event}: {records.folder / 'errors.log'}", file=sys.stderr)
    return 1 if out else 0


def is_over(records: Records) -> bool:
    """Say whether a quick run is done, or is of other sources: the next one begins anew."""
    about = records.about
    return about.get("course") == "quick" and ("ended" in about or about["sources"] != digest())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; what was measured is kept, call again to go on", file=sys.stderr)
        sys.exit(130)
