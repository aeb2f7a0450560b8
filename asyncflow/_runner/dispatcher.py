"""Carries out commands, one method for each; they are on disk by then. It chooses nothing."""

from typing import assert_never

from asyncflow._clock import Clock
from asyncflow._core.commands import (
    CancelTimer,
    Command,
    EndExecution,
    SetTimer,
    StartTask,
    StopTask,
)
from asyncflow._core.facts import RetryFellDue
from asyncflow._failpoint import hit
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._runner.task_runner import TaskRunner
from asyncflow._timer import Timer


class Dispatcher:
    """Turns commands into bodies and timers."""

    def __init__(self, clock: Clock, tasks: TaskRunner) -> None:
        """Start bodies in ``tasks``; `driver` must be set before the first command."""
        self.driver: Driver
        self._clock = clock
        self._tasks = tasks
        self._timers: dict[tuple[int, str, int], Timer] = {}
        self._closed = False

    def __call__(self, live: LiveExecution, command: Command) -> None:
        """Carry out one command."""
        match command:
            case StartTask():
                self._tasks.start(self.driver, live, command)
            case StopTask():
                self._tasks.stop(self.driver, live, command)
            case SetTimer():
                self._set_timer(live, command)
            case CancelTimer():
                key = (live.id, command.task, command.sequence_number)
                timer = self._timers.pop(key, None)
                if timer is not None:
                    timer.cancel()
            case EndExecution():
                pass  # the driver lets go of an execution whose head is final, and wakes waiters
            case _:
                assert_never(command)

    def close(self) -> None:
        """Let no timer fire any more; the next owner sets them anew."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _set_timer(self, live: LiveExecution, command: SetTimer) -> None:
        if self._closed:
            return
        key = (live.id, command.task, command.sequence_number)

        def fire() -> None:
            hit("timer.fire.before")
            del self._timers[key]
            number = command.sequence_number
            fact = RetryFellDue(self._clock.now(), command.task, number, command.try_number)
            self.driver.put(Told(live, fact))

        earlier = self._timers.get(key)
        if earlier is not None:  # told again
            earlier.cancel()
        self._timers[key] = self._clock.call_at_time(command.due, fire)
