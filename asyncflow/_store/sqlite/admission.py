"""Which new executions get a row: what is refused, and why, by what is stored already."""

import json
import sqlite3
from collections.abc import Sequence

from asyncflow._store.batch import Firing, NewExecution, Refused, Tick
from asyncflow._store.sqlite.bulk import Bulk
from asyncflow._store.sqlite.terms import AMONG, UNFINISHED
from asyncflow._store.sqlite.ticks import TickLines

# Joined from the left: SQLite looks a list of rows up in no index for IN.
_SELECT_ALONE = Bulk(
    "SELECT alone, namespace, workflow FROM (VALUES",
    3,
    ") AS v CROSS JOIN execution ON alone = v.column1 AND namespace = v.column2 "
    f"AND workflow = v.column3 WHERE {UNFINISHED}",
)
_SELECT_ONCE = Bulk(
    "SELECT key, namespace, workflow FROM (VALUES",
    3,
    ") AS v CROSS JOIN started_once ON key = v.column1 AND namespace = v.column2 "
    "AND workflow = v.column3",
)
_SELECT_CURSORS = Bulk(
    "SELECT namespace, name, cursor FROM (VALUES",
    2,
    ") AS v CROSS JOIN trigger_schedule ON namespace = v.column1 AND name = v.column2",
)

_OfWorkflow = tuple[str, str, str]


class Admission:
    """Looks once at what stands against the new executions of a batch, then admits them in turn."""

    def __init__(
        self,
        db: sqlite3.Connection,
        new: Sequence[NewExecution],
        offsets: Sequence[int],
        ticks: TickLines,
    ) -> None:
        """Read it; ``offsets`` are those of the batch's own events."""
        self._offsets = offsets
        self._ticks = ticks
        self._names = _names(db, new)
        self._disabled = {
            (row[0], row[1]) for row in db.execute("SELECT namespace, name FROM disabled_workflow")
        }
        more = [each for each in new if not is_usual(each)]
        causes = [cause for each in more if (cause := self.cause_of(each)) is not None]
        self._caused = _caused(db, causes) if causes else set[tuple[str, str, int]]()
        alone = {key for each in more if (key := _of_workflow(each, each.alone)) is not None}
        self._alone: set[_OfWorkflow] = set(_SELECT_ALONE.select(db, alone))
        self._cursors = _cursors(db, more)
        once = {key for each in more if (key := _of_workflow(each, each.once)) is not None}
        self._once: set[_OfWorkflow] = set(_SELECT_ONCE.select(db, once))

    def cause_of(self, new: NewExecution) -> int | None:
        """Return the offset of the event that starts an execution."""
        if new.cause is None:
            return None
        return self._offsets[new.cause.event] if new.cause.fresh else new.cause.event

    def admit(self, new: NewExecution, id_: int, *, final: bool) -> Refused | None:
        """Say why an execution gets no row; if nothing is against it, it has one from now on.

        Then ``id_`` is that row's, and ``final`` says that it ended already.
        """
        refused = self._refusal(new)
        if refused is not None:
            return refused
        self._names.add(new.name)
        if is_usual(new):
            return None
        cause = self.cause_of(new)
        if cause is not None:
            self._caused.add((new.namespace, new.workflow, cause))
        if isinstance(new.origin, Tick):
            self._ticks.add_started(new.origin, id_, new.created)
        once, alone = _of_workflow(new, new.once), _of_workflow(new, new.alone)
        if once is not None:
            self._once.add(once)
        if alone is not None and not final:
            self._alone.add(alone)
        return None

    def _refusal(self, new: NewExecution) -> Refused | None:
        if (new.namespace, new.workflow) in self._disabled:
            return Refused.DISABLED
        if new.name in self._names:
            return Refused.NAME_TAKEN
        return None if is_usual(new) else self._refusal_of_more(new)

    def _refusal_of_more(self, new: NewExecution) -> Refused | None:
        if (new.namespace, new.workflow, self.cause_of(new)) in self._caused:
            return Refused.CAUSED_ALREADY
        refused = self._refusal_of(new.origin)
        if refused is not None:
            return refused
        if _of_workflow(new, new.once) in self._once:
            return Refused.STARTED_ONCE
        if _of_workflow(new, new.alone) in self._alone:
            return Refused.RUNS_ALREADY
        return None

    def _refusal_of(self, origin: Firing | Tick | None) -> Refused | None:
        """Say why what wants an execution may start nothing."""
        if isinstance(origin, Tick):
            return self._ticks.refusal(origin)
        write = None if origin is None else origin.cursor
        if write is None:
            return None
        stored = self._cursors.get((write.namespace, write.trigger))
        return None if stored == write.instead_of else Refused.OUTDATED


def is_usual(new: NewExecution) -> bool:
    """Say whether only its name and its workflow can stand against an execution."""
    return new.cause is None and new.origin is None and new.alone is None and new.once is None


def _of_workflow(new: NewExecution, text: str | None) -> _OfWorkflow | None:
    return None if text is None else (text, new.namespace, new.workflow)


def _cursors(
    db: sqlite3.Connection, new: Sequence[NewExecution]
) -> dict[tuple[str, str], str | None]:
    """Return the stored cursors of the triggers that want to write others."""
    firings = [each.origin for each in new if isinstance(each.origin, Firing)]
    places = {(each.namespace, each.trigger) for each in firings if each.cursor is not None}
    found = _SELECT_CURSORS.select(db, places)
    return {(namespace, name): cursor for namespace, name, cursor in found}


def _names(db: sqlite3.Connection, new: Sequence[NewExecution]) -> set[str]:
    if len(new) == 1:
        return {
            row[0]
            for row in db.execute("SELECT name FROM execution WHERE name = ?", (new[0].name,))
        }
    sql = f"SELECT name FROM execution WHERE name {AMONG}"
    return {row[0] for row in db.execute(sql, (json.dumps([each.name for each in new]),))}


def _caused(db: sqlite3.Connection, causes: Sequence[int]) -> set[tuple[str, str, int]]:
    sql = (
        "SELECT namespace, workflow, cause FROM execution "
        f"WHERE cause IS NOT NULL AND cause {AMONG}"
    )
    return {(row[0], row[1], row[2]) for row in db.execute(sql, (json.dumps(causes),))}
