"""Every error that asyncflow raises on purpose: each names the thing and the way out.

AsyncflowError
├── DefinitionError              (ValueError) a workflow is declared wrongly; nothing is registered
│   └── DuplicateTaskError       two tasks of one workflow have one name
├── UsageError                   (RuntimeError) a call that cannot work where it is made
│   └── SyncInLoopError          a blocking form on a thread that runs an event loop
├── NotFoundError                (LookupError)
│   ├── WorkflowNotFoundError    no workflow of that name is declared
│   ├── TaskNotFoundError        the workflow has no task of that name
│   ├── ExecutionNotFoundError   the store has no workflow execution of that name
│   ├── RuleNotFoundError        the workflow has no workflow rule of that name
│   ├── EventNotFoundError       an awaited event was deleted with its workflow
│   └── ListenerNotFoundError    no listener of that id listens
├── ExecutionExistsError         (ValueError) an execution of that name is stored already
├── ExecutionParkedError         the execution waits for somebody to help it
├── WorkflowDisabledError        new executions of the workflow are refused
├── WorkflowInUseError           the workflow has executions that have not ended
├── TooLargeError                (ValueError) a value is over the size that a store accepts
├── EventTypeError               (TypeError) the payload is not of the type that the event declares
├── EventAlreadyExistsError      (ValueError) the task waits for an event of that name already
├── EventAlreadySignalledError   the event was signalled with another payload
├── EventClosedError             the event waits no more: nobody signalled it in its time
│   └── EventTimedOutError       (TimeoutError) its time was over
├── WaitTimeoutError             (TimeoutError) the thing waited for did not come in time
├── BashError                    (ChildProcessError) a command of a BashOperator failed
└── StoreError                   (OSError) the store cannot keep what it should
    ├── StoreLocationError       (ValueError) the address names no database that can be opened
    ├── StoreVersionError        the database was written by a newer asyncflow
    ├── StoreReadOnlyError       (PermissionError) the database cannot be written
    ├── StorageFullError         the disk is full; it goes on once there is space
    ├── StoreDamagedError        the database is damaged, or was cut off
    ├── StoreGoneError           (FileNotFoundError) the open database was deleted or replaced
    └── FencedError              this runner was replaced; another one owns what it wrote to

`TaskStopped` stands outside the tree: it is a `BaseException`, because it ends a task that was
told to stop and must pass through the task's own ``except Exception``.
"""

import errno
import signal


class AsyncflowError(Exception):
    """The root of all errors that asyncflow raises on purpose."""


class DefinitionError(AsyncflowError, ValueError):
    """A workflow, a task or a rule is declared wrongly; nothing was registered."""


class DuplicateTaskError(DefinitionError):
    """Two tasks of one workflow have the same name."""

    def __init__(self, task: str, workflow: str) -> None:
        """Name the task and its workflow."""
        self.task = task
        self.workflow = workflow
        super().__init__(
            f"workflow {workflow!r} has a task {task!r} already: give the second one another name"
        )


class UsageError(AsyncflowError, RuntimeError):
    """A call that cannot work where, or when, it is made."""


class SyncInLoopError(UsageError):
    """A blocking form was called on a thread that runs an event loop."""

    def __init__(self, name: str, instead: str | None = None) -> None:
        """Name the call; the message says what to do instead: by default, to await its `aio`."""
        self.name = name
        way_out = instead if instead is not None else f"await {name}.aio() instead"
        super().__init__(f"{name}() would block the running event loop: {way_out}")


class NotFoundError(AsyncflowError, LookupError):
    """Something was asked for by a name that nothing has."""


class WorkflowNotFoundError(NotFoundError):
    """No workflow of that name is declared in the registry."""

    def __init__(
        self, workflow: str, namespace: str, known: tuple[str, ...] = (), wanted_by: str = ""
    ) -> None:
        """Name what was asked for, what there is, and who asked, if that was no call."""
        self.workflow = workflow
        self.namespace = namespace
        there = ", ".join(map(repr, known)) or "none"
        wanted = f"{wanted_by}, starts a workflow that is not there: " if wanted_by else ""
        super().__init__(
            f"{wanted}no workflow {workflow!r} in namespace {namespace!r} (declared there: "
            f"{there}): import the module that declares it, before it is started"
        )


class TaskNotFoundError(NotFoundError):
    """The workflow has no task of that name."""

    def __init__(self, task: str, workflow: str, known: tuple[str, ...] = ()) -> None:
        """Name what was asked for, and what there is."""
        self.task = task
        self.workflow = workflow
        there = ", ".join(map(repr, known)) or "none"
        super().__init__(f"workflow {workflow!r} has no task {task!r}; its tasks are: {there}")


class ExecutionNotFoundError(NotFoundError):
    """The store has no workflow execution of that name."""

    def __init__(self, execution: str) -> None:
        """Name what was asked for."""
        self.execution = execution
        super().__init__(
            f"no workflow execution {execution!r} in this store: "
            "WorkflowExecution.listall() shows those that it has"
        )


class RuleNotFoundError(NotFoundError):
    """The workflow has no workflow rule of that name."""

    def __init__(self, rule: str, workflow: str, known: tuple[str, ...] = ()) -> None:
        """Name what was asked for, and what there is."""
        self.rule = rule
        self.workflow = workflow
        there = ", ".join(map(repr, known)) or "none"
        super().__init__(
            f"workflow {workflow!r} has no workflow rule {rule!r}; its rules are: {there}"
        )


class TriggerNotFoundError(NotFoundError):
    """No runner has loaded a trigger of that name; to fire one by hand: this process has none."""

    def __init__(self, trigger: str, namespace: str, known: tuple[str, ...] = ()) -> None:
        """Name what was asked for, and what there is."""
        self.trigger = trigger
        self.namespace = namespace
        there = ", ".join(map(repr, known)) or "none"
        super().__init__(
            f"no trigger {trigger!r} in namespace {namespace!r} (there: {there}): "
            "a trigger is known once a runner has loaded it, and fired where it is declared"
        )


class ScheduleNotFoundError(NotFoundError):
    """The store has no schedule of that name."""

    def __init__(self, schedule: str, namespace: str, known: tuple[str, ...] = ()) -> None:
        """Name what was asked for, and what there is."""
        self.schedule = schedule
        self.namespace = namespace
        there = ", ".join(map(repr, known)) or "none"
        super().__init__(
            f"no schedule {schedule!r} in namespace {namespace!r} (there: {there}): "
            "register_schedule() makes one"
        )


class ListenerNotFoundError(NotFoundError):
    """No listener of that id listens."""

    def __init__(self, listener: str) -> None:
        """Name what was asked for."""
        self.listener = listener
        super().__init__(
            f"no listener {listener!r} listens here: it was unregistered, its task has ended, "
            "or it was registered with another client"
        )


class ExecutionExistsError(AsyncflowError, ValueError):
    """A workflow execution of that name is stored already."""

    def __init__(self, execution: str) -> None:
        """Name the execution."""
        self.execution = execution
        super().__init__(
            f"there is a workflow execution {execution!r} already: "
            "give another name, or none to have one made"
        )


class ExecutionParkedError(AsyncflowError):
    """The execution does not go on until somebody does what its reason says."""

    def __init__(self, execution: str, reason: str) -> None:
        """Name the execution, what it waits for, and what is to be done."""
        self.execution = execution
        self.reason = reason
        super().__init__(f"workflow execution {execution!r} is parked: {reason}")


class WorkflowDisabledError(AsyncflowError):
    """New executions of the workflow are refused; those that run go on."""

    def __init__(self, workflow: str, namespace: str) -> None:
        """Name the workflow."""
        self.workflow = workflow
        self.namespace = namespace
        super().__init__(
            f"workflow {workflow!r} in namespace {namespace!r} is disabled: "
            "enable_workflow() lets it be started again"
        )


class WorkflowInUseError(AsyncflowError):
    """The workflow has executions that have not ended; nothing was deleted."""

    def __init__(self, workflow: str, namespace: str, executions: tuple[str, ...]) -> None:
        """Name the workflow, and some of its executions."""
        self.workflow = workflow
        self.namespace = namespace
        self.executions = executions
        super().__init__(
            f"workflow {workflow!r} in namespace {namespace!r} cannot be deleted while executions "
            f"of it run: {', '.join(map(repr, executions))}; stop them and wait for their ends"
        )


class TooLargeError(AsyncflowError, ValueError):
    """A value is over the size that a store accepts; nothing was stored."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        """Name the value, its size and the limit, both in bytes."""
        self.what = what
        self.size = size
        self.limit = limit
        super().__init__(
            f"{what} has {size:,} bytes of JSON, the limit is {limit:,}: "
            "store the data elsewhere and pass a reference to it"
        )


class EventNotFoundError(NotFoundError):
    """An event that a task awaited was deleted with its workflow."""

    def __init__(self, event: str, run_name: str) -> None:
        """Name the event and its workflow execution."""
        self.event = event
        self.run_name = run_name
        super().__init__(
            f"no event {event!r} of workflow execution {run_name!r} in this store: "
            "Event.listall(run_name) shows those that it has"
        )


class EventTypeError(AsyncflowError, TypeError):
    """A payload is not of the type that its event declares; nothing was stored."""

    def __init__(self, event: str, expected: str, given: str) -> None:
        """Name the event, the type that it declares, and what was given."""
        self.event = event
        self.expected = expected
        super().__init__(f"event {event!r} takes a payload of type {expected}, not {given}")


class EventAlreadyExistsError(AsyncflowError, ValueError):
    """A task that waits for an event asked for another of the same name."""

    def __init__(self, event: str, task: str) -> None:
        """Name the event and the task."""
        self.event = event
        self.task = task
        super().__init__(
            f"task {task!r} waits for an event {event!r} already: give the second one another "
            "name, or wait for the first before"
        )


class EventAlreadySignalledError(AsyncflowError):
    """An event was signalled before, with another payload; that one holds."""

    def __init__(self, event: str, run_name: str) -> None:
        """Name the event and its workflow execution."""
        self.event = event
        self.run_name = run_name
        whose = f" of workflow execution {run_name!r}" if run_name else ""
        super().__init__(
            f"event {event!r}{whose} was signalled already, with another payload: event.refresh() "
            "shows it"
        )


class EventClosedError(AsyncflowError):
    """An event waits no more: its time was over, or its task ended without it."""

    def __init__(self, event: str, run_name: str, phase: str) -> None:
        """Name the event, its workflow execution, and what became of it."""
        self.event = event
        self.run_name = run_name
        self.phase = phase
        super().__init__(
            f"event {event!r} of workflow execution {run_name!r} is {phase}: nobody waits for it, "
            "and it takes no payload any more"
        )


class EventTimedOutError(EventClosedError, TimeoutError):
    """Nobody signalled an event in its time, which counts from when it was made."""


class WaitTimeoutError(AsyncflowError, TimeoutError):
    """What was waited for did not come in time; it may still come later."""


class BashError(AsyncflowError, ChildProcessError):
    """A command of a `BashOperator` ended with a return code other than 0, or by a signal."""

    def __init__(self, returncode: int, tail: tuple[str, ...]) -> None:
        """Note how it ended, negative for a signal, and the last lines that it wrote."""
        self.returncode = returncode
        self.tail = tail
        shown = "".join(f"\n  {_shortened(line)}" for line in tail)
        after = f"; its last lines:{shown}" if tail else "; it wrote nothing"
        super().__init__(f"the command ended {ending(returncode)}{after}")


class StoreError(AsyncflowError, OSError):
    """The store cannot keep what it should; what was being written is not stored."""


class StoreLocationError(StoreError, ValueError):
    """The address of the store names nothing that can be opened as a database."""


class StoreVersionError(StoreError):
    """The database was written by a newer asyncflow."""

    def __init__(self, location: str, found: int, known: int) -> None:
        """Name the database, the version it has and the newest that is known here."""
        self.location = location
        self.found = found
        self.known = known
        super().__init__(
            f"{location} has schema version {found}, this asyncflow knows up to {known}: "
            "install the asyncflow that wrote it, or a newer one"
        )


class StoreReadOnlyError(StoreError, PermissionError):
    """The database cannot be written by this process."""


class StorageFullError(StoreError):
    """There is no space for what was to be written; reads go on, and writes once there is some."""

    def __init__(self, text: str) -> None:
        """Say where there is no space; ``errno`` is that of a full disk."""
        super().__init__(text)
        self.errno = errno.ENOSPC


class StoreGoneError(StoreError, FileNotFoundError):
    """The files of the open database are not those at its path any more; nothing is written."""


class StoreDamagedError(StoreError):
    """What is in the file is no sound database any more; nothing is written."""


class FencedError(StoreError):
    """This runner's row has another epoch: it was replaced, and must stop writing."""


class TaskStopped(BaseException):
    """Raised inside a task in a thread, at its next call into asyncflow after it was stopped."""


def ending(returncode: int) -> str:
    """Say how a process ended."""
    if returncode >= 0:
        return f"with return code {returncode}"
    try:
        return f"by {signal.Signals(-returncode).name}"
    except ValueError:  # a real-time signal has no name
        return f"by signal {-returncode}"


def _shortened(line: str) -> str:
    longest = 400  # twenty of them fit into what is kept of an error's text
    return line if len(line) <= longest else f"{line[:longest]}..."
