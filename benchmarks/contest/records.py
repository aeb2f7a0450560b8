"""The records of a run: one line of JSON for each heat that was finished.

A run that is cut off goes on where it stopped, with the settings that it began with: they are kept
beside the records. Nothing is computed here.
"""

import hashlib
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
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


def about(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be known of a run, its settings first."""
    return {
        **settings,
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
        self._whole: int | None = None
        self.all: list[Record] = []
        self.about: dict[str, Any] = {}
        if self._about.exists():
            self.about = json.loads(self._about.read_text(encoding="utf-8"))
            self.all = list(self._read())

    def _read(self) -> Iterator[Record]:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            # Its writer was killed. It is cut off with the next record: to look changes nothing.
            self._whole = len(whole + newline)
        for line in whole.decode().splitlines():
            yield Record(**json.loads(line))

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Begin a run with settings; what is there is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self.all, self.about, self._whole = [], about(settings), None
        self._write()

    def found(self, environment: str, version: str) -> None:
        """Note which version of a peer there is."""
        self.about.get("missing", {}).pop(environment, None)
        self.about.setdefault("versions", {})[environment] = version
        self._write()

    def missed(self, environment: str, reason: str) -> None:
        """Note why a peer is not there."""
        self.about.get("versions", {}).pop(environment, None)
        self.about.setdefault("missing", {})[environment] = reason
        self._write()

    def end(self) -> None:
        """Note that all that was asked for has been tried."""
        self.about["ended"] = time.strftime("%Y-%m-%d %H:%M")
        self._write()

    def _write(self) -> None:
        # Renamed into place, so that a kill leaves the old text or the new one.
        new = self._about.with_suffix(".new")
        new.write_text(json.dumps(self.about, indent=1), encoding="utf-8")
        new.replace(self._about)

    def add(self, record: Record) -> None:
        """Keep a record."""
        self.all.append(record)
        if self._whole is not None:
            os.truncate(self._path, self._whole)
            self._whole = None
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def tries(self, contestant: str, event: str, round_: int) -> int | None:
        """Return how often a heat has failed; None if it has figures."""
        heat = (contestant, event, round_)
        errors = [x.error for x in self.all if (x.contestant, x.event, x.round) == heat]
        return len(errors) if all(errors) else None

    def of(self, contestant: str, event: str) -> list[Record]:
        """Return what came of a contestant in an event, without what failed."""
        return [x for x in self.all if (x.contestant, x.event, x.error) == (contestant, event, "")]
