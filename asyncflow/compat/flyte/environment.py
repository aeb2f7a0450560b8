"""Flyte's `TaskEnvironment`: each of its tasks is a workflow of one task, declared with it."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from functools import update_wrapper
from typing import Any, Final, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

from asyncflow import Context, PythonOperator, UsageError, Workflow
from asyncflow.compat.flyte.both import in_thread
from asyncflow.compat.flyte.values import Interface

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

INPUTS: Final = "inputs"
"""The key of a run's context under which its inputs are."""

WITHOUT_EFFECT: Final = {
    *("cache", "docs", "env_vars", "image", "interruptible", "links", "max_inline_io_bytes"),
    *("pod_template", "queue", "report", "resources", "reusable", "secrets", "short_name"),
    *("triggers", "depends_on", "description", "plugin_config", "entrypoint"),
}
"""What Flyte says of containers and its console: a task here runs in this process."""


class TaskSettings(TypedDict, total=False):
    """What `TaskEnvironment.task` takes beside what has no effect.

    Attributes:
        retries: how many attempts may follow a failed one.
        timeout: of one attempt; a number is seconds.
    """

    retries: int
    timeout: timedelta | float | None


class Task(Generic[P, R_co]):
    """A function that `run` runs. Called, also in another task, it is the function itself."""

    def __init__(
        self, environment: str, function: Callable[P, R_co], settings: TaskSettings
    ) -> None:
        self.func = function
        self.short_name = getattr(function, "__name__", repr(function))
        self.name = f"{environment}.{self.short_name}"
        self.interface = Interface(function)
        body = self._abody if inspect.iscoroutinefunction(function) else self._body
        with Workflow(self.name) as self.workflow:
            PythonOperator(
                self.short_name,
                body,
                retries=settings.get("retries", 0),
                timeout=settings.get("timeout") or None,
            )
        TASKS[self.name] = self
        update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function; in a task it is a part of that, and no action of its own."""
        return self.func(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401  of either kind
        """Await the function; a ``def`` runs in a thread."""
        if inspect.iscoroutinefunction(self.func):
            return await self.func(*args, **kwargs)
        return await in_thread(lambda: self.func(*args, **kwargs))

    forward = __call__

    def _body(self, context: Context) -> object:
        return self.interface.result(self.interface.call(self.func, context[INPUTS]))

    async def _abody(self, context: Context) -> object:
        return self.interface.result(await self.interface.call(self.func, context[INPUTS]))


TASKS: Final[dict[str, Task[..., Any]]] = {}
"""By name: how to read the outputs of its runs."""


class TaskEnvironment:
    """Names a group of tasks. What Flyte says here of containers has no effect."""

    def __init__(self, name: str, **settings: object) -> None:
        _check(settings, WITHOUT_EFFECT)
        self.name = name
        self.tasks: dict[str, Task[..., Any]] = {}

    @overload
    def task(self, function: Callable[P, R_co], /) -> Task[P, R_co]: ...
    @overload
    def task(
        self, /, **settings: Unpack[TaskSettings]
    ) -> Callable[[Callable[P, R_co]], Task[P, R_co]]: ...
    def task(self, function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
        """Make a function, ``def`` or ``async def``, a task.

        Raises:
            UsageError: a setting that asyncflow has not.
        """
        _check(settings, WITHOUT_EFFECT | {"retries", "timeout"})
        wanted = TaskSettings(
            retries=_count(settings.get("retries", 0)), timeout=settings.get("timeout")
        )

        def declare(function: Callable[P, R_co]) -> Task[P, R_co]:
            made = Task(self.name, function, wanted)
            self.tasks[made.name] = made
            return made

        return declare if function is None else declare(function)

    def add_dependency(self, *_: object) -> None:
        """Do nothing: tasks of all environments run in this process."""


def _count(retries: object) -> int:
    """Return the number of a Flyte ``RetryStrategy``, or the number itself."""
    return cast("int", getattr(retries, "count", retries))


def _check(settings: dict[str, Any], known: set[str]) -> None:
    for name in settings:
        if name not in known:
            text = f"asyncflow has no setting {name!r} of a Flyte task: leave it out"
            raise UsageError(text)
