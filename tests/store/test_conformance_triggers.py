"""What every store keeps of triggers and of what their polls did."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncflow._model.record import FiringRecord
from asyncflow._store.batch import Batch, CursorWrite, ExecutionWrite, FailedPoll, Firing, Refused
from asyncflow._store.change import AddTriggers, SetEnabled, SetTriggerEnabled
from asyncflow._store.protocol import Store
from asyncflow._store.queries import DisabledTriggers, Executions, Firings, Triggers
from asyncflow.errors import StoreError
from tests.store.samples import (
    ENDED,
    LATER,
    NOON,
    RUNNING,
    due,
    event,
    everything,
    new,
    trigger,
)

HISTORY = Firings("default", "poll")


def cursor(
    text: str | None, name: str = "poll", workflow: str = "release", instead_of: str | None = None
) -> CursorWrite:
    return CursorWrite("default", name, workflow, text, instead_of)


def failed(error: str, name: str = "poll") -> FailedPoll:
    return FailedPoll("default", name, NOON, LATER, error)


async def names(store: Store, query: Triggers) -> list[str]:
    return [found.name for found in await store.read(query)]


# ---- triggers


async def test_a_trigger_is_read_as_it_was_added(store: Store) -> None:
    made = replace(
        trigger(),
        poll_interval=timedelta(microseconds=10_001),
        allow_concurrent=True,
        created=due(1),
        updated=due(2),
        cursor="1",
        enabled=False,
    )

    assert await store.change(AddTriggers((trigger("a"), made))) == ()

    a, poll = await store.read(Triggers())
    assert (a, poll) == (replace(trigger("a"), id=a.id), replace(made, id=poll.id))
    assert a.id != poll.id


@pytest.mark.parametrize(
    "declared",
    [{"workflow": "other"}, {"poll_interval": timedelta(hours=1)}, {"allow_concurrent": True}],
)
async def test_a_trigger_that_is_declared_otherwise_keeps_what_it_has_learned(
    store: Store, declared: dict[str, Any]
) -> None:
    await store.change(AddTriggers((trigger(),)))
    await store.change(SetTriggerEnabled("default", "poll", enabled=False, at=due(1)))
    await store.commit(Batch(cursors=(cursor("1"),)))
    (before,) = await store.read(Triggers())

    again = replace(trigger(), created=due(9), updated=due(9), **declared)
    await store.change(AddTriggers((again,)))

    assert (before.cursor, before.enabled) == ("1", False)
    assert await store.read(Triggers()) == (replace(before, updated=due(9), **declared),)


async def test_a_trigger_that_is_added_again_as_it_is_is_not_written(store: Store) -> None:
    await store.change(AddTriggers((trigger(),)))
    before = await store.read(Triggers())

    again = replace(trigger(), created=due(9), updated=due(9), enabled=False, cursor="1")
    await store.change(AddTriggers((again, again)))

    assert await store.read(Triggers()) == before


async def test_ten_thousand_triggers_are_added_at_once(store: Store) -> None:
    many = tuple(trigger(f"t{n:05}") for n in range(10_000))

    await store.change(AddTriggers(many))
    await store.change(AddTriggers(many))

    assert await names(store, Triggers()) == [each.name for each in many]


async def test_a_trigger_is_disabled_and_enabled_as_often_as_it_is_said(store: Store) -> None:
    await store.change(AddTriggers((trigger("a"), trigger("b"), trigger("a", namespace="far"))))

    async def updated(enabled: bool, minutes: int) -> int:
        change = SetTriggerEnabled("default", "a", enabled=enabled, at=due(minutes))
        assert await store.change(change) == ()
        (found,) = await store.read(Triggers("default", "a"))
        assert found.enabled == enabled
        return (found.updated - NOON) // timedelta(minutes=1)

    assert [await updated(True, 1), await updated(False, 2), await updated(False, 3)] == [0, 2, 2]
    assert await store.read(DisabledTriggers()) == {("default", "a")}
    assert await updated(True, 4) == 4
    assert await store.read(DisabledTriggers()) == frozenset()


async def test_a_trigger_that_is_not_there_is_not_disabled(store: Store) -> None:
    before = await everything(store)

    assert await store.change(SetTriggerEnabled("default", "poll", False, due(1))) == ()

    assert await everything(store) == before


async def test_triggers_are_ordered_chosen_and_paged(store: Store) -> None:
    places = [("n", "b"), ("m", "c"), ("n", "a"), ("n", "B"), ("m", "é")]
    await store.change(AddTriggers(tuple(trigger(name, namespace=n) for n, name in places)))
    await store.change(SetTriggerEnabled("n", "a", enabled=False, at=due(1)))

    assert await names(store, Triggers()) == ["c", "é", "B", "a", "b"]
    assert await names(store, Triggers("n")) == ["B", "a", "b"]
    assert await names(store, Triggers(name="a")) == ["a"]
    assert await names(store, Triggers(enabled=True)) == ["c", "é", "B", "b"]
    assert await names(store, Triggers(enabled=False)) == ["a"]
    assert await names(store, Triggers(limit=2, offset=1)) == ["é", "B"]
    assert await names(store, Triggers(offset=3)) == ["a", "b"]
    assert await names(store, Triggers("m", enabled=True, limit=0)) == []


# ---- cursors


async def test_a_cursor_is_kept_and_cleared(store: Store) -> None:
    await store.change(AddTriggers((trigger(), trigger("b"))))

    async def cursors(*writes: CursorWrite) -> list[str | None]:
        await store.commit(Batch(cursors=writes))
        return [found.cursor for found in await store.read(Triggers())]

    assert await cursors(cursor('{"a": 1}', "b"), cursor("2"), cursor("1", "c")) == [
        '{"a": 1}',
        "2",
    ]
    assert await cursors(cursor("3", instead_of="2"), cursor("4", instead_of="2")) == [
        '{"a": 1}',
        "3",
    ]
    assert await cursors(cursor(None, "b", instead_of='{"a": 1}')) == [None, "3"]
    assert [found.updated for found in await store.read(Triggers())] == [NOON, NOON]


async def test_a_cursor_that_was_made_of_another_than_the_stored_one_is_not_written(
    store: Store,
) -> None:
    await store.change(AddTriggers((trigger(),)))
    await store.commit(Batch(cursors=(cursor("1"),)))

    await store.commit(Batch(cursors=(cursor("2"),)))
    await store.commit(Batch(cursors=(cursor("2", instead_of="0"),)))

    assert [found.cursor for found in await store.read(Triggers())] == ["1"]


async def test_what_a_poll_with_an_old_cursor_wants_started_is_refused(store: Store) -> None:
    await store.change(AddTriggers((trigger(),)))

    def started(name: str, write: CursorWrite) -> Batch:
        origin = Firing("default", "poll", NOON, "hash", None, write)
        return Batch(None, (ExecutionWrite(replace(new(name), origin=origin)),), cursors=(write,))

    first = await store.commit(started("a", cursor("1")))
    late = await store.commit(started("b", cursor("1")))
    second = await store.commit(started("c", cursor("2", instead_of="1")))

    assert (first.ids, late.ids, second.ids) == ((1,), (Refused.OUTDATED,), (2,))
    assert [x.execution for x in await store.read(HISTORY)] == ["c", "a"]


async def test_a_cursor_is_not_written_while_its_workflow_is_disabled(store: Store) -> None:
    await store.change(AddTriggers((trigger(), trigger("b", "other"), trigger("c", "free"))))
    await store.change(SetEnabled("default", "release", enabled=False))
    await store.change(SetEnabled("far", "free", enabled=False))
    made = ExecutionWrite(new("a"), RUNNING)
    cursors = (cursor("1"), cursor("2", "b", "other"), cursor("3", "c", "free"))

    await store.commit(Batch(None, (made,), cursors=cursors))

    assert [found.cursor for found in await store.read(Triggers())] == ["2", "3", None]


# ---- histories


async def test_a_firing_is_told_by_its_execution(store: Store) -> None:
    made = replace(new("a"), origin=Firing("default", "poll", due(1), "hash", "key"))
    await store.commit(Batch(None, (ExecutionWrite(made, RUNNING),)))
    (running,) = await store.read(HISTORY)
    await store.commit(Batch(None, (ExecutionWrite(1, ENDED),)))

    expected = FiringRecord(
        id=running.id,
        namespace="default",
        trigger="poll",
        started=due(1),
        ended=None,
        context_hash="hash",
        key="key",
        execution="a",
        error=None,
    )
    assert running == expected
    assert await store.read(HISTORY) == (replace(expected, ended=LATER),)


async def test_a_failed_poll_is_told_with_its_error(store: Store) -> None:
    await store.commit(Batch(failed_polls=(failed("OSError: \udcff"),)))

    (found,) = await store.read(HISTORY)

    assert found == FiringRecord(
        id=found.id,
        namespace="default",
        trigger="poll",
        started=NOON,
        ended=LATER,
        context_hash=None,
        key=None,
        execution=None,
        error="OSError: \\udcff",
    )


async def test_a_history_is_of_one_trigger_newest_first_and_by_page(store: Store) -> None:
    fired = replace(new("a"), origin=Firing("default", "poll", LATER, "hash"))
    await store.commit(
        Batch(None, (ExecutionWrite(fired, ENDED),), failed_polls=(failed("1"), failed("x", "b")))
    )
    far = FailedPoll("far", "poll", NOON, LATER, "y")
    await store.commit(Batch(failed_polls=(far, failed("2"), failed("3"))))

    async def page(limit: int, offset: int) -> list[str | None]:
        found = await store.read(Firings("default", "poll", limit, offset))
        return [line.error or line.execution for line in found]

    assert await page(100, 0) == ["3", "2", "1", "a"]
    assert await page(2, 1) == ["2", "1"]
    assert await page(2, 3) == ["a"]
    assert await page(2, 4) == []


async def test_a_batch_that_is_refused_keeps_nothing_of_triggers(store: Store) -> None:
    await store.change(AddTriggers((trigger(),)))
    fired = replace(new("a"), origin=Firing("default", "poll", LATER, "hash"), once="x")
    gone = ExecutionWrite(99, RUNNING)
    before = await everything(store)

    with pytest.raises(StoreError, match="99"):
        await store.commit(
            Batch(
                None,
                (ExecutionWrite(fired), gone),
                (event("e"),),
                cursors=(cursor("1"),),
                failed_polls=(failed("x"),),
            )
        )

    assert await everything(store) == before
    assert await store.read(Executions()) == ()
    assert (await store.commit(Batch(None, (ExecutionWrite(fired),)))).ids == (1,)
