"""Who owns executions and letters, and who is registered, inside the transaction of the caller."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from asyncflow._store.batch import Claimed, Dead, Duty, Fence, RunnerRow
from asyncflow._store.codec import micros
from asyncflow._store.heirs import Gains, Names
from asyncflow._store.refusal import fenced
from asyncflow._store.sqlite import duties, letters_to_nobody, unowned
from asyncflow._store.sqlite.terms import AMONG, UNFINISHED, last_id

_MICROSECOND: Final = timedelta(microseconds=1)
_FIND_DEAD: Final = (
    "SELECT r.id FROM json_each(?) CROSS JOIN runner r "
    "ON r.id = json_extract(value, '$[0]') AND r.beat = json_extract(value, '$[1]')"
)


def register(db: sqlite3.Connection, runner: RunnerRow) -> Fence:
    """Add a runner; letters that wait for the first are its own once it claims, with duties."""
    db.execute("DELETE FROM runner WHERE id = ?", (runner.id,))
    cursor = db.execute(
        "INSERT INTO runner (id, pid, process, host, since, address, lease, beat) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            runner.id,
            runner.pid,
            runner.process,
            runner.host,
            micros(runner.since),
            runner.address,
            runner.lease // _MICROSECOND,
            runner.beat,
        ),
    )
    epoch = cursor.lastrowid
    assert epoch is not None  # it is of an INSERT
    return Fence(runner.id, epoch)


def release(db: sqlite3.Connection, fence: Fence) -> None:
    """Remove a runner, unless it was replaced."""
    gone = db.execute("DELETE FROM runner WHERE id = ? AND epoch = ?", (fence.runner, fence.epoch))
    if gone.rowcount:
        db.execute(
            f"UPDATE execution SET recoveries = 0 "
            f"WHERE owner = ? AND {UNFINISHED} AND recoveries <> 0",
            (fence.runner,),
        )
        _disown(db, [fence.runner])


def claim(
    db: sqlite3.Connection,
    fence: Fence,
    dead: Sequence[Dead],
    workflows: Sequence[tuple[str, str]] | None,
    limit: int,
    *,
    wanted: Mapping[Duty, frozenset[str]] | None,
) -> Claimed:
    """Remove the dead, then own what nobody does."""
    _remove(db, dead)
    check_fence(db, fence)
    if wanted is not None:
        duties.give_up(db, fence.runner, wanted)
    letters = letters_to_nobody.there(db)
    before = duties.of_nobody(db) if letters else {}
    ids = unowned.first(db, None if workflows is None else frozenset(workflows), limit)
    if ids:
        sql = f"UPDATE execution SET owner = ? WHERE id {AMONG}"
        db.execute(sql, (fence.runner, json.dumps(ids)))
    held = duties.take(db, fence.runner, wanted or {})
    if letters:
        gains = _gains(db, ids, duties.taken(before, wanted or {}))
        letters_to_nobody.inherit(db, fence.runner, gains)
    return Claimed(tuple(ids), held)


def renew(db: sqlite3.Connection, fence: Fence) -> None:
    """Count a beat of a runner."""
    sql = "UPDATE runner SET beat = beat + 1 WHERE id = ? AND epoch = ?"
    if not db.execute(sql, (fence.runner, fence.epoch)).rowcount:
        raise fenced(fence)


def check_fence(db: sqlite3.Connection, fence: Fence | None) -> None:
    """Raise `FencedError` unless the runner's row has this epoch; None always holds."""
    if fence is None:
        return
    found: tuple[int] | None = db.execute(
        "SELECT epoch FROM runner WHERE id = ?", (fence.runner,)
    ).fetchone()
    if found != (fence.epoch,):
        raise fenced(fence)


def _remove(db: sqlite3.Connection, dead: Sequence[Dead]) -> None:
    if not dead:
        return
    listed = json.dumps([[each.runner, each.beat] for each in dead])
    gone = [row[0] for row in db.execute(_FIND_DEAD, (listed,)).fetchall()]
    if gone:
        db.execute(f"DELETE FROM runner WHERE id {AMONG}", (json.dumps(gone),))
        _disown(db, gone)


def _disown(db: sqlite3.Connection, runners: Sequence[str]) -> None:
    names = (json.dumps(runners),)
    db.execute(f"UPDATE execution SET owner = NULL WHERE owner {AMONG} AND {UNFINISHED}", names)
    db.execute(f"UPDATE inbox SET runner = NULL WHERE runner {AMONG}", names)
    duties.leave(db, *names)


def _gains(db: sqlite3.Connection, ids: Sequence[int], rules: Names) -> Gains:
    sql = f"SELECT namespace, min(id) FROM execution WHERE id {AMONG} GROUP BY namespace"
    executions = dict(db.execute(sql, (json.dumps(ids),)).fetchall()) if ids else {}
    last = last_id(db, "execution")
    return Gains(executions, unowned.least(db), rules, duties.of_nobody(db), last)
