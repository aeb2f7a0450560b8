"""What owners cost in a file: one statement for each thing, however many rows, and no scans."""

import sqlite3
from dataclasses import replace

from asyncflow._store.batch import Batch, Dead, Duty, DutyKind
from asyncflow._store.sqlite.store import SqliteStore
from tests.store.samples import awaited, event, letter, runner, signal, start
from tests.store.test_sqlite import on_writer
from tests.store.test_sqlite_cost import plans

GROWING = ("execution", "inbox", "event", "duty", "fact", "d", "i", "x")
PARTIAL = {"execution_unowned", "inbox_to_nobody"}


async def traced(sqlite: SqliteStore) -> list[str]:
    seen: list[str] = []
    await on_writer(sqlite, lambda db: db.set_trace_callback(seen.append))
    return seen


def scanned(found: dict[str, list[str]]) -> set[str]:
    """Return the growing tables that are gone through from end to end, by no partial index."""
    steps = [step.split() for each in found.values() for step in each]
    tables = {step[1] for step in steps if step[0] == "SCAN" and not PARTIAL.intersection(step)}
    return tables.intersection(GROWING)


async def test_a_claim_takes_few_statements_however_much_there_is_to_take(
    sqlite: SqliteStore,
) -> None:
    dead = [await sqlite.register(runner(f"dead-{n}")) for n in range(20)]
    fence = await sqlite.register(runner("r1"))
    await start(sqlite, *(f"a{n}" for n in range(100)), fence=dead[0])
    await sqlite.append([letter("Heard") for _ in range(10)])
    duties = {Duty(DutyKind.TRIGGER, "default", f"poll-{n}") for n in range(10_000)}
    seen = await traced(sqlite)

    claimed = await sqlite.claim(
        fence,
        [Dead(each.runner, 0) for each in dead],
        None,
        100,
        dict.fromkeys(duties, frozenset[str]()),
    )

    assert len(claimed.executions) == 100
    assert claimed.duties == duties
    assert len(seen) <= 30


async def test_a_claim_that_finds_nothing_goes_through_no_table_and_writes_nothing(
    sqlite: SqliteStore,
) -> None:
    fence = await sqlite.register(runner("r1"))
    duty = Duty(DutyKind.RULES, "default", "release")
    await sqlite.claim(fence, (), None, 10, {duty: frozenset({"go"})})
    changed = await on_writer(sqlite, lambda db: db.total_changes)
    seen = await traced(sqlite)

    await sqlite.claim(fence, [Dead("never there", 0)], None, 10, {duty: frozenset({"go"})})

    assert scanned(await plans(sqlite, seen)) == set()
    assert await on_writer(sqlite, lambda db: db.total_changes) == changed


async def test_a_claim_goes_through_no_table_for_what_was_worked_on_last(
    sqlite: SqliteStore,
) -> None:
    dead = await sqlite.register(runner("dead"))
    await start(sqlite, "a", "b", fence=dead)
    fence = await sqlite.register(runner("r1"))
    seen = await traced(sqlite)

    claimed = await sqlite.claim(fence, [Dead("dead", 0)], None, 10)

    assert len(claimed.executions) == 2
    assert scanned(await plans(sqlite, seen)).isdisjoint({"execution", "fact"})


async def test_who_judges_events_is_looked_up_once_and_only_if_there_are_any(
    sqlite: SqliteStore,
) -> None:
    one, two = await sqlite.register(runner("r1")), await sqlite.register(runner("r2"))
    duty = Duty(DutyKind.RULES, "default", "release")
    await sqlite.claim(one, (), None, 10, {duty: frozenset({"go"})})
    await sqlite.claim(two, (), None, 10, {replace(duty, name="b"): frozenset({"go", "ok"})})
    (a,) = await start(sqlite, "a", fence=one)
    await sqlite.commit(Batch(one, awaited=(awaited(a),)))
    seen = await traced(sqlite)

    await sqlite.commit(Batch(one, events=(event("go"),)))
    before = [sql for sql in seen if "duty" in sql]
    events = tuple(event("go") for _ in range(100))
    await sqlite.commit(
        Batch(one, events=events, signals=(signal(1, a),), for_rules=tuple(range(100)))
    )

    assert before == []
    assert len([sql for sql in seen if "duty" in sql]) == 1
    found = await plans(sqlite, seen)
    assert scanned(found) == set()
    steps = {step for each in found.values() for step in each}
    assert "SEARCH d USING PRIMARY KEY (kind=? AND namespace=?)" in steps


async def test_beats_wait_for_no_disk_and_commits_do(sqlite: SqliteStore) -> None:
    fence = await sqlite.register(runner("r1"))
    pulse = sqlite.pulse()
    pulse.renew(fence)

    def level(db: sqlite3.Connection) -> int:
        return int(db.execute("PRAGMA synchronous").fetchone()[0])

    assert pulse._db is not None
    levels = (level(pulse._db), await on_writer(sqlite, level))
    pulse.close()

    assert levels == (1, 2)  # NORMAL, FULL
