"""Carries out commands, one method for each; they are on disk by then. It chooses nothing."""

from typing import TypeVar, assert_never

from asyncflow._clock import Clock
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
from asyncflow._core.facts import PeriodPassed, RetryFellDue
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._runner.task_runner import TaskRunner
from asyncflow._timer import Timer

K = TypeVar("K")


class Dispatcher:
    """Turns commands into bodies and timers."""

    def __init__(self, clock: Clock, tasks: TaskRunner) -> None:
        """Start bodies in ``tasks``; `driver` must be set before the first command."""
        self.driver: Driver
        self._clock = clock
        self._tasks = tasks
        self._timers: dict[tuple[int, str, int], Timer] = {}
        self._periods: dict[tuple[int, str], Timer] = {}
        self._closed = False

    def __call__(self, live: LiveExecution, command: Command) -> None:  # noqa: C901  one arm for each
        """Carry out one command."""
        match command:
            case StartTask():
                self._tasks.start(self.driver, live, command)
            case StopTask():
                self._tasks.stop(self.driver, live, command)
            case SetTimer():
                self._set_timer(live, command)
            case CancelTimer():
                _cancel(self._timers, (live.id, command.task, command.sequence_number))
            case SetPeriod():
                self._set_period(live, command)
            case CancelPeriods():
                for task in live.plan.periodic:
                    _cancel(self._periods, (live.id, task.name))
            case EndExecution():
                pass  # the driver lets go of an execution whose head is final, and wakes waiters
            case _:
                assert_never(command)

    def close(self) -> None:
        """Let no timer fire any more; the next owner sets them anew."""
        self._closed = True
        for timer in (*self._timers.values(), *self._periods.values()):
            timer.cancel()
        self._timers.clear()
        self._periods.clear()

    def _set_timer(self, live: LiveExecution, command: SetTimer) -> None:
        if self._closed:
            return
        key = (live.id, command.task, command.sequence_number)

        def fire() -> None:
            del self._timers[key]
            number = command.sequence_number
            fact = RetryFellDue(self._clock.now(), command.task, number, command.try_number)
            self.driver.put(Told(live, fact))

        _cancel(self._timers, key)
        self._timers[key] = self.driver.call_at_time(command.due, fire)

    def _set_period(self, live: LiveExecution, command: SetPeriod) -> None:
        if self._closed:
            return
        key = (live.id, command.task)

        def fire() -> None:
            del self._periods[key]
            self.driver.put(
                Told(live, PeriodPassed(self._clock.now(), command.task, command.number))
            )

        _cancel(self._periods, key)
        self._periods[key] = self.driver.call_at_time(command.due, fire)


def _cancel(timers: dict[K, Timer], key: K) -> None:
    """Cancel a timer, if there is one: it is told again, or not wanted any more."""
    timer = timers.pop(key, None)
    if timer is not None:
        timer.cancel()
