"""What a batch makes of the rows of tasks: the same whichever kinds of changes are in it."""

from dataclasses import replace

import pytest

from asyncflow._core.execution import TaskChange
from asyncflow._core.state import Outcome, TaskState
from asyncflow._model.record import TaskExecutionRecord
from asyncflow._model.status import ExecutionType, TaskStatus
from asyncflow._store.batch import Batch, ExecutionWrite
from asyncflow._store.protocol import Store
from asyncflow._store.queries import StoredExecutions, TaskExecutions
from tests.store.samples import LATER, NOON, start

FAILED = Outcome(TaskStatus.FAILED, None, "E: x", "Traceback", abandoned=True, metrics='{"n": 1}')
SUCCEEDED = Outcome(TaskStatus.SUCCESS, '"r"')


def new(name: str, attempt: int = 1) -> TaskChange:
    return TaskChange(TaskState(name, 1, attempt, TaskStatus.QUEUED))


def retrying(name: str, outcome: Outcome | None = None) -> TaskChange:
    state = TaskState(
        name,
        1,
        1,
        TaskStatus.RETRYING,
        ExecutionType.PERIODIC,
        2,
        ExecutionType.EVENT,
        NOON,
        None,
        LATER,
        3,
        awaits=True,
    )
    return TaskChange(state, outcome)


def ended(name: str, outcome: Outcome = SUCCEEDED) -> TaskChange:
    return TaskChange(TaskState(name, 1, 2, outcome.status, begin=NOON, end=LATER), outcome)


async def write(store: Store, *writes: ExecutionWrite) -> None:
    await store.commit(Batch(None, writes))


async def states(store: Store, execution: int) -> tuple[TaskState, ...]:
    (found,) = await store.read(StoredExecutions((execution,)))
    return found.tasks


async def record(store: Store, execution: int) -> TaskExecutionRecord:
    (found,) = await store.read(TaskExecutions(execution))
    return found


def outcome_of(found: TaskExecutionRecord) -> tuple[object, ...]:
    return (found.result, found.error, found.traceback, found.abandoned, found.metrics)


@pytest.mark.parametrize("many", [1, 2, 7, 8, 40])
async def test_tasks_that_end_go_over_their_rows(store: Store, many: int) -> None:
    (a,) = await start(store, "a")
    names = [f"t{n}" for n in range(many)]
    await write(store, ExecutionWrite(a, None, tuple(retrying(name, FAILED) for name in names)))

    await write(store, ExecutionWrite(a, None, tuple(map(ended, names))))

    assert await states(store, a) == tuple(ended(name).state for name in names)
    for found in await store.read(TaskExecutions(a)):
        assert outcome_of(found) == ('"r"', None, None, False, None)


@pytest.mark.parametrize("many", [1, 2, 7, 8, 40])
async def test_tasks_that_end_without_a_row_get_one(store: Store, many: int) -> None:
    (a,) = await start(store, "a")
    changes = tuple(ended(f"t{n}") for n in range(many))

    await write(store, ExecutionWrite(a, None, changes))

    assert await states(store, a) == tuple(change.state for change in changes)
    assert {x.result for x in await store.read(TaskExecutions(a))} == {'"r"'}


@pytest.mark.parametrize("begun", [new("t", 2), retrying("t")])
async def test_a_run_that_goes_on_keeps_how_its_last_attempt_ended(
    store: Store, begun: TaskChange
) -> None:
    (a,) = await start(store, "a")
    await write(store, ExecutionWrite(a, None, (ended("t", FAILED),)))

    await write(store, ExecutionWrite(a, None, (begun,)))

    assert await states(store, a) == (begun.state,)
    assert outcome_of(await record(store, a)) == (None, "E: x", "Traceback", True, '{"n": 1}')


@pytest.mark.parametrize("more", [0, 10])
async def test_of_two_writes_to_one_run_the_later_one_stands(store: Store, more: int) -> None:
    (a,) = await start(store, "a")
    others = tuple(ended(f"u{n}") for n in range(more))
    writes = [(new("t"),), (retrying("t", FAILED), *others), (new("t", 2),)]

    await write(store, *(ExecutionWrite(a, None, changes) for changes in writes))

    assert set(await states(store, a)) == {new("t", 2).state, *(x.state for x in others)}
    found = {x.task_name: x for x in await store.read(TaskExecutions(a))}
    assert outcome_of(found["t"]) == (None, "E: x", "Traceback", True, '{"n": 1}')


async def test_of_two_outcomes_of_one_run_the_later_one_stands(store: Store) -> None:
    (a,) = await start(store, "a")
    changes = (ended("t", FAILED), ended("t", replace(SUCCEEDED, result=None)))

    await write(store, *(ExecutionWrite(a, None, (change,)) for change in changes))

    assert await states(store, a) == (changes[1].state,)
    assert outcome_of(await record(store, a)) == (None, None, None, False, None)


async def test_new_runs_are_listed_in_the_order_in_which_they_were_written(store: Store) -> None:
    (a,) = await start(store, "a")
    changes = (new("c"), retrying("b"), new("a"))

    await write(store, ExecutionWrite(a, None, changes))

    assert [x.task_name for x in await store.read(TaskExecutions(a))] == ["c", "b", "a"]
    assert await states(store, a) == tuple(change.state for change in changes)


async def test_runs_of_one_name_in_two_executions_are_two(store: Store) -> None:
    a, b = await start(store, "a", "b")

    await write(
        store,
        ExecutionWrite(a, None, (new("t"),)),
        ExecutionWrite(b, None, (new("t"), ended("u"))),
        ExecutionWrite(a, None, (ended("t"),)),
    )

    assert await states(store, a) == (ended("t").state,)
    assert set(await states(store, b)) == {new("t").state, ended("u").state}
