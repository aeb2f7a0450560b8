"""Functions as tasks: what they are called with, where they run, and what they return."""

import asyncio
import contextvars
import decimal
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Annotated, Any, Optional, cast

import pytest

import asyncflow
from asyncflow import (
    Context,
    DefinitionError,
    PythonOperator,
    Registry,
    Runner,
    TaskExecution,
    TaskStatus,
    Workflow,
    task,
)


async def run(function: Callable[..., object], threads: int = 40, **options: Any) -> TaskExecution:
    """Run a function as the only task of a workflow, and return its task execution."""
    with Registry() as registry, Workflow("one"):
        PythonOperator("one", function, **options)
    async with Runner(":memory:", registry=registry, threads=threads) as runner:
        done = await runner.execute.aio("one", {"given": 1}, timeout="10s")
        (found,) = await done.task_executions.aio()
    return found


async def result_of(function: Callable[..., object], **options: Any) -> object:
    found = await run(function, **options)
    assert found.status is TaskStatus.SUCCESS, found.error_message
    return found.result


def refusal(function: Callable[..., object], **options: Any) -> str:
    with (
        Registry(),
        pytest.raises(DefinitionError) as caught,
        Workflow("one"),
    ):
        PythonOperator("one", function, **options)
    return str(caught.value)


# --- the context ---


def by_name(context: object) -> object:
    return cast("Context", context)["given"]


def by_annotation(ctx: Context) -> object:
    return ctx["given"]


def by_text(ctx: "Context") -> object:
    return ctx["given"]


def by_full_text(ctx: "asyncflow.Context") -> object:
    return ctx["given"]


def by_optional(ctx: Context | None = None) -> object:
    return ctx and ctx["given"]


def by_old_optional(ctx: Optional[Context] = None) -> object:  # noqa: UP007, UP045
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
    def function(ctx: "Context", other: "Missing" = None) -> object:  # type: ignore[name-defined] # noqa: F821  as under TYPE_CHECKING
        return ctx["given"]

    return function


@pytest.mark.parametrize(
    "function",
    [
        *(by_name, by_annotation, by_text, by_full_text, by_optional, by_old_optional),
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

    def another_context(context_of: decimal.Context | None = None) -> bool:
        return context_of is None

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


def test_what_cannot_be_called_is_refused() -> None:
    assert "python_callable is 'f', which cannot be called" in refusal(cast("Any", "f"))


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


@pytest.mark.parametrize(
    "function",
    [
        Adder(10),
        AsyncAdder(10),
        Adder(10).method,
        Adder(10).amethod,
        Adder.of_the_class,
        Adder.of_nobody,
        partial(plus, 10),
        partial(aplus, 10),
        partial(AsyncAdder(10)),
        lambda context: 10 + int(cast("Context", context)["given"]),
        gives_an_awaitable,
    ],
)
async def test_whatever_can_be_called_can_be_a_task(function: Callable[..., object]) -> None:
    assert await result_of(function) == 11


async def test_what_only_makes_a_coroutine_runs_on_the_loop_alone() -> None:
    here = threading.get_ident()
    made: list[int] = []

    class Called:
        def __call__(self) -> Awaitable[None]:
            raise NotImplementedError("the subclass is async")

    class AsyncCalled(Called):
        async def __call__(self) -> None:
            made.append(threading.get_ident())

    def slot_taken() -> None:
        made.append(threading.get_ident())

    await run(AsyncCalled())
    await run(partial(AsyncCalled()))
    await run(slot_taken)

    assert made[:2] == [here, here]
    assert made[2] != here


def test_a_task_is_called_like_its_function_and_looks_like_it() -> None:
    with Registry(), Workflow("one"):

        @task(id="one")
        def add(a: int, context: Context | None = None, *, b: int = 2) -> int:
            """Add two numbers."""
            return a + b

        lambdas = task()(lambda: "called")

    signature = inspect.signature(cast("Callable[..., object]", add))
    assert add(1, b=3) == 4
    assert add.__doc__ == "Add two numbers."
    assert cast("Any", add).__name__ == "add"
    assert [each for each in signature.parameters] == ["a", "context", "b"]
    assert lambdas.name == "<lambda>"
    assert lambdas() == "called"


async def test_a_coroutine_function_is_called_like_itself() -> None:
    with Registry(), Workflow("one"):

        @task()
        async def double(a: int = 1) -> int:
            return 2 * a

    assert await double(4) == 8
    assert double.name == "double"


# --- threads ---


class NoThreads(Executor):
    """Stands for a default executor that an embedding service needs for itself."""

    def submit(self, *_args: object, **_kwargs: object) -> Future[Any]:  # type: ignore[override]
        raise AssertionError("a task runs in the loop's default executor")


async def test_tasks_in_threads_leave_the_loops_default_executor_alone() -> None:
    def work(context: Context) -> bool:
        context["worked"] = True
        return threading.current_thread() is not threading.main_thread()

    executor = NoThreads()
    loop = asyncio.get_running_loop()
    cast("Any", loop)._default_executor = executor

    assert await result_of(work) is True
    cast("Any", loop)._default_executor = None


class Crowd:
    """Counts who is inside, and holds them there until ``size`` came or all that can have come."""

    def __init__(self, size: int) -> None:
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()
        self._full = threading.Barrier(size)

    def __call__(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._full.wait(5)  # nobody leaves before so many are inside
        with self._lock:
            self._inside -= 1


@pytest.mark.parametrize("threads", [1, 2, 5])
async def test_no_more_tasks_work_in_threads_than_the_runner_gives(threads: int) -> None:
    crowd = Crowd(threads)
    with Registry() as registry, Workflow("many"):
        for number in range(10):
            PythonOperator(f"t{number}", crowd)

    async with Runner(":memory:", registry=registry, threads=threads) as runner:
        done = await runner.execute.aio("many", timeout="10s")

    assert done.status == "SUCCESS", done.error_message
    assert crowd.most == threads


async def test_tasks_in_threads_do_not_hold_up_those_on_the_loop() -> None:
    free, entered = threading.Event(), asyncio.Event()
    with Registry() as registry, Workflow("both"):

        @task(id="blocks")
        def blocks() -> None:
            assert free.wait(5)

        @task(id="frees")
        async def frees() -> None:
            entered.set()
            free.set()

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("both", timeout="10s")

    assert done.status == "SUCCESS", done.error_message
    assert entered.is_set()


async def test_a_thread_that_raises_stop_iteration_fails_its_task_alone() -> None:
    def broken() -> None:
        raise StopIteration("none left")

    found = await run(broken)

    assert found.status is TaskStatus.FAILED
    assert "StopIteration" in str(found.error_message)


# --- context variables ---

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


async def test_a_thread_sees_the_context_variables_of_its_task_and_changes_nobodys() -> None:
    CALLER.set("the opener")

    def in_a_thread() -> str:
        seen = CALLER.get()
        CALLER.set("a thread")
        return seen

    with Registry() as registry, Workflow("many"):
        for number in range(3):
            PythonOperator(f"t{number}", in_a_thread)

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("many", timeout="10s")
        results = [each.result for each in await done.task_executions.aio()]

    assert results == ["the opener"] * 3
    assert CALLER.get() == "the opener"


async def test_what_one_task_sets_no_other_sees() -> None:
    CALLER.set("the opener")

    with Registry() as registry, Workflow("many"):

        @task(id="first")
        async def first() -> str:
            seen = CALLER.get()
            CALLER.set("first")
            return seen

        @task(id="second", dependencies=[first])
        async def second() -> str:
            return CALLER.get()

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("many", timeout="10s")
        results = [each.result for each in await done.task_executions.aio()]

    assert results == ["the opener"] * 2
