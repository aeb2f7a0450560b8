"""Statements whose parameters are numbered, so that one value may stand in several places.

SQLite has ``?2`` for that, but Python 3.12.0 to 3.12.3 takes it for a name, and warns of it
(github.com/python/cpython/issues/117995): here the values are put in the order of the places.
"""

import re
import sqlite3
from collections.abc import Sequence
from operator import itemgetter

Value = str | int | None
"""What is bound to a parameter."""

_PARAMETER = re.compile(r"\?(\d+)")


class Numbered:
    """A statement with two parameters or more, each ``?1``, ``?2`` and so on."""

    __slots__ = ("_sql", "_values")

    def __init__(self, sql: str) -> None:
        """Take its text, which has no question mark elsewhere."""
        self._sql = _PARAMETER.sub("?", sql)
        self._values = itemgetter(*(int(number) - 1 for number in _PARAMETER.findall(sql)))

    def execute(self, db: sqlite3.Connection, values: Sequence[Value]) -> sqlite3.Cursor:
        """Execute it; the first of the values is that of ``?1``."""
        return db.execute(self._sql, self._values(values))
