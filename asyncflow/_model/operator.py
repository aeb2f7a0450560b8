"""How a task works, and the rules by which it is started, stopped and restarted. It runs nothing.

An operator belongs to the workflow in whose block it is made; it knows of workflows only what
`OpenWorkflow` says, so that imports do not go round.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Final, Protocol, TypeAlias, TypedDict, TypeVar, cast

from asyncflow._model.condition import Condition, SingleEventCondition, TaskStatusCondition
from asyncflow._model.context import Context
from asyncflow._model.duration import Duration, parse_duration
from asyncflow._model.naming import check_spelling, checked_name
from asyncflow._model.policy import DEFAULT_DELAY, DEFAULT_JITTER, NEVER, Backoff, Retry
from asyncflow._model.rule import TaskRule
from asyncflow._model.schedule import Schedule, parse_schedule
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow.errors import DefinitionError

SuccessCallback: TypeAlias = Callable[[str, Context], object]
"""``on_success(task_id, context)``, sync or async."""

FailureCallback: TypeAlias = Callable[[str, str, Context], object]
"""``on_failure(task_id, error, context)``, sync or async; the error as ``"ValueError: text"``."""

RetryCheck: TypeAlias = Callable[[BaseException], bool]
"""``retry_if(error)``: whether another attempt may follow one that failed so."""

OperatorT = TypeVar("OperatorT", bound="Operator")
"""A mapping's key is invariant: tasks of one kind only are as good as tasks of all kinds."""

CallbackT = TypeVar("CallbackT", SuccessCallback | None, FailureCallback | None, RetryCheck | None)


class OperatorConfigItem:
    """Names of options, after the documents of AIFlow."""

    PERIODIC_EXPRESSION: Final = "periodic_expression"


class OpenWorkflow(Protocol):
    """What an operator needs of the workflow in whose block it is made."""

    @property
    def name(self) -> str:
        """The workflow's name."""
        ...

    @property
    def namespace(self) -> str:
        """Where the workflow's name is looked up."""
        ...

    def add(self, operator: "Operator") -> None:
        """Take a task in."""
        ...

    def check_open(self, what: str) -> None:
        """Refuse ``what`` if the block has ended."""
        ...


OPEN_WORKFLOW: Final[ContextVar[OpenWorkflow | None]] = ContextVar(
    "asyncflow_open_workflow", default=None
)


class TaskOptions(TypedDict, total=False):
    """What every operator takes, beside its name; see `Operator`."""

    dependencies: "Sequence[str | Operator]"
    retries: int
    retry_delay: Duration
    retry_backoff: Backoff
    retry_max_delay: Duration | None
    retry_jitter: float
    retry_if: RetryCheck | None
    timeout: Duration | None
    on_success: SuccessCallback | None
    on_failure: FailureCallback | None
    idempotent: bool
    periodic_expression: str | None
    periodic_timezone: str | None


class Operator(ABC):
    """A task of the workflow in whose ``with`` block it is made, and how it works.

    A task without a rule that STARTs it starts with the workflow execution. Subclasses override
    `start` and what else they need; each hook may be ``def``, and then runs in a thread, or
    ``async def``.

    Args:
        name: unique in the workflow.
        dependencies: tasks, or their names, that must have succeeded before this one starts.
        retries: how many attempts may follow a failed one.
        retry_delay: how long after the first failure; then see ``retry_backoff``.
        retry_backoff: ``"fixed"``, ``"linear"`` or ``"exponential"`` growth of the delay.
        retry_max_delay: where the delay stops growing; None: five minutes, or ``retry_delay``.
        retry_jitter: how much later an attempt may come, as a part of the delay.
        retry_if: a plain function of the error: False if no attempt is to follow. Called on the
            runner's loop after a failure that another attempt may follow, and must not wait; a
            timeout is a `TimeoutError`. If it raises, that is logged, and the next attempt follows.
        timeout: of one attempt; None: no limit.
        on_success: called with the task's name and its context, once it has succeeded.
        on_failure: called with the task's name, the error and the context, after the last attempt.
        idempotent: whether it may run again after a crash that left no result.
        periodic_expression: ``"interval@days hours minutes seconds"``, or a duration: restart the
            task so often, counted from the beginning of the workflow execution; or
            ``"cron@minute hour day month weekday"``. The execution then runs until stopped.
        periodic_timezone: of a cron expression, like ``"Europe/Paris"``; None: UTC.
        config: what else was given, kept in `config`.

    Raises:
        DefinitionError: made outside a block, or an option makes no sense.
        DuplicateTaskError: the workflow has a task of this name.
    """

    def __init__(
        self,
        name: str,
        *,
        dependencies: "Sequence[str | Operator]" = (),
        retries: int = 0,
        retry_delay: Duration = DEFAULT_DELAY,
        retry_backoff: Backoff = "exponential",
        retry_max_delay: Duration | None = None,
        retry_jitter: float = DEFAULT_JITTER,
        retry_if: RetryCheck | None = None,
        timeout: Duration | None = None,
        on_success: SuccessCallback | None = None,
        on_failure: FailureCallback | None = None,
        idempotent: bool = True,
        periodic_expression: str | None = None,
        periodic_timezone: str | None = None,
        **config: object,
    ) -> None:
        self.name = checked_name(name, "the name of a task")
        self.workflow = _open_workflow(name)
        self.rules: list[TaskRule] = []
        check_spelling(config, TaskOptions.__annotations__, self._label)
        self.config = config
        try:
            retry = Retry(
                retries,
                parse_duration(retry_delay, "retry_delay", zero=True),
                retry_backoff,
                _optional(retry_max_delay, "retry_max_delay", zero=True),
                retry_jitter,
            )
            self.retry = NEVER if retry == NEVER else retry  # thousands of tasks share it
            self.retry_if = _retry_check(retry_if)
            self.timeout = _optional(timeout, "timeout")
            self.dependencies = _dependencies(dependencies)
            self.on_success = _callback(on_success, "on_success")
            self.on_failure = _callback(on_failure, "on_failure")
            self.idempotent = _flag(idempotent)
            self.period = _period(periodic_expression, periodic_timezone)
        except ValueError as error:
            text = f"task {name!r}: {error}"
            raise DefinitionError(text) from error
        self.workflow.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of workflow {self.workflow.name!r}>"

    # --- hooks ---

    @abstractmethod
    def start(self, context: Context) -> object:
        """Start the work; what it returns, if it is a JSON value, is the task's result.

        Raising fails the attempt.
        """

    def await_termination(self, context: Context, timeout: float | None = None) -> object:
        """Return when the work has ended, well if it does not raise.

        Called after `start`, with the attempt's ``timeout`` in seconds. The engine ends the
        attempt then anyway. It may return the result, if `start` did not.
        """
        return None

    def stop(self, context: Context) -> object:  # noqa: B027  override it to stop work that cancelling does not
        """End the work; called when the task is stopped, while its body runs."""

    def get_metrics(
        self, context: Context
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
        """Return figures about the work: names and JSON values, kept as the run's `metrics`.

        Called once when an attempt has ended, also if it failed or was stopped; it may take 5 s.
        An error in it is logged and changes nothing else.
        """
        return {}

    # --- rules ---

    def start_after(self, tasks: "Operator | Sequence[Operator]") -> None:
        """Start this task when all of ``tasks`` have succeeded.

        Raises:
            DefinitionError: there is none, or one of another workflow.
        """
        found: object = [tasks] if isinstance(tasks, Operator) else tasks
        upstreams = _tasks(found, f"{self._label}: start_after")
        self.action_on_task_status(TaskAction.START, dict.fromkeys(upstreams, TaskStatus.SUCCESS))

    def action_on_event_received(self, action: TaskAction, event_key: str) -> None:
        """Act on this task when an event of that key is received.

        Raises:
            DefinitionError: the action is no `TaskAction`, or the key no non-empty string.
        """
        key = checked_name(event_key, f"{self._label}: event_key")
        self.action_on_condition(action, SingleEventCondition(key))

    def action_on_task_status(
        self, action: TaskAction, upstream_task_status_dict: "Mapping[OperatorT, TaskStatus]"
    ) -> None:
        """Act on this task when all the given tasks have the status that is given for each.

        Looked at whenever one of them changes, on the latest statuses.

        Raises:
            DefinitionError: the dict is empty, or has a task of another workflow.
        """
        statuses = upstream_statuses(self, upstream_task_status_dict)
        self.action_on_condition(action, TaskStatusCondition(statuses))

    def action_on_condition(self, action: TaskAction, condition: Condition) -> None:
        """Act on this task when the condition is met by an event that it expects.

        Of several rules that one event meets, the first that was declared acts.

        Raises:
            DefinitionError: the action is no `TaskAction`, or the condition cannot be used.
        """
        self.workflow.check_open(f"a rule of task {self.name!r}")
        try:
            self.rules.append(TaskRule(condition, action))
        except DefinitionError as error:
            text = f"{self._label}: {error}"
            raise DefinitionError(text) from error

    @property
    def _label(self) -> str:
        return f"task {self.name!r}"


def upstream_statuses(
    operator: Operator, upstreams: Mapping[OperatorT, TaskStatus]
) -> dict[str, TaskStatus]:
    """Return the statuses that a task waits for, by the names of the tasks that have them.

    Raises:
        DefinitionError: there is none, one is no task of the same workflow, or no status.
    """
    label = f"task {operator.name!r}"
    found = cast("Mapping[object, object]", upstreams)
    if not isinstance(upstreams, Mapping) or not upstreams:  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"{label}: it needs at least one upstream task, not {upstreams!r}"
        raise DefinitionError(text)
    statuses: dict[str, TaskStatus] = {}
    for upstream, status in found.items():
        if not isinstance(upstream, Operator):
            text = (
                f"{label}: an upstream task is the task itself, not {upstream!r}: "
                "names go into dependencies=[...]"
            )
            raise DefinitionError(text)
        if upstream.workflow is not operator.workflow:
            text = (
                f"{label} of workflow {operator.workflow.name!r} cannot wait for task "
                f"{upstream.name!r} of workflow {upstream.workflow.name!r}: send it an event"
            )
            raise DefinitionError(text)
        if not isinstance(status, TaskStatus):
            text = f"{label}: the status of {upstream.name!r} is a TaskStatus, not {status!r}"
            raise DefinitionError(text)
        statuses[upstream.name] = status
    return statuses


def _open_workflow(task: str) -> OpenWorkflow:
    workflow = OPEN_WORKFLOW.get()
    if workflow is None:
        text = f"task {task!r} is made outside a workflow: make it inside `with Workflow(...):`"
        raise DefinitionError(text)
    return workflow


def _optional(value: Duration | None, what: str, *, zero: bool = False) -> timedelta | None:
    return None if value is None else parse_duration(value, what, zero=zero)


def _tasks(given: object, what: str) -> list[Operator]:
    if not isinstance(given, (list, tuple)):
        text = f"{what} takes a task or a list of tasks, not {given!r}"
        raise DefinitionError(text)
    found: list[Operator] = []
    for each in cast("Sequence[object]", given):
        if not isinstance(each, Operator):
            text = f"{what} takes tasks, not {each!r}: names go into dependencies=[...]"
            raise DefinitionError(text)
        found.append(each)
    return found


def _dependencies(given: object) -> "tuple[str | Operator, ...]":
    if not isinstance(given, (list, tuple)):
        text = f"dependencies is a list of tasks or their names, not {given!r}"
        raise DefinitionError(text)
    found = cast("Sequence[object]", given)
    for each in found:
        if not isinstance(each, (str, Operator)):
            text = f"a dependency is a task or its name, not {each!r}"
            raise DefinitionError(text)
    return tuple(cast("Sequence[str | Operator]", found))


def _callback(function: CallbackT, what: str) -> CallbackT:
    if function is not None and not callable(function):
        text = f"{what} is a function, not {function!r}"
        raise DefinitionError(text)
    return function


def _retry_check(function: RetryCheck | None) -> RetryCheck | None:
    checked = _callback(function, "retry_if")
    if checked is not None and any(
        map(inspect.iscoroutinefunction, (checked, type(checked).__call__))
    ):
        text = f"retry_if is a plain def, which answers at once, not {function!r}"
        raise DefinitionError(text)
    return checked


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        text = f"idempotent is True or False, not {value!r}"
        raise DefinitionError(text)
    return value


def _period(expression: str | None, timezone: str | None) -> Schedule | None:
    if expression is not None:
        return parse_schedule(expression, "periodic_expression", timezone)
    if timezone is not None:
        text = f"periodic_timezone is {timezone!r}, but there is no periodic_expression"
        raise DefinitionError(text)
    return None
