"""What has happened: the only inputs of `decide`. Named in the past tense, frozen, never wrong.

Time and chance arrive in the fact: who decides it again later decides the same. A fact may come
late, twice or out of order; what it names (task, sequence number, attempt) tells whether it still
matters.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import TypeAlias

from asyncflow._core.state import Outcome
from asyncflow._frozen import value
from asyncflow._model.status import TaskAction


@value(frozen=True, slots=True)
class ExecutionStarted:
    """A runner took up an execution that had not begun."""

    at: datetime


@value(frozen=True, slots=True)
class ExecutionRecovered:
    """A runner took over an execution whose last owner is gone; none of its tasks works now.

    Attributes:
        redefined: it goes on under another definition than the one it last went on under.
        attempts: of the tasks that were alive when it was taken over: task, sequence and try
            number. What letters have started since works already. None: all that are alive.
    """

    at: datetime
    redefined: bool = False
    attempts: frozenset[tuple[str, int, int]] | None = None


@value(frozen=True, slots=True)
class RecoverySurvived:
    """The process lives on although the execution began again: it is not what ends processes."""

    at: datetime


@value(frozen=True, slots=True)
class EventSent:
    """An event that this execution may react to was sent.

    Attributes:
        faults: what conditions raised that were asked about it, with their tasks' names.
        cells: what conditions changed in users' states, by name; None clears.
        offset: of one that came by letter, and may come again; they come in order.
    """

    at: datetime
    key: str
    faults: tuple[str, ...] = ()
    cells: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    offset: int | None = None


@value(frozen=True, slots=True)
class CellWritten:
    """A task changed a user's state; a text of None cleared it."""

    at: datetime
    name: str
    text: str | None


@value(frozen=True, slots=True)
class TaskStarted:
    """The body of an attempt began."""

    at: datetime
    task: str
    sequence_number: int
    try_number: int


@value(frozen=True, slots=True)
class EventAwaited:
    """An attempt came to await an event, or found it as an earlier one left it."""

    at: datetime
    task: str
    sequence_number: int
    try_number: int
    name: str


@value(frozen=True, slots=True)
class TaskEnded:
    """An attempt is over.

    Attributes:
        context: what a successful attempt changed, by key; None deletes.
        dice: a number in [0, 1) that spreads retries.
        retryable: False if another attempt could only fail likewise.
        began: when its body began: a short one is over before its `TaskStarted` is decided on,
            which then is not told any more. None if the body never began.
    """

    at: datetime
    task: str
    sequence_number: int
    try_number: int
    outcome: Outcome
    context: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    dice: float = 0.0
    retryable: bool = True
    began: datetime | None = None


@value(frozen=True, slots=True)
class RetryFellDue:
    """The pause after the attempt ``try_number`` is over."""

    at: datetime
    task: str
    sequence_number: int
    try_number: int


@value(frozen=True, slots=True)
class PeriodPassed:
    """A period of a periodic task is over; `periods` says how they are numbered."""

    at: datetime
    task: str
    number: int


@value(frozen=True, slots=True)
class TaskActionRequested:
    """Somebody asked for an action on one task by a call."""

    at: datetime
    task: str
    action: TaskAction


@value(frozen=True, slots=True)
class StopRequested:
    """Somebody asked for the whole execution to stop."""

    at: datetime


Fact: TypeAlias = (
    ExecutionStarted
    | ExecutionRecovered
    | RecoverySurvived
    | EventSent
    | CellWritten
    | TaskStarted
    | EventAwaited
    | TaskEnded
    | RetryFellDue
    | PeriodPassed
    | TaskActionRequested
    | StopRequested
)
