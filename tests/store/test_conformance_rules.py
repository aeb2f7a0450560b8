"""What every store does with causes, states, logs, rules and the deletion of a workflow."""

from dataclasses import replace
from datetime import timedelta

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Outcome, TaskState
from asyncflow._model.record import RuleRecord
from asyncflow._model.status import TaskStatus
from asyncflow._store.batch import Batch, Cause, ExecutionWrite, Refused, WorkflowCell
from asyncflow._store.change import AddRule, DropRule, SetEnabled, SetRulePaused
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    DisabledWorkflows,
    Events,
    LastOffset,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    WorkflowCells,
    WorkflowRules,
)
from tests.store.samples import (
    ENDED,
    NOON,
    RUNNING,
    event,
    line,
    new,
    start,
    task,
)

RELEASE = ("default", "release")


def caused(name: str, cause: Cause, workflow: str = "release") -> ExecutionWrite:
    return ExecutionWrite(replace(new(name, workflow), cause=cause), RUNNING)


async def ids(store: Store, *writes: ExecutionWrite) -> tuple[int | Refused, ...]:
    return (await store.commit(Batch(None, writes))).ids


async def cells_of(store: Store, id_: int) -> dict[str, str]:
    (stored,) = await store.read(StoredExecutions((id_,)))
    return dict(stored.cells)


async def texts(store: Store, query: TaskLogs) -> list[str]:
    return [found.text for found in await store.read(query)]


async def offsets(store: Store, query: Events) -> list[int | None]:
    return [found.offset for found in await store.read(query)]


async def rules(store: Store, query: WorkflowRules) -> list[str]:
    return [rule.name for rule in await store.read(query)]


# ---- why an execution is refused


async def test_disabled_comes_before_a_taken_name_and_that_before_a_cause(store: Store) -> None:
    await store.commit(Batch(events=(event("e"),)))
    await ids(store, caused("a", Cause(1)))
    again, other = caused("a", Cause(1)), caused("b", Cause(1))

    enabled = await ids(store, again, other)
    await store.change(SetEnabled(*RELEASE, enabled=False))
    disabled = await ids(store, again, other, ExecutionWrite(new("c")))

    assert enabled == (Refused.NAME_TAKEN, Refused.CAUSED_ALREADY)
    assert disabled == (Refused.DISABLED,) * 3


async def test_what_a_refused_execution_would_have_taken_is_free(store: Store) -> None:
    await store.commit(Batch(events=(event("e"), event("f"))))
    await ids(store, caused("a", Cause(1)))

    await ids(store, caused("b", Cause(1)), caused("a", Cause(2)))

    assert await ids(store, caused("b", Cause(2))) == (2,)


async def test_a_refusal_leaves_the_rest_of_its_batch(store: Store) -> None:
    (a,) = await start(store, "a")
    writes = (ExecutionWrite(new("a")), ExecutionWrite(a, ENDED), ExecutionWrite(new("b")))
    cells: dict[WorkflowCell, str | None] = {(*RELEASE, "s"): "1"}

    receipt = await store.commit(Batch(None, writes, (event("e"),), (), cells, (line(a, "x"),)))

    assert (receipt.ids, receipt.offsets) == ((Refused.NAME_TAKEN, a, 2), (1,))
    assert await store.read(WorkflowCells(*RELEASE)) == {"s": "1"}
    assert await texts(store, TaskLogs(a, "t", 1)) == ["x"]


async def test_an_event_starts_a_workflow_once_whether_fresh_or_stored(store: Store) -> None:
    await store.commit(Batch(events=(event("old"), event("old"))))
    fresh, stored = Cause(1, fresh=True), Cause(2)
    writes = (caused("a", fresh), caused("b", fresh), caused("c", stored))

    receipt = await store.commit(Batch(None, writes, (event("x"), event("y"))))

    assert receipt.offsets == (3, 4)
    assert receipt.ids == (1, Refused.CAUSED_ALREADY, 2)
    assert await ids(store, caused("d", Cause(4))) == (Refused.CAUSED_ALREADY,)
    assert await ids(store, caused("d", Cause(3)), caused("e", Cause(3))) == (
        3,
        Refused.CAUSED_ALREADY,
    )


async def test_a_fresh_and_a_stored_cause_may_be_the_same_event(store: Store) -> None:
    writes = (caused("a", Cause(0, fresh=True)), caused("b", Cause(1)))

    receipt = await store.commit(Batch(None, writes, (event("x"),)))

    assert receipt.ids == (1, Refused.CAUSED_ALREADY)


async def test_one_event_starts_several_workflows(store: Store) -> None:
    cause = Cause(0, fresh=True)
    far = ExecutionWrite(replace(new("c", namespace="far"), cause=cause))
    writes = (caused("a", cause), caused("b", cause, "other"), far)

    receipt = await store.commit(Batch(None, writes, (event("x"),)))

    assert receipt.ids == (1, 2, 3)


# ---- states


async def test_states_are_merged_by_name_and_none_clears(store: Store) -> None:
    made = ExecutionWrite(new("a"), cells={"x": "1", "y": "2"})
    await ids(store, made, ExecutionWrite(new("b"), cells={"x": "9"}))
    before = await cells_of(store, 1)

    await ids(store, ExecutionWrite(1, cells={"x": None, "z": "3", "never": None}))

    assert before == {"x": "1", "y": "2"}
    assert await cells_of(store, 1) == {"y": "2", "z": "3"}
    assert await cells_of(store, 2) == {"x": "9"}


async def test_of_two_values_of_a_state_in_one_batch_the_last_one_counts(store: Store) -> None:
    (a,) = await start(store, "a")

    def put(x: str | None, y: str | None) -> ExecutionWrite:
        return ExecutionWrite(a, cells={"x": x, "y": y})

    await ids(store, put("1", None), put("2", "2"), put(None, "3"))

    assert await cells_of(store, a) == {"y": "3"}


async def test_states_of_workflows_are_merged_and_apart_from_each_other(store: Store) -> None:
    def batch(*texts: tuple[str, str, str, str | None]) -> Batch:
        return Batch(cells={(namespace, flow, name): t for namespace, flow, name, t in texts})

    await store.commit(batch(("n", "f", "x", "1"), ("n", "f", "y", "2"), ("n", "g", "x", "3")))
    await store.commit(batch(("n", "f", "x", None), ("n", "f", "z", "4"), ("m", "f", "y", None)))

    assert await store.read(WorkflowCells("n", "f")) == {"y": "2", "z": "4"}
    assert await store.read(WorkflowCells("n", "g")) == {"x": "3"}
    assert await store.read(WorkflowCells("m", "f")) == {}


# ---- logs and metrics


async def test_logs_are_those_of_one_run_in_order_and_by_page(store: Store) -> None:
    a, b = await start(store, "a", "b")
    others = (line(b, "b"), line(a, "u", "u"), line(a, "second", number=2))
    kept = tuple(replace(line(a, f"x{n}"), try_number=n, level=n) for n in range(1, 6))
    await store.commit(Batch(logs=(kept[0], others[0], kept[1], others[1], kept[2])))
    await store.commit(Batch(logs=(others[2], *kept[3:])))

    first = await store.read(TaskLogs(a, "t", 1, limit=2))
    rest = await store.read(TaskLogs(a, "t", 1, after=first[-1].id or 0))

    assert [replace(found, id=None) for found in (*first, *rest)] == list(kept)
    assert len(first) == 2
    assert await texts(store, TaskLogs(a, "t", 2)) == ["second"]
    assert await texts(store, TaskLogs(a, "t", 1, after=rest[-1].id or 0)) == []
    assert await texts(store, TaskLogs(99, "t", 1)) == []


async def test_many_lines_are_kept_in_order(store: Store) -> None:
    (a,) = await start(store, "a")
    lines = tuple(line(a, f"x{n}") for n in range(700))

    await store.commit(Batch(logs=lines))

    found = await store.read(TaskLogs(a, "t", 1))
    assert [each.text for each in found] == [each.text for each in lines]
    assert [each.id for each in found] == sorted(each.id or 0 for each in found)


async def test_text_that_is_not_utf_8_in_a_log_is_stored_escaped(store: Store) -> None:
    (a,) = await start(store, "a")

    await store.commit(Batch(logs=(line(a, "é \udcff"), line(a, ""))))

    assert await texts(store, TaskLogs(a, "t", 1)) == ["é \\udcff", ""]


async def test_lines_of_an_execution_that_is_gone_are_not_kept(store: Store) -> None:
    (a,) = await start(store, "a")

    await store.commit(Batch(logs=(line(99, "late"), line(a, "x"))))

    assert await texts(store, TaskLogs(99, "t", 1)) == []
    assert await texts(store, TaskLogs(a, "t", 1)) == ["x"]


async def test_metrics_are_kept_without_an_outcome_and_replaced_with_one(store: Store) -> None:
    (a,) = await start(store, "a")

    async def metrics(outcome: Outcome | None) -> str | None:
        write = TaskChange(TaskState("t", 1, 1, TaskStatus.SUCCESS), outcome)
        await ids(store, ExecutionWrite(a, None, (write,)))
        (found,) = await store.read(TaskExecutions(a))
        return found.metrics

    assert await metrics(None) is None
    assert await metrics(Outcome(TaskStatus.SUCCESS, metrics='{"rows": 1}')) == '{"rows": 1}'
    assert await metrics(None) == '{"rows": 1}'
    assert await metrics(Outcome(TaskStatus.SUCCESS)) is None


async def test_a_task_execution_keeps_its_id_and_each_has_another(store: Store) -> None:
    a, b = await start(store, "a", "b")
    both = (ExecutionWrite(a, None, (task("t"), task("u"))), ExecutionWrite(b, None, (task("t"),)))
    await ids(store, *both)

    async def known() -> list[int | None]:
        return [t.id for id_ in (a, b) for t in await store.read(TaskExecutions(id_))]

    before = await known()
    await ids(store, *both, ExecutionWrite(b, None, (task("t", 2),)))
    after = await known()

    assert after[:3] == before
    assert [id_ or 0 for id_ in after] == sorted({id_ or 0 for id_ in after})


# ---- events


async def test_events_are_those_of_a_sender_and_a_time(store: Store) -> None:
    times = [NOON + timedelta(microseconds=n) for n in (3, 1, 2, 2)]
    sent = [replace(event("k"), create_time=time) for time in times]
    sent[1], sent[2] = replace(sent[1], sender="a/t"), replace(sent[2], sender=None)
    await store.commit(Batch(events=tuple(sent)))

    assert await offsets(store, Events(sender="a/t")) == [2]
    assert await offsets(store, Events(sender="cli")) == [1, 4]
    assert await offsets(store, Events(since=times[1])) == [1, 3, 4]
    assert await offsets(store, Events(until=times[2])) == [2, 3, 4]
    assert await offsets(store, Events(since=times[1], until=times[2])) == [3, 4]
    assert await offsets(store, Events(since=times[1], until=times[2], sender="cli")) == [4]
    assert await offsets(store, Events(since=times[0])) == []
    assert await offsets(store, Events(until=NOON)) == []


async def test_the_last_offset_is_that_of_the_last_event_not_younger(store: Store) -> None:
    assert await store.read(LastOffset()) == await store.read(LastOffset(NOON)) == 0
    times = [NOON + timedelta(seconds=n) for n in (1, 5, 2, 4, 9)]
    await store.commit(Batch(events=tuple(replace(event("k"), create_time=t) for t in times)))

    found = [await store.read(LastOffset(NOON + timedelta(seconds=n))) for n in range(10)]

    assert found == [0, 1, 3, 3, 4, 4, 4, 4, 4, 5]
    assert await store.read(LastOffset()) == 5


# ---- what an operator changes


async def test_a_workflow_is_disabled_and_enabled_as_often_as_it_is_said(store: Store) -> None:
    async def disabled(enabled: bool) -> frozenset[tuple[str, str]]:
        assert await store.change(SetEnabled(*RELEASE, enabled=enabled)) == ()
        return await store.read(DisabledWorkflows())

    await start(store, "a")
    assert [await disabled(False), await disabled(False)] == [frozenset({RELEASE})] * 2
    assert await ids(store, ExecutionWrite(1, ENDED), ExecutionWrite(new("b", "other"))) == (1, 2)
    far = ExecutionWrite(new("c", namespace="far"))
    assert await ids(store, far, ExecutionWrite(new("d"))) == (3, Refused.DISABLED)
    assert [await disabled(True), await disabled(True)] == [frozenset()] * 2
    assert await ids(store, ExecutionWrite(new("d"))) == (4,)


async def test_a_rule_that_is_added_again_stays_paused(store: Store) -> None:
    rule = (*RELEASE, "nightly")

    async def paused() -> list[RuleRecord]:
        return list(await store.read(WorkflowRules()))

    await store.change(SetRulePaused(*rule, paused=True))
    assert await paused() == []
    await store.change(AddRule(*rule))
    assert await paused() == [RuleRecord(*rule, paused=False)]
    await store.change(SetRulePaused(*rule, paused=True))
    await store.change(AddRule(*rule))
    assert await paused() == [RuleRecord(*rule, paused=True)]
    await store.change(SetRulePaused(*rule, paused=False))
    assert await paused() == [RuleRecord(*rule, paused=False)]


async def test_rules_come_by_workflow_in_the_order_of_their_adding(store: Store) -> None:
    added = [("n", "g", "z"), ("n", "f", "y"), ("m", "g", "x"), ("n", "f", "a"), ("n", "f", "b")]
    for rule in added:
        await store.change(AddRule(*rule))
    await store.change(SetRulePaused("n", "f", "y", paused=True))

    assert await rules(store, WorkflowRules()) == ["x", "y", "a", "b", "z"]
    assert await rules(store, WorkflowRules("n")) == ["y", "a", "b", "z"]
    assert await rules(store, WorkflowRules(workflow="g")) == ["x", "z"]
    for gone in (DropRule("n", "f", "y"), DropRule("n", "f", "y"), DropRule("m", "g", "z")):
        assert await store.change(gone) == ()
    await store.change(AddRule("n", "f", "y"))
    assert await rules(store, WorkflowRules("n", "f")) == ["a", "b", "y"]
    assert not any(rule.paused for rule in await store.read(WorkflowRules()))
