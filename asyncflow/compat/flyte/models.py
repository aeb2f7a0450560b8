"""Flyte's phases of a run."""

from enum import StrEnum

from asyncflow import WorkflowStatus


class ActionPhase(StrEnum):
    """Where a run is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ABORTED = "ABORTED"

    @property
    def is_terminal(self) -> bool:
        """Whether it stays so."""
        return self not in {ActionPhase.QUEUED, ActionPhase.RUNNING}


PHASES = {
    WorkflowStatus.INIT: ActionPhase.QUEUED,
    WorkflowStatus.RUNNING: ActionPhase.RUNNING,
    WorkflowStatus.SUCCESS: ActionPhase.SUCCEEDED,
    WorkflowStatus.FAILED: ActionPhase.FAILED,
    WorkflowStatus.STOPPED: ActionPhase.ABORTED,
}
