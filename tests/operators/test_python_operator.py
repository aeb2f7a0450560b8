"""Functions as tasks: what they are called with, where they run, and what they return."""

import decimal
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial, wraps
from typing import Annotated, Any, Optional, Unpack, cast
from unittest.mock import Mock

import pytest

import asyncflow
from asyncflow import (
    Context,
    DefinitionError,
    PythonOperator,
    Registry,
    Workflow,
    task,
)
from asyncflow._operators.hooks import is_async
from tests.operators.runs import Filling, result_of


def refusal(function: Callable[..., object], **filling: Unpack[Filling]) -> str:
    with (
        Registry(),
        pytest.raises(DefinitionError) as caught,
        Workflow("one"),
    ):
        PythonOperator("one", function, **filling)
    return str(caught.value)


# --- the context ---

Data = Context
Number = decimal.Context


def by_name(context: object) -> object:
    return cast("Context", context)["given"]


def by_annotation(ctx: Context) -> object:
    return ctx["given"]


def by_text(ctx: "Context") -> object:
    return ctx["given"]


def by_full_text(ctx: "asyncflow.Context") -> object:
    return ctx["given"]


def by_another_name(ctx: "Data") -> object:
    return ctx["given"]


def by_optional(ctx: Context | None = None) -> object:
    return ctx and ctx["given"]


def by_old_optional(ctx: Optional[Context] = None) -> object:  # noqa: UP045  the old way, which users write
    return ctx and ctx["given"]


def by_optional_text(ctx: "Context | None" = None) -> object:
    return ctx and ctx["given"]


def by_annotated(ctx: Annotated[Context, "the data"]) -> object:
    return ctx["given"]


def by_position_alone(context: Context, /) -> object:
    return context["given"]


def by_keyword_alone(*, context: Context) -> object:
    return context["given"]


def by_annotation_before_name(context: str = "text", *, data: Context) -> object:
    return (context, data["given"])[1]


async def on_the_loop(context: Context) -> object:
    return context["given"]


def _unresolved() -> Callable[..., object]:
    def function(ctx: object, other: object = None) -> object:
        return (cast("Context", ctx)["given"], other)[0]

    function.__annotations__ = {"ctx": "Context", "other": "OnlyForTypeCheckers"}
    return function


@pytest.mark.parametrize(
    "function",
    [
        *(by_name, by_annotation, by_text, by_full_text, by_another_name),
        *(by_optional, by_old_optional),
        *(by_optional_text, by_annotated, by_position_alone, by_keyword_alone),
        *(by_annotation_before_name, on_the_loop, _unresolved()),
    ],
)
async def test_the_context_is_passed_by_name_or_annotation(
    function: Callable[..., object],
) -> None:
    assert await result_of(function) == 1


async def test_a_function_without_a_context_gets_none() -> None:
    def nothing() -> str:
        return "called"

    def anything(*args: object, **kwargs: object) -> list[int]:
        return [len(args), len(kwargs)]

    def another_context(of: decimal.Context | None = None, text: "Number | None" = None) -> bool:
        return of is None and text is None

    assert await result_of(nothing) == "called"
    assert await result_of(anything) == [0, 0]
    assert await result_of(another_context) is True


async def test_op_kwargs_that_fill_the_context_parameter_are_what_it_gets() -> None:
    def function(context: str) -> str:
        return context

    assert await result_of(function, op_kwargs={"context": "mine"}) == "mine"


# --- arguments ---


async def test_op_args_and_op_kwargs_are_passed_beside_the_context() -> None:
    def last(a: int, b: int, context: Context) -> list[object]:
        return [a, b, context["given"]]

    def first(context: Context, a: int, b: int) -> list[object]:
        return [a, b, context["given"]]

    def between(a: int, context: Context, /, b: int) -> list[object]:
        return [a, b, context["given"]]

    def far(a: int, b: int = 0, c: int = 0, context: Context | None = None) -> list[object]:
        return [a, b, context and context["given"]]

    def rest(context: Context, *args: int, **kwargs: int) -> list[object]:
        return [*args, *kwargs.values(), context["given"]]

    for function in (last, first, between, far, rest):
        assert await result_of(function, op_args=[7], op_kwargs={"b": 8}) == [7, 8, 1]
    for function in (last, first, between, far, rest):
        assert await result_of(function, op_args=(7, 8)) == [7, 8, 1]


def test_a_context_that_no_argument_leads_to_is_refused() -> None:
    def function(path: str, context: Context, /) -> None: ...

    assert "missing a required argument: 'path'" in refusal(function)


def test_a_parameter_that_nothing_fills_is_refused_and_named() -> None:
    def function(context: Context, path: str) -> None: ...

    text = refusal(function)

    assert "task 'one'" in text
    assert "op_args and op_kwargs only, but missing a required argument: 'path'" in text


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    def function(path: str) -> None: ...

    assert "too many positional arguments" in refusal(function, op_args=["a", "b"])
    assert "unexpected keyword argument 'x'" in refusal(function, op_args=["a"], op_kwargs={"x": 1})
    assert "multiple values for argument 'path'" in refusal(
        function, op_args=["a"], op_kwargs={"path": "b"}
    )


def test_the_parameters_of_a_function_are_those_that_its_wrapper_shows() -> None:
    def function(path: str) -> None: ...

    @wraps(function)
    def wrapped() -> None: ...

    def signed() -> None: ...

    vars(signed)["__signature__"] = inspect.signature(function)

    for each in (wrapped, signed):
        assert "missing a required argument: 'path'" in refusal(each)


def test_what_cannot_be_called_is_refused() -> None:
    assert "python_callable is 'f', which cannot be called" in refusal(cast("Any", "f"))


def test_a_function_with_a_yield_is_refused() -> None:
    def lazy() -> Generator[int, None, None]:
        yield 1

    async def lazy_later() -> AsyncGenerator[int, None]:
        yield 1

    assert "its function has a yield" in refusal(lazy)
    assert "its function has a yield" in refusal(lazy_later)


def test_a_function_without_a_name_needs_an_id() -> None:
    unnamed = partial(print, "hello")
    with Workflow("w"):
        task(id="named")(unnamed)
        with pytest.raises(DefinitionError, match=r"has no name: write @task\(id=\.\.\.\)"):
            task()(unnamed)


def test_the_decorator_without_its_parentheses_is_refused() -> None:
    def build() -> None: ...

    with Registry(), pytest.raises(DefinitionError, match=r"build.*: write @task\(\)"):
        cast("Any", task)(build)


# --- callables ---


class Adder:
    """Something with methods, and to be called itself."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, context: Context) -> int:
        return self.number + int(context["given"])

    def method(self, context: Context) -> int:
        return self.number + int(context["given"])

    async def amethod(self, context: Context) -> int:
        return self.number + int(context["given"])

    @classmethod
    def of_the_class(cls, context: Context) -> int:
        return 10 + int(context["given"])

    @staticmethod
    def of_nobody(context: Context) -> int:
        return 10 + int(context["given"])


class AsyncAdder(Adder):
    async def __call__(self, context: Context) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  the other way to be called
        return self.number + int(context["given"])


def plus(number: int, context: Context) -> int:
    return number + int(context["given"])


async def aplus(number: int, context: Context) -> int:
    return number + int(context["given"])


def gives_an_awaitable(context: Context) -> Awaitable[int]:
    return aplus(10, context)


by_lambda: Callable[[Context], int] = lambda context: 10 + int(context["given"])  # noqa: E731  it is about lambdas


CALLABLES: list[Callable[..., object]] = [
    Adder(10),
    AsyncAdder(10),
    Adder(10).method,
    Adder(10).amethod,
    Adder.of_the_class,
    Adder.of_nobody,
    partial(plus, 10),
    partial(aplus, 10),
    partial(AsyncAdder(10)),
    by_lambda,
    gives_an_awaitable,
]


@pytest.mark.parametrize("function", CALLABLES)
async def test_whatever_can_be_called_can_be_a_task(function: Callable[..., object]) -> None:
    assert await result_of(function) == 11


def test_a_task_is_called_like_its_function_and_looks_like_it() -> None:
    with Registry(), Workflow("one"):

        @task(id="one")
        def add(a: int = 1, context: Context | None = None, *, b: int = 2) -> int:
            """Add two numbers."""
            return a + b

        lambdas = task()(lambda: "called")

    signature = inspect.signature(cast("Callable[..., object]", add))
    assert add(1, b=3) == 4
    assert add.__doc__ == "Add two numbers."
    assert cast("Any", add).__name__ == "add"
    assert list(signature.parameters) == ["a", "context", "b"]
    assert lambdas.name == "<lambda>"
    assert lambdas() == "called"


async def test_a_coroutine_function_is_called_like_itself() -> None:
    with Registry(), Workflow("one"):

        @task()
        async def double(a: int = 1) -> int:
            return 2 * a

    assert await double(4) == 8
    assert double.name == "double"


async def test_what_an_operator_gives_to_await_is_the_coroutine_of_the_function_itself() -> None:
    async def double(a: int = 1) -> int:
        return 2 * a

    with Registry(), Workflow("one"):
        operator = task()(double)

    work: Any = operator.start(Context())

    assert work.cr_code is double.__code__
    assert is_async(operator.start)
    assert await work == 2


# --- what runs where ---


def test_a_mock_is_no_coroutine_function() -> None:
    assert not is_async(Mock())


def test_a_start_that_wraps_the_inherited_one_is_called_in_a_thread() -> None:
    inherited: Any = PythonOperator[..., object].start

    @wraps(inherited)
    def start(self: PythonOperator[..., object], context: Context) -> Awaitable[object]:
        return self.start(context)

    wrapping: Any = start
    assert is_async(inherited)
    assert not is_async(wrapping)
