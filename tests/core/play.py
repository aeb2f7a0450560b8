"""An execution that tests play fact by fact, with the rows that a store would keep of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from asyncflow._core.commands import Command
from asyncflow._core.decide import NO_VERDICTS, decide
from asyncflow._core.execution import Decision, ExecutionState, TaskChange
from asyncflow._core.facts import (
    EventSent,
    ExecutionRecovered,
    ExecutionStarted,
    Fact,
    PeriodPassed,
    RetryFellDue,
    StopRequested,
    TaskActionRequested,
    TaskEnded,
    TaskStarted,
)
from asyncflow._core.plan import Plan
from asyncflow._core.state import Closing, Outcome, TaskState
from asyncflow._model.status import TaskAction, TaskStatus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(slots=True)
class Play:
    """One execution; each fact comes a second after the one before."""

    plan: Plan
    state: ExecutionState
    rows: dict[tuple[str, int], TaskChange] = field(
        default_factory=dict[tuple[str, int], TaskChange]
    )
    at: datetime = NOON
    closings: list[Closing] = field(default_factory=list[Closing])

    @classmethod
    def of(cls, plan: Plan, context: Mapping[str, str] | None = None) -> Self:
        return cls(plan, ExecutionState.new(plan, context or {}))

    @classmethod
    def begun(cls, plan: Plan, context: Mapping[str, str] | None = None) -> Self:
        play = cls.of(plan, context)
        play.begin()
        return play

    def tell(self, fact: Fact, verdicts: frozenset[int] = NO_VERDICTS) -> Decision:
        decision = decide(self.plan, self.state, fact, verdicts)
        self.state.apply(decision)
        for change in decision.tasks:
            self.rows[change.state.name, change.state.sequence_number] = change
        self.closings += decision.closings
        self.at += timedelta(seconds=1)
        return decision

    def begin(self) -> tuple[Command, ...]:
        return self.tell(ExecutionStarted(self.at)).commands

    def recover(self) -> tuple[Command, ...]:
        return self.tell(ExecutionRecovered(self.at)).commands

    def stop(self) -> tuple[Command, ...]:
        return self.tell(StopRequested(self.at)).commands

    def send(self, key: str, *verdicts: int) -> tuple[Command, ...]:
        return self.tell(EventSent(self.at, key), frozenset(verdicts)).commands

    def act(self, task: str, action: TaskAction) -> tuple[Command, ...]:
        return self.tell(TaskActionRequested(self.at, task, action)).commands

    def run(self, *tasks: str) -> None:
        """Let the bodies of the attempts that these tasks are at begin."""
        for name in tasks:
            task = self.task(name)
            self.tell(TaskStarted(self.at, name, task.sequence_number, task.try_number))

    def end(self, task: str, status: TaskStatus = TaskStatus.SUCCESS) -> tuple[Command, ...]:
        return self.tell(self.ended(task, status)).commands

    def fail(self, task: str, *, retryable: bool = True) -> tuple[Command, ...]:
        return self.tell(self.ended(task, TaskStatus.FAILED, retryable=retryable)).commands

    def fall_due(self, task: str) -> tuple[Command, ...]:
        now = self.task(task)
        fact = RetryFellDue(self.at, task, now.sequence_number, now.try_number)
        return self.tell(fact).commands

    def pass_period(self, task: str, number: int) -> tuple[Command, ...]:
        return self.tell(PeriodPassed(self.at, task, number)).commands

    def ended(
        self,
        name: str,
        status: TaskStatus = TaskStatus.SUCCESS,
        *,
        context: Mapping[str, str | None] | None = None,
        retryable: bool = True,
    ) -> TaskEnded:
        """Return the end of the attempt that a task is at."""
        error = "ValueError: no" if status is TaskStatus.FAILED else None
        task, outcome = self.task(name), Outcome(status, error=error)
        number, attempt = task.sequence_number, task.try_number
        changed = dict(context or {})
        return TaskEnded(self.at, name, number, attempt, outcome, changed, retryable=retryable)

    def task(self, name: str) -> TaskState:
        return self.state.task(name)

    def status(self, name: str) -> TaskStatus:
        return self.state.task(name).status

    def kept(self) -> list[TaskState]:
        """Return the latest row of each task, as a store would."""
        latest: dict[str, TaskState] = {}
        for name, number in sorted(self.rows):
            latest[name] = self.rows[name, number].state
        return list(latest.values())

    def taken_over(self, plan: Plan | None = None) -> Self:
        """Return what the next owner makes of the rows, perhaps under a newer plan."""
        now = plan or self.plan
        state = ExecutionState.restore(
            now, self.state.head, self.kept(), self.state.context, self.state.cells
        )
        return type(self)(now, state, dict(self.rows), self.at, list(self.closings))
