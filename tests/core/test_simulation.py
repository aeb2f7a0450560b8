"""Whole executions under a worker that ends what it starts: they end, once, whatever happens."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from asyncflow._core.plan import Plan
from asyncflow._model.status import WorkflowStatus
from tests.core.play import Play
from tests.core.simulation import Worker
from tests.core.strategies import KEYS, PROPERTY, plans, tame_plans

seeds = st.integers(0, 2**32 - 1)


def worker(seed: int, *plans: Plan) -> Worker:
    """Return a worker that has begun, and that knows one of these plans after each crash."""
    found = Worker(Play.of(plans[0]), Random(seed), plans)
    found.carry_out(found.play.begin())
    return found


def steps(found: Worker, count: int, crashes: int = 3) -> None:
    """Let a worker take so many steps at most, and crash now and then."""
    for _ in range(count):
        if found.idle:
            return
        if crashes and found.chance.random() < 0.05:
            crashes -= 1
            found.crash()
        else:
            found.step()


@PROPERTY
@given(tame_plans(), seeds)
def test_an_execution_whose_tasks_all_end_and_whose_events_all_came_ends(
    plan: Plan, seed: int
) -> None:
    found = worker(seed, plan)

    for key in found.chance.sample(KEYS, len(KEYS)):
        steps(found, found.chance.randrange(20))
        found.send(key)
    steps(found, 10_000)

    assert found.idle
    assert found.ends == [found.play.state.head.status]
    assert sorted(found.closed) == sorted(found.awaits)
    assert found.play.state.head.status.final


@PROPERTY
@given(plans(), plans(), seeds)
def test_a_stopped_execution_whose_tasks_all_end_ends_whatever_is_deployed(
    plan: Plan, other: Plan, seed: int
) -> None:
    found = worker(seed, plan, other)
    for key in found.chance.sample(KEYS, len(KEYS)):
        steps(found, found.chance.randrange(20))
        found.send(key)

    found.stop()
    steps(found, 1_000)

    assert found.idle
    assert found.ends == [found.play.state.head.status]
    assert sorted(found.closed) == sorted(found.awaits)
    assert found.ends == [WorkflowStatus.STOPPED] or not found.play.state.head.stopping
