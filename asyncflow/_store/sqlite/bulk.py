"""One statement for many rows.

Python lets go of its interpreter lock in every step of SQLite, and gets it back from a busy event
loop only after up to 5 ms. `executemany` steps once for each row: 512 rows beside a busy loop
took 317 ms, in statements of many rows 10 ms.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from asyncflow._store.sqlite.numbered import Numbered, Value

# Fixed, so that the statements stay prepared; SQLite takes 32,766 values, a row has up to 19.
_SIZES = (512, 128, 32, 8, 2, 1)


class Bulk:
    """A statement with a list of rows in it, ``head VALUES-LIST tail``."""

    __slots__ = ("_single", "_sql")

    def __init__(self, head: str, width: int, tail: str = "", *, single: str | None = None) -> None:
        """Give the text on both sides of the list, and how many values a row has.

        Args:
            head: what comes before the list.
            width: how many values a row has.
            tail: what comes after the list.
            single: the same for one row alone, where SQLite does that better without a list; its
                parameters are numbered.
        """
        row = f"({', '.join('?' * width)})"
        self._sql = {size: f"{head} {', '.join([row] * size)} {tail}" for size in _SIZES}
        self._single = None if single is None else Numbered(single)

    def run(self, db: sqlite3.Connection, rows: Collection[Sequence[Value]]) -> None:
        """Execute for these rows, in order."""
        if len(rows) == 1:
            (row,) = rows
            if self._single is None:
                db.execute(self._sql[1], row)
            else:
                self._single.execute(db, row)
        elif rows:
            for sql, values in self._statements(rows):
                db.execute(sql, values)

    def select(
        self, db: sqlite3.Connection, rows: Collection[Sequence[Value]]
    ) -> list[tuple[Any, ...]]:
        """Execute for these rows; return what is found for all of them."""
        statements = self._statements(rows) if rows else ()
        return [row for sql, values in statements for row in db.execute(sql, values).fetchall()]

    def _statements(self, rows: Collection[Sequence[Value]]) -> Iterator[tuple[str, list[Value]]]:
        ordered, done = list(rows), 0
        for size in _SIZES:
            sql = self._sql[size]
            while len(ordered) - done >= size:
                yield sql, list(chain.from_iterable(ordered[done : done + size]))
                done += size
