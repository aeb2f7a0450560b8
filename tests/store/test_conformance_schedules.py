"""What every store keeps of schedules and of what became of their ticks."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from asyncflow._model.record import ScheduleRecord, TickRecord
from asyncflow._model.status import WorkflowStatus
from asyncflow._store.batch import Batch, DroppedTicks, ExecutionWrite, Refused, Tick
from asyncflow._store.change import DropSchedule, PutSchedule
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Schedules, SchedulesVersion, TickCounts, Ticks
from asyncflow.errors import StoreError
from tests.store.samples import (
    ENDED,
    LATER,
    NOON,
    RUNNING,
    due,
    everything,
    new,
    put,
    schedule,
)

HISTORY = Ticks("default", "nightly")
Lines = list[tuple[int, int | None]]


def minutes(at: datetime) -> int:
    return (at - NOON) // timedelta(minutes=1)


def dropped(version: int, *ticks: int, earlier: tuple[int, int] | None = None) -> DroppedTicks:
    run = None if earlier is None else (due(earlier[0]), due(earlier[1]))
    return DroppedTicks(
        "default", "nightly", version, tuple(map(due, ticks)), "overlap", due(99), run
    )


def start(name: str, version: int, at: int, schedule: str = "nightly") -> ExecutionWrite:
    made = replace(new(name), origin=Tick("default", schedule, version, due(at)))
    return ExecutionWrite(made, RUNNING)


async def lines(store: Store) -> Lines:
    """Return when the ticks were due, oldest first."""
    found = reversed(await store.read(HISTORY))
    return [(minutes(x.at), None if x.until is None else minutes(x.until)) for x in found]


async def answered(store: Store) -> int:
    (found,) = await store.read(Schedules("default", "nightly"))
    return minutes(found.answered)


async def names(store: Store, query: Schedules) -> list[str]:
    return [found.name for found in await store.read(query)]


# ---- schedules


async def test_a_schedule_is_read_as_it_was_put(store: Store) -> None:
    cron = replace(schedule(), anchor=due(1), answered=due(2), created=due(3), updated=due(4))
    interval = replace(
        schedule("each"),
        expression="90s",
        timezone=None,
        catchup="all",
        max_catchup=7,
        overlap="restart",
        enabled=False,
    )

    versions = [await put(store, each) for each in (cron, interval)]

    each, nightly = await store.read(Schedules())
    assert nightly == replace(cron, id=nightly.id, version=versions[0])
    assert each == replace(interval, id=each.id, version=versions[1])
    assert None not in {each.id, nightly.id}


async def test_a_schedule_is_put_only_instead_of_the_version_that_was_meant(store: Store) -> None:
    first = await put(store, schedule())
    second = await put(store, replace(schedule(), expression="1h"), first)
    before = await everything(store)

    for meant in (None, first, second + 1, 0):
        assert await store.change(PutSchedule(schedule(), meant)) == ("nightly",)
    for meant in (first, 0):
        assert await store.change(PutSchedule(schedule("other"), meant)) == ("other",)

    assert second > first
    assert await everything(store) == before


async def test_a_schedule_that_is_put_again_keeps_its_row_its_creation_and_its_history(
    store: Store,
) -> None:
    version = await put(store, schedule())
    await store.commit(Batch(dropped=(dropped(version, 1),)))
    (before,) = await store.read(Schedules())

    other = replace(
        schedule(workflow="other"),
        expression="interval@0 1 0 0",
        timezone=None,
        context="{}",
        catchup="none",
        max_catchup=1,
        overlap="allow",
        anchor=due(1),
        answered=due(2),
        created=due(3),
        updated=due(4),
        enabled=False,
        version=77,
        id=88,
    )
    after = await put(store, other, version)

    kept = replace(other, id=before.id, created=before.created, version=after)
    assert await store.read(Schedules()) == (kept,)
    assert await lines(store) == [(1, None)]


async def test_a_version_is_greater_than_any_before_also_after_a_drop(store: Store) -> None:
    first = await put(store, schedule())
    other = await put(store, schedule("other"))
    await store.change(DropSchedule("default", "nightly"))
    again = await put(store, schedule())

    assert first < other < again
    assert (await store.commit(Batch(None, (start("a", first, 1),)))).ids == (Refused.OUTDATED,)


async def test_the_version_of_all_schedules_grows_with_each_change_and_with_nothing_else(
    store: Store,
) -> None:
    async def version() -> int:
        return await store.read(SchedulesVersion())

    seen = [await version()]
    put_first = await put(store, schedule())
    seen.append(await version())
    latest = await put(store, schedule(), put_first)
    seen.append(await version())
    await store.change(PutSchedule(schedule(), put_first))
    await store.change(DropSchedule("default", "never"))
    await store.commit(Batch(None, (start("a", latest, 2),), dropped=(dropped(latest, 1),)))
    unchanged = await version()
    await store.change(DropSchedule("default", "nightly"))
    seen.append(await version())

    assert seen == sorted(set(seen))
    assert unchanged == seen[2]


async def test_a_dropped_schedule_is_forgotten_with_its_history_and_no_other(store: Store) -> None:
    version = await put(store, schedule())
    far = await put(store, schedule(namespace="far"))
    gone = replace(dropped(far, 1), namespace="far")
    await store.commit(Batch(None, (start("a", version, 1),), dropped=(gone,)))

    for _ in range(2):
        assert await store.change(DropSchedule("default", "nightly")) == ()

    assert [found.namespace for found in await store.read(Schedules())] == ["far"]
    assert await store.read(HISTORY) == ()
    assert len(await store.read(Ticks("far", "nightly"))) == 1
    await put(store, schedule())
    assert await store.read(HISTORY) == ()


async def test_schedules_are_ordered_chosen_and_paged(store: Store) -> None:
    made: list[ScheduleRecord] = [
        schedule("b", namespace="n"),
        schedule("c", "other", "m"),
        schedule("a", "other", "n"),
        schedule("d", namespace="m"),
    ]
    for each in made:
        await put(store, replace(each, enabled=each.name != "d"))

    assert await names(store, Schedules()) == ["c", "d", "a", "b"]
    assert await names(store, Schedules("n")) == ["a", "b"]
    assert await names(store, Schedules(name="c")) == ["c"]
    assert await names(store, Schedules(workflow="other")) == ["c", "a"]
    assert await names(store, Schedules("n", workflow="release")) == ["b"]
    assert await names(store, Schedules(enabled=True)) == ["c", "a", "b"]
    assert await names(store, Schedules(enabled=False)) == ["d"]
    assert await names(store, Schedules(limit=2, offset=1)) == ["d", "a"]
    assert await names(store, Schedules(offset=3)) == ["b"]


# ---- dropped ticks


async def test_dropped_ticks_are_answered_and_told_with_their_reason(store: Store) -> None:
    version = await put(store, schedule())

    await store.commit(Batch(dropped=(dropped(version, 3, 4, earlier=(1, 2)),)))

    four, three, run = await store.read(HISTORY)
    expected = TickRecord(
        id=three.id,
        namespace="default",
        schedule="nightly",
        at=due(3),
        until=None,
        noted=due(99),
        execution=None,
        status=None,
        ended=None,
        dropped="overlap",
    )
    assert three == expected
    assert four == replace(expected, id=four.id, at=due(4))
    assert run == replace(expected, id=run.id, at=due(1), until=due(2))
    assert run.id < three.id < four.id
    assert await answered(store) == 4


@pytest.mark.parametrize(
    ("ticks", "earlier", "expected"),
    [
        ((1, 2), None, []),
        ((4, 5), None, []),
        ((5, 6), None, [(6, None)]),
        ((), (1, 5), []),
        ((6,), (1, 5), [(6, None)]),
        ((8,), (6, 7), [(6, 7), (8, None)]),
        ((8,), (5, 7), [(7, 7), (8, None)]),
        ((7,), (6, 7), [(6, 7)]),
        ((7, 7), None, [(7, None)]),
        ((), None, []),
    ],
)
async def test_ticks_that_were_answered_are_not_dropped_again(
    store: Store, ticks: tuple[int, ...], earlier: tuple[int, int] | None, expected: Lines
) -> None:
    version = await put(store, schedule())
    await store.commit(Batch(None, (start("a", version, 5),)))

    await store.commit(Batch(dropped=(dropped(version, *ticks, earlier=earlier),)))

    assert await lines(store) == [(5, None), *expected]
    assert await answered(store) == max([5, *(until or at for at, until in expected)])


async def test_ticks_of_another_version_or_of_no_schedule_are_not_dropped(store: Store) -> None:
    old = await put(store, schedule())
    version = await put(store, replace(schedule(), enabled=False), old)
    gone = replace(dropped(version, 1), schedule="never")
    before = await everything(store)

    await store.commit(Batch(dropped=(dropped(old, 1), dropped(version + 1, 1), gone)))
    after = await everything(store)
    await store.commit(Batch(dropped=(dropped(version, 1),)))

    assert after == before
    assert await lines(store) == [(1, None)]


async def test_dropped_ticks_come_before_those_that_start_something(store: Store) -> None:
    version = await put(store, schedule())
    writes = (start("a", version, 2), start("b", version, 4))
    gone = (dropped(version, 1, 3), dropped(version, 2, 3))

    receipt = await store.commit(Batch(None, writes, dropped=gone))

    assert receipt.ids == (Refused.TICKED_ALREADY, 1)
    assert await lines(store) == [(1, None), (3, None), (4, None)]
    assert await answered(store) == 4


# ---- histories


async def test_a_tick_is_told_by_the_execution_that_it_started(store: Store) -> None:
    version = await put(store, schedule())
    await store.commit(Batch(None, (start("a", version, 1),)))
    (running,) = await store.read(HISTORY)
    await store.commit(Batch(None, (ExecutionWrite(1, ENDED),)))

    expected = TickRecord(
        id=running.id,
        namespace="default",
        schedule="nightly",
        at=due(1),
        until=None,
        noted=NOON,
        execution="a",
        status=WorkflowStatus.RUNNING,
        ended=None,
        dropped=None,
    )
    ended = replace(expected, status=WorkflowStatus.SUCCESS, ended=LATER)
    assert running == expected
    assert await store.read(HISTORY) == (ended,)


async def test_the_history_of_a_schedule_is_newest_first_and_by_page(store: Store) -> None:
    version = await put(store, schedule())
    other = await put(store, schedule("other"))
    await store.commit(
        Batch(
            None,
            (start("b", other, 1, "other"), start("a", version, 5)),
            dropped=(dropped(version, 3, 4),),
        )
    )
    again = await put(store, schedule(), version)
    await store.commit(Batch(dropped=(dropped(again, 6),)))

    async def page(limit: int, offset: int) -> list[int]:
        return [
            minutes(x.at) for x in await store.read(replace(HISTORY, limit=limit, offset=offset))
        ]

    assert await page(100, 0) == [6, 5, 4, 3]
    assert await page(2, 1) == [5, 4]
    assert await page(2, 3) == [3]
    assert await page(2, 4) == []


async def test_ticks_are_counted_by_what_became_of_them(store: Store) -> None:
    version = await put(store, schedule())
    other = await put(store, schedule("other"))
    far = await put(store, schedule(namespace="far"))
    assert await store.read(TickCounts()) == {}
    await store.commit(
        Batch(
            None,
            (*(start(f"a{n}", version, n) for n in (5, 6, 7)), start("b", other, 1, "other")),
            dropped=(
                dropped(version, 3, 4, earlier=(1, 2)),
                replace(dropped(far, 1), namespace="far"),
            ),
        )
    )
    await store.commit(Batch(None, (ExecutionWrite(2, ENDED),)))

    assert await store.read(TickCounts()) == {"RUNNING": 3, "SUCCESS": 1, "DROPPED": 4}
    assert await store.read(TickCounts("far")) == {"DROPPED": 1}
    assert await store.read(TickCounts(schedule="other")) == {"RUNNING": 1}
    assert await store.read(TickCounts("default", "nightly", due(4))) == {
        "RUNNING": 2,
        "SUCCESS": 1,
        "DROPPED": 1,
    }
    assert await store.read(TickCounts("default", "nightly", due(8))) == {}


async def test_a_batch_that_is_refused_keeps_nothing_of_schedules(store: Store) -> None:
    version = await put(store, schedule())
    writes = (start("a", version, 2), ExecutionWrite(99, RUNNING))
    before = await everything(store)

    with pytest.raises(StoreError, match="99"):
        await store.commit(Batch(None, writes, dropped=(dropped(version, 1),)))

    assert await everything(store) == before
    assert await answered(store) == 0
