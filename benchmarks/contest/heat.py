"""A heat: one contestant does one workload in a process of its own and prints its figures.

    python -m benchmarks.contestants.NAME '{"workload": "W1", "folder": "/tmp/x", ...}'

A contestant's environment may lack everything else: only the standard library is imported here,
and little of it, for W8 measures a process from its very start.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

Figures: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Heat:
    """What is asked of a contestant."""

    workload: str
    """W1 to W9; "W9 crash" is the run that W9 goes on from."""

    folder: str
    """A folder for its files; only W9 finds something there."""

    variant: str
    """How the contestant is set up, where it can be in several ways."""

    many: int
    """How many tasks, workflows, waiters or schedules, as the workload says."""

    seconds: float
    """How long W7 looks."""

    loop: str
    """Of asyncflow and the floor: uvloop or asyncio."""

    begun: float
    """When the process was started, by time.monotonic()."""

    def text(self) -> str:
        """Return it as a command line's argument."""
        return json.dumps(asdict(self))

    @property
    def database(self) -> Path:
        """The file to write to."""
        return Path(self.folder) / "heat.db"


Workload: TypeAlias = Callable[[Heat], Coroutine[Any, Any, Figures]]


def given() -> Heat:
    """Return what the command line asks for."""
    return Heat(**json.loads(sys.argv[1]))


def run(
    workloads: Mapping[str, Workload],
    loops: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None = None,
) -> None:
    """Do what is asked, and print its figures."""
    heat = given()
    loop = None if loops is None else loops[heat.loop]
    with asyncio.Runner(loop_factory=loop) as runner:
        finish(runner.run(workloads[heat.workload](heat)))


def finish(figures: Figures) -> NoReturn:
    """Print the figures and end the process, whatever a contestant would still do."""
    print(json.dumps(figures), flush=True)
    os._exit(0)


def check(database: Path | str, wanted: Mapping[str, int]) -> None:
    """End with an error unless each query counts what is wanted.

    It asks the file, with the standard library's sqlite3: no contestant's own counters are trusted.
    """
    with closing(sqlite3.connect(database)) as connection:
        for sql, number in wanted.items():
            found = connection.execute(sql).fetchone()[0]
            if found != number:
                sys.exit(f"{database}: {found} instead of {number}: {sql}")


def left_behind(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a query finds in a file whose process was killed; the file stays as it is.

    A copy is asked: whoever is the last to close a database takes its WAL into it, and who goes on
    after the crash would be spared just that.
    """
    copy = f"{database}.copy"
    for suffix in ("", "-wal", "-journal"):
        if Path(f"{database}{suffix}").exists():
            Path(f"{copy}{suffix}").write_bytes(Path(f"{database}{suffix}").read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        return connection.execute(sql).fetchall()
