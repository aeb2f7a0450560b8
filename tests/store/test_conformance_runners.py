"""What every store refuses, and to whom it gives executions and letters."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from asyncflow._failpoint import armed
from asyncflow._store import queries
from asyncflow._store.batch import (
    Batch,
    Dead,
    ExecutionWrite,
    FailedPoll,
    Fence,
    InboxItem,
    Letter,
    Receipt,
)
from asyncflow._store.change import AddRule, AddTriggers, PutSchedule
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    Events,
    ExecutionByName,
    Executions,
    Inbox,
    OwnedExecutions,
    Query,
    Runners,
    UnownedWorkflows,
)
from asyncflow.errors import FencedError, StoreError
from tests.store.samples import (
    ENDED,
    EVERYTHING,
    LATER,
    NOON,
    RUNNING,
    event,
    everything,
    fact,
    letter,
    line,
    new,
    runner,
    schedule,
    start,
    task,
    trigger,
)


async def kinds(store: Store, name: str) -> list[str]:
    return [item.letter.kind for item in await store.read(Inbox(name))]


async def owner_of(store: Store, name: str) -> str | None:
    record = await store.read(ExecutionByName(name))
    assert record is not None
    return record.owner


# ---- all or nothing


async def test_a_batch_that_is_refused_changes_nothing(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=fence)
    await store.append([letter("Told", a)])
    (item,) = await store.read(Inbox("r1"))
    before = await everything(store)
    write = ExecutionWrite(a, ENDED, (task("t"),), {"k": "1"}, (fact("F"),), "p-2", {"s": "1"})
    made = ExecutionWrite(new("b"))
    gone = ExecutionWrite(99, RUNNING)
    cells, logs = {("default", "release", "s"): "1"}, (line(a, "x"),)

    events, confined = (event("e"),), (event("e", execution=98),)
    other = Fence("r2", 7)

    with pytest.raises(StoreError, match="99"):
        await store.commit(Batch(fence, (write, made, gone), events, (item.id,), cells, logs))
    with pytest.raises(StoreError, match="98"):
        await store.commit(Batch(fence, (write, made), confined, (), cells, logs))
    with pytest.raises(FencedError, match="r2"):
        await store.commit(Batch(other, (write, made), events, (item.id,), cells, logs))

    assert await everything(store) == before


async def test_letters_of_which_one_has_no_execution_are_not_put(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await start(store, "a", fence=fence)
    before = await everything(store)

    with pytest.raises(StoreError, match="99"):
        await store.append([letter("One", None, event("e")), letter("Two", 99)])
    with pytest.raises(StoreError, match="98"):
        await store.append([letter("One", None, event("e", execution=98))])

    assert await everything(store) == before


async def test_a_claim_of_a_fenced_runner_removes_no_dead(store: Store) -> None:
    fence = await store.register(runner("r1"))
    other = await store.register(runner("r2"))
    await start(store, "a", fence=fence)
    before = await everything(store)

    with pytest.raises(FencedError):
        await store.claim(Fence("r2", other.epoch + 5), [Dead("r1", 0)], None, 10)
    with pytest.raises(FencedError):
        await store.claim(other, [Dead("r1", 0), Dead("r2", 0)], None, 10)

    assert await everything(store) == before


FAILED = FailedPoll("default", "poll", NOON, LATER, "OSError: away")
Verb = Callable[[Store, Fence], Awaitable[object]]
VERBS: list[tuple[str, Verb]] = [
    ("register", lambda store, _: store.register(runner("r9"))),
    ("release", lambda store, fence: store.release(fence)),
    ("commit", lambda store, fence: store.commit(Batch(fence, (ExecutionWrite(new("z")),)))),
    ("append", lambda store, _: store.append([letter("Told", None, event("e"))])),
    ("claim", lambda store, fence: store.claim(fence, [Dead("r2", 0)], None, 10)),
    ("commit", lambda store, fence: store.commit(Batch(fence, failed_polls=(FAILED,)))),
    ("change", lambda store, _: store.change(AddRule("default", "release", "rule"))),
    ("change", lambda store, _: store.change(AddTriggers((trigger(),)))),
    ("change", lambda store, _: store.change(PutSchedule(schedule(), None))),
]


@pytest.mark.parametrize(("name", "verb"), VERBS)
async def test_a_verb_that_fails_before_its_commit_changes_nothing(
    store: Store, name: str, verb: Verb
) -> None:
    fence = await store.register(runner("r1"))
    await start(store, "a", fence=await store.register(runner("r2")))
    before = await everything(store)

    with armed(f"store.{name}.before:1:raise"), pytest.raises(StoreError, match="failpoint"):
        await verb(store, fence)

    assert await everything(store) == before
    await verb(store, fence)
    assert await everything(store) != before


@pytest.mark.parametrize(("name", "verb"), VERBS)
async def test_a_verb_that_fails_after_its_commit_has_been_done(
    store: Store, name: str, verb: Verb
) -> None:
    fence = await store.register(runner("r1"))
    await start(store, "a", fence=await store.register(runner("r2")))
    before = await everything(store)

    with armed(f"store.{name}.after:1:raise"), pytest.raises(StoreError, match="failpoint"):
        await verb(store, fence)

    assert await everything(store) != before


# ---- runners and fences


async def test_each_registration_has_an_epoch_greater_than_any_before(store: Store) -> None:
    first = await store.register(runner("r1"))
    second = await store.register(runner("r2"))
    await store.release(second)
    third = await store.register(runner("r2"))
    await store.release(third)
    await store.release(first)
    fourth = await store.register(runner("r3"))

    epochs = [fence.epoch for fence in (first, second, third, fourth)]
    assert epochs == sorted(set(epochs))
    assert first.epoch > 0


async def test_runners_are_read_as_they_were_registered_oldest_first(store: Store) -> None:
    second = await store.register(replace(runner("r2"), since=LATER))
    first = await store.register(runner("r1"))

    assert await store.read(Runners()) == (
        replace(runner("r2"), since=LATER, epoch=second.epoch),
        replace(runner("r1"), epoch=first.epoch),
    )


async def test_a_fence_is_refused_after_its_release(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.release(fence)

    with pytest.raises(FencedError, match="r1"):
        await store.commit(Batch(fence))
    with pytest.raises(FencedError, match="r1"):
        await store.claim(fence, (), None, 1)


async def test_a_fence_is_refused_after_its_runner_was_registered_anew(store: Store) -> None:
    old = await store.register(runner("r1"))
    fence = await store.register(runner("r1"))
    await start(store, "a", fence=fence)

    with pytest.raises(FencedError):
        await store.commit(Batch(old))
    await store.release(old)

    assert await owner_of(store, "a") == "r1"

    assert await store.commit(Batch(fence)) == Receipt()
    assert len(await store.read(Runners())) == 1


async def test_a_release_leaves_executions_to_nobody_and_may_be_said_twice(store: Store) -> None:
    fence = await store.register(runner("r1"))
    other = await store.register(runner("r2"))
    await start(store, "a", fence=fence)
    await start(store, "b", fence=other)

    await store.release(fence)
    await store.release(fence)

    assert await owner_of(store, "a") is None
    assert await owner_of(store, "b") == "r2"
    assert [row.id for row in await store.read(Runners())] == ["r2"]


# ---- claim


async def test_a_claim_takes_what_nobody_owns_oldest_first_up_to_the_limit(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a")
    await start(store, *(f"mine-{n}" for n in range(6)), fence=fence)
    b, c = await start(store, "b", "c")

    first = await store.claim(fence, (), None, 2)
    second = await store.claim(fence, (), None, 2)
    third = await store.claim(fence, (), None, 2)

    taken = [each.executions for each in (first, second, third)]
    assert taken == [(a, b), (c,), ()]
    assert await owner_of(store, "c") == "r1"


async def test_a_claim_takes_what_dead_runners_owned_and_leaves_the_living(store: Store) -> None:
    dead = await store.register(runner("dead"))
    living = await store.register(runner("living"))
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=dead)
    await start(store, "b", fence=living)

    gone = [Dead("dead", 0), Dead("never there", 0)]
    assert (await store.claim(fence, gone, None, 10)).executions == (a,)

    assert [row.id for row in await store.read(Runners())] == ["living", "r1"]
    assert await owner_of(store, "b") == "living"
    with pytest.raises(FencedError):
        await store.commit(Batch(dead, (ExecutionWrite(a, ENDED),)))


async def test_a_claim_takes_only_the_workflows_that_are_named(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await start(store, "a", workflow="build")
    b, c = await start(store, "b", "c", workflow="release")
    far = ExecutionWrite(new("d", "release", "far"), RUNNING)
    await store.commit(Batch(None, (far,)))

    assert (await store.claim(fence, (), [], 10)).executions == ()
    named = [("default", "release"), ("x", "build")]
    assert (await store.claim(fence, (), named, 1)).executions == (b,)
    assert (await store.claim(fence, (), named, 10)).executions == (c,)


# ---- letters


async def test_a_letter_to_an_execution_is_before_its_owner_only(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.register(runner("r2"))
    (a,) = await start(store, "a", fence=fence)

    assert await store.append([letter("Told", a)]) == (None,)

    (item,) = await store.read(Inbox("r1"))
    assert item == InboxItem(item.id, Letter("default", "Told", "{}", NOON, a))
    assert await kinds(store, "r2") == []


async def test_a_letter_to_an_unowned_execution_waits_for_its_owner(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a")
    await store.append([letter("Told", a)])

    before = await kinds(store, "r1")
    await store.claim(fence, (), None, 10)

    assert before == []
    assert await kinds(store, "r1") == ["Told"]


async def test_a_letter_to_an_execution_that_ended_is_before_everybody(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=fence)
    await store.append([letter("Told", a)])

    await store.commit(Batch(fence, (ExecutionWrite(a, ENDED),)))

    assert await kinds(store, "r1") == ["Told"]
    assert await kinds(store, "r2") == ["Told"]


async def test_a_letter_to_a_namespace_waits_for_the_first_runner_that_claims(
    store: Store,
) -> None:
    await store.append([letter("Told")])
    await store.register(runner("r1"))
    second = await store.register(runner("r2"))
    assert await kinds(store, "r1") == []

    await store.claim(second, (), (), 0)

    assert await kinds(store, "r1") == []
    assert await kinds(store, "r2") == ["Told"]


async def test_a_letter_to_a_namespace_is_before_the_only_runner_once(store: Store) -> None:
    await store.register(runner("r1"))

    await store.append([letter("Told")])

    assert await kinds(store, "r1") == ["Told"]


async def test_a_letter_to_a_namespace_is_before_each_runner(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.register(runner("r2"))

    assert await store.append([letter("Told", None, event("e"))]) == (1,)
    (item,) = await store.read(Inbox("r1"))
    await store.commit(Batch(fence, taken=(item.id,)))

    assert await kinds(store, "r1") == []
    (other,) = await store.read(Inbox("r2"))
    assert other.letter == letter("Told", None, replace(event("e"), offset=1))


async def test_letters_to_namespaces_of_a_gone_runner_are_the_next_claimer_s(store: Store) -> None:
    await store.register(runner("dead"))
    left = await store.register(runner("left"))
    await store.append([letter("Told")])
    fence = await store.register(runner("r1"))
    other = await store.register(runner("r2"))

    await store.claim(fence, [Dead("dead", 0)], None, 10)
    await store.release(left)
    late = await store.register(runner("r3"))
    before = [await kinds(store, name) for name in ("r1", "r2", "r3")]
    await store.claim(other, (), None, 10)
    await store.claim(late, (), None, 10)

    assert before == [["Told"], [], []]
    assert [await kinds(store, name) for name in ("r1", "r2", "r3")] == [["Told"], ["Told"], []]


async def test_the_offset_of_a_letter_s_event_is_returned_and_stored(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=fence)
    sent = event("e", execution=a)

    offsets = await store.append([letter("One"), letter("Two", a, sent), letter("Three", a)])

    assert offsets == (None, 1, None)
    stored = replace(sent, offset=1, run_name="a")
    assert await store.read(Events()) == (stored,)
    items = await store.read(Inbox("r1"))
    assert [item.letter.event for item in items] == [None, stored, None]


async def test_the_inbox_is_oldest_first_up_to_the_limit_and_never_reuses_an_id(
    store: Store,
) -> None:
    fence = await store.register(runner("r1"))
    await store.append([letter("One"), letter("Two"), letter("Three")])

    first, second = await store.read(Inbox("r1", limit=2))
    taken = tuple(item.id for item in await store.read(Inbox("r1")))
    await store.commit(Batch(fence, taken=(*taken, 999)))
    await store.append([letter("Four")])

    assert (first.letter.kind, second.letter.kind) == ("One", "Two")
    (fourth,) = await store.read(Inbox("r1"))
    assert fourth.letter.kind == "Four"
    assert fourth.id > max(taken)


# ---- open and close


async def test_every_query_is_answered(store: Store) -> None:
    bases = {name: getattr(kind, "__bases__", ()) for name, kind in vars(queries).items()}
    known = {name for name, found in bases.items() if Query in found}

    assert {type(query).__name__ for query in EVERYTHING} == known
    assert len(await everything(store)) == len(known)


async def test_open_and_close_may_be_said_twice(store: Store) -> None:
    await start(store, "a")
    await store.open()

    assert len(await store.read(Executions())) == 1

    await store.close()
    await store.close()


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()

    with pytest.raises(StoreError, match="open it first"):
        await store.commit(Batch())
    with pytest.raises(StoreError, match="open it first"):
        await store.read(Executions())


async def test_what_a_runner_owns_and_what_nobody_owns_can_be_told(store: Store) -> None:
    fence = await store.register(runner("r1"))
    a, b = await start(store, "a", "b", fence=fence)
    await start(store, "c", head=ENDED, fence=fence)
    await start(store, "d", workflow="other")
    await start(store, "e", workflow="ended", head=ENDED)

    assert await store.read(OwnedExecutions("r1")) == (a, b)
    assert await store.read(OwnedExecutions("r2")) == ()
    assert await store.read(UnownedWorkflows()) == {("default", "other")}
    await store.release(fence)
    assert await store.read(OwnedExecutions("r1")) == ()
    assert await store.read(UnownedWorkflows()) == {("default", "other"), ("default", "release")}
