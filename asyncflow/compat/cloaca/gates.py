"""Tasks with trigger rules: they start however their dependencies end, and ask before they work.

What a task does when it may not run is its own affair; here it is only told so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from types import TracebackType
from typing import Final, TypeAlias

from asyncflow import (
    Context,
    DefinitionError,
    Operator,
    TaskAction,
    TaskStatus,
    ValueStateDescriptor,
    Workflow,
)
from asyncflow.compat.cloaca.rules import End, Rule

Way: TypeAlias = dict[str, TaskStatus]
"""How everything that a task waits for may have ended: the status of each task that ran."""

MOST_WAYS: Final = 3**6
"""Six dependencies that do not depend on each other end in so many ways."""

_ENDS: Final = (TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.STOPPED)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules of a task are asked about, when it is to run."""

    context: Context
    over: frozenset[str]

    def end_of(self, task: str) -> End | None:
        """Return how a task has ended; one that will not run any more was skipped."""
        status = self.context.get_task_status(task)
        if status is TaskStatus.SUCCESS:
            skipped = self.context.get_state(_mark(task)).value()
            return "TaskSkipped" if skipped else "TaskSuccess"
        if status is TaskStatus.FAILED:
            return "TaskFailed"
        return "TaskSkipped" if status is None and task in self.over else None


@dataclass(slots=True)
class Gate:
    """Stands before the body of a task, and lets it run if its rule holds.

    Attributes:
        called_back: somebody will ask `was_shut` of each task execution that succeeds.
        over: tasks that have ended when it is asked, or will not run any more.
    """

    task: str
    rule: Rule
    called_back: bool = False
    over: frozenset[str] = frozenset()
    _shut: set[str] = field(default_factory=set[str])

    def opens(self, context: Context) -> bool:
        """Say whether the body runs now; if not, later rules find it skipped."""
        opened = self.rule.holds(Seen(context, self.over))
        mark = context.get_state(_mark(self.task))
        if not opened:
            mark.update(True)
            if self.called_back:
                self._shut.add(context.idempotency_key)
        elif mark.value():
            mark.clear()
        return opened

    def was_shut(self, context: Context) -> bool:
        """Say, once, whether the task execution of a callback did not run its body."""
        key = context.idempotency_key
        shut = key in self._shut
        self._shut.discard(key)
        return shut


class GatedWorkflow(Workflow):
    """A workflow whose tasks may have gates. Their rules of starting are made when it ends.

    Attributes:
        gates: by the name of their task.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gates: dict[str, Gate] = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wrong = self._settle() if kind is None else None
        if wrong is None:
            super().__exit__(kind, error, trace)
        else:
            super().__exit__(type(wrong), wrong, None)
            raise wrong

    def _settle(self) -> DefinitionError | None:
        """Let each task with a gate start once everything that it waits for is over."""
        try:
            for gate in self.gates.values():
                self._check_names(gate)
                self._start(gate)
        except DefinitionError as error:
            return error
        except (CycleError, KeyError):  # a circle, an unknown name: asyncflow's own check says so
            return None
        return None

    def _check_names(self, gate: Gate) -> None:
        for name in gate.rule.names():
            if name == gate.task or name not in self.tasks:
                which = "itself" if name == gate.task else f"{name!r}, which is no task of it"
                text = (
                    f"workflow {self.name!r}: trigger_rules of task {gate.task!r} ask about "
                    f"{which}; its tasks are: {', '.join(map(repr, self.tasks))}"
                )
                raise DefinitionError(text)

    def _start(self, gate: Gate) -> None:
        task = self.tasks[gate.task]
        needed = self._needed(task)
        gate.over = frozenset(needed)
        direct = set(self._upstreams(task))
        for way in self._ways(gate, needed):
            if any(way.get(name) is not TaskStatus.SUCCESS for name in direct):
                # Where all have succeeded its dependencies start it anyway.
                statuses = {self.tasks[name]: status for name, status in way.items()}
                task.action_on_task_status(TaskAction.START, statuses)

    def _needed(self, task: Operator) -> dict[str, list[str]]:
        """Return the tasks whose ends decide that ``task`` starts, each after those it needs.

        Beside each stand the tasks that must have succeeded, or else it never runs.
        """
        needs: dict[str, list[str]] = {}
        left = list(self._upstreams(task))
        while left:
            name = left.pop()
            if name not in needs:
                upstream = self.tasks[name]
                needs[name] = [] if self._runs_anyway(upstream) else self._upstreams(upstream)
                left.extend(needs[name])
        return {name: needs[name] for name in TopologicalSorter(needs).static_order()}

    def _ways(self, gate: Gate, needed: Mapping[str, list[str]]) -> list[Way]:
        """Return all ways in which these may have ended; no two of them are ever met at once."""
        ways: list[Way] = [{}]
        for name, needs in needed.items():
            longer: list[Way] = []
            for way in ways:
                runs = all(way.get(each) is TaskStatus.SUCCESS for each in needs)
                longer += [{**way, name: end} for end in _ENDS] if runs else [way]
            ways = longer
            if len(ways) > MOST_WAYS:
                text = (
                    f"workflow {self.name!r}: what task {gate.task!r} with its trigger_rules waits "
                    f"for ends in more than {MOST_WAYS} ways: let it depend on at most six tasks, "
                    "and those, if they are to be more, on some with trigger_rules=always()"
                )
                raise DefinitionError(text)
        return ways

    def _runs_anyway(self, task: Operator) -> bool:
        """Say whether a task runs even if one that it depends on has failed."""
        starts = any(rule.action is TaskAction.START for rule in task.rules)
        return task.name in self.gates or starts

    def _upstreams(self, task: Operator) -> list[str]:
        named = (each if isinstance(each, str) else each.name for each in task.dependencies)
        return list(dict.fromkeys(named))


def _mark(task: str) -> ValueStateDescriptor:
    return ValueStateDescriptor(f"cloaca: {task} was skipped")
