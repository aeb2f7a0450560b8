"""The records of a run: one line of JSON for each heat that was finished.

A run that is cut off goes on where it stopped. Nothing is computed here.
"""

import hashlib
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.contest.heat import Figures

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Record:
    """What came of one heat."""

    contestant: str
    event: str
    many: int
    round: int
    seconds: float
    """That the heat took, its process's start included."""

    fsync_ms: float
    """That one write and its fsync took, just before."""

    figures: Figures
    error: str = ""
    """Why there are no figures."""


def digest() -> str:
    """Return what tells one state of asyncflow, the course and the contestants from another."""
    folders = (
        ROOT / "asyncflow",
        ROOT / "benchmarks" / "contest",
        ROOT / "benchmarks" / "contestants",
    )
    paths = sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".sql"}
    )
    content = hashlib.sha256()
    for path in paths:
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def about(loop: str) -> dict[str, Any]:
    """Return what is to be known of a run."""
    return {
        "loop": loop,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "sources": digest(),
        "begun": time.strftime("%Y-%m-%d %H:%M"),
        "command": sys.argv[1:],
    }


class Records:
    """A folder with the records of one run."""

    def __init__(self, folder: Path) -> None:
        """Read what is there."""
        self.folder = folder
        self._path = folder / "records.jsonl"
        self._about = folder / "about.json"
        self.all: list[Record] = []
        self.about: dict[str, Any] = {}
        if self._about.exists():
            self.about = json.loads(self._about.read_text(encoding="utf-8"))
            self.all = list(self._read())

    def _read(self) -> Iterator[Record]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            yield Record(**json.loads(line))

    def begin(self, loop: str) -> None:
        """Begin a run; what is there is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self.all, self.about = [], about(loop)
        self._write()

    def note_of(self, what: str, name: str, text: str) -> None:
        """Add to what is to be known of this run: something of an environment."""
        for kind in ("versions", "missing"):  # what a call before found is no longer so
            self.about.get(kind, {}).pop(name, None)
        self.about[what] = {**self.about.get(what, {}), name: text}
        self._write()

    def _write(self) -> None:
        self._about.write_text(json.dumps(self.about, indent=1), encoding="utf-8")

    def add(self, record: Record) -> None:
        """Keep a record."""
        self.all.append(record)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def has(self, contestant: str, event: str, round_: int) -> bool:
        """Say whether a heat was finished."""
        return any(
            (x.contestant, x.event, x.round) == (contestant, event, round_) for x in self.all
        )

    def of(self, contestant: str, event: str) -> list[Record]:
        """Return what came of a contestant in an event, without what failed."""
        return [x for x in self.all if (x.contestant, x.event, x.error) == (contestant, event, "")]
