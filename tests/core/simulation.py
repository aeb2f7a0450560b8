"""A worker that carries commands out as badly as it may: late, crossed, crashing, but honest."""

from dataclasses import dataclass, field
from random import Random
from typing import assert_never

from asyncflow._core.commands import (
    CancelPeriods,
    CancelTimer,
    Command,
    EndExecution,
    SetPeriod,
    SetTimer,
    StartTask,
    StopTask,
)
from asyncflow._core.decide import TRIES, gave_up
from asyncflow._core.facts import (
    EventAwaited,
    EventSent,
    Fact,
    RetryFellDue,
    TaskEnded,
    TaskStarted,
)
from asyncflow._core.plan import Plan
from asyncflow._core.state import Outcome
from asyncflow._model.status import TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import Play

ENDS = (TaskStatus.SUCCESS, TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.STOPPED)


@dataclass(slots=True)
class Worker:
    """Bodies and timers of one execution, ended and fired in an order that chance chooses."""

    play: Play
    chance: Random
    plans: tuple[Plan, ...]
    bodies: dict[str, StartTask] = field(default_factory=dict[str, StartTask])
    begun: set[str] = field(default_factory=set[str])
    stopping: set[str] = field(default_factory=set[str])
    timers: dict[str, SetTimer] = field(default_factory=dict[str, SetTimer])
    periods: dict[str, SetPeriod] = field(default_factory=dict[str, SetPeriod])
    ends: list[WorkflowStatus] = field(default_factory=list[WorkflowStatus])
    awaits: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    @property
    def closed(self) -> list[tuple[str, int]]:
        """Return the runs of which was said that they await nothing any more."""
        return [(each.task, each.sequence_number) for each in self.play.closings]

    @property
    def idle(self) -> bool:
        return not (self.bodies or self.timers)

    @property
    def _parked(self) -> bool:
        return self.play.state.head.parked_reason is not None

    def carry_out(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        assert not self.ends
        match command:
            case StartTask(task=task):
                assert task not in self.bodies
                assert task not in self.timers
                self.bodies[task] = command
            case StopTask(task=task):
                body = self._body(command)
                asked = (command.sequence_number, command.try_number)
                assert asked == (body.sequence_number, body.try_number)
                self.stopping.add(task)
            case SetTimer(task=task):
                assert task not in self.bodies
                self.timers[task] = command
            case CancelTimer(task=task):
                timer = self.timers.pop(task, None)
                assert timer is not None or self._parked
            case SetPeriod(task=task):
                self.periods[task] = command
            case CancelPeriods():
                self.periods.clear()
            case EndExecution(status=status):
                assert not self.periods
                assert self.idle
                self.ends.append(status)
            case _:
                assert_never(command)

    def _body(self, stop: StopTask) -> StartTask:
        """Return the body to stop; in a parked execution it never began."""
        if not self._parked:
            return self.bodies[stop.task]
        body = StartTask(stop.task, stop.sequence_number, stop.try_number, last=True)
        return self.bodies.setdefault(stop.task, body)

    def step(self) -> None:
        """Let one body begin or end, or one timer fire."""
        task = self.chance.choice([*self.bodies, *self.timers])
        if task in self.timers:
            timer = self.timers.pop(task)
            self.play.at = max(self.play.at, timer.due)
            self._tell(RetryFellDue(timer.due, task, timer.sequence_number, timer.try_number))
        elif task not in self.begun and self.chance.random() < 0.7:
            self.begun.add(task)
            body = self.bodies[task]
            self._tell(TaskStarted(self.play.at, task, body.sequence_number, body.try_number))
        elif task not in self.stopping and self.chance.random() < 0.2:
            self._ask(task)
        else:
            self._end(task)

    def _ask(self, task: str) -> None:
        """Let a body await an event."""
        body = self.bodies[task]
        if body.lost or self._parked:
            return
        attempt = (body.sequence_number, body.try_number)
        self.awaits.add((task, body.sequence_number))
        self._tell(EventAwaited(self.play.at, task, *attempt, "e"))

    def _end(self, task: str) -> None:
        body, told_to_stop = self.bodies.pop(task), task in self.stopping
        self.begun.discard(task)
        self.stopping.discard(task)
        if body.lost:
            lost = Outcome(TaskStatus.FAILED)
            attempt = (body.sequence_number, body.try_number)
            self._tell(TaskEnded(self.play.at, task, *attempt, lost, retryable=False))
            return
        obeys = told_to_stop and self.chance.random() < 0.7
        status = TaskStatus.STOPPED if obeys else self.chance.choice(ENDS)
        attempt = (body.sequence_number, body.try_number)
        dice = self.chance.random()
        self._tell(TaskEnded(self.play.at, task, *attempt, Outcome(status), dice=dice))
        another = status is TaskStatus.FAILED and not (body.last or told_to_stop)
        outcome = self.play.rows[task, body.sequence_number].outcome
        assert outcome is not None
        assert (outcome.status is TaskStatus.RETRYING) == another

    def send(self, key: str) -> None:
        self._tell(EventSent(self.play.at, key))

    def crash(self) -> None:
        """Lose all that works and all that is in memory, once or as often as it is tried.

        The next owner goes on from the rows, under the definition that it knows.
        """
        often = self.chance.random() < 0.2
        for _ in range(TRIES + 1 if often else 1):
            self._crash()
        if gave_up(self.play.state.head):
            self._help()

    def _crash(self) -> None:
        self.bodies.clear()
        self.timers.clear()
        self.periods.clear()
        self.begun.clear()
        self.stopping.clear()
        self.play = self.play.taken_over(self.chance.choice(self.plans))
        self.carry_out(self.play.recover())

    def _help(self) -> None:
        """Try again what was given up; some of it may be gone, and then nobody can."""
        task = self.chance.choice([*self.play.plan.tasks])
        action = self.chance.choice((TaskAction.START, TaskAction.RESTART))
        self.carry_out(self.play.act(task, action))

    def stop(self) -> None:
        self.carry_out(self.play.stop())

    def _tell(self, fact: Fact) -> None:
        self.carry_out(self.play.tell(fact).commands)
        if self.chance.random() < 0.1:  # whoever told it is not sure, and tells it again
            self.carry_out(() if isinstance(fact, EventSent) else self.play.tell(fact).commands)
