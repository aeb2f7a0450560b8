"""What every store does with a batch, over each of them."""

from dataclasses import replace

import pytest

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Head, Outcome, TaskState
from asyncflow._model.record import ExecutionRecord, TaskExecutionRecord
from asyncflow._model.status import ExecutionType, TaskStatus, WorkflowStatus
from asyncflow._store.batch import (
    Batch,
    Claimed,
    ExecutionWrite,
    FactRecord,
    Receipt,
    Refused,
    StoredExecution,
)
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    ContextOf,
    Events,
    ExecutionByName,
    Executions,
    Facts,
    StoredExecutions,
    TaskExecutions,
)
from tests.store.samples import (
    ENDED,
    LATER,
    NOON,
    RUNNING,
    event,
    fact,
    new,
    runner,
    start,
    task,
)


async def names_of(store: Store, query: Executions) -> list[str]:
    return [record.name for record in await store.read(query)]


async def owner_of(store: Store, name: str) -> str | None:
    record = await store.read(ExecutionByName(name))
    assert record is not None
    return record.owner


# ---- executions


async def test_a_new_execution_is_read_as_it_was_written(store: Store) -> None:
    fence = await store.register(runner("r1"))
    head = Head(WorkflowStatus.RUNNING, True, NOON, None, "a: ValueError: é", "gone: b")

    receipt = await store.commit(Batch(fence, (ExecutionWrite(new("a"), head),)))

    assert receipt == Receipt((1,), ())
    assert await store.read(ExecutionByName("a")) == ExecutionRecord(
        id=1,
        name="a",
        workflow="release",
        namespace="default",
        execution_type=ExecutionType.MANUAL,
        status=WorkflowStatus.RUNNING,
        created=NOON,
        begin=NOON,
        end=None,
        error="a: ValueError: é",
        parked_reason="gone: b",
        stopping=True,
        fingerprint="print-1",
        owner="r1",
    )


async def test_a_new_execution_without_a_head_is_initial(store: Store) -> None:
    await store.commit(Batch(None, (ExecutionWrite(new("a")),)))

    (stored,) = await store.read(StoredExecutions((1,)))

    assert stored.head == Head()
    assert stored.record.owner is None


async def test_an_unknown_execution_is_nothing(store: Store) -> None:
    assert await store.read(ExecutionByName("a")) is None
    assert await store.read(TaskExecutions(7)) == ()
    assert await store.read(ContextOf(7)) == {}
    assert await store.read(StoredExecutions((7,))) == ()
    assert await store.read(Facts(7)) == ()


async def test_a_taken_name_is_refused_and_writes_nothing_of_that_write(store: Store) -> None:
    await start(store, "a")
    again = ExecutionWrite(new("a", "other"), ENDED, (task("t"),), {"k": "1"}, (fact("F"),))
    other = ExecutionWrite(new("b"), RUNNING)

    receipt = await store.commit(Batch(None, (again, other, other), (event("e"),)))

    assert receipt == Receipt((Refused.NAME_TAKEN, 2, Refused.NAME_TAKEN), (1,))
    assert (await store.read(StoredExecutions((1, 2))))[0].head == RUNNING
    assert await store.read(TaskExecutions(1)) == ()
    assert await store.read(ContextOf(1)) == {}
    assert await store.read(Facts(1)) == ()
    assert len(await store.read(Executions())) == 2


async def test_a_head_replaces_the_head_and_none_keeps_it(store: Store) -> None:
    (a, b) = await start(store, "a", "b")
    changed = Head(WorkflowStatus.RUNNING, True, NOON, None, "x", "y")

    await store.commit(Batch(None, (ExecutionWrite(a, changed), ExecutionWrite(b))))

    first, second = await store.read(StoredExecutions((a, b)))
    assert (first.head, second.head) == (changed, RUNNING)


async def test_of_two_heads_in_one_batch_the_last_one_counts(store: Store) -> None:
    (a,) = await start(store, "a")
    stopping = replace(RUNNING, stopping=True)

    await store.commit(Batch(None, (ExecutionWrite(a, stopping), ExecutionWrite(a, ENDED))))

    assert (await store.read(StoredExecutions((a,))))[0].head == ENDED


@pytest.mark.parametrize("others", [0, 1, 9])
async def test_a_head_without_an_error_clears_the_one_that_was_there(
    store: Store, others: int
) -> None:
    numbers = await start(store, *(f"a{n}" for n in range(others + 2)))
    parked = replace(RUNNING, error="x", parked_reason="y")

    for heads in ([parked] * len(numbers), [parked, *[RUNNING] * (others + 1)]):
        writes = map(ExecutionWrite, numbers, heads)
        await store.commit(Batch(None, tuple(writes)))

        assert [x.head for x in await store.read(StoredExecutions(numbers))] == heads

    await store.commit(Batch(None, (ExecutionWrite(numbers[0], RUNNING),)))

    assert (await store.read(StoredExecutions(numbers[:1])))[0].head == RUNNING


async def test_a_fingerprint_replaces_the_fingerprint_and_none_keeps_it(store: Store) -> None:
    (a,) = await start(store, "a")

    await store.commit(Batch(None, (ExecutionWrite(a, fingerprint="print-2"),)))
    await store.commit(Batch(None, (ExecutionWrite(a, RUNNING),)))

    record = await store.read(ExecutionByName("a"))
    assert record is not None
    assert record.fingerprint == "print-2"


async def test_a_final_head_releases_the_owner(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a, b) = await start(store, "a", "b", fence=fence)

    await store.commit(Batch(fence, (ExecutionWrite(a, ENDED), ExecutionWrite(b, RUNNING))))
    await start(store, "c", fence=fence, head=ENDED)

    assert await owner_of(store, "a") is None
    assert await owner_of(store, "b") == "r1"
    assert await owner_of(store, "c") is None


async def test_a_finished_execution_is_never_claimed(store: Store) -> None:
    fence = await store.register(runner("r1"))
    (a,) = await start(store, "a", fence=fence)
    await store.commit(Batch(fence, (ExecutionWrite(a, ENDED),)))

    assert await store.claim(fence, (), None, 10) == Claimed()


async def test_a_batch_of_many_rows_is_written_whole_and_in_order(store: Store) -> None:
    names = [f"t{n}" for n in range(700)]
    (a,) = await start(store, "a")
    context = dict.fromkeys(names, "1")
    write = ExecutionWrite(a, None, tuple(map(task, names)), context, tuple(map(fact, names)))
    many = tuple(ExecutionWrite(new(name), RUNNING) for name in names)

    receipt = await store.commit(Batch(None, (write, *many), tuple(map(event, names))))

    assert receipt == Receipt(tuple(range(1, 702)), tuple(range(1, 701)))
    assert [t.task_name for t in await store.read(TaskExecutions(a))] == names
    assert await store.read(ContextOf(a)) == context
    assert [f.kind for f in await store.read(Facts(a))] == names
    assert [e.key for e in await store.read(Events(limit=1000))] == names
    assert await names_of(store, Executions(limit=1000)) == [*reversed(names), "a"]


# ---- tasks, context, facts, events


async def test_a_task_execution_is_read_as_it_was_written(store: Store) -> None:
    (a,) = await start(store, "a")
    state = TaskState(
        "build",
        2,
        3,
        TaskStatus.RETRYING,
        ExecutionType.PERIODIC,
        1,
        ExecutionType.MANUAL,
        NOON,
        LATER,
        LATER,
    )
    outcome = Outcome(TaskStatus.FAILED, '"r"', "ValueError: x", "Traceback …", True)

    await store.commit(Batch(None, (ExecutionWrite(a, None, (TaskChange(state, outcome),)),)))

    assert (await store.read(StoredExecutions((a,))))[0].tasks == (state,)
    assert await store.read(TaskExecutions(a)) == (
        TaskExecutionRecord(
            id=1,
            execution=a,
            task_name="build",
            sequence_number=2,
            try_number=3,
            status=TaskStatus.RETRYING,
            execution_type=ExecutionType.PERIODIC,
            begin=NOON,
            end=LATER,
            result='"r"',
            error="ValueError: x",
            traceback="Traceback …",
            abandoned=True,
        ),
    )


async def test_no_outcome_keeps_the_outcome_and_another_one_replaces_all_of_it(
    store: Store,
) -> None:
    (a,) = await start(store, "a")
    failed = Outcome(TaskStatus.FAILED, None, "ValueError: x", "Traceback", True)
    succeeded = Outcome(TaskStatus.SUCCESS, "1")
    waiting = TaskState("t", 1, 1, TaskStatus.RETRYING)

    async def told(write: TaskChange) -> tuple[object, ...]:
        await store.commit(Batch(None, (ExecutionWrite(a, None, (write,)),)))
        (t,) = await store.read(TaskExecutions(a))
        return (t.status, t.result, t.error, t.traceback, t.abandoned)

    kept = (None, "ValueError: x", "Traceback", True)
    assert await told(TaskChange(waiting, failed)) == (TaskStatus.RETRYING, *kept)
    assert await told(task("t")) == (TaskStatus.QUEUED, *kept)
    ended = TaskState("t", 1, 2, TaskStatus.SUCCESS)
    after = (TaskStatus.SUCCESS, "1", None, None, False)
    assert await told(TaskChange(ended, succeeded)) == after
    assert await told(TaskChange(ended)) == after


async def test_task_executions_come_in_the_order_in_which_they_were_first_stored(
    store: Store,
) -> None:
    (a,) = await start(store, "a")
    for write in (task("z"), task("b"), task("b", 2), task("z"), task("a"), task("z", 2)):
        await store.commit(Batch(None, (ExecutionWrite(a, None, (write,)),)))

    found = await store.read(TaskExecutions(a))

    order = [(t.task_name, t.sequence_number) for t in found]
    assert order == [("z", 1), ("b", 1), ("b", 2), ("a", 1), ("z", 2)]


async def test_a_task_that_never_started_has_a_state_and_no_execution(store: Store) -> None:
    (a,) = await start(store, "a")
    idle = TaskChange(TaskState("t"))

    await store.commit(Batch(None, (ExecutionWrite(a, None, (idle,)),)))

    assert await store.read(TaskExecutions(a)) == ()
    assert (await store.read(StoredExecutions((a,))))[0].tasks == (TaskState("t"),)


async def test_stored_executions_have_the_latest_run_of_each_task(store: Store) -> None:
    a, b, _ = await start(store, "a", "b", "c")
    first = (task("t"), task("u"), task("t", 2))
    await store.commit(Batch(None, (ExecutionWrite(b, None, first, {"k": "1"}),)))
    third = task("t", 3, TaskStatus.RUNNING)
    await store.commit(Batch(None, (ExecutionWrite(b, None, (third,)),)))

    stored = await store.read(StoredExecutions((b, 99, a, b)))

    assert [s.record.name for s in stored] == ["a", "b"]
    assert stored[1] == StoredExecution(
        record=stored[1].record,
        head=RUNNING,
        tasks=(task("u").state, third.state),
        context={"k": "1"},
    )


async def test_a_context_is_merged_by_key_and_none_deletes(store: Store) -> None:
    a, b = await start(store, "a", "b")
    await store.commit(Batch(None, (ExecutionWrite(a, context={"x": "1", "y": "2"}),)))
    before = await store.read(ContextOf(a))

    changes = ExecutionWrite(a, context={"x": None, "z": "3", "never": None})
    await store.commit(Batch(None, (changes, ExecutionWrite(b, context={"x": "9"}))))

    assert before == {"x": "1", "y": "2"}
    assert await store.read(ContextOf(a)) == {"y": "2", "z": "3"}
    assert await store.read(ContextOf(b)) == {"x": "9"}


async def test_of_two_values_of_a_key_in_one_batch_the_last_one_counts(store: Store) -> None:
    (a,) = await start(store, "a")

    def put(x: str | None, y: str | None) -> ExecutionWrite:
        return ExecutionWrite(a, context={"x": x, "y": y})

    await store.commit(Batch(None, (put("1", None), put(None, "2"))))

    assert await store.read(ContextOf(a)) == {"y": "2"}


async def test_facts_are_kept_in_order_and_paged(store: Store) -> None:
    a, b = await start(store, "a", "b")
    writes = (
        ExecutionWrite(a, facts=(fact("one"), fact("two"))),
        ExecutionWrite(b, facts=(fact("other"),)),
        ExecutionWrite(a, facts=(fact("three"),)),
    )
    await store.commit(Batch(None, writes))

    first = await store.read(Facts(a, limit=2))
    rest = await store.read(Facts(a, after=first[-1].id))

    assert [f.kind for f in first] == ["one", "two"]
    assert rest == (FactRecord(rest[0].id, a, "three", '{"n": 1}', NOON),)
    assert await store.read(Facts(a, after=rest[-1].id)) == ()


async def test_events_get_offsets_that_grow(store: Store) -> None:
    (a,) = await start(store, "a")

    first = await store.commit(Batch(events=(event("x"), event("y", "other"))))
    second = await store.commit(Batch(events=(event("z", execution=a),)))

    assert (first.offsets, second.offsets) == ((1, 2), (3,))
    assert await store.read(Events()) == (
        replace(event("x"), offset=1),
        replace(event("y", "other"), offset=2),
        replace(event("z", execution=a), offset=3, run_name="a"),
    )


async def test_events_begin_exclusive_and_end_inclusive(store: Store) -> None:
    await store.commit(Batch(events=tuple(event(f"k{n}") for n in range(1, 7))))

    async def keys(query: Events) -> list[str]:
        return [found.key for found in await store.read(query)]

    assert await keys(Events(begin=2, end=4)) == ["k3", "k4"]
    assert await keys(Events(begin=4, end=99)) == ["k5", "k6"]
    assert await keys(Events(begin=4, end=4)) == []
    assert await keys(Events(begin=5, end=1)) == []
    assert await keys(Events(begin=6)) == []
    assert await keys(Events(begin=1, limit=2)) == ["k2", "k3"]
    assert await keys(Events(keys=frozenset({"k6", "k1", "no"}))) == ["k1", "k6"]
    assert await keys(Events(keys=frozenset())) == []


async def test_events_are_those_of_the_namespace_and_the_execution(store: Store) -> None:
    a, b = await start(store, "a", "b")
    sent = (event("x", execution=a), event("x", "other"), event("x"), event("x", execution=b))
    await store.commit(Batch(events=sent))

    async def offsets(query: Events) -> list[int | None]:
        return [found.offset for found in await store.read(query)]

    assert await offsets(Events(namespace="default")) == [1, 3, 4]
    assert await offsets(Events(namespace="other", keys=frozenset({"x"}))) == [2]
    assert await offsets(Events(execution=b)) == [4]
    assert await offsets(Events(namespace="other", execution=b)) == []


async def test_executions_come_newest_first_by_page(store: Store) -> None:
    ids = await start(store, *"abcde")

    assert await names_of(store, Executions(limit=2)) == ["e", "d"]
    assert await names_of(store, Executions(before=ids[3], limit=2)) == ["c", "b"]
    assert await names_of(store, Executions(before=ids[0])) == []


async def test_executions_are_those_that_match_every_filter(store: Store) -> None:
    await start(store, "a", "b")
    await start(store, "c", workflow="other", head=ENDED)
    await store.commit(Batch(None, (ExecutionWrite(new("d", "other", "far"), RUNNING),)))
    running = frozenset({WorkflowStatus.RUNNING})

    assert await names_of(store, Executions(workflow="other")) == ["d", "c"]
    assert await names_of(store, Executions(namespace="far")) == ["d"]
    assert await names_of(store, Executions(statuses=running)) == ["d", "b", "a"]
    assert await names_of(store, Executions("default", "other", running)) == []
    assert await names_of(store, Executions(statuses=frozenset())) == []


async def test_text_that_is_not_utf_8_in_an_error_is_stored_escaped(store: Store) -> None:
    (a,) = await start(store, "a")
    outcome = Outcome(TaskStatus.FAILED, None, "OSError: é \udcff", "File \udcff")
    head = replace(RUNNING, error="t: \udcff", parked_reason="\udcff")
    write = TaskChange(TaskState("t", 1), outcome)

    await store.commit(Batch(None, (ExecutionWrite(a, head, (write,)),)))

    (t,) = await store.read(TaskExecutions(a))
    assert (t.error, t.traceback) == ("OSError: é \\udcff", "File \\udcff")
    record = await store.read(ExecutionByName("a"))
    assert record is not None
    assert (record.error, record.parked_reason) == ("t: \\udcff", "\\udcff")
