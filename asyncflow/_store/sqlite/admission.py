"""Which new executions get a row: what is refused, and why, by what is stored already."""

import json
import sqlite3
from collections.abc import Sequence

from asyncflow._store.batch import NewExecution, Refused


class Admission:
    """Looks once at what stands against the new executions of a batch, then admits them in turn."""

    def __init__(
        self, db: sqlite3.Connection, new: Sequence[NewExecution], offsets: Sequence[int]
    ) -> None:
        """Read it; ``offsets`` are those of the batch's own events."""
        self._offsets = offsets
        self._names = _names(db, new)
        self._disabled = {
            (row[0], row[1]) for row in db.execute("SELECT namespace, name FROM disabled_workflow")
        }
        causes = [cause for each in new if (cause := self.cause_of(each)) is not None]
        self._caused = _caused(db, causes) if causes else set[tuple[str, str, int]]()

    def cause_of(self, new: NewExecution) -> int | None:
        """Return the offset of the event that starts an execution."""
        if new.cause is None:
            return None
        return self._offsets[new.cause.event] if new.cause.fresh else new.cause.event

    def refusal(self, new: NewExecution, cause: int | None) -> Refused | None:
        """Say why an execution gets no row; if nothing is against it, it has one from now on."""
        if (new.namespace, new.workflow) in self._disabled:
            return Refused.DISABLED
        if new.name in self._names:
            return Refused.NAME_TAKEN
        if cause is not None:
            caused = (new.namespace, new.workflow, cause)
            if caused in self._caused:
                return Refused.CAUSED_ALREADY
            self._caused.add(caused)
        self._names.add(new.name)
        return None


def _names(db: sqlite3.Connection, new: Sequence[NewExecution]) -> set[str]:
    sql = "SELECT name FROM execution WHERE name IN (SELECT value FROM json_each(?))"
    return {row[0] for row in db.execute(sql, (json.dumps([each.name for each in new]),))}


def _caused(db: sqlite3.Connection, causes: Sequence[int]) -> set[tuple[str, str, int]]:
    sql = (
        "SELECT namespace, workflow, cause FROM execution "
        "WHERE cause IS NOT NULL AND cause IN (SELECT value FROM json_each(?))"
    )
    return {(row[0], row[1], row[2]) for row in db.execute(sql, (json.dumps(causes),))}
