"""One execution in its owner's memory: what `decide` reads, and what applying its answer changes.

Beside the stored state it holds what would be dear to count anew: tasks alive, rules half met.
It is rebuilt from stored rows by `restore`, so nothing here is the truth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from asyncflow._core.commands import Command
from asyncflow._core.plan import Plan
from asyncflow._core.state import Closing, Head, Outcome, TaskState
from asyncflow._frozen import value
from asyncflow._model.status import TaskStatus


@value(frozen=True, slots=True)
class Counts:
    """How many tasks stand so, by their latest run.

    Attributes:
        alive: something is to come of them without a new start.
        pending: a start waits until their run has stopped.
        failed: FAILED.
        stopped: STOPPED.
        waiting: they have not run, and an event may start them.
    """

    alive: int = 0
    pending: int = 0
    failed: int = 0
    stopped: int = 0
    waiting: int = 0

    def moved(self, plan: Plan, old: TaskState, new: TaskState) -> "Counts":
        """Return the counts after one task went from ``old`` to ``new``."""
        was, now = old.status, new.status
        if was.alive and now.alive and old.again is new.again:  # as most of its changes
            return self
        waiting = self.waiting
        if new.sequence_number and not old.sequence_number:
            waiting -= _listens(plan, old)
        return _counts(
            self.alive + now.alive - was.alive,
            self.pending + (new.again is not None) - (old.again is not None),
            self.failed + (now is _FAILED) - (was is _FAILED),
            self.stopped + (now is _STOPPED) - (was is _STOPPED),
            waiting,
        )


# Most executions stand like many others. That they share the value takes no less time, but where
# thousands wait the garbage collector has an object less to go through for each.
_counts = lru_cache(maxsize=1024)(Counts)

_FAILED: Final = TaskStatus.FAILED
_STOPPED: Final = TaskStatus.STOPPED


def _listens(plan: Plan, task: TaskState) -> bool:
    found = plan.tasks.get(task.name)
    return found is not None and found.listens


@value(frozen=True, slots=True)
class TaskChange:
    """The row of one task execution as it is now; an outcome only where an attempt ended."""

    state: TaskState
    outcome: Outcome | None = None


@value(frozen=True, slots=True)
class Decision:
    """What follows from a fact: only what changes, so that it is small however large the execution.

    Attributes:
        head: the new head, None if it stays.
        tasks: task executions that changed, each once, a later run of a task after the earlier.
        context: changed keys, None deletes.
        cells: changed states of the user's by name, None clears.
        met: status rules, by number, with how many of their upstreams have the wanted status.
        counts: the new counts, None if they stay.
        closings: runs that are over, and await nothing any more.
        commands: to be carried out, in order, once the changes are on disk.
    """

    head: Head | None = None
    tasks: tuple[TaskChange, ...] = ()
    context: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    cells: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    met: Mapping[int, int] = field(default_factory=dict[int, int])
    counts: Counts | None = None
    closings: tuple[Closing, ...] = ()
    commands: tuple[Command, ...] = ()


NOTHING: Final = Decision()

# Most executions have no such thing, and many thousands may wait: nobody changes these.
_NO_TEXTS: Final[dict[str, str]] = {}
_NONE_MET: Final[dict[int, int]] = {}
_NONE_COUNTED: Final = Counts()
_UNBEGUN: Final = Head()


@dataclass(slots=True)
class ExecutionState:
    """Where an execution stands. `decide` reads it; only `apply` changes it.

    Attributes:
        tasks: the latest run of each task that ever ran.
        context: JSON text by key. Replaced, never changed in place: tasks hold on to it.
        met: see `Decision`. While it is empty it may be shared; so may be ``cells``.
        cells: users' states, JSON text by name.
    """

    head: Head
    tasks: dict[str, TaskState]
    context: Mapping[str, str]
    met: dict[int, int]
    counts: Counts
    cells: dict[str, str]

    @classmethod
    def new(cls, plan: Plan, context: Mapping[str, str]) -> "ExecutionState":
        """Return an execution that has not begun."""
        counts = Counts(waiting=plan.listening) if plan.listening else _NONE_COUNTED
        met = dict(plan.met) if plan.met else _NONE_MET
        return cls(_UNBEGUN, {}, dict(context) or _NO_TEXTS, met, counts, _NO_TEXTS)

    @classmethod
    def restore(
        cls,
        plan: Plan,
        head: Head,
        tasks: Iterable[TaskState],
        context: Mapping[str, str],
        cells: Mapping[str, str] | None = None,
    ) -> "ExecutionState":
        """Return the execution whose stored state this is, under a plan that may be a newer one."""
        latest = {task.name: task for task in tasks}
        counts = Counts(waiting=plan.listening)
        for name, task in latest.items():
            counts = counts.moved(plan, TaskState(name), task)
        met = {
            rule.index: count
            for rule in plan.status_rules
            if (count := sum(_status(latest, name) is wanted for name, wanted in rule.upstreams))
        }
        texts = dict(context) or _NO_TEXTS
        return cls(head, latest, texts, met or _NONE_MET, counts, dict(cells or {}) or _NO_TEXTS)

    def task(self, name: str) -> TaskState:
        """Return the latest run of a task, INIT if it never ran."""
        return self.tasks.get(name) or TaskState(name)

    def apply(self, decision: Decision) -> None:
        """Make what was decided the state. Only for the answer to this very state."""
        if decision.head is not None:
            self.head = decision.head
        if decision.counts is not None:
            self.counts = decision.counts
        for change in decision.tasks:
            self.tasks[change.state.name] = change.state
        if decision.met:
            self.met = self.met or {}  # the shared one stays empty
            self.met.update(decision.met)
        if decision.context:
            merged = {**self.context, **decision.context}
            self.context = {key: text for key, text in merged.items() if text is not None}
        if decision.cells:
            self._remember(decision.cells)

    def _remember(self, cells: Mapping[str, str | None]) -> None:
        self.cells = self.cells or {}
        for name, text in cells.items():
            if text is None:
                self.cells.pop(name, None)
            else:
                self.cells[name] = text

    def copy(self) -> "ExecutionState":
        """Return an equal state of its own."""
        return replace(
            self,
            tasks=dict(self.tasks),
            met=dict(self.met),
            cells=dict(self.cells),
        )


def _status(tasks: Mapping[str, TaskState], name: str) -> TaskStatus:
    task = tasks.get(name)
    return TaskStatus.INIT if task is None else task.status
