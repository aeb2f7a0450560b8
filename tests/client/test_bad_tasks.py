"""Bad declarations are not there to be started; a bad task fails alone, whatever it leaves."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from asyncflow import (
    Client,
    Context,
    DefinitionError,
    DuplicateTaskError,
    Registry,
    Runner,
    Workflow,
    WorkflowBuilder,
    WorkflowNotFoundError,
    task,
)
from tests.client.forms import REFUSED, WARNED, Form, quoted

# --- declaring ---


def one_task() -> None:
    @task(id="one")
    async def one() -> None: ...


def twice() -> None:
    one_task()
    one_task()


def an_upstream_of_another() -> None:
    one_task()
    task(id="two", dependencies=[FOREIGN])(lambda: None)


def a_circle() -> None:
    task(id="one", dependencies=["two"])(lambda: None)
    task(id="two", dependencies=["one"])(lambda: None)


def an_unknown_dependency() -> None:
    task(id="one", dependencies=["gone"])(lambda: None)


def nested() -> None:
    one_task()
    with Workflow("inner"):
        """Never entered."""


def nothing() -> None:
    """Declare no task."""


with Registry(), Workflow("foreign"):
    FOREIGN = task(id="far")(lambda: None)

DECLARATIONS: list[tuple[Callable[[], None], type[DefinitionError], str]] = [
    (twice, DuplicateTaskError, "'bad' has a task 'one' already: give the second one another name"),
    (an_upstream_of_another, DefinitionError, "'two' of workflow 'bad' .* 'far' of .*'foreign'"),
    (a_circle, DefinitionError, "'one' -> 'two' -> 'one'; remove one of the rules"),
    (an_unknown_dependency, DefinitionError, "'one' depends on 'gone', .*its tasks are: 'one'"),
    (nested, DefinitionError, "'inner' is declared inside workflow 'bad': blocks do not nest"),
    (nothing, DefinitionError, "'bad' has no task: make at least one"),
]


@pytest.mark.parametrize(("declare", "error", "text"), DECLARATIONS)
@pytest.mark.parametrize("block", [Workflow, WorkflowBuilder])
def test_a_bad_declaration_is_not_there_to_be_started(
    form: Form,
    block: Callable[[str], Workflow | WorkflowBuilder],
    declare: Callable[[], None],
    error: type[DefinitionError],
    text: str,
) -> None:
    with Registry() as registry:
        with pytest.raises(error, match=text), block("bad"):
            declare()
        with Workflow("after"):  # the failed block is closed: this one is not inside it
            one_task()

    assert [each.name for each in registry.workflows()] == ["after"]
    with form.open(Client(":memory:", registry=registry)) as client:
        with pytest.raises(WorkflowNotFoundError, match="'bad'"):
            form.call(client.start, "bad")
        assert list(form.items(client.executions)) == []


def test_an_error_in_the_block_passes_through_and_nothing_is_registered() -> None:
    error = KeyError("mine")

    def fail() -> None:
        one_task()
        raise error

    with Registry() as registry, pytest.raises(KeyError) as caught, Workflow("bad"):
        fail()

    assert caught.value is error
    assert registry.workflows() == ()


def test_a_task_outside_a_block_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'one' is made outside a workflow: make it inside"):
        one_task()


# --- what a task leaves ---


class StubbornError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def bytes_in_place(context: Context) -> None:
    context["list"].append(b"")


def nan_result(context: Context) -> float:
    return math.nan


def too_large_result(context: Context) -> str:
    return quoted(REFUSED + 1)


def too_large_context(context: Context) -> None:
    context["k"] = quoted(REFUSED)


def large_result(context: Context) -> str:
    return quoted(WARNED + 1)  # the tests make the warning an error, as users may


def a_model_that_raises(context: Context) -> object:
    from_user = RuntimeError("cannot be dumped")

    class Broken(dict[str, object]):
        def items(self) -> Any:  # noqa: ANN401  what it returns does not matter
            raise from_user

    return Broken(a=b"")


def an_error_without_text(context: Context) -> None:
    raise StubbornError


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (bytes_in_place, r"TypeError: context\['list'\]\[0\] is of type bytes"),
        (nan_result, "ValueError: result is nan"),
        (too_large_result, "TooLargeError: the result of task 'bad' has 2,097,153 bytes"),
        (too_large_context, "TooLargeError: the context that task 'bad' leaves has 2,097,"),
        (large_result, "LargeValueWarning: the result of task 'bad' has 524,289 bytes"),
        (a_model_that_raises, "RuntimeError: cannot be dumped"),
        (an_error_without_text, "StubbornError"),
    ],
)
def test_what_cannot_be_stored_of_a_task_fails_it_alone(
    form: Form, body: Callable[[Context], object], text: str
) -> None:
    with Registry() as registry:
        with Workflow("bad"):
            retries = 0 if body is an_error_without_text else 3
            task(id="bad", retries=retries, retry_delay=0)(body)
        with Workflow("good"):
            one_task()

    with form.open(Runner(":memory:", registry=registry)) as runner:
        done = form.call(runner.execute, "bad", {"list": []}, timeout="10s")
        (run,) = form.call(done.task_executions)
        good = form.call(runner.execute, "good", timeout="10s")

    assert re.match(text, run.error_message or "")
    assert (run.status, run.try_number, run.result) == ("FAILED", 1, None)
    assert done.final_context == {"list": []}
    assert good.status == "SUCCESS"
