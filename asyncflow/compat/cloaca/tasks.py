"""Cloacina's `task`: its options read into those of asyncflow, its functions given its `Context`.

It runs nothing: what it makes is a `PythonOperator`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, Unpack, cast

from asyncflow import Context as _Context
from asyncflow import DefinitionError, Operator, PythonOperator, WorkflowContextManager
from asyncflow.compat.cloaca.context import Context
from asyncflow.compat.cloaca.gates import Gate, GatedWorkflow
from asyncflow.compat.cloaca.handle import TaskHandle
from asyncflow.compat.cloaca.retry import RetryArguments, RetryPolicy, read_policy
from asyncflow.compat.cloaca.rules import RuleDict, read_rule

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

SuccessCallback: TypeAlias = Callable[[str, Context], object]
"""``on_success(task_id, context)``, sync or async; the context is a copy."""

FailureCallback: TypeAlias = Callable[[str, str, Context], object]
"""``on_failure(task_id, error, context)``, the same; the error is ``"ValueError: text"``."""

CALLBACKS: Final = {
    "on_success": "(task_id, context)",
    "on_failure": "(task_id, error, context)",
}
SKIPPED: Final = "skipped"
"""The result of a task whose rules said no."""

HANDLES: Final = (["handle"], ["task_handle"])
WITH_HANDLE: Final = 2
"""Parameters of a function that takes a `TaskHandle`."""

LEFT_OUT: Final = {
    "invokes": "it has no computation graphs: call the graph's code in the task",
    "post_invocation": "it has no computation graphs: call the graph's code in the task",
}


class Task(PythonOperator[[_Context], object], Generic[P, R_co]):
    """A task whose function gets Cloacina's `Context` first, whatever that parameter is called.

    If a second one is called ``handle`` or ``task_handle``, it gets a `TaskHandle`.

    Called like the function, it calls it.
    """

    def __init__(
        self,
        name: str,
        function: Callable[P, R_co],
        *,
        dependencies: Sequence[str | Operator],
        policy: RetryPolicy,
        rules: RuleDict | None,
        on_success: SuccessCallback | None,
        on_failure: FailureCallback | None,
    ) -> None:
        self.function = function
        gate = None if rules is None else _gate(name, rules, called_back=on_success is not None)
        super().__init__(
            name,
            _body(function, parameters(function, name), gate),
            dependencies=dependencies,
            on_success=on_success and _success_callback(on_success, gate),
            on_failure=on_failure and _failure_callback(on_failure),
            **policy.options(),
        )
        update_wrapper(self, function, updated=())
        if gate is not None and isinstance(self.workflow, GatedWorkflow):
            self.workflow.gates[name] = gate

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  the function's own parameters
        """Call the function itself, outside any workflow execution."""
        return self.function(*args, **kwargs)


class TaskOptions(RetryArguments, total=False):
    """What `task` takes; the last two are refused by name.

    Attributes:
        dependencies: names or tasks that must have succeeded; with ``trigger_rules``: ended.
        on_success: called with the task's id and a copy of its context.
        on_failure: called with the id, the error and a copy, after the last attempt.
    """

    dependencies: Sequence[str | Operator] | None
    on_success: SuccessCallback | None
    on_failure: FailureCallback | None
    trigger_rules: RuleDict | None
    invokes: None
    post_invocation: None


def task(
    *,
    id: str | None = None,  # noqa: A002  Cloacina's
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R_co]], Task[P, R_co]]:
    """Make a function a task of the workflow in whose block it stands.

    The function, ``def`` or ``async def``, gets the `Context`, and as a ``def`` a `TaskHandle`, if
    its second parameter is called ``handle`` or ``task_handle``. What it changes counts, whether it
    returns the context or None; another context that it returns replaces all, a dict is added to
    it, and any other JSON value is the task's result.

    Args:
        id: its name; None takes the function's.
        options: ``dependencies``; ``on_success(task_id, context)``, ``on_failure(task_id, error,
            context)``; ``retry_attempts``, the first too, which are 3, ``retry_delay_ms`` (1000),
            ``retry_max_delay_ms`` (60000), ``retry_backoff`` (``"exponential"``, ``"linear"``,
            ``"fixed"``), ``retry_jitter`` (True), ``retry_condition`` (``"all"``, ``"transient"``,
            ``"never"``), or ``retry``, a `RetryPolicy`, instead of these; ``trigger_rules``, which
            are asked once all dependencies have ended in whatever way: if they say no, the task
            succeeds without a call of its function, and its result is ``"skipped"``.

    Raises:
        DefinitionError: outside a block, or an option makes no sense; names the task.
        DuplicateTaskError: the workflow has a task of that id.
    """

    def declare(function: Callable[P, R_co]) -> Task[P, R_co]:
        name = id if id is not None else getattr(function, "__name__", None)
        if name is None:
            text = f"@task above {function!r}, which has no name: write @task(id=...)"
            raise DefinitionError(text)
        try:
            _check(options)
            policy = read_policy(options)
            policy.options()
        except DefinitionError as error:
            text = f"task {name!r}: {error}"
            raise DefinitionError(text) from error
        dependencies = options.get("dependencies")
        return Task(
            name,
            function,
            dependencies=() if dependencies is None else dependencies,
            policy=policy,
            rules=options.get("trigger_rules"),
            on_success=options.get("on_success"),
            on_failure=options.get("on_failure"),
        )

    return declare


def parameters(function: Callable[..., object], name: str) -> int:
    """Return how much a task's function takes: nothing, the context, or a `TaskHandle` beside it.

    Raises:
        DefinitionError: it cannot be called so.
    """
    label = f"task {name!r}"
    if not callable(function):
        text = f"{label}: @task() is written above a function, not {function!r}"
        raise DefinitionError(text)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        text = f"{label}: its function has a yield, and nothing would run: return a value"
        raise DefinitionError(text)
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C that does not tell
        return 1
    names = list(signature.parameters)
    count = WITH_HANDLE if names[1:2] in HANDLES else min(len(names), 1)
    if count == WITH_HANDLE and _is_async(function):
        text = (
            f"{label}: a handle is for `def` tasks; instead of defer_until(), an `async def` task "
            "awaits what it waits for, and takes up no thread"
        )
        raise DefinitionError(text)
    try:
        signature.bind(*range(count))
    except TypeError as error:
        text = (
            f"{label}: its function is called with its context, and a second parameter named "
            f"handle or task_handle, only, but {error}"
        )
        raise DefinitionError(text) from error
    return count


def _gate(name: str, rules: RuleDict, *, called_back: bool) -> Gate:
    """Return what asks the rules of a task.

    Raises:
        DefinitionError: they are none, or the block is asyncflow's own.
    """
    workflow = WorkflowContextManager.get_current_workflow()
    if workflow is not None and not isinstance(workflow, GatedWorkflow):
        text = f"task {name!r}: trigger_rules work inside `with cloaca.WorkflowBuilder(...):`"
        raise DefinitionError(text)
    try:
        rule = read_rule(rules, "" if workflow is None else workflow.name)
    except DefinitionError as error:
        text = f"task {name!r}: {error}"
        raise DefinitionError(text) from error
    return Gate(name, rule, called_back)


def _body(
    function: Callable[..., Any], takes: int, gate: Gate | None
) -> Callable[[_Context], object]:
    """Return what the runner calls: ``async def`` runs on its loop, ``def`` in a thread."""

    def begun(context: _Context, view: Context) -> Any:  # noqa: ANN401  what users return
        given = (view, TaskHandle(context) if takes == WITH_HANDLE else None)
        return function(*given[:takes])

    async def awaited(view: Context, found: Awaitable[object]) -> object:
        return _left(view, await found)

    async def coroutine(context: _Context) -> object:
        if gate is not None and not gate.opens(context):
            return SKIPPED
        view = Context.over(context)
        return _left(view, await begun(context, view))

    def plain(context: _Context) -> object:
        if gate is not None and not gate.opens(context):
            return SKIPPED
        view = Context.over(context)
        found = begun(context, view)
        return awaited(view, found) if inspect.isawaitable(found) else _left(view, found)

    return coroutine if _is_async(function) else plain


def _left(view: Context, found: object) -> object:
    """Take into the context what a function returned; return the task's result."""
    if found is None or found is view:
        return None
    if isinstance(found, Context | _Context):
        view.replace(found)
        return None
    if isinstance(found, dict):
        view.update_from_dict(cast("dict[str, object]", found))
        return None
    return found


def _success_callback(
    function: SuccessCallback, gate: Gate | None
) -> Callable[[str, _Context], object]:
    def call(task_id: str, context: _Context) -> object:
        if gate is not None and gate.was_shut(context):
            return _nothing() if _is_async(function) else None
        return function(task_id, Context.over(context.copy()))

    return _as_async(function, call)


def _failure_callback(function: FailureCallback) -> Callable[[str, str, _Context], object]:
    def call(task_id: str, error: str, context: _Context) -> object:
        return function(task_id, error, Context.over(context.copy()))

    return _as_async(function, call)


def _as_async(function: Callable[..., object], call: Callable[P, Any]) -> Callable[P, Any]:
    """Return ``call`` as it is, or as ``async def`` if it only makes a coroutine."""

    async def awaited(*args: P.args, **kwargs: P.kwargs) -> object:
        return await call(*args, **kwargs)

    return awaited if _is_async(function) else call


async def _nothing() -> None: ...


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )


def _check(options: Mapping[str, object]) -> None:
    """Refuse what makes no sense, beside what is said of retries."""
    for name, value in options.items():
        if name not in TaskOptions.__annotations__:
            text = f"there is no option {name!r}"
            raise DefinitionError(text)
        if name in LEFT_OUT and value is not None:
            text = f"asyncflow has no {name}: {LEFT_OUT[name]}"
            raise DefinitionError(text)
        if name in CALLBACKS and value is not None and not callable(value):
            text = f"{name} is a function that is called with {CALLBACKS[name]}, not {value!r}"
            raise DefinitionError(text)
