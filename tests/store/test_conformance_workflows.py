"""What every store keeps for whole workflows: causes, states, rules, disabling and deleting."""

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncflow._core.state import Outcome
from asyncflow._model.record import RuleRecord
from asyncflow._model.status import TaskStatus
from asyncflow._store.batch import (
    AddRule,
    Batch,
    Cause,
    DeleteWorkflow,
    DropRule,
    ExecutionWrite,
    NewExecution,
    Receipt,
    Refused,
    SetEnabled,
    SetRulePaused,
    TaskWrite,
)
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    ContextOf,
    DisabledWorkflows,
    Events,
    ExecutionByName,
    Executions,
    Facts,
    Inbox,
    LastOffset,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    WorkflowCells,
    WorkflowRules,
)
from tests.store.samples import (
    ENDED,
    LATER,
    NOON,
    RUNNING,
    event,
    fact,
    letter,
    line,
    new,
    runner,
    start,
    task,
)

DISABLE = SetEnabled("default", "release", enabled=False)
ENABLE = SetEnabled("default", "release", enabled=True)
DELETE = DeleteWorkflow("default", "release")


def caused(
    name: str, cause: int, *, fresh: bool = False, workflow: str = "release"
) -> ExecutionWrite:
    made: NewExecution = replace(new(name, workflow), cause=Cause(cause, fresh))
    return ExecutionWrite(made, RUNNING)


async def names_of(store: Store) -> list[str]:
    return [record.name for record in await store.read(Executions())]


# ---- causes


async def test_one_event_starts_a_workflow_at_most_once(store: Store) -> None:
    await store.commit(Batch(events=(event("x"), event("y"))))
    first = await store.commit(Batch(executions=(caused("a", 1),)))

    again = await store.commit(
        Batch(executions=(caused("b", 1), caused("c", 2), caused("d", 1, workflow="other")))
    )

    assert first.ids == (1,)
    assert again.ids == (Refused.CAUSED_ALREADY, 2, 3)
    assert await names_of(store) == ["d", "c", "a"]


async def test_the_same_workflow_of_another_namespace_is_started_by_the_event_too(
    store: Store,
) -> None:
    await store.commit(Batch(events=(event("x"),)))
    far = replace(new("b", namespace="far"), cause=Cause(1))

    receipt = await store.commit(Batch(executions=(caused("a", 1), ExecutionWrite(far))))

    assert receipt.ids == (1, 2)


async def test_a_fresh_cause_is_an_event_of_the_same_batch(store: Store) -> None:
    await store.commit(Batch(events=(event("earlier"),)))
    one, other = caused("a", 0, fresh=True), caused("b", 1, fresh=True)

    receipt = await store.commit(Batch(executions=(one, other), events=(event("x"), event("y"))))
    late = await store.commit(Batch(executions=(caused("c", 2), caused("d", 3), caused("e", 1))))

    assert receipt == Receipt((1, 2), (2, 3))
    assert late.ids == (Refused.CAUSED_ALREADY, Refused.CAUSED_ALREADY, 3)


async def test_of_two_executions_of_one_cause_in_one_batch_the_second_is_refused(
    store: Store,
) -> None:
    fresh = (caused("a", 0, fresh=True), caused("b", 0, fresh=True))

    receipt = await store.commit(Batch(executions=(*fresh, caused("c", 1)), events=(event("x"),)))

    assert receipt.ids == (1, Refused.CAUSED_ALREADY, Refused.CAUSED_ALREADY)


async def test_executions_without_a_cause_are_never_caused_already(store: Store) -> None:
    assert await start(store, "a", "b", "c") == (1, 2, 3)


async def test_a_refused_name_uses_up_no_cause(store: Store) -> None:
    await store.commit(Batch(events=(event("x"),)))
    await start(store, "a")

    receipt = await store.commit(Batch(executions=(caused("a", 1), caused("b", 1))))

    assert receipt.ids == (Refused.NAME_TAKEN, 2)


async def test_a_refused_cause_uses_up_no_name_and_no_id(store: Store) -> None:
    await store.commit(Batch(executions=(caused("a", 0, fresh=True),), events=(event("x"),)))

    receipt = await store.commit(Batch(executions=(caused("b", 1), ExecutionWrite(new("b")))))

    assert receipt.ids == (Refused.CAUSED_ALREADY, 2)


async def test_disabled_is_said_before_a_taken_name_and_that_before_a_cause(store: Store) -> None:
    await store.commit(Batch(executions=(caused("a", 0, fresh=True),), events=(event("x"),)))

    enabled = await store.commit(Batch(executions=(caused("a", 1),)))
    await store.change(DISABLE)
    disabled = await store.commit(Batch(executions=(caused("a", 1), caused("b", 1))))

    assert enabled.ids == (Refused.NAME_TAKEN,)
    assert disabled.ids == (Refused.DISABLED, Refused.DISABLED)


@pytest.mark.parametrize("why", list(Refused))
async def test_a_refused_execution_writes_nothing_and_the_rest_is_written(
    store: Store, why: Refused
) -> None:
    await store.commit(Batch(executions=(caused("a", 0, fresh=True),), events=(event("x"),)))
    if why is Refused.DISABLED:
        await store.change(DISABLE)
    name = "a" if why is Refused.NAME_TAKEN else "b"
    made = replace(new(name), cause=Cause(1))
    refused = ExecutionWrite(
        made, ENDED, (task("t"),), {"k": "1"}, (fact("F"),), "print-2", {"n": "1"}
    )
    other = ExecutionWrite(new("other", "other"), RUNNING, cells={"n": "2"})

    receipt = await store.commit(Batch(executions=(refused, other), events=(event("y"),)))

    assert receipt == Receipt((why, 2), (2,))
    assert await names_of(store) == ["other", "a"]
    first, second = await store.read(StoredExecutions((1, 2)))
    assert (first.head, first.tasks, first.context, first.cells) == (RUNNING, (), {}, {})
    assert second.cells == {"n": "2"}
    assert await store.read(Facts(1)) == ()


# ---- disabled workflows


async def test_a_disabled_workflow_refuses_new_executions_until_it_is_enabled(
    store: Store,
) -> None:
    (a,) = await start(store, "a")

    assert await store.change(DISABLE) == ()
    assert await store.change(DISABLE) == ()
    refused = await store.commit(Batch(executions=(ExecutionWrite(new("b")),)))
    disabled = await store.read(DisabledWorkflows())
    await store.commit(Batch(executions=(ExecutionWrite(a, ENDED),)))
    assert await store.change(ENABLE) == ()
    assert await store.change(ENABLE) == ()

    assert refused.ids == (Refused.DISABLED,)
    assert disabled == {("default", "release")}
    assert await store.read(DisabledWorkflows()) == frozenset()
    assert await start(store, "b") == (2,)


async def test_disabling_is_of_one_workflow_in_one_namespace(store: Store) -> None:
    await store.change(DISABLE)
    writes = (new("a", "release", "far"), new("b", "other"), new("c"))

    receipt = await store.commit(Batch(executions=tuple(map(ExecutionWrite, writes))))

    assert receipt.ids == (1, 2, Refused.DISABLED)


# ---- states


async def test_states_of_an_execution_are_merged_by_name_and_none_clears(store: Store) -> None:
    (a,) = await start(store, "a")
    made = ExecutionWrite(new("b"), RUNNING, cells={"n": "9", "never": None})
    first = ExecutionWrite(a, cells={"n": "1", "m": '"é"'})
    await store.commit(Batch(executions=(made, first)))
    writes = (ExecutionWrite(a, cells={"n": None, "o": "1"}), ExecutionWrite(a, cells={"o": "2"}))
    await store.commit(Batch(executions=writes))

    stored = await store.read(StoredExecutions((1, 2)))

    assert [each.cells for each in stored] == [{"m": '"é"', "o": "2"}, {"n": "9"}]
    assert [each.context for each in stored] == [{}, {}]


async def test_states_of_a_workflow_are_merged_by_name_and_none_clears(store: Store) -> None:
    n, m = ("default", "release", "n"), ("default", "release", "m")
    far = ("far", "release", "n")

    await store.commit(Batch(cells={n: "1", m: "2", far: "3"}))
    before = await store.read(WorkflowCells("default", "release"))
    await store.commit(Batch(cells={n: None, m: "4", ("default", "release", "never"): None}))

    assert before == {"n": "1", "m": "2"}
    assert await store.read(WorkflowCells("default", "release")) == {"m": "4"}
    assert await store.read(WorkflowCells("far", "release")) == {"n": "3"}
    assert await store.read(WorkflowCells("default", "other")) == {}


# ---- workflow rules


async def test_rules_come_by_namespace_and_workflow_in_the_order_of_their_adding(
    store: Store,
) -> None:
    for where in (("b", "w"), ("a", "x"), ("a", "w")):
        for name in ("z", "y"):
            await store.change(AddRule(*where, name))

    assert await store.read(WorkflowRules()) == tuple(
        RuleRecord(*where, name, paused=False)
        for where in (("a", "w"), ("a", "x"), ("b", "w"))
        for name in ("z", "y")
    )
    assert [r.name for r in await store.read(WorkflowRules("a", "x"))] == ["z", "y"]
    assert [r.namespace for r in await store.read(WorkflowRules(workflow="w"))] == [*"aabb"]
    assert await store.read(WorkflowRules("c")) == ()


async def test_a_rule_that_is_added_again_stays_as_it_is(store: Store) -> None:
    await store.change(AddRule("a", "w", "first"))
    await store.change(AddRule("a", "w", "second"))
    await store.change(SetRulePaused("a", "w", "first", paused=True))

    await store.change(AddRule("a", "w", "first"))

    assert await store.read(WorkflowRules()) == (
        RuleRecord("a", "w", "first", paused=True),
        RuleRecord("a", "w", "second", paused=False),
    )


async def test_a_rule_is_paused_resumed_and_dropped_and_an_unknown_one_is_nothing(
    store: Store,
) -> None:
    async def paused() -> list[bool]:
        return [rule.paused for rule in await store.read(WorkflowRules())]

    await store.change(AddRule("a", "w", "r"))
    await store.change(SetRulePaused("a", "w", "r", paused=True))
    then = await paused()
    await store.change(SetRulePaused("a", "w", "r", paused=False))
    await store.change(SetRulePaused("a", "w", "unknown", paused=True))
    await store.change(DropRule("a", "w", "unknown"))
    after = await paused()

    assert await store.change(DropRule("a", "w", "r")) == ()
    assert (then, after, await paused()) == ([True], [False], [])


# ---- events and their last offset


async def test_events_are_filtered_by_sender_and_by_time(store: Store) -> None:
    at = [NOON, LATER, NOON, LATER + timedelta(microseconds=1)]
    senders = ["cli", "cli", None, "web"]
    events = [
        replace(event("k"), create_time=t, sender=s) for t, s in zip(at, senders, strict=True)
    ]
    await store.commit(Batch(events=tuple(events)))

    async def offsets(query: Events) -> list[int | None]:
        return [found.offset for found in await store.read(query)]

    assert await offsets(Events(sender="cli")) == [1, 2]
    assert await offsets(Events(since=NOON)) == [2, 4]
    assert await offsets(Events(until=LATER)) == [1, 2, 3]
    assert await offsets(Events(since=NOON, until=LATER, sender="cli", begin=1, end=4)) == [2]


async def test_the_last_offset_counts_events_up_to_a_time_that_may_go_back(store: Store) -> None:
    empty = await store.read(LastOffset())
    for at in (NOON, LATER, NOON, LATER):
        await store.commit(Batch(events=(replace(event("k"), create_time=at),)))

    assert empty == 0
    assert await store.read(LastOffset()) == 4
    assert await store.read(LastOffset(LATER)) == 4
    assert await store.read(LastOffset(NOON)) == 3
    assert await store.read(LastOffset(NOON - timedelta(microseconds=1))) == 0


# ---- logs


async def test_a_line_is_read_as_it_was_written(store: Store) -> None:
    (a,) = await start(store, "a")
    written = replace(line(a, "é\n\udcff"), try_number=3, at=LATER, level=40)

    await store.commit(Batch(logs=(written,)))

    assert await store.read(TaskLogs(a, "t", 1)) == (replace(written, text="é\n\\udcff", id=1),)


async def test_lines_are_those_of_one_run_in_order_by_page(store: Store) -> None:
    a, b = await start(store, "a", "b")
    other = (line(b, "b"), line(a, "u", "u"), line(a, "2", number=2))
    first = tuple(line(a, f"{n}") for n in range(600))
    await store.commit(Batch(logs=(*other, *first)))
    await store.commit(Batch(logs=(line(a, "600"),)))

    page = await store.read(TaskLogs(a, "t", 1, limit=400))
    rest = await store.read(TaskLogs(a, "t", 1, after=page[-1].id or 0))

    assert [found.text for found in (*page, *rest)] == [f"{n}" for n in range(601)]
    assert [found.text for found in await store.read(TaskLogs(a, "t", 2))] == ["2"]
    assert await store.read(TaskLogs(99, "t", 1)) == ()


async def test_a_line_of_an_execution_that_is_gone_is_dropped_and_the_rest_kept(
    store: Store,
) -> None:
    (a,) = await start(store, "a")

    await store.commit(Batch(events=(event("e"),), logs=(line(99, "late"), line(a, "kept"))))

    assert await store.read(TaskLogs(99, "t", 1)) == ()
    assert [found.text for found in await store.read(TaskLogs(a, "t", 1))] == ["kept"]
    assert len(await store.read(Events())) == 1


# ---- deleting a workflow


async def whole(store: Store, name: str, workflow: str) -> int:
    """Store an ended execution with one of everything, and a letter that waits for it."""
    (id_,) = await start(store, name, workflow=workflow)
    write = ExecutionWrite(
        id_,
        ENDED,
        (TaskWrite(task("t").state, Outcome(TaskStatus.SUCCESS, "1", metrics="{}")),),
        {"k": "1"},
        (fact("F"),),
        cells={"n": "1"},
    )
    confined = event("confined", execution=id_)
    cells = {("default", workflow, "n"): "1"}
    await store.commit(
        Batch(executions=(write,), events=(confined,), cells=cells, logs=(line(id_, "x"),))
    )
    await store.append([letter("Told", id_), letter("Sent", id_, confined)])
    await store.change(AddRule("default", workflow, "r"))
    await store.change(SetEnabled("default", workflow, enabled=False))
    return id_


async def of_execution(store: Store, id_: int) -> list[object]:
    return [
        *await store.read(StoredExecutions((id_,))),
        *await store.read(TaskExecutions(id_)),
        *await store.read(ContextOf(id_)),
        *await store.read(Facts(id_)),
        *await store.read(TaskLogs(id_, "t", 1)),
        *await store.read(Events(execution=id_)),
    ]


async def test_deleting_removes_all_of_a_workflow_and_nothing_of_others(store: Store) -> None:
    await store.commit(Batch(events=(event("of everybody"),)))
    gone = await whole(store, "gone", "release")
    kept = await whole(store, "kept", "other")
    before = await of_execution(store, kept)

    assert await store.change(DELETE) == ()

    assert await of_execution(store, gone) == []
    assert await store.read(ExecutionByName("gone")) is None
    assert await of_execution(store, kept) == before
    assert len(before) == 7
    assert [e.key for e in await store.read(Events())] == ["of everybody", *["confined"] * 2]
    inbox = await store.read(Inbox("r1"))
    assert [item.letter.execution for item in inbox] == [kept, kept]
    assert await store.read(WorkflowCells("default", "release")) == {}
    assert await store.read(WorkflowCells("default", "other")) == {"n": "1"}
    assert [rule.workflow for rule in await store.read(WorkflowRules())] == ["other"]
    assert await store.read(DisabledWorkflows()) == {("default", "other")}


async def test_deleting_is_of_one_namespace(store: Store) -> None:
    far = ExecutionWrite(new("far", "release", "far"), ENDED)
    await store.commit(Batch(executions=(far,), cells={("far", "release", "n"): "1"}))
    await store.change(AddRule("far", "release", "r"))
    await store.change(SetEnabled("far", "release", enabled=False))

    assert await store.change(DELETE) == ()

    assert await names_of(store) == ["far"]
    assert await store.read(WorkflowCells("far", "release")) == {"n": "1"}
    assert len(await store.read(WorkflowRules())) == 1
    assert await store.read(DisabledWorkflows()) == {("far", "release")}


async def test_unfinished_executions_stand_in_the_way_and_then_nothing_is_changed(
    store: Store,
) -> None:
    fence = await store.register(runner("r1"))
    ended = await whole(store, "ended", "release")
    before = await of_execution(store, ended)
    await store.change(ENABLE)
    await start(store, "elsewhere", workflow="other")
    names = [f"e{n}" for n in range(12)]
    await start(store, *names[:6], fence=fence)
    await start(store, *names[6:])

    assert await store.change(DELETE) == tuple(names[:10])

    assert await of_execution(store, ended) == before
    assert await store.read(WorkflowCells("default", "release")) == {"n": "1"}
    assert len(await store.read(WorkflowRules())) == 1


async def test_an_execution_that_has_no_head_yet_stands_in_the_way(store: Store) -> None:
    await store.commit(Batch(executions=(ExecutionWrite(new("a")),)))

    assert await store.change(DELETE) == ("a",)


async def test_deleting_a_workflow_that_is_not_there_is_nothing(store: Store) -> None:
    assert await store.change(DELETE) == ()


async def test_names_come_back_after_deleting_and_ids_and_offsets_never(store: Store) -> None:
    (a,) = await start(store, "a", head=ENDED)
    (b,) = await start(store, "b", head=ENDED, workflow="other")
    await store.commit(Batch(events=(event("x"), event("y", execution=a))))
    await store.commit(Batch(logs=(line(b, "x"), line(a, "y"))))
    await store.change(DeleteWorkflow("default", "other"))
    await store.change(DELETE)

    receipt = await store.commit(
        Batch(executions=(ExecutionWrite(new("b")),), events=(event("z"),))
    )
    await store.commit(Batch(logs=(line(3, "z"),)))

    assert receipt == Receipt((3,), (3,))
    assert [found.id for found in await store.read(TaskLogs(3, "t", 1))] == [3]
    assert [found.offset for found in await store.read(Events())] == [1, 3]
    assert await names_of(store) == ["b"]


async def test_the_last_offset_is_that_of_an_event_that_is_there(store: Store) -> None:
    (a,) = await start(store, "a", head=ENDED)
    await store.commit(Batch(events=(event("x"), event("y", execution=a))))

    await store.change(DELETE)

    assert await store.read(LastOffset()) == 1


async def test_an_event_starts_a_deleted_workflow_anew_and_others_still_once(store: Store) -> None:
    (a,) = await start(store, "a")
    await store.commit(Batch(events=(event("x", execution=a),)))
    await store.commit(Batch(executions=(caused("b", 1), caused("c", 1, workflow="other"))))
    await store.commit(Batch(executions=(ExecutionWrite(a, ENDED), ExecutionWrite(2, ENDED))))
    await store.change(DELETE)

    receipt = await store.commit(
        Batch(executions=(caused("d", 1), caused("e", 1, workflow="other")))
    )

    assert receipt.ids == (4, Refused.CAUSED_ALREADY)


async def test_a_deleted_execution_is_not_claimed_or_written(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=fence)
    await store.commit(Batch(fence, (ExecutionWrite(a, ENDED),)))
    await store.change(DELETE)

    assert await store.claim(fence, (), None, 10) == ()
    assert await store.read(Inbox("r1")) == ()
    assert await store.read(Executions(before=99)) == ()
