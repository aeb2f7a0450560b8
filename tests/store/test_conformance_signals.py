"""What every store keeps of events that are born waiting: their places, ends and webhooks."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Closing, TaskState
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._store.batch import (
    Batch,
    ExecutionWrite,
    Expiry,
    Fence,
    NewAwaited,
    Notified,
)
from asyncflow._store.change import DeleteWorkflow
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    AwaitedByIds,
    AwaitedEvents,
    Events,
    Runners,
    StoredExecutions,
)
from asyncflow.errors import FencedError, StoreError
from tests.store.samples import ENDED, LATER, NOON, awaited, due, event, runner, signal, start

FAILED, TIMED_OUT = EventPhase.FAILED, EventPhase.TIMED_OUT
FULL = NewAwaited(
    execution=1,
    run_name="a",
    namespace="default",
    task="review",
    sequence_number=2,
    name="approved",
    place=3,
    failures=1,
    data_type="bool",
    created=NOON,
    prompt="Ship it?",
    prompt_type="markdown",
    description="Somebody must say so.",
    deadline=LATER,
)


async def make(store: Store, *new: NewAwaited) -> list[int | None]:
    """Register what is awaited; return the ids of the rows, None for each that was refused."""
    receipt = await store.commit(Batch(awaited=new))
    return [None if each is None else each.id for each in receipt.awaited]


async def close(store: Store, execution: int, *closings: Closing) -> None:
    await store.commit(Batch(executions=(ExecutionWrite(execution, closings=closings),)))


async def rows(store: Store) -> dict[int, tuple[EventPhase, datetime | None]]:
    return {row.id: (row.phase, row.ended) for row in await store.read(AwaitedEvents())}


async def ids(store: Store, query: AwaitedEvents) -> list[int]:
    return [row.id for row in await store.read(query)]


# ---- what a task comes to await


async def test_an_awaited_event_is_read_as_it_was_made(store: Store) -> None:
    await start(store, "a")

    (made,) = (await store.commit(Batch(awaited=(FULL,)))).awaited

    assert made == AwaitedRecord(
        id=1,
        execution=1,
        run_name="a",
        namespace="default",
        task_name="review",
        sequence_number=2,
        name="approved",
        place=3,
        data_type="bool",
        created=NOON,
        prompt="Ship it?",
        prompt_type="markdown",
        description="Somebody must say so.",
        deadline=LATER,
        label="3.1",
    )
    assert await store.read(AwaitedEvents()) == await store.read(AwaitedByIds((1,))) == (made,)


async def test_an_awaited_event_is_found_at_its_place_as_it_was_left(store: Store) -> None:
    (a,) = await start(store, "a")
    (first,) = (await store.commit(Batch(awaited=(awaited(a),)))).awaited
    again = replace(awaited(a), created=LATER, data_type="str", failures=2, deadline=LATER)

    (waiting,) = (await store.commit(Batch(awaited=(again,)))).awaited
    await store.commit(Batch(signals=(signal(1, a),)))
    (answered,) = (await store.commit(Batch(awaited=(again,)))).awaited

    assert first == waiting
    assert answered is not None
    assert (answered.id, answered.phase, answered.value) == (1, EventPhase.SUCCEEDED, "true")
    assert await store.read(AwaitedEvents()) == (answered,)


@pytest.mark.parametrize(
    "other",
    [{"task": "u"}, {"sequence_number": 2}, {"name": "no"}, {"execution": 2}],
)
async def test_an_awaited_event_is_of_one_run_and_one_name(
    store: Store, other: dict[str, Any]
) -> None:
    (a, _) = await start(store, "a", "b")

    assert await make(store, awaited(a), replace(awaited(a), **other)) == [1, 2]


async def test_a_run_waits_for_one_event_of_a_name_at_a_time(store: Store) -> None:
    (a,) = await start(store, "a")

    assert await make(store, awaited(a), awaited(a, place=2), awaited(a)) == [1, None, 1]
    assert await make(store, awaited(a, place=2), awaited(a, "no")) == [None, 2]
    await store.commit(Batch(signals=(signal(1, a),)))
    assert await make(store, awaited(a, place=2), awaited(a), awaited(a, place=3)) == [3, 1, None]


async def test_an_event_whose_time_is_over_makes_room_for_the_next(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a, deadline=due(1)))
    second = replace(awaited(a, place=2), created=due(1), deadline=due(2))
    third = replace(awaited(a, place=3), created=due(2))

    assert await make(store, replace(second, created=due(1) - timedelta(microseconds=1))) == [None]
    assert await make(store, second, third) == [2, 3]

    assert await rows(store) == {
        1: (TIMED_OUT, due(1)),
        2: (TIMED_OUT, due(2)),
        3: (EventPhase.RUNNING, None),
    }


async def test_one_that_has_timed_out_is_found_until_another_attempt_has_failed(
    store: Store,
) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a, deadline=due(1)))
    again = replace(awaited(a), created=due(1))

    (late,) = (await store.commit(Batch(awaited=(again,)))).awaited
    retried = replace(again, failures=1, deadline=due(5))
    assert await make(store, retried, again, retried) == [2, 2, 2]

    assert late is not None
    assert (late.id, late.phase, late.ended) == (1, TIMED_OUT, due(1))
    assert await make(store, replace(retried, created=due(5), failures=1)) == [2]
    assert await make(store, replace(retried, created=due(5), failures=2)) == [3]


async def test_what_an_execution_that_is_not_there_awaits_is_an_error(store: Store) -> None:
    (a,) = await start(store, "a")

    with pytest.raises(StoreError, match="no workflow execution of id 9"):
        await store.commit(Batch(events=(event("x"),), awaited=(awaited(a), awaited(9))))

    assert await store.read(AwaitedEvents()) == ()
    assert await store.read(Events()) == ()


async def test_a_thousand_are_made_and_signalled_at_once(store: Store) -> None:
    owners = await start(store, *(f"a{n}" for n in range(1000)))

    made = await make(store, *(awaited(a) for a in owners))
    receipt = await store.commit(Batch(signals=tuple(signal(a, a) for a in owners)))

    assert made == list(owners)
    assert receipt.signals == tuple(range(1, 1001))
    assert await ids(store, AwaitedEvents(waiting_at=NOON)) == []


async def test_ids_are_never_used_again(store: Store) -> None:
    (a,) = await start(store, "a", head=ENDED)
    await make(store, awaited(a), awaited(a, "no"))
    await store.change(DeleteWorkflow("default", "release"))
    (b,) = await start(store, "b")

    assert await make(store, awaited(b)) == [3]


# ---- how it ends without a signal


async def test_an_event_expires_once_its_time_is_over(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a, deadline=due(1)), awaited(a, "ever"))
    early = Expiry(1, due(1) - timedelta(microseconds=1))

    receipt = await store.commit(
        Batch(
            expired=(
                early,
                Expiry(1, due(1)),
                Expiry(1, due(1)),
                Expiry(2, LATER),
                Expiry(9, LATER),
            )
        )
    )

    assert receipt.expired == (False, True, False, False, False)
    assert await rows(store) == {1: (TIMED_OUT, due(1)), 2: (EventPhase.RUNNING, None)}


async def test_the_end_of_a_run_closes_what_it_awaits_still(store: Store) -> None:
    a, b = await start(store, "a", "b")
    await make(
        store,
        awaited(a),
        awaited(a, "late", deadline=due(1)),
        awaited(a, "signalled"),
        replace(awaited(a), task="u"),
        replace(awaited(a), sequence_number=2),
        awaited(b),
    )
    await store.commit(Batch(signals=(signal(3, a),)))

    await close(store, a, Closing("t", 1, FAILED, due(1)), Closing("t", 1, TIMED_OUT, due(2)))

    running = (EventPhase.RUNNING, None)
    assert await rows(store) == {
        1: (FAILED, due(1)),
        2: (TIMED_OUT, due(1)),
        3: (EventPhase.SUCCEEDED, NOON),
        4: running,
        5: running,
        6: running,
    }


async def test_what_is_awaited_and_signalled_in_one_batch_is_written_before_it_is_closed(
    store: Store,
) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a), awaited(a, "x", deadline=due(1)))
    over = ExecutionWrite(a, closings=(Closing("t", 1, EventPhase.ABORTED, due(1)),))

    receipt = await store.commit(
        Batch(
            executions=(over,),
            awaited=(awaited(a, "y"),),
            signals=(signal(1, a), signal(2, a, due(0))),
            expired=(Expiry(2, due(1)),),
        )
    )

    assert (receipt.signals, receipt.expired) == ((1, 2), (False,))
    assert await rows(store) == {
        1: (EventPhase.SUCCEEDED, NOON),
        2: (EventPhase.SUCCEEDED, NOON),
        3: (EventPhase.ABORTED, due(1)),
    }


async def test_what_a_webhook_answered_is_kept(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a), awaited(a, "no"), awaited(a, "yet"))
    noted = (Notified(1, NOON, "OSError: \udcff"), Notified(1, LATER), Notified(9, NOON))

    await store.commit(Batch(notified=(*noted, Notified(2, NOON, "OSError: \udcff"))))

    found = await store.read(AwaitedEvents())
    assert [(x.notified, x.webhook_error) for x in found] == [
        (LATER, None),
        (NOON, r"OSError: \udcff"),
        (None, None),
    ]
    assert await ids(store, AwaitedEvents(waiting_at=NOON)) == [1, 2, 3]


async def test_a_fence_that_does_not_hold_writes_nothing_of_what_is_awaited(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, awaited(a))
    batch = Batch(Fence("gone", 1), awaited=(awaited(a, "no"),), signals=(signal(1, a),))

    with pytest.raises(FencedError):
        await store.commit(batch)

    assert await rows(store) == {1: (EventPhase.RUNNING, None)}
    assert await store.read(Events()) == ()


# ---- looking


async def test_awaited_events_are_listed_in_pages_both_ways(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, *(awaited(a, f"e{n}") for n in range(5)))

    assert await ids(store, AwaitedEvents(limit=2)) == [1, 2]
    assert await ids(store, AwaitedEvents(limit=2, after=2)) == [3, 4]
    assert await ids(store, AwaitedEvents(limit=2, newest_first=True)) == [5, 4]
    assert await ids(store, AwaitedEvents(after=4, newest_first=True)) == [3, 2, 1]
    assert await ids(store, AwaitedEvents(limit=0)) == []


async def test_awaited_events_are_chosen_by_what_they_are(store: Store) -> None:
    a, b = await start(store, "a", "b")
    await make(
        store,
        awaited(a),
        replace(awaited(a), task="u"),
        replace(awaited(a), sequence_number=2),
        awaited(a, "no", deadline=due(1)),
        awaited(b),
        awaited(b, "done"),
    )
    await store.commit(Batch(signals=(signal(6, b),)))

    assert await ids(store, AwaitedEvents("default")) == [1, 2, 3, 4, 5, 6]
    assert await ids(store, AwaitedEvents("far")) == []
    assert await ids(store, AwaitedEvents("far", execution=a)) == []
    assert await ids(store, AwaitedEvents(execution=b)) == [5, 6]
    assert await ids(store, AwaitedEvents(execution=9)) == []
    assert await ids(store, AwaitedEvents(task="u")) == [2]
    assert await ids(store, AwaitedEvents(sequence_number=2)) == [3]
    assert await ids(store, AwaitedEvents(name="no")) == [4]
    assert await ids(store, AwaitedEvents("default", a, "t", 1, "ok")) == [1]
    assert await ids(store, AwaitedEvents(waiting_at=NOON)) == [1, 2, 3, 4, 5]
    assert await ids(store, AwaitedEvents("default", a, waiting_at=due(1))) == [1, 2, 3]
    backwards = AwaitedEvents("default", waiting_at=due(1), newest_first=True)
    assert await ids(store, backwards) == [5, 3, 2, 1]


async def test_awaited_events_are_found_by_their_ids(store: Store) -> None:
    (a,) = await start(store, "a")
    await make(store, *(awaited(a, f"e{n}") for n in range(4)))

    assert [row.id for row in await store.read(AwaitedByIds((4, 2, 9, 2)))] == [2, 4]
    assert await store.read(AwaitedByIds(())) == ()


# ---- what else is kept for them


async def test_whether_a_run_awaits_events_is_kept(store: Store) -> None:
    (a,) = await start(store, "a")
    t = TaskState("t", 1, 1, awaits=True)

    async def stored() -> tuple[TaskState, ...]:
        (found,) = await store.read(StoredExecutions((a,)))
        return found.tasks

    await store.commit(Batch(executions=(ExecutionWrite(a, tasks=(TaskChange(t),)),)))
    assert await stored() == (t,)
    over = replace(t, awaits=False)
    await store.commit(Batch(executions=(ExecutionWrite(a, tasks=(TaskChange(over),)),)))
    assert await stored() == (over,)


async def test_where_a_runner_hears_is_kept(store: Store) -> None:
    await store.register(replace(runner("r1"), address="127.0.0.1:4711"))
    await store.register(runner("r2"))

    assert [row.address for row in await store.read(Runners())] == ["127.0.0.1:4711", None]


async def test_a_retry_whose_event_timed_out_finds_another_of_the_name_that_waits(
    store: Store,
) -> None:
    (owner,) = await start(store, "a")
    first = replace(awaited(owner), deadline=LATER)
    second = replace(awaited(owner, place=2), created=LATER)
    await make(store, first)
    (waiting,) = await make(store, second)

    again = await make(store, replace(first, created=LATER, deadline=None, failures=1))

    assert again == [waiting]


async def test_what_a_retry_has_found_so_is_found_there_from_then_on_and_nowhere_else(
    store: Store,
) -> None:
    (owner,) = await start(store, "a")
    first = replace(awaited(owner), deadline=LATER)
    second = replace(awaited(owner, place=2), created=LATER)
    await make(store, first)
    (waiting,) = await make(store, second)
    assert waiting is not None
    retry = replace(first, created=LATER, deadline=None, failures=1)
    await make(store, retry)

    await store.commit(Batch(signals=(signal(waiting, owner),)))

    assert await make(store, retry) == [waiting]
    (new,) = (await store.commit(Batch(awaited=(replace(second, failures=1),)))).awaited
    assert new is not None
    assert (new.phase, new.label) == (EventPhase.RUNNING, f"2.{new.id}")
