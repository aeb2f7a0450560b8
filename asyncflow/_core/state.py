"""Where one execution and its tasks stand: frozen values, as a store keeps them.

Nothing here chooses what comes next; `decide` does.
"""

from datetime import datetime

from asyncflow._frozen import value
from asyncflow._model.status import EventPhase, ExecutionType, TaskStatus, WorkflowStatus


@value(frozen=True, slots=True)
class Head:
    """What an execution is as a whole.

    Attributes:
        stopping: `stop` was asked for: nothing new starts.
        error: the first error of its tasks, with the task's name.
        parked_reason: why it cannot go on under the definitions that are loaded.
        heard: offset of the last event that came by letter; an earlier one is told again.
        recoveries: how often it began again after a crash, since a run of a task has ended.
    """

    status: WorkflowStatus = WorkflowStatus.INIT
    stopping: bool = False
    begin: datetime | None = None
    end: datetime | None = None
    error: str | None = None
    parked_reason: str | None = None
    heard: int = 0
    recoveries: int = 0

    # Two changes that each execution sees, without `dataclasses.replace`; see `TaskState`.

    def begun(self, at: datetime) -> "Head":
        """Return it RUNNING."""
        running, error = WorkflowStatus.RUNNING, self.error
        return Head(running, self.stopping, at, self.end, error, None, self.heard, self.recoveries)

    def ended(self, status: WorkflowStatus, at: datetime) -> "Head":
        """Return it at its end."""
        begin, error = self.begin, self.error
        return Head(status, self.stopping, begin, at, error, None, self.heard, self.recoveries)


@value(frozen=True, slots=True)
class TaskState:
    """Where the latest run of one task stands.

    Attributes:
        sequence_number: how often the task was started, 0 if never.
        try_number: attempts of this run, crashes included.
        failures: attempts of this run that failed; retries are counted against it.
        again: the type of a start that waits until this run has stopped.
        due: when the next attempt may begin, while RETRYING.
        period: the number of the last period that was counted for this task; see `periods`.
        awaits: this run has made events that may wait still; they are closed with its end.
    """

    name: str
    sequence_number: int = 0
    try_number: int = 0
    status: TaskStatus = TaskStatus.INIT
    execution_type: ExecutionType = ExecutionType.EVENT
    failures: int = 0
    again: ExecutionType | None = None
    begin: datetime | None = None
    end: datetime | None = None
    due: datetime | None = None
    period: int = 0
    awaits: bool = False

    def next_run(self, kind: ExecutionType) -> "TaskState":
        """Return another run of the task, with its first attempt QUEUED."""
        number, period = self.sequence_number + 1, self.period
        return TaskState(self.name, number, 1, TaskStatus.QUEUED, kind, period=period)

    def next_attempt(self) -> "TaskState":
        """Return the run with one more attempt, which is QUEUED."""
        return self._moved(TaskStatus.QUEUED, self.try_number + 1, self.again, self.begin, self.end)

    def running(self, at: datetime) -> "TaskState":
        """Return the run with its attempt RUNNING; its first began it."""
        begin = self.begin or at
        return self._moved(TaskStatus.RUNNING, self.try_number, self.again, begin, self.end)

    def ended(self, status: TaskStatus, began: datetime | None, at: datetime) -> "TaskState":
        """Return the run at its end; its first attempt began it. No start waits for that now."""
        return self._moved(status, self.try_number, None, self.begin or began, at)

    def awaiting(self) -> "TaskState":
        """Return the run with an event that it has made."""
        number, again, begin, end = self.try_number, self.again, self.begin, self.end
        return self._moved(self.status, number, again, begin, end, due=self.due, awaits=True)

    def _moved(
        self,
        status: TaskStatus,
        try_number: int,
        again: ExecutionType | None,
        begin: datetime | None,
        end: datetime | None,
        *,
        due: datetime | None = None,
        awaits: bool | None = None,
    ) -> "TaskState":
        # `dataclasses.replace` takes four times as long, and each task does this three times.
        return TaskState(
            self.name,
            self.sequence_number,
            try_number,
            status,
            self.execution_type,
            self.failures,
            again,
            begin,
            end,
            due,
            self.period,
            self.awaits if awaits is None else awaits,
        )


@value(frozen=True, slots=True)
class Outcome:
    """How an attempt of a task ended; what is kept beside its state.

    Attributes:
        result: JSON text, None for nothing.
        error: ``"ValueError: text"``, None unless it failed.
        abandoned: it was told to stop and did not; its late result is refused.
        metrics: JSON object as text, what the operator said of its work at the end.
    """

    status: TaskStatus
    result: str | None = None
    error: str | None = None
    traceback: str | None = None
    abandoned: bool = False
    metrics: str | None = None


@value(frozen=True, slots=True)
class Closing:
    """One run of a task is over: what it awaits still is closed at ``at``.

    What is past its deadline by then is TIMED_OUT, whatever ``phase`` says.
    """

    task: str
    sequence_number: int
    phase: EventPhase
    at: datetime
