"""Tasks that are Python functions, and the decorator that makes them.

The decorator stands here and not beside `Workflow`, because it makes an operator: imports point
down.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import update_wrapper
from itertools import chain
from types import FunctionType, UnionType
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, Union, Unpack, get_args, get_origin

from asyncflow._model.context import Context
from asyncflow._model.operator import Operator, TaskOptions
from asyncflow._operators.hooks import call, only_awaits
from asyncflow._operators.isolation import Isolation, Target, run_apart
from asyncflow.errors import DefinitionError

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class PythonOperator(Operator, Generic[P, R_co]):
    """A task that calls a function: ``async def`` on the runner's loop, ``def`` in a thread.

    With ``isolation="process"`` a ``def`` is called in a process of its own, which can be killed.
    It must stand at the top of a module, under its own name; that process imports the module.

    The function gets the `Context` if one of its parameters is annotated so or named ``context``,
    unless ``op_kwargs`` fills it; it takes up no place of ``op_args``.
    What it returns is the task's result, if it is a JSON value; None and the context are none.
    Called like the function, the operator calls it.

    Args:
        name: unique in the workflow.
        python_callable: the function.
        op_args: what is passed by position, after the documents of AIFlow.
        op_kwargs: what is passed by name.
        isolation: where a ``def`` is called: in a ``"thread"`` or in a ``"process"``.
        options: see `task`.

    Raises:
        DefinitionError: a parameter that nothing fills, or a function or arguments that no other
            process can be told; and what `Operator` raises.
    """

    def __init__(
        self,
        name: str,
        python_callable: Callable[P, R_co],
        *,
        op_args: Sequence[object] = (),
        op_kwargs: Mapping[str, object] | None = None,
        isolation: Isolation = "thread",
        **options: Unpack[TaskOptions],
    ) -> None:
        """Declare the task in the workflow whose block is open."""
        if not callable(python_callable):
            text = f"task {name!r}: python_callable is {python_callable!r}, which cannot be called"
            raise DefinitionError(text)
        if inspect.isgeneratorfunction(python_callable) or inspect.isasyncgenfunction(
            python_callable
        ):
            text = f"task {name!r}: its function has a yield, and nothing would run: return a value"
            raise DefinitionError(text)
        self.python_callable = python_callable
        self._arguments = tuple(op_args)
        self._keywords = dict(op_kwargs or {})
        self._place = _context_place(name, python_callable, self._arguments, self._keywords)
        self._target = Target.of(isolation, name, python_callable, self._arguments, self._keywords)
        super().__init__(name, **options)
        update_wrapper(self, python_callable, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, outside any workflow execution."""
        return self.python_callable(*args, **kwargs)

    @only_awaits
    def start(self, context: Context) -> Awaitable[object]:
        """Call the function; awaited, it gives what that returns."""
        if self._target is not None:
            return run_apart(self._target, self._place, context)
        arguments, keywords = filled(self._arguments, self._keywords, self._place, context)
        function: Callable[..., Any] = self.python_callable
        return call(function, *arguments, **keywords)


def task(
    id: str | None = None,  # noqa: A002  the spelling of the Cloacina documents
    *,
    isolation: Isolation = "thread",
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R_co]], PythonOperator[P, R_co]]:
    """Make a function a task of the workflow in whose block it stands.

    Args:
        id: the task's name; None takes the function's.
        isolation: where a ``def`` runs: in a ``"thread"``, or in a ``"process"`` of its own, which
            can be killed.
        options: those of `Operator`: ``dependencies`` (names or tasks that must have succeeded),
            ``retries`` and how they are spaced, ``timeout`` of one attempt, ``on_success(task_id,
            context)``, ``on_failure(task_id, error, context)``, ``idempotent``.

    Raises:
        DefinitionError: outside a block, or an option makes no sense; names the task.
        DuplicateTaskError: the workflow has a task of that name.
    """
    if callable(id):
        text = f"@task is written without its parentheses above {id!r}: write @task()"
        raise DefinitionError(text)

    def declare(function: Callable[P, R_co]) -> PythonOperator[P, R_co]:
        name = id if id is not None else getattr(function, "__name__", None)
        if name is None:
            text = f"@task above {function!r}, which has no name: write @task(id=...)"
            raise DefinitionError(text)
        return PythonOperator(name, function, isolation=isolation, **options)

    return declare


def _context_place(
    task_name: str,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    keywords: Mapping[str, object],
) -> int | str | None:
    """Return where the context goes: before which argument, by which name; None: nowhere.

    Raises:
        DefinitionError: the other parameters do not fit what is passed.
    """
    if not arguments and not keywords and _takes_nothing(function):
        return None
    try:
        parameters = _parameters(function)
    except ValueError:  # a function in C that does not tell
        return None
    place = _found(parameters, len(arguments), keywords)
    given = filled(arguments, keywords, place, None)
    try:
        inspect.Signature(parameters).bind(*given[0], **given[1])
    except TypeError as error:
        text = (
            f"task {task_name!r}: its function is called with its context and with op_args and "
            f"op_kwargs only, but {error}"
        )
        raise DefinitionError(text) from error
    return place


def filled(
    arguments: tuple[object, ...],
    keywords: Mapping[str, object],
    place: int | str | None,
    context: Context | None,
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """Return arguments with the context in its place; for the engine."""
    if isinstance(place, int):
        return (*arguments[:place], context, *arguments[place:]), keywords
    return arguments, keywords if place is None else {**keywords, place: context}


def _found(
    parameters: list[inspect.Parameter], given: int, keywords: Mapping[str, object]
) -> int | str | None:
    """Return the place of the parameter that takes the context; an annotation goes before a name.

    Args:
        parameters: of the function.
        given: how many arguments are passed by position beside the context.
        keywords: what is passed by name already.
    """
    free = [
        (place, each)
        for place, each in enumerate(parameters)
        if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD} and each.name not in keywords
    ]
    annotated = (found for found in free if _means_context(found[1].annotation))
    named = (found for found in free if found[1].name == "context")
    place, wanted = next(chain(annotated, named), (None, None))
    if place is None or wanted is None:
        return None
    if place <= given and wanted.kind is not wanted.KEYWORD_ONLY:
        return place
    return None if wanted.kind is wanted.POSITIONAL_ONLY else wanted.name


def _takes_nothing(function: Callable[..., object]) -> bool:
    """Return whether a function has no parameters for sure: cheaper than to read its signature."""
    if not isinstance(function, FunctionType) or function.__dict__:
        return False  # wrapped, or with a signature of its own
    code = function.__code__
    more = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    return not (code.co_argcount or code.co_kwonlyargcount or more)


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        found = inspect.signature(function, eval_str=True)
    except Exception:  # user code: an annotation for type checkers only stays text
        found = inspect.signature(function)
    return list(found.parameters.values())


def _means_context(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.removesuffix("| None").strip() in {"Context", "asyncflow.Context"}
    if get_origin(annotation) in {Union, UnionType, Annotated}:
        return Context in get_args(annotation)
    return annotation is Context
