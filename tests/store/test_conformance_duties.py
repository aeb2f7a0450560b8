"""What one runner of all does alone, and who hears of events for the sake of its rules."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Batch, Claimed, Dead, Duty, DutyKind, Fence
from asyncflow._store.fact_text import signalled
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Duties, Inbox
from asyncflow._store.reach import Reach, reach_of
from tests.store.samples import NOON, awaited, event, letter, runner, signal, start

RULES = Duty(DutyKind.RULES, "default", "release")
TRIGGER = Duty(DutyKind.TRIGGER, "default", "poll")
SCHEDULE = Duty(DutyKind.SCHEDULE, "default", "nightly")
RETENTION = Duty(DutyKind.RETENTION)
NONE = frozenset[str]()


async def claim(
    store: Store, fence: Fence, *duties: Duty, keys: frozenset[str] = NONE, dead: str | None = None
) -> frozenset[Duty]:
    """Claim these duties and no executions; return what it has."""
    gone = () if dead is None else (Dead(dead, 0),)
    claimed = await store.claim(fence, gone, (), 10, dict.fromkeys(duties, keys))
    assert claimed.executions == ()
    return claimed.duties


async def told_of(store: Store, name: str) -> list[tuple[str, int | None, str | None]]:
    """Return kind and execution of each letter, and the key of its event."""
    letters = [item.letter for item in await store.read(Inbox(name))]
    return [(x.kind, x.execution, x.event.key if x.event else None) for x in letters]


# ---- duties


async def test_a_duty_that_nobody_has_goes_to_the_first_who_asks(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))

    first = await claim(store, one, RULES, TRIGGER)
    second = await claim(store, two, TRIGGER, SCHEDULE, RETENTION)

    assert [first, second] == [{RULES, TRIGGER}, {SCHEDULE, RETENTION}]
    held = {RULES: "r1", TRIGGER: "r1", SCHEDULE: "r2", RETENTION: "r2"}
    assert await store.read(Duties()) == held


async def test_of_its_duties_a_runner_is_told_those_that_it_asks_for(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await claim(store, fence, RULES, TRIGGER)

    assert await claim(store, fence, TRIGGER, SCHEDULE) == {TRIGGER, SCHEDULE}
    assert await store.claim(fence, (), (), 10) == Claimed()
    assert await store.read(Duties()) == {TRIGGER: "r1", SCHEDULE: "r1"}


async def test_duties_differ_by_kind_namespace_and_name(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    others = [
        replace(TRIGGER, kind=DutyKind.SCHEDULE),
        replace(TRIGGER, namespace="far"),
        replace(TRIGGER, name="other"),
    ]

    await claim(store, one, TRIGGER)

    assert await claim(store, two, TRIGGER, *others) == set(others)


async def test_the_duties_of_a_gone_runner_are_free(store: Store) -> None:
    dead, left = await store.register(runner("dead")), await store.register(runner("left"))
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, dead, TRIGGER, RETENTION)
    await claim(store, left, SCHEDULE)

    inherited = await claim(store, one, TRIGGER, SCHEDULE, dead="dead")
    await store.release(left)
    free = await store.read(Duties())
    taken = await claim(store, two, TRIGGER, SCHEDULE, RETENTION)

    assert [inherited, taken] == [{TRIGGER}, {SCHEDULE, RETENTION}]
    assert free == {TRIGGER: "r1"}


# ---- events for the rules of others


async def test_an_event_for_rules_is_put_before_those_whose_rules_expect_it(store: Store) -> None:
    names = ["r1", "r2", "r3", "r4", "r5"]
    one, two, three, four, five = [await store.register(runner(name)) for name in names]
    await claim(store, one, RULES, keys=frozenset({"go"}))
    b, c = replace(RULES, name="b"), replace(RULES, name="c")
    await store.claim(two, (), (), 10, {b: frozenset({"go", "no"}), c: frozenset({"go"})})
    await claim(store, three, replace(RULES, name="d"), keys=frozenset({"no"}))
    await claim(store, four, replace(RULES, namespace="far"), keys=frozenset({"go"}))
    await claim(store, five, TRIGGER, keys=frozenset({"go"}))
    (a,) = await start(store, "a", fence=one)
    events = (event("no"), event("go", execution=a), event("go"))

    receipt = await store.commit(Batch(one, events=events, for_rules=(1,)))

    found = [await told_of(store, name) for name in names]
    assert found == [[], [("EventSent", None, "go")], [], [], []]
    (item,) = await store.read(Inbox("r2"))
    sent = replace(events[1], offset=receipt.offsets[1], run_name="a")
    body = json.dumps({"until": 0, "rules": ["b", "c"]})
    assert item.letter == replace(letter("EventSent", None, sent), at=NOON, body=body)


async def test_the_keys_of_a_duty_are_kept_up_to_date(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, two, RULES, keys=frozenset({"go"}))
    await claim(store, two, RULES, keys=frozenset({"né", "it's"}))
    await claim(store, one, RULES, keys=frozenset({"go"}))

    await store.commit(
        Batch(one, events=(event("go"), event("né"), event("it's")), for_rules=(0, 1, 2))
    )

    expected = [("EventSent", None, "né"), ("EventSent", None, "it's")]
    assert await told_of(store, "r2") == expected


async def test_a_client_s_event_for_rules_is_put_before_all_of_them(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, one, RULES, keys=frozenset({"go"}))
    await claim(store, two, replace(RULES, name="b"), keys=frozenset({"go"}))

    await store.commit(Batch(None, events=(event("go"),), for_rules=(0,)))

    assert await told_of(store, "r1") == await told_of(store, "r2") == [("EventSent", None, "go")]


async def test_a_signal_by_letter_is_told_to_all_whose_rules_expect_it(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await store.register(runner("r3"))
    await claim(store, one, RULES, keys=frozenset({"ok"}))
    await claim(store, two, replace(RULES, name="b"), keys=frozenset({"ok"}))
    (a,) = await start(store, "a", fence=one)
    await store.commit(Batch(one, awaited=(awaited(a),)))
    late = signal(1, a, letter=True)

    receipt = await store.commit(Batch(None, signals=(signal(1, a, letter=True), late)))

    assert receipt.signals == (1, None)
    about, for_rules = await store.read(Inbox("r1"))
    (other,) = await store.read(Inbox("r2"))
    assert await told_of(store, "r1") == [("EventSignalled", a, "ok"), ("EventSent", None, "ok")]
    assert signalled(about.letter.body) == 1
    bodies = [json.loads(each.letter.body) for each in (about, for_rules, other)]
    assert bodies == [
        {"awaited": 1},
        {"until": 0, "rules": ["release"]},
        {"until": 0, "rules": ["b"]},
    ]
    assert other.letter.event == about.letter.event
    assert other.letter.event is not None
    assert (other.letter.event.offset, other.letter.event.awaited) == (1, 1)
    assert await told_of(store, "r3") == []


@pytest.mark.parametrize("also", [(), (event("go", "far"),)], ids=["alone", "with another"])
async def test_the_owner_s_own_signal_is_told_to_the_rules_of_others(
    store: Store, also: tuple[EventRecord, ...]
) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, one, RULES, keys=frozenset({"ok"}))
    await claim(store, two, replace(RULES, name="b"), keys=frozenset({"ok"}))
    (a,) = await start(store, "a", fence=one)
    await store.commit(Batch(one, awaited=(awaited(a),)))
    rules = tuple(range(len(also)))

    await store.commit(Batch(one, events=also, signals=(signal(1, a),), for_rules=rules))

    assert await told_of(store, "r1") == []
    assert await told_of(store, "r2") == [("EventSent", None, "ok")]


async def test_events_of_several_namespaces_find_the_rules_of_each(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    far = replace(RULES, namespace="far")
    await store.claim(two, (), (), 10, {RULES: frozenset({"go"}), far: frozenset({"ok"})})

    sent = (event("ok", "far"), event("go"), event("go", "far"), event("ok"))
    await store.commit(Batch(one, events=sent, for_rules=(0, 1, 2, 3)))

    found = [key for _, _, key in await told_of(store, "r2")]
    assert found == ["ok", "go"]


async def test_a_signal_by_letter_beside_another_tells_its_writer_s_rules(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, two, RULES, keys=frozenset({"ok"}))
    (a,) = await start(store, "a", fence=one)
    await store.commit(Batch(one, awaited=(awaited(a), awaited(a, "no"))))

    signals = (signal(1, a, letter=True), signal(2, a, letter=True))
    await store.commit(Batch(two, signals=signals))

    assert await told_of(store, "r2") == [("EventSent", None, "ok")] * 2


async def test_a_signal_that_no_rules_expect_is_told_to_its_owner_only(store: Store) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, two, RULES, keys=frozenset({"no"}))
    (a,) = await start(store, "a", fence=one)
    await store.commit(Batch(one, awaited=(awaited(a),)))

    await store.commit(Batch(None, signals=(signal(1, a, letter=True),)))

    (item,) = await store.read(Inbox("r1"))
    assert json.loads(item.letter.body) == {"awaited": 1}
    assert await told_of(store, "r2") == []


async def test_a_runner_that_signals_for_another_by_letter_hears_for_its_rules(
    store: Store,
) -> None:
    one, two = await store.register(runner("r1")), await store.register(runner("r2"))
    await claim(store, two, RULES, keys=frozenset({"ok"}))
    (a,) = await start(store, "a", fence=one)
    await store.commit(Batch(one, awaited=(awaited(a),)))

    await store.commit(Batch(two, signals=(signal(1, a, letter=True),)))

    (item,) = await store.read(Inbox("r1"))
    assert json.loads(item.letter.body) == {"awaited": 1}
    assert await told_of(store, "r2") == [("EventSent", None, "ok")]


async def test_what_rules_of_nobody_expect_waits_for_whoever_claims_their_duty(
    store: Store,
) -> None:
    first, second = [await store.register(runner(each)) for each in ("r1", "r2")]
    await store.claim(first, (), None, 10, {RULES: frozenset({"go"})})
    (a,) = await start(store, "a", fence=second)
    await store.release(first)

    await store.commit(Batch(second, events=(event("go", execution=a),), for_rules=(0,)))
    await store.append(
        [letter("EventSent", None, event("go")), letter("EventSent", None, event("no"))]
    )
    offsets = [item.letter.event for item in await store.read(Inbox("r2"))]
    assert [each.offset for each in offsets if each is not None] == [2, 3]
    claimed = await store.claim(second, (), None, 10, {RULES: frozenset({"go"})})

    assert claimed.duties == {RULES}
    there = [item.letter.event for item in await store.read(Inbox("r2"))]
    assert [each.offset for each in there if each is not None] == [1, 2, 2, 3]


async def test_what_rules_of_nobody_expect_is_left_to_who_wants_them(store: Store) -> None:
    first, second, third = [await store.register(runner(each)) for each in ("r1", "r2", "r3")]
    other = replace(RULES, name="other")
    keys = frozenset({"go"})
    await store.claim(first, (), None, 10, {RULES: keys, other: keys})
    await store.release(first)
    await store.append([letter("EventSent", None, event("go"))])
    for fence in (second, third):
        (own,) = await store.read(Inbox(fence.runner))
        await store.commit(Batch(fence, taken=(own.id,)))

    await store.claim(second, (), None, 10, {})
    await store.claim(second, (), None, 10, {replace(RULES, name="mine"): keys})
    before = await told_of(store, "r2")
    await store.claim(second, (), None, 10, {other: keys})
    (copy,) = await store.read(Inbox("r2"))
    await store.claim(third, (), None, 10, {RULES: keys})
    (left,) = await store.read(Inbox("r3"))

    assert before == []
    rules = [reach_of(each.letter.body).rules for each in (copy, left)]
    assert rules == [frozenset({"other"}), frozenset({"release"})]
    assert reach_of(copy.letter.body).until == 0


async def test_who_judged_a_signal_hears_no_letter_of_another_about_it(store: Store) -> None:
    first, second = [await store.register(runner(each)) for each in ("r1", "r2")]
    other, keys = replace(RULES, name="other"), frozenset({"ok"})
    await store.claim(first, (), (), 10, {RULES: keys})
    await store.claim(second, (), (), 10, {other: keys})
    (a,) = await start(store, "a", fence=second)
    await store.commit(Batch(second, awaited=(awaited(a),)))
    await store.commit(Batch(None, signals=(signal(1, a, letter=True),)))

    await store.claim(second, [Dead("r1", 0)], None, 10, {RULES: keys, other: keys})

    letters = [item.letter for item in await store.read(Inbox("r2"))]
    bodies = [reach_of(each.body) for each in letters if each.execution is None]
    assert sorted(bodies, key=str) == [
        Reach(0, frozenset({"other"})),
        Reach(0, frozenset({"release"})),
    ]


async def test_duties_that_are_not_asked_for_any_more_are_given_up(store: Store) -> None:
    one, two = [await store.register(runner(each)) for each in ("r1", "r2")]
    unheard = replace(RULES, name="unheard")
    wanted = {RULES: frozenset({"go"}), unheard: NONE, TRIGGER: NONE, SCHEDULE: NONE}
    await store.claim(one, (), (), 10, wanted)

    await store.claim(one, (), (), 10)
    kept = await store.read(Duties())
    await store.claim(one, (), (), 10, {SCHEDULE: NONE})
    left = await store.read(Duties())
    await store.append([letter("EventSent", None, event("go"))])
    taken = await claim(store, two, *wanted, keys=frozenset({"go"}))

    assert kept == dict.fromkeys(wanted, "r1")
    assert left == {SCHEDULE: "r1"}
    assert taken == {RULES, unheard, TRIGGER}
    assert len(await store.read(Inbox("r2"))) == 2


async def test_old_letters_to_nobody_are_swept(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await store.claim(fence, (), (), 10, {RULES: frozenset({"go"})})
    await store.claim(fence, (), (), 10, {})
    await store.append([letter("EventSent", None, event("go")) for _ in range(3)])

    swept = [await store.sweep(fence, NOON + timedelta(1), 2) for _ in range(3)]
    await store.claim(fence, (), (), 10, {RULES: frozenset({"go"})})

    assert [each.more for each in swept] == [True, False, False]
    assert len(await store.read(Inbox("r1"))) == 3
