"""The statuses and actions, as their users write them; which may follow which is decided above.

The members and values are those of the AIFlow documents. `StrEnum` and not ``(str, Enum)``: an
f-string of the latter prints the member's path.
"""

from enum import StrEnum


class TaskStatus(StrEnum):
    """Where a task execution is in its life.

    INIT: it has not run yet. QUEUED: its start is on disk. RUNNING: its body works.
    SUCCESS, FAILED, STOPPED: its body has ended so. STOPPING: it was told to stop and has not
    ended yet. RETRYING: an attempt failed, the next one is due.
    """

    INIT = "INIT"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    RETRYING = "RETRYING"

    alive: bool
    """Whether something of it is still to come without a new start."""
    ended: bool
    """Whether it ran and is over."""

    def __init__(self, text: str) -> None:
        """Note once what is asked often."""
        self.alive = text in {"QUEUED", "RUNNING", "STOPPING", "RETRYING"}
        self.ended = text in {"SUCCESS", "FAILED", "STOPPED"}


class WorkflowStatus(StrEnum):
    """Where a workflow execution is in its life: INIT and RUNNING go on, the others are final."""

    INIT = "INIT"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    final: bool
    """Whether it has ended; final is final."""

    def __init__(self, text: str) -> None:
        """Note once what is asked often."""
        self.final = text in {"SUCCESS", "FAILED", "STOPPED"}


class TaskAction(StrEnum):
    """What a rule asks of a task."""

    START = "START"
    STOP = "STOP"
    RESTART = "RESTART"


class ExecutionType(StrEnum):
    """Why an execution started: by a call, by an event or rule, or by a schedule."""

    MANUAL = "MANUAL"
    EVENT = "EVENT"
    PERIODIC = "PERIODIC"


class EventPhase(StrEnum):
    """Where an event is in its life: RUNNING while a task awaits it; the others are final.

    SUCCEEDED: it was sent or signalled. FAILED: its task failed without it. TIMED_OUT: its time was
    over. ABORTED: its task ended, or was stopped, without it.
    """

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
