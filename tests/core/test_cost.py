"""The cost of one decision, counted and not timed: the same among ten tasks and ten thousand."""

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import FrameType
from typing import Any, NoReturn, TypeVar

import pytest

from asyncflow._core.decide import decide
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import (
    EventSent,
    Fact,
    RetryFellDue,
    TaskActionRequested,
    TaskEnded,
    TaskStarted,
)
from asyncflow._core.plan import Plan
from asyncflow._core.state import Outcome
from asyncflow._model.status import TaskAction, TaskStatus
from tests.core.play import NOON, Play
from tests.core.samples import Nothing, declared

SMALL, LARGE = 10, 10_000
GENERATED = "<string>"
"""The file of what dataclasses generate. From Python 3.13 on, to compare what is equal is cheaper
where it is the same object, as it is until others have taken its place among what is shared."""

K = TypeVar("K")
V = TypeVar("V")


class Unscanned(dict[K, V]):
    """A table that may be asked for one key, never for all."""

    def __iter__(self) -> Iterator[K]:
        raise AssertionError("a decision went through a whole table")

    def keys(self) -> NoReturn:
        raise AssertionError("a decision went through a whole table")

    def values(self) -> NoReturn:
        raise AssertionError("a decision went through a whole table")

    def items(self) -> NoReturn:
        raise AssertionError("a decision went through a whole table")


@cache
def begun(size: int) -> Play:
    """Half of the tasks have started; each has a successor, an event of its own, and all a join."""
    with declared() as workflow:
        first = [Nothing(f"a{number}", retries=1) for number in range(size // 2)]
        for number, task in enumerate(first):
            task.action_on_event_received(action=TaskAction.RESTART, event_key=f"k{number}")
            Nothing(f"b{number}").start_after(task)
        Nothing("join").start_after(first)
    return Play.begun(Plan.of(workflow))


def guarded(play: Play) -> tuple[Plan, ExecutionState]:
    """Return the plan and a state of its own, in tables that may not be gone through."""
    plan, state = play.plan, play.state
    tables = replace(
        plan,
        tasks=Unscanned(plan.tasks),
        by_status=Unscanned(plan.by_status),
        by_key=Unscanned(plan.by_key),
    )
    return tables, replace(state, tasks=Unscanned(state.tasks), met=Unscanned(state.met))


def steps(action: Callable[[], object]) -> int:
    """Count the calls, into C too, and the instructions that an action takes."""
    count = 0

    def trace(frame: FrameType, _event: str, _arg: Any) -> Any:  # noqa: ANN401 - as sys has it
        nonlocal count
        count += 1
        if frame.f_code.co_filename == GENERATED:
            return None
        frame.f_trace_opcodes = True
        return trace

    def profile(_frame: FrameType, _event: str, _arg: object) -> None:
        nonlocal count
        count += 1

    tracing, profiling = sys.gettrace(), sys.getprofile()
    # Python 3.12 counts opcodes only if some frame asked for it before `settrace`.
    sys._getframe().f_trace_opcodes = True
    gc.disable()  # what it finalizes would be counted
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(profiling)
        sys.settrace(tracing)
        gc.enable()
    return count


FACTS: dict[str, tuple[Fact, ...]] = {
    "a body begins": (TaskStarted(NOON, "a3", 1, 1),),
    "a task succeeds": (TaskEnded(NOON, "a3", 1, 1, Outcome(TaskStatus.SUCCESS)),),
    "an attempt fails": (TaskEnded(NOON, "a3", 1, 1, Outcome(TaskStatus.FAILED)),),
    "a retry falls due": (
        TaskEnded(NOON, "a3", 1, 1, Outcome(TaskStatus.FAILED)),
        RetryFellDue(NOON, "a3", 1, 1),
    ),
    "an event comes": (EventSent(NOON, "k3"),),
    "an event comes that nobody waits for": (EventSent(NOON, "nothing"),),
    "a task is stopped": (TaskActionRequested(NOON, "a3", TaskAction.STOP),),
    "a fact is late": (TaskEnded(NOON, "a3", 0, 1, Outcome(TaskStatus.SUCCESS)),),
}


def cost(size: int, facts: tuple[Fact, ...]) -> int:
    """Return what it costs to decide on the last fact, and to apply the answer."""
    guarded_decision(begun(size), facts)()  # whoever is first makes what equal states share
    return steps(guarded_decision(begun(size), facts))


def guarded_decision(play: Play, facts: tuple[Fact, ...]) -> Callable[[], None]:
    """Return what decides on the last fact and applies the answer, in a state of its own."""
    plan, state = guarded(play)
    *earlier, last = facts
    for fact in earlier:
        state.apply(decide(plan, state, fact))
    return lambda: state.apply(decide(plan, state, last))


@pytest.mark.parametrize("facts", list(FACTS.values()), ids=list(FACTS))
def test_a_decision_costs_the_same_among_ten_tasks_and_ten_thousand(
    facts: tuple[Fact, ...],
) -> None:
    assert cost(SMALL, facts) == cost(LARGE, facts)


def test_the_cost_is_really_counted() -> None:
    assert steps(lambda: [number for number in range(100)]) > 100  # noqa: C416 - it must loop
    assert steps(lambda: None) < 20


SCANS: dict[str, Callable[[Unscanned[str, int]], object]] = {
    "for": lambda table: [*table],
    "copy": dict,
    "keys": lambda table: table.keys(),
    "values": lambda table: table.values(),
    "items": lambda table: table.items(),
}


@pytest.mark.parametrize("scan", list(SCANS.values()), ids=list(SCANS))
def test_going_through_a_table_is_noticed(scan: Callable[[Unscanned[str, int]], object]) -> None:
    with pytest.raises(AssertionError):
        scan(Unscanned(a=1))
