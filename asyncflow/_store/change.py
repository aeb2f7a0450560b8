"""What somebody changes by a call, one transaction each: values only, the same for every store."""

from datetime import datetime
from typing import TypeAlias

from asyncflow._frozen import value
from asyncflow._model.record import ScheduleRecord, TriggerRecord


@value(frozen=True, slots=True)
class SetEnabled:
    """Let a workflow be started, or refuse new executions of it; those that run go on."""

    namespace: str
    workflow: str
    enabled: bool


@value(frozen=True, slots=True)
class DeleteWorkflow:
    """Remove the ended executions of a workflow, with their events, states, logs and rules.

    And its schedules, the histories of both its schedules and its triggers, and the latter's
    cursors; the triggers stay.
    """

    namespace: str
    workflow: str


@value(frozen=True, slots=True)
class AddRule:
    """Keep a workflow rule; one that is there already stays as it is, also if it is paused."""

    namespace: str
    workflow: str
    name: str


@value(frozen=True, slots=True)
class SetRulePaused:
    """Pause a workflow rule or let it act again; no effect on one that is not there."""

    namespace: str
    workflow: str
    name: str
    paused: bool


@value(frozen=True, slots=True)
class DropRule:
    """Forget a workflow rule."""

    namespace: str
    workflow: str
    name: str


@value(frozen=True, slots=True)
class AddTriggers:
    """Keep triggers; of one that is there already ``enabled``, ``cursor`` and ``created`` stay.

    Nothing is written for one that is there already as it is.
    """

    triggers: tuple[TriggerRecord, ...]


@value(frozen=True, slots=True)
class SetTriggerEnabled:
    """Let a trigger poll, or not; no effect on one that is not there."""

    namespace: str
    trigger: str
    enabled: bool
    at: datetime


@value(frozen=True, slots=True)
class PutSchedule:
    """Keep a schedule, if the one of its name still has the version ``instead_of``.

    Its row gets a fresh version; ``created`` and ``last_run`` of an older row stay, and its
    ``answered`` never goes back.

    Attributes:
        instead_of: None if there must be none of its name.
    """

    schedule: ScheduleRecord
    instead_of: int | None


@value(frozen=True, slots=True)
class DropSchedule:
    """Forget a schedule and its history."""

    namespace: str
    schedule: str


Change: TypeAlias = (
    SetEnabled
    | DeleteWorkflow
    | AddRule
    | SetRulePaused
    | DropRule
    | AddTriggers
    | SetTriggerEnabled
    | PutSchedule
    | DropSchedule
)
"""What an operator of the service changes; each is one transaction."""
