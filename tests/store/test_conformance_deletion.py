"""What the deletion of a workflow removes, refuses to remove and leaves, over each store."""

from dataclasses import replace
from typing import Any

from asyncflow._store.batch import (
    Batch,
    Cause,
    CursorWrite,
    DroppedTicks,
    ExecutionWrite,
    FailedPoll,
    Fence,
    Firing,
    Refused,
    Tick,
)
from asyncflow._store.change import (
    AddRule,
    AddTriggers,
    DeleteWorkflow,
    PutSchedule,
    SetEnabled,
    SetRulePaused,
)
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    AwaitedEvents,
    ContextOf,
    DisabledWorkflows,
    Events,
    ExecutionByName,
    Executions,
    Facts,
    Firings,
    Inbox,
    LastOffset,
    Schedules,
    SchedulesVersion,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    TickCounts,
    Ticks,
    Triggers,
    WorkflowCells,
    WorkflowRules,
)
from tests.store.samples import (
    ENDED,
    NOON,
    RUNNING,
    awaited,
    due,
    event,
    everything,
    fact,
    letter,
    line,
    new,
    put,
    runner,
    schedule,
    start,
    task,
    trigger,
)

DELETE = DeleteWorkflow("default", "release")


async def fill(
    store: Store, name: str, workflow: str = "release", namespace: str = "default"
) -> int:
    """Store an ended execution with one of everything that hangs on it or on its workflow."""
    cells = {(namespace, workflow, "s"): "1"}
    poll, nightly = f"{workflow}-poll", f"{workflow}-nightly"
    await store.change(AddTriggers((trigger(poll, workflow, namespace),)))
    await store.change(PutSchedule(schedule(nightly, workflow, namespace), None))
    (planned,) = await store.read(Schedules(namespace, nightly))
    made = replace(
        new(name, workflow, namespace),
        cause=Cause(0, fresh=True),
        origin=Firing(namespace, poll, NOON, "hash"),
        alone=name,
        once=name,
    )
    write = ExecutionWrite(
        made,
        ENDED,
        (task("t"), task("u")),
        {"k": "1"},
        (fact("F"),),
        None,
        {"s": "1"},
    )
    gone = DroppedTicks(namespace, nightly, planned.version, (due(1),), "late", NOON)
    cursor = CursorWrite(namespace, poll, workflow, "1")
    failed = FailedPoll(namespace, poll, NOON, NOON, "OSError: away")
    batch = Batch(None, (write,), (event(name, namespace),), cells=cells, dropped=(gone,))
    receipt = await store.commit(replace(batch, cursors=(cursor,), failed_polls=(failed,)))
    (id_,) = receipt.ids
    assert not isinstance(id_, Refused)
    confined = event(f"{name}-own", namespace, id_)
    lines, waits = (line(id_, "x"), line(id_, "y")), awaited(id_)
    await store.commit(Batch(events=(confined,), logs=lines, awaited=(waits,)))
    await store.append([letter("Told", id_), letter("Sent", id_, event(f"{name}-sent"))])
    await store.append([letter("Heard", None, event(f"{name}-heard", namespace, id_))])
    for rule in ("one", "two"):
        await store.change(AddRule(namespace, workflow, rule))
    await store.change(SetRulePaused(namespace, workflow, "one", paused=True))
    await store.change(SetEnabled(namespace, workflow, enabled=False))
    return id_


async def all_of(
    store: Store, id_: int, workflow: str = "release", namespace: str = "default"
) -> list[Any]:
    of_workflow = (namespace, workflow)
    disabled = await store.read(DisabledWorkflows())
    return [
        await store.read(Executions(namespace, workflow)),
        await store.read(StoredExecutions((id_,))),
        await store.read(TaskExecutions(id_)),
        await store.read(AwaitedEvents(execution=id_)),
        await store.read(ContextOf(id_)),
        await store.read(Facts(id_)),
        await store.read(TaskLogs(id_, "t", 1)),
        await store.read(Events(execution=id_)),
        await store.read(WorkflowCells(*of_workflow)),
        await store.read(WorkflowRules(*of_workflow)),
        [each for each in disabled if each == of_workflow],
        await store.read(Firings(namespace, f"{workflow}-poll")),
        await store.read(Schedules(namespace, workflow=workflow)),
        await store.read(Ticks(namespace, f"{workflow}-nightly")),
        [x.cursor for x in await store.read(Triggers(namespace, f"{workflow}-poll")) if x.cursor],
    ]


async def inbox(store: Store) -> list[tuple[int | None, str, str | None]]:
    items = [item.letter for item in await store.read(Inbox("r1"))]
    return [(each.execution, each.kind, each.event.key if each.event else None) for each in items]


async def test_unfinished_executions_stand_in_the_way_oldest_first(store: Store) -> None:
    fence = await store.register(runner("r1"))
    await fill(store, "ended")
    await store.change(SetEnabled("default", "release", enabled=True))
    await start(store, "z", "b", fence=fence)
    await start(store, "elsewhere", workflow="other")
    await store.commit(Batch(None, (ExecutionWrite(new("initial")),)))
    await start(store, *(f"r{n}" for n in range(9)))
    before = (await everything(store), await all_of(store, 1), await inbox(store))

    names = await store.change(DELETE)

    assert names == ("z", "b", "initial", *(f"r{n}" for n in range(7)))
    assert (await everything(store), await all_of(store, 1), await inbox(store)) == before


async def test_a_workflow_in_whose_way_nothing_stands_is_deleted_whole(store: Store) -> None:
    await store.register(runner("r1"))
    gone = await fill(store, "a")
    assert all(await all_of(store, gone))

    assert await store.change(DELETE) == ()

    assert not any(await all_of(store, gone))
    assert await store.read(ExecutionByName("a")) is None
    assert await inbox(store) == []
    assert await store.change(DELETE) == ()


async def test_other_workflows_are_not_touched(store: Store) -> None:
    await store.register(runner("r1"))
    others = {
        await fill(store, "o", "other"): ("other", "default"),
        await fill(store, "f", "release", "far"): ("release", "far"),
    }
    before = [await all_of(store, id_, *names) for id_, names in others.items()]
    letters, events = await inbox(store), await store.read(Events())
    await fill(store, "a")

    await store.change(DELETE)

    assert [await all_of(store, id_, *names) for id_, names in others.items()] == before
    assert all(all(each) for each in before)
    assert await inbox(store) == letters
    assert (await store.read(Events()))[: len(events)] == events


async def test_broadcasts_and_events_of_others_stay(store: Store) -> None:
    await store.register(runner("r1"))
    gone = await fill(store, "a")
    (kept,) = await start(store, "k", workflow="other")
    sent = (event("all"), event("k-own", execution=kept), event("a-own2", execution=gone))
    await store.commit(Batch(events=sent))
    await store.append([letter("All", None, event("told")), letter("One", kept, event("one"))])

    await store.change(DELETE)

    keys = [found.key for found in await store.read(Events())]
    assert keys == ["a", "a-sent", "all", "k-own", "told", "one"]
    await store.release(Fence("r1", 1))
    fence = await store.register(runner("r1"))
    await store.claim(fence, (), None, 10)
    # that of the runner that is gone, and that to nobody for the sake of "k"
    heard = [(None, "All", "told"), (kept, "One", "one"), (None, "All", "told")]
    assert sorted(await inbox(store), key=str) == sorted(heard, key=str)


async def test_no_id_and_no_offset_comes_back(store: Store) -> None:
    async def made() -> list[list[int]]:
        id_ = await fill(store, "a")
        tasks = [t.id or 0 for t in await store.read(TaskExecutions(id_))]
        lines = [each.id or 0 for each in await store.read(TaskLogs(id_, "t", 1))]
        events = [e.offset or 0 for e in await store.read(Events(execution=id_))]
        items = [item.id for item in await store.read(Inbox("r1"))]
        firings = [x.id for x in await store.read(Firings("default", "release-poll"))]
        schedules = [x.id or 0 for x in await store.read(Schedules())]
        ticks = [x.id for x in await store.read(Ticks("default", "release-nightly"))]
        return [[id_], tasks, lines, events, items, firings, schedules, ticks]

    before = await made()
    await store.change(DELETE)
    last = await store.read(LastOffset())
    after = await made()

    assert last == 3  # the letter to the execution had an event for the whole namespace
    for old, young in zip(before, after, strict=True):
        assert len(old) == len(young) > 0
        assert max(old) < min(young)


async def test_a_deleted_workflow_starts_again_under_the_same_name_and_event(store: Store) -> None:
    await fill(store, "a")
    again = replace(new("a"), cause=Cause(1), once="a")

    await store.change(DELETE)
    receipt = await store.commit(Batch(None, (ExecutionWrite(again, RUNNING, (task("t"),)),)))

    assert receipt.ids == (2,)
    (stored,) = await store.read(StoredExecutions((2,)))
    assert (dict(stored.context), dict(stored.cells), len(stored.tasks)) == ({}, {}, 1)
    assert await store.change(DELETE) == ("a",)


async def test_another_workflow_keeps_the_cause_that_was_deleted(store: Store) -> None:
    gone = await fill(store, "a")
    receipt = await store.commit(Batch(events=(event("e", execution=gone),)))
    cause = Cause(receipt.offsets[0])
    started = replace(new("k", "other"), cause=cause)
    await store.commit(Batch(None, (ExecutionWrite(started),)))

    await store.change(DELETE)

    second = ExecutionWrite(replace(new("l", "other"), cause=cause))
    assert (await store.commit(Batch(None, (second,)))).ids == (Refused.CAUSED_ALREADY,)


async def test_the_triggers_of_a_deleted_workflow_stay_and_begin_anew(store: Store) -> None:
    await fill(store, "a")
    (before,) = await store.read(Triggers())

    await store.change(DELETE)

    assert before.cursor == "1"
    assert await store.read(Triggers()) == (replace(before, cursor=None),)


async def test_a_deletion_counts_as_a_change_of_schedules_if_it_removes_any(store: Store) -> None:
    await fill(store, "a")
    before = await store.read(SchedulesVersion())

    await store.change(DELETE)
    removed = await store.read(SchedulesVersion())
    await store.change(DELETE)

    assert removed > before
    assert await store.read(SchedulesVersion()) == removed


async def test_what_others_started_of_a_deleted_workflow_leaves_their_histories(
    store: Store,
) -> None:
    await store.change(AddTriggers((trigger(),)))
    version = await put(store, schedule())
    fired = replace(new("a"), origin=Firing("default", "poll", NOON, "hash"))
    ticked = replace(new("b"), origin=Tick("default", "nightly", version, due(1)))
    await store.commit(Batch(None, (ExecutionWrite(fired, ENDED), ExecutionWrite(ticked, ENDED))))
    await store.change(AddTriggers((trigger(workflow="other"),)))
    await put(store, schedule(workflow="other"), version)

    assert await store.change(DELETE) == ()

    assert await store.read(Firings("default", "poll")) == ()
    assert await store.read(Ticks("default", "nightly")) == ()
    assert await store.read(TickCounts()) == {}
    assert [found.workflow for found in await store.read(Schedules())] == ["other"]
