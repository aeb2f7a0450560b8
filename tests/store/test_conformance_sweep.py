"""What a sweep forgets, and what must be remembered, over each store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncflow._store.batch import (
    Batch,
    Cause,
    DroppedTicks,
    ExecutionWrite,
    FailedPoll,
    Firing,
    Refused,
    Swept,
    Tick,
)
from asyncflow._store.change import AddTriggers
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    Events,
    ExecutionByName,
    Executions,
    Firings,
    Schedules,
    Ticks,
    Triggers,
    WorkflowCells,
)
from asyncflow.errors import FencedError
from tests.store.samples import (
    ENDED,
    LATER,
    NOON,
    RUNNING,
    due,
    event,
    everything,
    letter,
    new,
    put,
    runner,
    schedule,
    start,
    trigger,
)
from tests.store.test_conformance_deletion import all_of, fill

AFTER = LATER + timedelta(seconds=1)
"""Later than all that is stored here has happened."""


async def names(store: Store) -> list[str]:
    return [each.name for each in reversed(await store.read(Executions()))]


async def test_what_ended_before_a_time_goes_and_the_rest_stays(store: Store) -> None:
    fence = await store.register(runner("r1"))
    young = replace(new("young"), created=AFTER)
    await start(store, "old", head=ENDED)
    await start(store, "runs", fence=fence)
    await start(store, "at", head=replace(ENDED, end=AFTER))
    await start(store, "nobodys")
    await start(store, "too", head=ENDED)
    await store.commit(Batch(None, (ExecutionWrite(young, replace(ENDED, end=AFTER)),)))

    swept = await store.sweep(fence, AFTER, 100)

    assert swept == Swept(executions=2)
    assert await names(store) == ["runs", "at", "nobodys", "young"]
    assert await store.sweep(fence, AFTER, 100) == Swept()


async def test_all_of_an_execution_goes_with_it(store: Store) -> None:
    fence = await store.register(runner("r1"))
    id_ = await fill(store, "a")
    await fill(store, "other", "other")
    for item in (1, 2, 3, 4, 5, 6):
        await store.commit(Batch(taken=(item,)))
    kept = await all_of(store, id_)

    swept = await store.sweep(fence, AFTER, 100)

    assert (swept.executions, swept.more) == (2, False)
    left = [bool(found) for found in await all_of(store, id_)]
    workflows = [False] * 8 + [True] * 3 + [False, True, False, True]
    assert all(map(bool, kept))
    assert left == workflows  # cells, rules, disabled; schedules; the cursor
    assert await store.read(ExecutionByName("a")) is None
    assert await store.read(Events()) == ()
    assert (await store.commit(Batch(events=(event("next"),)))).offsets == (9,)
    assert (await start(store, "a")) == ()  # disabled


async def test_old_broadcasts_go_unless_a_letter_needs_them(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (runs,) = await start(store, "runs", fence=fence)
    young = replace(event("young"), create_time=AFTER)
    await store.commit(Batch(events=(event("old"), event("own", execution=runs))))
    await store.append([letter("Heard", None, event("told"))])
    await store.commit(Batch(events=(event("old too"), young)))

    swept = await store.sweep(fence, AFTER, 100)

    assert swept == Swept(events=2)
    assert [found.key for found in await store.read(Events())] == ["own", "told", "young"]


async def test_lines_of_histories_go_unless_their_execution_is_there(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.change(AddTriggers((trigger(),)))
    version = await put(store, schedule())
    fired = (replace(new(x), origin=Firing("default", "poll", NOON, "h")) for x in ("f", "g"))
    ticked = (
        replace(new(f"t{n}"), origin=Tick("default", "nightly", version, due(n))) for n in (2, 3)
    )
    dropped = DroppedTicks("default", "nightly", version, (due(1),), "late", NOON)
    failed = FailedPoll("default", "poll", NOON, NOON, "OSError: away")
    heads = (ENDED, RUNNING)
    writes = [ExecutionWrite(x, head) for x, head in zip(fired, heads, strict=True)]
    writes += [ExecutionWrite(x, head) for x, head in zip(ticked, heads, strict=True)]
    late = replace(failed, started=AFTER, ended=AFTER)
    batch = Batch(None, tuple(writes), dropped=(dropped,), failed_polls=(failed, failed, late))
    await store.commit(batch)

    swept = await store.sweep(fence, AFTER, 100)

    assert swept == Swept(executions=2, lines=3)
    firings = await store.read(Firings("default", "poll"))
    ticks = await store.read(Ticks("default", "nightly"))
    assert [(x.execution, x.started) for x in firings] == [(None, AFTER), ("g", NOON)]
    assert [x.execution for x in ticks] == ["t3"]
    (kept,) = await store.read(Schedules())
    assert (kept.answered, kept.last_run) == (due(3), due(3))


async def test_what_must_not_come_again_is_remembered(store: Store) -> None:
    fence = await store.register(runner("r1"))
    version = await put(store, schedule())
    once = replace(new("a"), once="key", origin=Tick("default", "nightly", version, due(1)))
    await store.commit(Batch(None, (ExecutionWrite(once, ENDED),), cells={("n", "w", "s"): "1"}))

    await store.sweep(fence, AFTER, 100)

    again = replace(once, name="b")
    other = replace(once, name="c", origin=None)
    receipt = await store.commit(Batch(None, (ExecutionWrite(again), ExecutionWrite(other))))
    assert receipt.ids == (Refused.TICKED_ALREADY, Refused.STARTED_ONCE)
    assert await store.read(WorkflowCells("n", "w")) == {"s": "1"}
    assert await store.read(Triggers()) == ()


async def test_an_execution_stays_while_a_letter_with_an_event_is_about_it(store: Store) -> None:
    fence = await store.register(runner("r1"))
    a, b, c, _ = await start(store, "a", "b", "c", "d", head=ENDED)
    await store.append(
        [
            letter("Sent", a, event("x")),
            letter("Heard", None, event("y", execution=b)),
            letter("StopRequested", c),
        ]
    )

    swept = await store.sweep(fence, AFTER, 100)

    assert swept == Swept(executions=2)
    assert await names(store) == ["a", "b"]
    await store.commit(Batch(taken=(1, 2)))
    assert await store.sweep(fence, AFTER, 100) == Swept(executions=2, events=1)


async def test_what_an_event_has_started_stays_while_the_event_may_be_heard_again(
    store: Store,
) -> None:
    fence = await store.register(runner("r1"))
    (offset,) = await store.append([letter("Heard", None, event("x"))])
    assert offset is not None
    caused = replace(new("a"), cause=Cause(offset))
    await store.commit(Batch(None, (ExecutionWrite(caused, ENDED),)))

    assert await store.sweep(fence, AFTER, 100) == Swept()
    again = await store.commit(Batch(None, (ExecutionWrite(replace(caused, name="b")),)))
    await store.commit(Batch(taken=(1,)))

    assert again.ids == (Refused.CAUSED_ALREADY,)
    assert await store.sweep(fence, AFTER, 100) == Swept(executions=1, events=1)


async def test_a_sweep_takes_at_most_so_many_of_each_kind_oldest_first(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.change(AddTriggers((trigger(),)))
    await start(store, *"abcde", head=ENDED)
    failed = FailedPoll("default", "poll", NOON, NOON, "OSError: away")
    events = tuple(map(event, "vwxyz"))
    await store.commit(Batch(events=events, failed_polls=(failed,) * 5))

    first = await store.sweep(fence, AFTER, 2)
    left = await names(store)
    second = await store.sweep(fence, AFTER, 2)
    third = await store.sweep(fence, AFTER, 2)

    assert (first, left) == (Swept(2, 2, 2, more=True), ["c", "d", "e"])
    assert (second, third) == (Swept(2, 2, 2, more=True), Swept(1, 1, 1, more=False))


async def test_what_must_stay_does_not_stand_in_the_way_of_the_rest(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await start(store, *(f"runs{n}" for n in range(100)), fence=fence)
    await start(store, *(f"old{n}" for n in range(10)), head=ENDED)

    swept = [await store.sweep(fence, AFTER, 4)]
    while swept[-1].more:
        swept.append(await store.sweep(fence, AFTER, 4))

    assert sum(each.executions for each in swept) == 10
    assert len(swept) <= 6


async def test_one_that_ends_later_goes_in_a_later_pass(store: Store) -> None:
    fence = await store.register(runner("r1"))
    late, _ = await start(store, "late", "old", fence=fence)
    await store.commit(Batch(fence, (ExecutionWrite(2, ENDED),)))
    await store.sweep(fence, AFTER, 100)
    assert await names(store) == ["late"]

    await store.commit(Batch(fence, (ExecutionWrite(late, ENDED),)))

    assert (await store.sweep(fence, AFTER, 100)).executions == 1


async def test_a_replaced_runner_sweeps_nothing(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.register(runner("r1"))
    await start(store, "old", head=ENDED)
    before = await everything(store)

    with pytest.raises(FencedError, match="'r1'"):
        await store.sweep(fence, AFTER, 100)

    assert await everything(store) == before


async def test_one_row_of_a_clock_that_was_ahead_stops_nothing(store: Store) -> None:
    fence = await store.register(runner("r1"))
    ahead = replace(new("ahead"), created=AFTER + timedelta(days=365))
    await store.commit(Batch(fence, (ExecutionWrite(ahead, ENDED),)))
    await store.commit(Batch(events=(replace(event("k"), create_time=AFTER),)))
    await start(store, "old", fence=fence, head=ENDED)
    await store.commit(Batch(events=(event("k"),)))

    swept = await store.sweep(fence, AFTER, 10)

    assert (swept.executions, swept.events) == (1, 1)
    assert await names(store) == ["ahead"]
