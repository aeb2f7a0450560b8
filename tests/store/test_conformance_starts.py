"""Which new executions every store refuses, and what it keeps of those that it does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncflow._core.state import Head
from asyncflow._model.status import WorkflowStatus
from asyncflow._store.batch import Batch, Cause, ExecutionWrite, Firing, NewExecution, Refused, Tick
from asyncflow._store.change import DeleteWorkflow, PutSchedule, SetEnabled
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    ExecutionByName,
    Firings,
    Schedules,
    StoredExecutions,
    TaskExecutions,
    Ticks,
)
from tests.store.samples import (
    ENDED,
    NOON,
    RUNNING,
    due,
    event,
    everything,
    fact,
    new,
    put,
    runner,
    schedule,
    task,
)

FIRING = Firing("default", "poll", NOON, "hash", "key")


async def ids(store: Store, *made: NewExecution) -> tuple[int | Refused, ...]:
    writes = tuple(ExecutionWrite(each, RUNNING) for each in made)
    return (await store.commit(Batch(None, writes))).ids


def ticked(name: str, version: int, minutes: int) -> NewExecution:
    return replace(new(name), origin=Tick("default", "nightly", version, due(minutes)))


async def outdate(store: Store) -> int:
    """Store a schedule, change it, and return the version that it had."""
    old = await put(store, schedule())
    await put(store, schedule(), old)
    return old


# ---- the order of refusals, and what a refused one leaves


async def test_refusals_come_in_the_order_of_the_reasons(store: Store) -> None:
    await store.commit(Batch(events=(event("e"),)))
    version = await put(store, schedule())
    taken = replace(ticked("a", version, 1), cause=Cause(1), alone="x", once="x")
    assert await ids(store, taken) == (1,)

    outdated = replace(ticked("b", version + 1, 1), alone="x", once="x")
    again = replace(ticked("b", version, 1), alone="x", once="x")
    fresh = replace(ticked("b", version, 2), alone="x", once="x")
    reasons = await ids(
        store,
        replace(taken, name="a", origin=outdated.origin),
        replace(outdated, cause=Cause(1)),
        outdated,
        again,
        fresh,
        replace(fresh, once=None),
    )
    await store.change(SetEnabled("default", "release", enabled=False))

    assert reasons == (
        Refused.NAME_TAKEN,
        Refused.CAUSED_ALREADY,
        Refused.OUTDATED,
        Refused.TICKED_ALREADY,
        Refused.STARTED_ONCE,
        Refused.RUNS_ALREADY,
    )
    assert await ids(store, taken) == (Refused.DISABLED,)


async def refused(store: Store, reason: Refused) -> NewExecution:
    """Store what stands against an execution that would get a row but for this reason."""
    await store.commit(Batch(events=(event("e"),)))
    version = await put(store, schedule())
    made = replace(ticked("b", version, 2), cause=Cause(1), alone="x", once="y")
    match reason:
        case Refused.DISABLED:
            await store.change(SetEnabled("default", "release", enabled=False))
        case Refused.NAME_TAKEN:
            await ids(store, new("b"))
        case Refused.CAUSED_ALREADY:
            await ids(store, replace(new("a"), cause=Cause(1)))
        case Refused.OUTDATED:
            await put(store, schedule(), version)
        case Refused.TICKED_ALREADY:
            await ids(store, ticked("a", version, 2))
        case Refused.STARTED_ONCE:
            await ids(store, replace(new("a"), once="y"))
        case Refused.RUNS_ALREADY:
            await ids(store, replace(new("a"), alone="x"))
    return made


@pytest.mark.parametrize("by", ["tick", "firing"])
@pytest.mark.parametrize("reason", Refused)
async def test_a_refused_execution_writes_nothing_at_all(
    store: Store, reason: Refused, by: str
) -> None:
    made = await refused(store, reason)
    if by == "firing" and reason not in {Refused.OUTDATED, Refused.TICKED_ALREADY}:
        made = replace(made, origin=FIRING)
    write = ExecutionWrite(made, ENDED, (task("t"),), {"k": "1"}, (fact("F"),), "p", {"s": "1"})
    before = await everything(store)

    assert (await store.commit(Batch(None, (write,)))).ids == (reason,)

    assert await everything(store) == before
    (id_,) = await ids(store, new("c", "other"))
    assert isinstance(id_, int)
    await store.commit(Batch(None, (ExecutionWrite(id_, None, (task("t"),)),)))
    assert [found.id for found in await store.read(TaskExecutions(id_))] == [1]


# ---- one alone in its batch, against which only its name and its workflow can stand


@pytest.mark.parametrize("reason", [Refused.NAME_TAKEN, Refused.DISABLED])
async def test_a_plain_execution_that_is_refused_uses_up_no_id(
    store: Store, reason: Refused
) -> None:
    await ids(store, new("a"))
    if reason is Refused.DISABLED:  # it comes first
        await store.change(SetEnabled("default", "release", enabled=False))
    before = await everything(store)

    assert await ids(store, new("a")) == (reason,)

    assert await everything(store) == before
    assert await ids(store, new("a", "release", "far"), new("b", "other")) == (
        Refused.NAME_TAKEN,
        2,
    )
    assert await ids(store, new("c", "release", "far")) == (3,)
    assert await ids(store, new("d", "other")) == (4,)


async def test_a_plain_execution_starts_beside_writes_to_others(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await ids(store, new("a"))
    assert isinstance(a, int)
    writes = (
        ExecutionWrite(a, ENDED),
        ExecutionWrite(new("b"), RUNNING, (task("t"),), {"k": "1"}, (fact("F"),), "p"),
        ExecutionWrite(a, None, (task("u"),)),
    )

    receipt = await store.commit(Batch(fence, writes))

    assert receipt.ids == (1, 2, 1)
    found = await store.read(ExecutionByName("b"))
    assert found is not None
    assert (found.id, found.owner, found.fingerprint, found.begin) == (2, "r1", "p", NOON)
    assert [x.task_name for x in await store.read(TaskExecutions(2))] == ["t"]
    assert [x.task_name for x in await store.read(TaskExecutions(1))] == ["u"]


@pytest.mark.parametrize("head", [None, ENDED, replace(RUNNING, error="e", parked_reason="p")])
@pytest.mark.parametrize("others", [0, 1, 9])
async def test_executions_start_with_any_head(store: Store, head: Head | None, others: int) -> None:
    writes = [ExecutionWrite(new(f"b{n}"), RUNNING) for n in range(others)]

    receipt = await store.commit(Batch(None, (*writes, ExecutionWrite(new("a"), head))))

    assert receipt.ids == tuple(range(1, others + 2))
    found = await store.read(StoredExecutions(tuple(range(1, others + 2))))
    assert [x.head for x in found] == [RUNNING] * others + [head or Head()]


# ---- more than that


async def test_what_an_execution_refused_at_last_would_have_taken_is_free(store: Store) -> None:
    made = await refused(store, Refused.RUNS_ALREADY)

    both = await ids(store, made, replace(made, name="c"))
    free = await ids(store, replace(made, alone=None))

    assert both == (Refused.RUNS_ALREADY, Refused.RUNS_ALREADY)
    assert free == (2,)


async def test_a_refusal_leaves_the_histories_of_the_rest_of_its_batch(store: Store) -> None:
    version = await put(store, schedule())
    fired = replace(new("a"), origin=FIRING, alone="x")

    made = await ids(store, fired, replace(fired, name="b"), ticked("c", version, 1))

    assert made == (1, Refused.RUNS_ALREADY, 2)
    assert [x.execution for x in await store.read(Firings("default", "poll"))] == ["a"]
    assert [x.execution for x in await store.read(Ticks("default", "nightly"))] == ["c"]


# ---- alone


async def test_one_of_two_that_must_be_alone_gets_a_row(store: Store) -> None:
    a, b = replace(new("a"), alone="x"), replace(new("b"), alone="x")

    assert await ids(store, a, b) == (1, Refused.RUNS_ALREADY)
    assert await ids(store, b) == (Refused.RUNS_ALREADY,)


async def test_alone_is_told_by_workflow_and_text(store: Store) -> None:
    made = replace(new("a"), alone="x")
    others = (
        replace(made, name="b", workflow="other"),
        replace(made, name="c", namespace="far"),
        replace(made, name="d", alone="y"),
        replace(made, name="e", alone=""),
        replace(made, name="f", alone=None),
    )

    assert await ids(store, made, *others) == (1, 2, 3, 4, 5, 6)
    assert await ids(store, *(replace(each, name=f"{each.name}2") for each in others)) == (
        *((Refused.RUNS_ALREADY,) * 4),
        7,
    )


@pytest.mark.parametrize("head", [Head(), RUNNING])
async def test_an_unfinished_execution_is_alone_whether_it_has_begun_or_not(
    store: Store, head: Head
) -> None:
    made = replace(new("a"), alone="x")
    await store.commit(Batch(None, (ExecutionWrite(made, head),)))
    await store.commit(Batch(None, (ExecutionWrite(1, head),)))

    assert await ids(store, replace(made, name="b")) == (Refused.RUNS_ALREADY,)


@pytest.mark.parametrize(
    "status", [WorkflowStatus.SUCCESS, WorkflowStatus.FAILED, WorkflowStatus.STOPPED]
)
async def test_alone_is_free_when_its_execution_has_ended(
    store: Store, status: WorkflowStatus
) -> None:
    made = replace(new("a"), alone="x")
    await ids(store, made)
    await store.commit(Batch(None, (ExecutionWrite(1, replace(ENDED, status=status)),)))

    assert await ids(store, replace(made, name="b")) == (2,)


@pytest.mark.parametrize("first", ["end", "start"])
async def test_ends_are_written_before_starts_wherever_they_are_in_a_batch(
    store: Store, first: str
) -> None:
    made = replace(new("a"), alone="x")
    await ids(store, made)
    end, start = ExecutionWrite(1, ENDED), ExecutionWrite(replace(made, name="b"), RUNNING)

    receipt = await store.commit(Batch(None, (end, start) if first == "end" else (start, end)))

    assert receipt.ids == ((1, 2) if first == "end" else (2, 1))
    assert await ids(store, replace(made, name="c")) == (Refused.RUNS_ALREADY,)


async def test_an_execution_that_ends_where_it_starts_keeps_nobody_away(store: Store) -> None:
    made = replace(new("a"), alone="x")
    writes = (ExecutionWrite(made, ENDED), ExecutionWrite(replace(made, name="b"), RUNNING))

    assert (await store.commit(Batch(None, writes))).ids == (1, 2)
    assert await ids(store, replace(made, name="c")) == (Refused.RUNS_ALREADY,)


async def test_the_end_of_another_execution_does_not_free_what_is_alone(store: Store) -> None:
    made = replace(new("a"), alone="x")
    await ids(store, made)
    await store.commit(Batch(None, (ExecutionWrite(1, ENDED),)))
    await ids(store, replace(made, name="b"))
    await store.commit(Batch(None, (ExecutionWrite(1, ENDED),)))

    assert await ids(store, replace(made, name="c")) == (Refused.RUNS_ALREADY,)


# ---- once


async def test_one_of_two_with_one_key_starts_ever(store: Store) -> None:
    a, b = replace(new("a"), once="x"), replace(new("b"), once="x")

    assert await ids(store, a, b) == (1, Refused.STARTED_ONCE)
    await store.commit(Batch(None, (ExecutionWrite(1, ENDED),)))
    assert await ids(store, b) == (Refused.STARTED_ONCE,)


async def test_once_is_told_by_workflow_and_text(store: Store) -> None:
    made = replace(new("a"), once="x")
    others = (
        replace(made, name="b", workflow="other"),
        replace(made, name="c", namespace="far"),
        replace(made, name="d", once="x\0y"),
        replace(made, name="e", once=""),
        replace(made, name="f", once=None),
    )

    assert await ids(store, made, *others) == (1, 2, 3, 4, 5, 6)
    assert await ids(store, *(replace(each, name=f"{each.name}2") for each in others)) == (
        *((Refused.STARTED_ONCE,) * 4),
        7,
    )


async def test_a_deleted_workflow_starts_its_keys_again_and_others_do_not(store: Store) -> None:
    made = replace(new("a"), once="x")
    other = replace(made, name="b", workflow="other")
    writes = tuple(ExecutionWrite(each, ENDED) for each in (made, other))
    await store.commit(Batch(None, writes))

    await store.change(DeleteWorkflow("default", "release"))

    assert await ids(store, made, replace(other, name="c")) == (3, Refused.STARTED_ONCE)


# ---- ticks


async def test_a_tick_is_answered_by_the_execution_that_it_starts(store: Store) -> None:
    version = await put(store, schedule())

    assert await ids(store, ticked("a", version, 5), ticked("b", version, 7)) == (1, 2)

    (found,) = await store.read(Schedules())
    assert (found.answered, found.version, found.updated) == (due(7), version, NOON)


@pytest.mark.parametrize("minutes", [-1, 0, 4, 5])
async def test_a_tick_that_is_not_after_what_was_answered_starts_nothing(
    store: Store, minutes: int
) -> None:
    version = await put(store, schedule())
    await ids(store, ticked("a", version, 5))

    assert await ids(store, ticked("b", version, minutes)) == (Refused.TICKED_ALREADY,)
    assert len(await store.read(Ticks("default", "nightly"))) == 1


async def test_one_of_two_equal_ticks_of_a_batch_starts_something(store: Store) -> None:
    version = await put(store, schedule())

    made = await ids(store, ticked("a", version, 1), ticked("b", version, 1))

    assert made == (1, Refused.TICKED_ALREADY)


async def test_a_tick_of_a_schedule_that_is_gone_changed_or_disabled_is_outdated(
    store: Store,
) -> None:
    gone = replace(new("a"), origin=Tick("default", "never", 1, due(1)))
    far = replace(new("b"), origin=Tick("far", "nightly", 1, due(1)))
    old = await outdate(store)
    (found,) = await store.read(Schedules())
    later = replace(new("c"), origin=Tick("default", "nightly", old + 9, due(1)))
    changed = await ids(store, gone, far, ticked("d", old, 1), later)
    disabled = await put(store, replace(found, enabled=False), found.version)

    assert changed == (Refused.OUTDATED,) * 4
    assert await ids(store, ticked("d", disabled, 1)) == (Refused.OUTDATED,)


async def test_a_schedule_that_is_changed_while_it_ticks_does_not_answer_that_tick_again(
    store: Store,
) -> None:
    version = await put(store, schedule())
    await ids(store, ticked("a", version, 5))
    await store.change(PutSchedule(schedule(), version))
    (found,) = await store.read(Schedules())

    assert found.answered == found.last_run == NOON + timedelta(minutes=5)
    assert await ids(store, ticked("b", found.version, 5)) == (Refused.TICKED_ALREADY,)
    assert [x.execution for x in await store.read(Ticks("default", "nightly"))] == ["a"]
