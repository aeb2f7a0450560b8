"""A decision in the making: changes laid over a state that stays as it is.

It knows how the status of one task sets off rules on others, and what each action means in each
status; which fact asks for which action is `decide`'s.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from asyncflow._core.commands import (
    CancelTimer,
    Command,
    EndExecution,
    SetPeriod,
    StartTask,
    StopTask,
)
from asyncflow._core.execution import Decision, ExecutionState, TaskChange
from asyncflow._core.periods import end_of, number_after
from asyncflow._core.plan import EventRule, Plan, StatusRule, TaskPlan
from asyncflow._core.state import Closing, Head, Outcome, TaskState
from asyncflow._model.status import (
    EventPhase,
    ExecutionType,
    TaskAction,
    TaskStatus,
    WorkflowStatus,
)


class Draft:
    """Changes to one execution that follow from one fact, at one instant."""

    def __init__(self, plan: Plan, state: ExecutionState, at: datetime) -> None:
        """Begin with no changes."""
        self.plan = plan
        self.at = at
        self.head = state.head
        self.counts = state.counts
        self.commands: list[Command] = []
        self._state = state
        self._latest: dict[str, TaskState] = {}
        self._rows: dict[tuple[str, int], TaskChange] = {}
        self._met: dict[int, int] = {}
        self._context: Mapping[str, str | None] = {}
        self._cells: Mapping[str, str | None] = {}
        self._closings: list[Closing] = []
        self._moves: deque[tuple[str, TaskStatus, TaskStatus]] = deque()

    def task(self, name: str) -> TaskState:
        """Return the latest run of a task, as it is by now."""
        found = self._latest.get(name)
        if found is None:  # kept: one that never ran would be made again for each look
            found = self._latest[name] = self._state.task(name)
        return found

    def alive(self) -> list[TaskState]:
        """Return the runs of which something is to come, as they are by now."""
        now = map(self.task, self._state.tasks)
        return [task for task in now if task.status.alive]

    def put(self, new: TaskState, outcome: Outcome | None = None) -> None:
        """Make ``new`` the latest run of its task; rules hear of a new status in `settle`."""
        old = self.task(new.name)
        self.counts = self.counts.moved(self.plan, old, new)
        key = (new.name, new.sequence_number)
        earlier = self._rows.pop(key, None)
        if outcome is None and earlier is not None:
            outcome = earlier.outcome
        self._latest[new.name] = new
        self._rows[key] = TaskChange(new, outcome)
        if new.status is not old.status:
            self._moves.append((new.name, old.status, new.status))
            if new.awaits and new.status.ended:
                self._close(new)

    def _close(self, task: TaskState) -> None:
        """Let nobody signal what a run has asked for, and does not wait for any more."""
        failed = task.status is TaskStatus.FAILED
        phase = EventPhase.FAILED if failed else EventPhase.ABORTED
        self._closings.append(Closing(task.name, task.sequence_number, phase, self.at))

    def merge(self, context: Mapping[str, str | None]) -> None:
        """Merge what a successful attempt changed."""
        self._context = {**self._context, **context}

    def remember(self, cells: Mapping[str, str | None]) -> None:
        """Change users' states."""
        self._cells = {**self._cells, **cells}

    def await_period(self, task: TaskPlan, number: int) -> None:
        """Ask for the end of a period."""
        if self.head.begin is not None and task.period is not None:
            due = end_of(task.period, self.head.begin, number)
            self.commands.append(SetPeriod(task.name, number, due))

    def await_period_after(self, task: TaskPlan, number: int) -> None:
        """Ask for the end of the period that comes after another, or of the first."""
        if self.head.begin is not None and task.period is not None:
            self.await_period(task, number_after(task.period, self.head.begin, number))

    def act(self, name: str, action: TaskAction, kind: ExecutionType) -> None:
        """Do what a rule or a caller asks of a task, if its status leaves anything to do."""
        match action:
            case TaskAction.START:
                self._start(name, kind)
            case TaskAction.STOP:
                self.stop(name)
            case TaskAction.RESTART:
                self._restart(name, kind)
            case _:
                assert_never(action)

    def _start(self, name: str, kind: ExecutionType) -> None:
        task = self.task(name)
        if self.head.stopping or name not in self.plan.tasks:
            return
        if task.status is TaskStatus.STOPPING:
            if task.again is None:
                self.put(replace(task, again=kind))
        elif not task.status.alive:
            self.queue(task.next_run(kind))

    def queue(self, queued: TaskState) -> None:
        """Make a run the latest of its task at an attempt that is QUEUED, and ask for its body."""
        self.put(queued)
        self.dispatch(queued)

    def dispatch(self, task: TaskState) -> None:
        """Ask for the body of the attempt that a run is at."""
        plan = self.plan.tasks[task.name]
        last = task.failures >= plan.retry.retries
        start = StartTask(task.name, task.sequence_number, task.try_number, last)
        self.commands.append(start)

    def stop(self, name: str) -> None:
        """End a task's run, and forget a start that waits for its end."""
        task = self.task(name)
        match task.status:
            case TaskStatus.QUEUED | TaskStatus.RUNNING:
                self.put(replace(task, status=TaskStatus.STOPPING))
                self.commands.append(StopTask(name, task.sequence_number, task.try_number))
            case TaskStatus.RETRYING:
                self.commands.append(CancelTimer(name, task.sequence_number))
                self.put(replace(task, status=TaskStatus.STOPPED, due=None, end=self.at))
            case TaskStatus.STOPPING:
                if task.again is not None:
                    self.put(replace(task, again=None))
            case TaskStatus.INIT | TaskStatus.SUCCESS | TaskStatus.FAILED | TaskStatus.STOPPED:
                pass
            case _:
                assert_never(task.status)

    def _restart(self, name: str, kind: ExecutionType) -> None:
        if self.head.stopping or name not in self.plan.tasks:
            return
        # The old run is STOPPED before the new one starts; one that waits for its
        # next attempt is STOPPED at once.
        if self.task(name).status is not TaskStatus.STOPPING:
            self.stop(name)
        self._start(name, kind)

    def finish(self, task: TaskState, outcome: Outcome, began: datetime | None = None) -> None:
        """End a run, and make the start that waited for its end.

        Its attempt ``began`` then, if it did: that may not have been told, and no rule listens.
        """
        again = task.again
        self.put(task.ended(outcome.status, began, self.at), outcome)
        if outcome.status is TaskStatus.FAILED and self.head.error is None:
            text = f"task {task.name!r}: {outcome.error}"
            self.head = replace(self.head, error=text)
        if again is not None:
            self._start(task.name, again)

    def receive(self, rules: Iterable[EventRule], verdicts: frozenset[int]) -> None:
        """Fire, for each task, the first of its rules that an event met."""
        chosen: dict[str, EventRule] = {}
        for rule in rules:
            if rule.condition is None or rule.index in verdicts:
                chosen.setdefault(rule.task, rule)
        for rule in chosen.values():
            self.act(rule.task, rule.action, ExecutionType.EVENT)

    def settle(self) -> Decision:
        """Let rules follow from changed statuses until nothing moves; end what is over."""
        while self._moves:
            self._fire(*self._moves.popleft())
        self._end()
        return Decision(
            head=None if self.head is self._state.head else self.head,
            tasks=tuple(self._rows.values()),
            context=self._context,
            cells=self._cells,
            closings=tuple(self._closings),
            met=self._met,
            counts=None if self.counts == self._state.counts else self.counts,
            commands=tuple(self.commands),
        )

    def _fire(self, name: str, old: TaskStatus, new: TaskStatus) -> None:
        """Tell the status rules that look at a task of its change."""
        for rule in self.plan.by_status.get((name, old), ()):
            self._met[rule.index] = self._count(rule) - 1
        rules = self.plan.by_status.get((name, new))
        if rules is None:
            return
        chosen: dict[str, StatusRule] = {}
        for rule in rules:
            self._met[rule.index] = count = self._count(rule) + 1
            if count == len(rule.upstreams):
                chosen.setdefault(rule.task, rule)
        for rule in chosen.values():
            self.act(rule.task, rule.action, ExecutionType.EVENT)

    def _count(self, rule: StatusRule) -> int:
        found = self._met.get(rule.index)
        return self._state.met.get(rule.index, 0) if found is None else found

    def _end(self) -> None:
        head, counts = self.head, self.counts
        begun = head.status is WorkflowStatus.RUNNING or head.stopping
        if not begun or head.status.final or counts.alive or counts.pending:
            return
        if head.parked_reason is not None and not head.stopping:
            return
        if self.plan.periodic and not head.stopping:
            return
        if counts.waiting and not (head.stopping or self.plan.finish_when_idle):
            return
        status = _final(head, counts.failed, counts.stopped)
        self.head = head.ended(status, self.at)
        self.commands.append(EndExecution(status))


def _final(head: Head, failed: int, stopped: int) -> WorkflowStatus:
    if head.stopping:
        return WorkflowStatus.STOPPED
    if failed:
        return WorkflowStatus.FAILED
    return WorkflowStatus.STOPPED if stopped else WorkflowStatus.SUCCESS
