"""Tasks that are Python functions, and the decorator that makes them.

The decorator stands here and not beside `Workflow`, because it makes an operator: imports point
down.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, Unpack

from asyncflow._model.context import Context
from asyncflow._model.operator import Operator, TaskOptions
from asyncflow._operators.hooks import call
from asyncflow.errors import DefinitionError

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class PythonOperator(Operator, Generic[P, R_co]):
    """A task that calls a function: ``async def`` on the runner's loop, ``def`` in a thread.

    The function gets the `Context` if one of its parameters is named ``context`` or annotated so.
    What it returns is the task's result, if it is a JSON value; None and the context are none.
    Called like the function, the operator calls it.

    Args:
        name: unique in the workflow.
        python_callable: the function.
        op_args: what is passed by position, after the documents of AIFlow.
        op_kwargs: what is passed by name.
        options: see `task`.

    Raises:
        DefinitionError: a parameter that nothing fills; and what `Operator` raises.
    """

    def __init__(
        self,
        name: str,
        python_callable: Callable[P, R_co],
        *,
        op_args: Sequence[object] = (),
        op_kwargs: Mapping[str, object] | None = None,
        **options: Unpack[TaskOptions],
    ) -> None:
        """Declare the task in the workflow whose block is open."""
        if not callable(python_callable):
            text = f"task {name!r}: python_callable is {python_callable!r}, which cannot be called"
            raise DefinitionError(text)
        self.python_callable = python_callable
        self._arguments = tuple(op_args)
        self._keywords = dict(op_kwargs or {})
        self._wants = _context_parameter(name, python_callable, self._arguments, self._keywords)
        super().__init__(name, **options)
        update_wrapper(self, python_callable, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, outside any workflow execution."""
        return self.python_callable(*args, **kwargs)

    async def start(self, context: Context) -> object:
        """Call the function and return what it returns."""
        keywords = dict(self._keywords)
        if self._wants is not None:
            keywords[self._wants] = context
        function: Callable[..., Any] = self.python_callable
        return await call(function, *self._arguments, **keywords)


def task(
    id: str | None = None,  # noqa: A002  the spelling of the Cloacina documents
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R_co]], PythonOperator[P, R_co]]:
    """Make a function a task of the workflow in whose block it stands.

    Args:
        id: the task's name; None takes the function's.
        options: those of `Operator`: ``dependencies`` (names or tasks that must have succeeded),
            ``retries`` and how they are spaced, ``timeout`` of one attempt, ``on_success(task_id,
            context)``, ``on_failure(task_id, error, context)``, ``idempotent``.

    Raises:
        DefinitionError: outside a block, or an option makes no sense; names the task.
        DuplicateTaskError: the workflow has a task of that name.
    """

    def declare(function: Callable[P, R_co]) -> PythonOperator[P, R_co]:
        name = id if id is not None else getattr(function, "__name__", "")
        return PythonOperator(name, function, **options)

    return declare


def _context_parameter(
    task_name: str,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    keywords: Mapping[str, object],
) -> str | None:
    """Return the parameter that takes the context, None if there is none.

    Raises:
        DefinitionError: the other parameters do not fit what is passed.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C that does not tell
        return None
    wants = next((name for name, each in signature.parameters.items() if _is_context(each)), None)
    given = dict(keywords) if wants is None else {**keywords, wants: None}
    try:
        signature.bind(*arguments, **given)
    except TypeError as error:
        text = (
            f"task {task_name!r}: its function is called with its context and with op_args and "
            f"op_kwargs only, but {error}"
        )
        raise DefinitionError(text) from error
    return wants


def _is_context(parameter: inspect.Parameter) -> bool:
    if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD}:
        return False
    if parameter.kind is parameter.VAR_POSITIONAL:
        return False
    # A module with postponed annotations has their text.
    named = str(parameter.annotation).rpartition(".")[2].strip("'\"")
    annotated: Any = parameter.annotation
    return parameter.name == "context" or annotated is Context or named == "Context"
