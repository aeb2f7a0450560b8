"""What every store makes of signals: taken once, an event, and a letter where one is due."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from asyncflow._model.record import EventRecord
from asyncflow._model.status import EventPhase
from asyncflow._store.batch import (
    Batch,
    Duty,
    DutyKind,
    ExecutionWrite,
    Fence,
    Letter,
    NewAwaited,
    Signal,
)
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    AwaitedByIds,
    AwaitedByName,
    AwaitedEvents,
    Events,
    Inbox,
    UnownedWorkflows,
)
from asyncflow.errors import FencedError
from tests.store.samples import (
    ENDED,
    LATER,
    NOON,
    awaited,
    due,
    event,
    everything,
    letter,
    new,
    runner,
    signal,
    start,
)


async def make(store: Store, *new: NewAwaited) -> None:
    await store.commit(Batch(awaited=new))


async def signalled(store: Store, *signals: Signal, way: str) -> tuple[int | None, ...]:
    """Signal in one transaction, or in one for each; return what became of them."""
    if way == "together":
        return (await store.commit(Batch(signals=signals))).signals
    fence = await store.register(runner("r9")) if way == "alone, by a runner" else None
    receipts = [await store.commit(Batch(fence, signals=(each,))) for each in signals]
    return tuple(offset for receipt in receipts for offset in receipt.signals)


each_way = pytest.mark.parametrize("way", ["together", "alone", "alone, by a runner"])


# ---- taken or refused


@each_way
async def test_a_signal_gives_its_payload_and_says_who_when_and_why(store: Store, way: str) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a, deadline=LATER), awaited(a, "no"))
    signals = (signal(1, a, due(1), '"yes"'), signal(2, a))

    offsets = await signalled(store, *signals, way=way)

    (found,) = await store.read(AwaitedByIds((1,)))
    assert offsets == (1, 2)
    assert (found.phase, found.value, found.ended) == (EventPhase.SUCCEEDED, '"yes"', due(1))
    assert (found.sender, found.comment, found.offset) == ("ops", "fine", 1)
    assert (found.deadline, found.created, found.run_name) == (LATER, NOON, "a")


@each_way
async def test_a_signal_is_stored_as_an_event_of_its_execution(store: Store, way: str) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a), awaited(a, "no"))
    noted = replace(signal(2, a), event=replace(signal(2, a).event, context='"why"'))

    offsets = await signalled(store, noted, signal(1, a, due(1)), way=way)

    stored = EventRecord(1, "ok", "true", "default", "ops", NOON, '"why"', a, 2, "a")
    other = replace(stored, offset=2, awaited=1, create_time=due(1), context=None)
    assert offsets == (1, 2)
    assert await store.read(Events()) == (stored, other)


async def test_events_come_before_the_signals_of_their_transaction(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a), awaited(a, "no"))
    sent = (event("x"), event("y"))

    receipt = await store.commit(Batch(events=sent, signals=(signal(2, a), signal(1, a))))
    alone = await store.commit(Batch(events=sent))

    x, y, *_ = await store.read(Events())
    assert (receipt.offsets, receipt.signals, alone.offsets) == ((1, 2), (3, 4), (5, 6))
    assert (x.awaited, x.run_name, y.awaited) == (None, None, None)


async def test_of_two_signals_the_first_one_is_taken(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a))

    once = await store.commit(Batch(signals=(signal(1, a), signal(1, a, due(1), "false"))))
    again = await store.commit(Batch(signals=(signal(1, a, due(2), "false", letter=True),)))

    assert (once.signals, again.signals) == ((1, None), (None,))
    (found,) = await store.read(AwaitedEvents())
    assert (found.value, found.ended) == ("true", NOON)
    assert len(await store.read(Events())) == 1


@each_way
async def test_a_signal_is_refused_from_its_deadline_on(store: Store, way: str) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a, deadline=due(1)))
    in_time = due(1) - timedelta(microseconds=1)

    late, taken = signal(1, a, due(1)), signal(1, a, in_time)
    found = await signalled(store, late, taken, way=way)

    assert found == (None, 1)


@each_way
async def test_a_signal_is_refused_unless_it_is_of_the_execution(store: Store, way: str) -> None:
    a, b = await start(store, "a", "b")
    await make(store, awaited(a))
    unconfined = replace(signal(1, a), event=replace(signal(1, a).event, execution=None))

    found = await signalled(store, signal(1, b), signal(1, 9), unconfined, way=way)

    assert found == (None, None, None)


@each_way
async def test_what_is_refused_leaves_nothing_behind(store: Store, way: str) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=fence)
    await make(store, awaited(a, deadline=due(1)))
    refused = (signal(1, a, due(1), letter=True), signal(9, a, letter=True), signal(9, 9))

    receipt = await store.commit(Batch(events=(event("x"),)))
    found = await signalled(store, *refused, way=way)

    assert (receipt.offsets, found) == ((1,), (None, None, None))
    assert [found.key for found in await store.read(Events())] == ["x"]
    assert await store.read(Inbox("r1")) == ()
    (waits,) = await store.read(AwaitedEvents())
    assert (waits.phase, waits.value) == (EventPhase.RUNNING, None)


@pytest.mark.parametrize("keys", [frozenset[str](), frozenset({"ok"})], ids=["no", "others'"])
async def test_a_signal_of_a_fenced_runner_is_refused_whatever_rules_expect_it(
    store: Store, keys: frozenset[str]
) -> None:
    fence = await store.register(runner("r1"))
    rules = Duty(DutyKind.RULES, "default", "release")
    await store.claim(fence, (), (), 10, {rules: keys})
    (a,) = await start(store, "a", fence=fence)
    await store.commit(Batch(fence, awaited=(awaited(a),)))
    before = await everything(store)

    epochs = [Fence("r1", fence.epoch + step) for step in (-1, 1)]
    for other in (*epochs, Fence("r0", fence.epoch), Fence("r2", fence.epoch)):
        with pytest.raises(FencedError, match=other.runner):
            await store.commit(Batch(other, signals=(signal(1, a),)))

    assert await everything(store) == before


@pytest.mark.parametrize("taken", [(0, 2), (1,), ()])
async def test_offsets_are_given_to_those_that_are_taken(
    store: Store, taken: tuple[int, ...]
) -> None:
    (a,) = await start(store, "a")
    await make(store, *(awaited(a, f"e{n}") for n in range(3)))
    signals = tuple(signal(n + 1 if n in taken else 9, a) for n in range(3))

    receipt = await store.commit(Batch(events=(event("x"),), signals=signals))

    given = iter(range(2, 9))
    assert receipt.signals == tuple(next(given) if n in taken else None for n in range(3))


# ---- by letter


async def test_a_signal_by_letter_tells_the_owner(store: Store) -> None:
    fence = await store.register(runner("r1"))
    a, b = await start(store, "a", "b", fence=fence)
    await make(store, awaited(a), awaited(b), awaited(b, "no"))
    await store.append([letter("Before", a)])
    silent = signal(3, b)
    by_letter = (signal(2, b, due(1), letter=True), signal(1, a, letter=True))

    await store.commit(Batch(signals=(silent, *by_letter)))

    _, first, second = await store.read(Inbox("r1"))
    sent = EventRecord(2, "ok", "true", "default", "ops", due(1), None, b, 2, "b")
    body = json.dumps({"awaited": 2})
    assert first.letter == Letter("default", "EventSignalled", body, due(1), b, sent)
    assert second.letter.event == replace(
        sent, offset=3, create_time=NOON, execution=a, awaited=1, run_name="a"
    )
    assert (second.letter.execution, json.loads(second.letter.body)) == (a, {"awaited": 1})
    await store.commit(Batch(fence, taken=(first.id, second.id)))
    assert len(await store.read(Inbox("r1"))) == 1


async def test_a_letter_about_a_signal_waits_for_an_owner(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a))

    await store.commit(Batch(signals=(signal(1, a, letter=True),)))
    fence = await store.register(runner("r1"))
    before = await store.read(Inbox("r1"))
    await store.claim(fence, (), None, 10)

    assert before == ()
    assert [item.letter.kind for item in await store.read(Inbox("r1"))] == ["EventSignalled"]


# ---- looking at events


async def test_events_are_read_without_those_that_signals_made(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a))
    await store.commit(Batch(events=(event("x"),), signals=(signal(1, a),)))
    await store.commit(Batch(events=(event("y", execution=a),)))

    async def offsets(query: Events) -> list[int | None]:
        return [found.offset for found in await store.read(query)]

    assert await offsets(Events()) == [1, 2, 3]
    assert await offsets(Events(answers=False)) == [1, 3]
    assert await offsets(Events(execution=a, answers=False)) == [3]


async def test_events_are_read_newest_first(store: Store) -> None:
    await store.commit(Batch(events=tuple(event(f"k{n}") for n in range(1, 6))))

    async def keys(query: Events) -> list[str]:
        return [found.key for found in await store.read(query)]

    assert await keys(Events(newest_first=True, limit=2)) == ["k5", "k4"]
    assert await keys(Events(begin=1, end=4, newest_first=True, limit=9)) == ["k4", "k3", "k2"]


async def test_events_that_are_read_are_named_by_their_execution_whatever_was_written(
    store: Store,
) -> None:
    (a,) = await start(store, "a", head=ENDED)
    claimed = replace(event("x", execution=a), run_name="z")

    await store.commit(Batch(events=(claimed, replace(event("y"), run_name="z"))))

    assert [found.run_name for found in await store.read(Events())] == ["a", None]


# ---- whose turn it is


async def test_executions_with_letters_are_claimed_first(store: Store) -> None:
    owners = await start(store, *(f"a{n}" for n in range(6)))
    far = await start(store, "b", workflow="other")
    await make(store, *(awaited(each) for each in owners))
    await store.commit(Batch(signals=(signal(5, owners[4], letter=True),)))
    await store.append(
        [letter("Told", far[0]), letter("Told", owners[2]), letter("Told", owners[4])]
    )
    fence = await store.register(runner("r1"))
    await store.append([replace(letter("Heard"), namespace="far")])
    release = [("default", "release")]

    assert (await store.claim(fence, (), release, 1)).executions == (3,)
    assert (await store.claim(fence, (), release, 3)).executions == (5, 1, 2)
    assert (await store.claim(fence, (), None, 2)).executions == (7, 4)
    assert (await store.claim(fence, (), None, 9)).executions == (6,)
    assert (await store.claim(fence, (), None, 9)).executions == ()


async def test_the_oldest_of_several_workflows_are_claimed(store: Store) -> None:
    for n in range(9):
        await start(store, f"a{n}", workflow=f"w{n % 3}")
    fence = await store.register(runner("r1"))
    two = [("default", "w2"), ("default", "w0"), ("default", "gone"), ("far", "w1")]

    assert (await store.claim(fence, (), two, 3)).executions == (1, 3, 4)
    assert (await store.claim(fence, (), [("default", "gone")], 3)).executions == ()
    assert (await store.claim(fence, (), two, 9)).executions == (6, 7, 9)
    assert (await store.claim(fence, (), None, 9)).executions == (2, 5, 8)


async def test_an_execution_with_letters_is_claimed_once(store: Store) -> None:
    (a, b, _) = await start(store, "a", "b", "c")
    await store.append([letter("Told", a)])
    fence = await store.register(runner("r1"))

    assert (await store.claim(fence, (), None, 2)).executions == (a, b)


async def test_workflows_that_nobody_works_on_are_found_in_every_namespace(store: Store) -> None:
    places = {(space, f"w{n}") for space in ("a", "b", "c") for n in range(3)}
    assert await store.read(UnownedWorkflows()) == frozenset()

    made = (ExecutionWrite(new(f"{n}", *reversed(place))) for n, place in enumerate(places))
    await store.commit(Batch(None, tuple(made)))

    assert await store.read(UnownedWorkflows()) == places


async def test_an_event_is_found_by_its_name_one_that_waits_first(store: Store) -> None:
    (a, _) = await start(store, "a", "b")
    old, late = awaited(a), replace(awaited(a), task="other", deadline=LATER)
    made = (await store.commit(Batch(awaited=(old, late)))).awaited
    first, second = (None if each is None else each.id for each in made)

    async def found(at: datetime, run: str = "a", task: str | None = None) -> int | None:
        record = await store.read(AwaitedByName(run, old.name, at, task=task))
        return None if record is None else record.id

    assert [await found(NOON), await found(LATER)] == [second, first]
    assert await found(LATER, task="other") == second
    assert await found(NOON, task=old.task) == first
    assert [await found(NOON, "b"), await found(NOON, "c")] == [None, None]
