"""The oracle of the crash tests: a log outside the database, which says what was really so.

A line is one write to the end of the file, on the disk when it returns: a kill neither cuts it in
two nor takes it back. Who is told something writes "acked", who does something "ran".
"""

import json
import os
from collections import Counter
from pathlib import Path


class Book:
    """An append-only log of words."""

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        """Write to ``path``; what is not ``synced`` outlives a kill, as files do, and no more."""
        self._path = path
        self._synced = synced
        self._acked = {words[1]: json.loads(words[2]) for words in self.of("acked")}

    def write(self, *words: str) -> None:
        line = "\t".join(words)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, f"{line}\n".encode())
            if self._synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def ack(self, label: str, value: object = None) -> None:
        """Note that a caller was answered."""
        self.write("acked", label, json.dumps(value))
        self._acked[label] = value

    @property
    def acked(self) -> dict[str, object]:
        """What callers were answered, in this process and in those before it."""
        return self._acked

    def of(self, kind: str) -> list[list[str]]:
        if not self._path.exists():
            return []
        lines = [line.split("\t") for line in self._path.read_text().splitlines()]
        return [words for words in lines if words[0] == kind]

    def runs(self) -> Counter[tuple[str, str, str]]:
        """Return how often each task really ran, by execution, task and sequence number."""
        return Counter((words[1], words[2], words[3]) for words in self.of("ran"))

    def attempts(self) -> Counter[tuple[str, ...]]:
        """Return the same for each attempt, by its try number."""
        return Counter(tuple(words[1:]) for words in self.of("ran"))
