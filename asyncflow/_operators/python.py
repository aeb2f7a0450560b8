"""Tasks that are Python functions, and the decorator that makes them.

The decorator stands here and not beside `Workflow`, because it makes an operator: imports point
down.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import Any, Final, Generic, ParamSpec, TypedDict, TypeVar, Unpack

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
