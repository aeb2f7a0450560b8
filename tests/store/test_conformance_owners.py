"""Leases, dead runners, fences, and what the one who claims inherits."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from asyncflow._store.batch import LAST_FACTS, Batch, Dead, ExecutionWrite, Fence, NewExecution
from asyncflow._store.change import AddRule
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    ExecutionByName,
    Inbox,
    LettersWait,
    OwnedExecutions,
    Runners,
    StoredExecutions,
)
from asyncflow._store.reach import reach_of
from asyncflow.errors import FencedError, StoreError
from tests.store.samples import (
    ENDED,
    RUNNING,
    event,
    everything,
    fact,
    letter,
    new,
    runner,
    start,
)


def renew(store: Store, *fences: Fence) -> list[BaseException]:
    """Renew leases on a thread of their own; return what it raised."""
    raised: list[BaseException] = []

    def beat() -> None:
        pulse = store.pulse()
        for fence in fences:
            try:
                pulse.renew(fence)
            except StoreError as error:
                raised.append(error)
        pulse.close()
        pulse.close()

    thread = threading.Thread(target=beat)
    thread.start()
    thread.join()
    return raised


async def beats(store: Store) -> dict[str, int]:
    return {row.id: row.beat for row in await store.read(Runners())}


async def kinds(store: Store, name: str) -> list[str]:
    return [item.letter.kind for item in await store.read(Inbox(name))]


async def begun(store: Store, *rows: NewExecution) -> None:
    await store.commit(Batch(None, tuple(ExecutionWrite(row, RUNNING) for row in rows)))


# ---- leases


async def test_a_lease_and_its_beats_are_read_as_they_were_registered(store: Store) -> None:
    row = replace(runner("r1"), lease=timedelta(seconds=6, microseconds=1), beat=3)

    fence = await store.register(row)

    assert await store.read(Runners()) == (replace(row, epoch=fence.epoch),)


async def test_a_renewal_counts_a_beat_of_its_runner_only(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.register(runner("r2"))

    assert renew(store, fence, fence) == []

    assert await beats(store) == {"r1": 2, "r2": 0}


async def test_a_runner_that_was_replaced_renews_nothing(store: Store) -> None:
    old = await store.register(runner("r1"))
    fence = await store.register(runner("r1"))
    gone = await store.register(runner("r2"))
    await store.release(gone)

    raised = renew(store, old, gone, fence)

    assert [type(error) for error in raised] == [FencedError, FencedError]
    assert await beats(store) == {"r1": 1}


@pytest.mark.parametrize("execution", [1, 9])
async def test_a_runner_that_was_replaced_is_told_so_whatever_it_writes_to(
    store: Store, execution: int
) -> None:
    old = await store.register(runner("r1"))
    await start(store, "a", fence=old)
    await store.register(runner("r1"))

    for fence in (old, Fence("r9", old.epoch)):
        with pytest.raises(FencedError, match=fence.runner):
            await store.commit(Batch(fence, (ExecutionWrite(execution, ENDED),)))


@pytest.mark.parametrize("fenced", [True, False])
@pytest.mark.parametrize("executions", [(9,), (1, 9), (8, 9)])
async def test_a_write_to_an_execution_that_is_not_there_stores_nothing(
    store: Store, executions: tuple[int, ...], *, fenced: bool
) -> None:
    fence = await store.register(runner("r1"))
    await start(store, "a", fence=fence)
    before = await everything(store)

    with pytest.raises(StoreError, match=r"no workflow execution of id (8, )?9"):
        await store.commit(
            Batch(
                fence if fenced else None,
                tuple(ExecutionWrite(id_, ENDED, facts=(fact("F"),)) for id_ in executions),
            )
        )

    assert await everything(store) == before


async def test_a_pulse_goes_on_after_an_error(store: Store) -> None:
    fence = await store.register(runner("r1"))
    pulse = store.pulse()

    with pytest.raises(FencedError, match="r9"):
        pulse.renew(Fence("r9", 9))
    pulse.renew(fence)
    pulse.close()

    assert await beats(store) == {"r1": 1}


# ---- the dead


async def test_who_has_counted_another_beat_is_not_dead(store: Store) -> None:
    alive = await store.register(runner("alive"))
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=alive)
    renew(store, alive)

    claimed = await store.claim(fence, [Dead("alive", 0)], None, 10)

    assert claimed.executions == ()
    assert await store.read(OwnedExecutions("alive")) == (a,)
    again = await store.claim(fence, [Dead("alive", 1)], None, 10)
    assert again.executions == (a,)
    assert renew(store, alive) != []


async def test_who_is_taken_for_dead_by_itself_only_before_its_last_beat_claims(
    store: Store,
) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a")
    renew(store, fence)

    assert (await store.claim(fence, [Dead("r1", 0)], None, 10)).executions == (a,)

    with pytest.raises(FencedError):
        await store.claim(fence, [Dead("r1", 1)], None, 10)


# ---- the fence


Verb = Callable[[Store, Fence], Awaitable[object]]
FENCED: dict[str, Verb] = {
    "append": lambda store, fence: store.append([letter("Told", None, event("e"))], fence),
    "change": lambda store, fence: store.change(AddRule("default", "release", "rule"), fence),
}


@pytest.mark.parametrize("verb", FENCED.values(), ids=FENCED)
async def test_a_verb_of_a_replaced_runner_changes_nothing(store: Store, verb: Verb) -> None:
    old = await store.register(runner("r1"))
    fence = await store.register(runner("r1"))
    before = await everything(store)

    with pytest.raises(FencedError, match="r1"):
        await verb(store, old)

    assert await everything(store) == before
    await verb(store, fence)
    assert await everything(store) != before


# ---- letters that nobody finds


async def test_nobody_finds_letters_that_are_addressed_to_nobody_until_they_are_claimed(
    store: Store,
) -> None:
    gone = await store.register(runner("gone"))
    fence = await store.register(runner("r1"))
    await store.append([letter("One"), letter("Two")])
    before = await store.read(Inbox("gone"))
    one, two = await store.read(Inbox("r1"))
    await store.commit(Batch(fence, taken=(one.id, two.id)))
    await store.release(gone)
    late = await store.register(runner("r2"))

    unclaimed = [await kinds(store, "r1"), await kinds(store, "r2"), await kinds(store, "gone")]
    await store.claim(late, (), None, 10)

    assert unclaimed == [[], [], []]
    assert await store.read(Inbox("r2")) == before
    assert await kinds(store, "r1") == []


async def test_letters_to_nobody_stay_until_all_executions_of_their_namespace_are_claimed(
    store: Store,
) -> None:
    gone = await store.register(runner("gone"))
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await begun(store, new("a"), new("b"), new("c", namespace="far"))
    await store.release(gone)
    await store.append([letter("Heard")])
    for fence in (one, two):
        (own,) = await store.read(Inbox(fence.runner))
        await store.commit(Batch(fence, taken=(own.id,)))

    found: list[list[str]] = []
    for fence, workflows, limit in [
        (one, (), 10),
        (one, None, 0),
        (two, [("far", "release")], 10),
        (two, None, 1),
        (one, None, 10),
        (two, None, 10),
    ]:
        await store.claim(fence, (), workflows, limit)
        found += [[*await kinds(store, "r1"), "|", *await kinds(store, "r2")]]

    assert found[:3] == [["|"]] * 3
    assert found[3:] == [["|", "Heard"], *[["Heard", "|", "Heard"]] * 2]


async def test_what_is_inherited_is_for_those_that_were_there(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await begun(store, new("a"), new("b"))
    await store.append([letter("Heard")])
    await begun(store, new("c"))

    await store.claim(fence, (), None, 1)

    bodies = [item.letter.body for item in await store.read(Inbox("r1"))]
    assert [reach_of(body).until for body in bodies] == [None, 2]


async def test_a_runner_that_comes_beside_another_takes_no_letters_without_a_claim(
    store: Store,
) -> None:
    gone = await store.register(runner("gone"))
    await store.register(runner("r1"))
    await store.append([letter("Heard")])
    await store.release(gone)

    await store.register(runner("r2"))

    assert await kinds(store, "r2") == []


# ---- recoveries


async def test_recoveries_are_read_as_they_were_written(store: Store) -> None:
    (a,) = await start(store, "a", head=replace(RUNNING, recoveries=2))

    await store.commit(Batch(None, (ExecutionWrite(a, replace(RUNNING, recoveries=3)),)))

    (stored,) = await store.read(StoredExecutions((a,)))
    record = await store.read(ExecutionByName("a"))
    assert stored.head.recoveries == 3
    assert record is not None
    assert record.recoveries == 3


async def test_a_release_lets_its_executions_count_anew_and_a_death_does_not(
    store: Store,
) -> None:
    fence = await store.register(runner("r1"))
    dead = await store.register(runner("dead"))
    peaceful = await store.register(runner("peaceful"))
    tried = replace(RUNNING, recoveries=2)
    (a,) = await start(store, "a", fence=dead, head=tried)
    (b,) = await start(store, "b", fence=peaceful, head=tried)
    (c,) = await start(store, "c", fence=peaceful, head=replace(ENDED, recoveries=2))
    (d,) = await start(store, "d", head=tried)
    parked = replace(RUNNING, recoveries=5, parked_reason="it ends the process")
    (e,) = await start(store, "e", fence=peaceful, head=parked)

    await store.claim(fence, [Dead("dead", 0)], (), 10)
    await store.release(peaceful)

    found = await store.read(StoredExecutions((a, b, c, d, e)))
    assert [each.head.recoveries for each in found] == [2, 0, 2, 2, 5]


async def test_whether_letters_wait_for_an_execution_can_be_asked(store: Store) -> None:
    fence = await store.register(runner("r1"))
    a, b = await start(store, "a", "b", fence=fence)

    await store.append([letter("StopRequested", a)])
    before = await store.read(LettersWait(a)), await store.read(LettersWait(b))
    (item,) = await store.read(Inbox("r1"))
    await store.commit(Batch(fence, taken=(item.id,)))

    assert before == (True, False)
    assert not await store.read(LettersWait(a))


async def test_a_claim_takes_what_was_worked_on_last_before_the_oldest(store: Store) -> None:
    fence = await store.register(runner("r1"))
    a, b, c, d, e = await start(store, "a", "b", "c", "d", "e")
    # Of the last facts, one is of "a" and all others are of "c".
    for worked_on, times in ((d, 1), (a, 1), (c, LAST_FACTS - 1)):
        facts = tuple(fact("TaskEnded") for _ in range(times))
        await store.commit(Batch(None, (ExecutionWrite(worked_on, facts=facts),)))
    await store.append([letter("Told", e)])

    claimed = [await store.claim(fence, (), None, limit) for limit in (3, 9)]

    assert [each.executions for each in claimed] == [(e, c, a), (b, d)]
