"""What to do about it: outputs of `decide`. Named in the imperative, frozen.

A command is committed before it is carried out, and may be carried out again after a crash; its
fields tell the one carrying it out whether it did so already.
"""

from datetime import datetime
from typing import TypeAlias

from asyncflow._frozen import value
from asyncflow._model.status import WorkflowStatus


@value(frozen=True, slots=True)
class StartTask:
    """Run the body of a task.

    Attributes:
        last: a failure of this attempt is not retried.
        lost: its process died and it may not run again: only call its callbacks, and tell its end.
    """

    task: str
    sequence_number: int
    try_number: int
    last: bool
    lost: bool = False


@value(frozen=True, slots=True)
class StopTask:
    """End the body of a task, and say so with a `TaskEnded`, also if it never began."""

    task: str
    sequence_number: int
    try_number: int


@value(frozen=True, slots=True)
class SetTimer:
    """Say `RetryFellDue` at ``due``, not before."""

    task: str
    sequence_number: int
    try_number: int
    due: datetime


@value(frozen=True, slots=True)
class CancelTimer:
    """The retry of this task is not wanted any more."""

    task: str
    sequence_number: int


@value(frozen=True, slots=True)
class SetPeriod:
    """Say `PeriodPassed` at ``due``, not before; one that was set for this task is not wanted."""

    task: str
    number: int
    due: datetime


@value(frozen=True, slots=True)
class CancelPeriods:
    """No period of any task of this execution is waited for any more."""


@value(frozen=True, slots=True)
class EndExecution:
    """The execution is over: tell those who wait for it."""

    status: WorkflowStatus


Command: TypeAlias = (
    StartTask | StopTask | SetTimer | CancelTimer | SetPeriod | CancelPeriods | EndExecution
)
