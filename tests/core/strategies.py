"""Random workflows, and random logs of facts about them: valid, late, doubled, reordered, stray.

A log is drawn as a script of small moves, and each move becomes a fact only when it is its turn,
so that most facts fit the execution as it is by then.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import reject, settings
from hypothesis import strategies as st

from asyncflow._core.execution import Decision, ExecutionState
from asyncflow._core.facts import (
    CellWritten,
    EventAwaited,
    EventSent,
    ExecutionRecovered,
    ExecutionStarted,
    Fact,
    PeriodPassed,
    RecoverySurvived,
    RetryFellDue,
    StopRequested,
    TaskActionRequested,
    TaskEnded,
    TaskStarted,
)
from asyncflow._core.plan import Plan
from asyncflow._core.state import Outcome, TaskState
from asyncflow._model.operator import Operator
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow.errors import DefinitionError
from tests.core.play import Play
from tests.core.samples import Asked, Nothing, declared

# `tools/mutants` asks for the short one; the long one takes minutes, and `--timeout 0`
settings.register_profile("core", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("core-short", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("core-long", deadline=None, max_examples=2_000)
PROPERTY = settings(settings.get_profile(os.environ.get("ASYNCFLOW_PROPERTIES", "core")))

KEYS = ("k0", "k1", "k2")
NOBODY = "nobody"

actions = st.sampled_from(TaskAction)
statuses = st.sampled_from(TaskStatus)
keys = st.sampled_from(KEYS)
retries = st.sampled_from((1, 0, 2))


@dataclass(frozen=True, slots=True)
class OnEvent:
    """An event rule to declare; with ``judged``, one whose condition has a say."""

    action: TaskAction
    key: str
    judged: bool


@dataclass(frozen=True, slots=True)
class OnStatus:
    """A status rule to declare; upstreams are numbers of tasks."""

    action: TaskAction
    upstreams: tuple[tuple[int, TaskStatus], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A task to declare: its options and its rules, in order."""

    retries: int
    idempotent: bool
    rules: tuple[OnEvent | OnStatus, ...]
    periodic: bool = False


def compiled(shapes: list[Shape], *, finish_when_idle: bool, endless: bool = False) -> Plan:
    """Declare a workflow with tasks t0, t1, ... of these shapes; an endless one has one more."""
    with declared(finish_when_idle=finish_when_idle) as workflow:
        tasks = [
            Nothing(
                f"t{number}",
                retries=shape.retries,
                idempotent=shape.idempotent,
                periodic_expression="interval@0 0 0 5" if endless and shape.periodic else None,
            )
            for number, shape in enumerate(shapes)
        ]
        for task, shape in zip(tasks, shapes, strict=True):
            for rule in shape.rules:
                _declare(task, rule, tasks)
        if endless:
            Nothing("last").action_on_event_received(action=TaskAction.START, event_key="never")
    return Plan.of(workflow)


def _possible(shapes: list[Shape], *, finish_when_idle: bool, endless: bool) -> Plan:
    """Compile shapes, or give up those whose tasks could only start each other."""
    try:
        return compiled(shapes, finish_when_idle=finish_when_idle, endless=endless)
    except DefinitionError:
        reject()


def _declare(task: Nothing, rule: OnEvent | OnStatus, tasks: list[Nothing]) -> None:
    if isinstance(rule, OnStatus):
        awaited = dict[Operator, TaskStatus](
            (tasks[number], status) for number, status in rule.upstreams
        )
        task.action_on_task_status(rule.action, awaited)
    elif rule.judged:
        task.action_on_condition(rule.action, Asked(rule.key))
    else:
        task.action_on_event_received(action=rule.action, event_key=rule.key)


def _upstreams(count: int) -> st.SearchStrategy[tuple[tuple[int, TaskStatus], ...]]:
    numbers = st.integers(0, count - 1)
    return st.dictionaries(numbers, statuses, min_size=1, max_size=3).map(_items)


def _items(upstreams: dict[int, TaskStatus]) -> tuple[tuple[int, TaskStatus], ...]:
    return tuple(upstreams.items())


def _after(upstreams: set[int]) -> tuple[OnStatus, ...]:
    if not upstreams:
        return ()
    awaited = tuple((number, TaskStatus.SUCCESS) for number in sorted(upstreams))
    return (OnStatus(TaskAction.START, awaited),)


@st.composite
def _shapes(draw: st.DrawFn, *, tame: bool) -> list[Shape]:
    shapes: list[Shape] = []
    count = draw(st.integers(1, 5))
    for number in range(count):
        # A tame workflow has no loop: a rule looks at tasks that were declared before it.
        seen = number if tame else count
        after = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set[int]()
        asked = st.sampled_from((TaskAction.START, TaskAction.RESTART)) if tame else actions
        judged = st.just(value=False) if tame else st.booleans()
        rules = list[OnEvent | OnStatus](
            draw(st.lists(st.builds(OnEvent, asked, keys, judged), max_size=2))
        )
        if seen:
            rules += draw(st.lists(st.builds(OnStatus, actions, _upstreams(seen)), max_size=2))
        periodic = not tame and draw(st.integers(0, 4)) == 4
        shape = Shape(draw(retries), draw(st.booleans()), (*_after(after), *rules), periodic)
        shapes.append(shape)
    return shapes


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Workflows of any kind, loops and contradictory rules too."""
    endless = draw(st.integers(0, 2)) > 0
    idle = not endless and draw(st.booleans())
    return _possible(draw(_shapes(tame=False)), finish_when_idle=idle, endless=endless)


@st.composite
def tame_plans(draw: st.DrawFn) -> Plan:
    """Workflows that end by themselves once each of their events was sent."""
    return compiled(draw(_shapes(tame=True)), finish_when_idle=draw(st.booleans()))


Move: TypeAlias = tuple[str, int, int, int]
Script: TypeAlias = list[Move]


@dataclass(frozen=True, slots=True)
class Told:
    """A fact, what was decided on it, and the states around it."""

    fact: Fact
    verdicts: frozenset[int]
    before: ExecutionState
    decision: Decision
    after: ExecutionState


def told(plan: Plan, script: Script) -> Iterator[Told]:
    """Tell an execution the facts of a script, one after the other."""
    play, log = Play.of(plan), list[Fact]()
    for move in script:
        fact = _fact(play, log, move)
        verdicts = frozenset(range(move[2], move[2] + 3 * move[3]))
        before = play.state.copy()
        decision = play.tell(fact, verdicts)
        log.append(fact)
        yield Told(fact, verdicts, before, decision, play.state.copy())


def _fact(play: Play, log: list[Fact], move: Move) -> Fact:
    kind, which, number, attempt = move
    if kind == "again" and log:
        return log[-1 - which % len(log)]
    alive = [task for task in play.state.tasks.values() if task.status.alive]
    names = [*play.plan.tasks, NOBODY]
    if kind == "stray" or not alive:
        task = TaskState(names[which % len(names)], number, attempt)
        kind = ("run", "succeed", "fail", "due", "act")[which % 5] if kind == "stray" else kind
    else:
        task = alive[which % len(alive)]
    if kind == "advance":
        kind = NEXT.get(task.status, ("act", "send"))[attempt % 2 - 1]
    return FACTS.get(kind, _sent)(play, task, which, number)


def _begun(play: Play, _task: TaskState, _which: int, _number: int) -> Fact:
    return ExecutionStarted(play.at)


def _recovered(play: Play, _task: TaskState, _which: int, _number: int) -> Fact:
    return ExecutionRecovered(play.at)


def _survived(play: Play, _task: TaskState, _which: int, _number: int) -> Fact:
    return RecoverySurvived(play.at)


def _stopped(play: Play, _task: TaskState, _which: int, _number: int) -> Fact:
    return StopRequested(play.at)


def _sent(play: Play, _task: TaskState, which: int, number: int) -> Fact:
    cells = {f"s{which % 2}": str(number)} if number else {}
    return EventSent(play.at, KEYS[which % len(KEYS)], cells=cells)


def _run(play: Play, task: TaskState, _which: int, _number: int) -> Fact:
    return TaskStarted(play.at, task.name, task.sequence_number, task.try_number)


def _asked(play: Play, task: TaskState, _which: int, number: int) -> Fact:
    attempt = (task.sequence_number, task.try_number)
    return EventAwaited(play.at, task.name, *attempt, f"e{number}")


def _due(play: Play, task: TaskState, _which: int, _number: int) -> Fact:
    return RetryFellDue(play.at, task.name, task.sequence_number, task.try_number)


def _passed(play: Play, task: TaskState, which: int, number: int) -> Fact:
    if play.plan.periodic:
        name = play.plan.periodic[which % len(play.plan.periodic)].name
        return PeriodPassed(play.at, name, play.state.task(name).period + number - 1)
    return PeriodPassed(play.at, task.name, number)


def _wrote(play: Play, _task: TaskState, which: int, number: int) -> Fact:
    return CellWritten(play.at, f"s{which % 2}", None if number == 0 else str(number))


def _acted(play: Play, _task: TaskState, which: int, number: int) -> Fact:
    names = [*play.plan.tasks, NOBODY]
    return TaskActionRequested(play.at, names[which % len(names)], list(TaskAction)[number % 3])


def _ended(status: TaskStatus) -> Callable[[Play, TaskState, int, int], Fact]:
    def end(play: Play, task: TaskState, which: int, number: int) -> Fact:
        error = "ValueError: no" if status is TaskStatus.FAILED else None
        return TaskEnded(
            play.at,
            task.name,
            task.sequence_number,
            task.try_number,
            Outcome(status, error=error),
            {f"c{which % 2}": None if number == 0 else str(number)},
            dice=number / 4,
            retryable=which != 0,
        )

    return end


FACTS: dict[str, Callable[[Play, TaskState, int, int], Fact]] = {
    "begin": _begun,
    "recover": _recovered,
    "survive": _survived,
    "stop": _stopped,
    "send": _sent,
    "run": _run,
    "ask": _asked,
    "due": _due,
    "act": _acted,
    "pass": _passed,
    "write": _wrote,
    "succeed": _ended(TaskStatus.SUCCESS),
    "fail": _ended(TaskStatus.FAILED),
    "end": _ended(TaskStatus.STOPPED),
}

# what may well come next of a task
NEXT = {
    TaskStatus.QUEUED: ("run", "succeed"),
    TaskStatus.RUNNING: ("succeed", "fail"),
    TaskStatus.STOPPING: ("end", "succeed"),
    TaskStatus.RETRYING: ("due",),
}
OFTEN = (*["advance"] * 5, "send", "act")
KINDS = (
    *OFTEN * 3,
    "run",
    *["ask"] * 4,
    "succeed",
    "fail",
    "due",
    "again",
    "again",
    "pass",
    "write",
    "stray",
    "recover",
    "survive",
    "stop",
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Scripts of forty moves; most begin with the beginning, and the simplest just advance."""
    chance = draw(st.binary(min_size=160, max_size=160))  # one draw: it is faster
    quarters = [chance[first::4] for first in range(4)]
    script: Script = [
        (KINDS[kind % len(KINDS)], which % 7, number % 4, attempt % 4)
        for kind, which, number, attempt in zip(*quarters, strict=True)
    ]
    return script if draw(st.integers(0, 9)) == 9 else [("begin", 0, 0, 0), *script]
