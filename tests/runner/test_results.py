"""What tasks leave behind: results and contexts that can be stored, or cannot."""

import asyncio
import math
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, field_serializer

from asyncflow import (
    Context,
    LargeValueWarning,
    Registry,
    Runner,
    SizeLimits,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    task,
)
from tests.runner.scene import run_one

HUGE = "x" * (2 * 1024 * 1024)
LARGE = "x" * (600 * 1024)


class Broken(BaseModel):
    """A model whose serializer raises."""

    value: int = 0

    @field_serializer("value")
    def half(self, value: int) -> int:
        raise SystemError("no half")


@dataclass
class Lazy:
    """A dataclass with a field that raises."""

    value: int = 0

    def __getattribute__(self, name: str) -> object:
        if name == "value":
            raise RuntimeError("no value")
        return super().__getattribute__(name)


RESULTS: list[tuple[object, str]] = [
    (object(), "TypeError: result is of type object"),
    ({"a": [1, {2: 3}]}, "TypeError: result['a'][1] has the key 2"),
    (b"bytes", "TypeError: result is of type bytes"),
    (math.nan, "ValueError: result is nan"),
    (HUGE, "TooLargeError: the result of task 'leaves' has 2,097,154 bytes of JSON"),
    (Broken(), ""),
    (Lazy(), "RuntimeError: no value"),
]


@pytest.mark.parametrize(("result", "error"), RESULTS, ids=lambda each: type(each).__name__)
async def test_a_result_that_cannot_be_stored_fails_the_task_without_a_retry(
    result: object, error: str
) -> None:
    with Registry() as registry, Workflow("w"):

        @task(retries=3, retry_delay=0)
        async def leaves(context: Context) -> object:
            context["lost"] = True
            return result

    done, run = await run_one(registry)

    assert (run.status, run.try_number, run.result) == (TaskStatus.FAILED, 1, None)
    assert (run.error_message or "").startswith(error)
    assert done.final_context == {}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (math.inf, "ValueError: context['list'][1] is inf"),
        (object(), "TypeError: context['list'][1] is of type object"),
        (HUGE, "TooLargeError: the context that task 'leaves' leaves has 2,0"),
    ],
    ids=["infinite", "object", "huge"],
)
async def test_an_invalid_change_inside_the_context_fails_the_task_without_a_retry(
    change: object, error: str
) -> None:
    with Registry() as registry, Workflow("w"):

        @task(retries=3, retry_delay=0)
        async def leaves(context: Context) -> None:
            context["list"] = [1]
            context["list"].append(change)

    done, run = await run_one(registry)

    assert (run.status, run.try_number) == (TaskStatus.FAILED, 1)
    assert (run.error_message or "").startswith(error)
    assert done.final_context == {}


async def test_the_size_of_a_context_is_that_of_all_of_it() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def first(context: Context) -> None:
            context["first"] = "x" * 60

        @task(dependencies=["first"])
        async def second(context: Context) -> None:
            context["second"] = "x" * 60

    async with Runner(":memory:", registry=registry, limits=SizeLimits(100, 100)) as runner:
        done = await runner.execute.aio("w")

    assert done.status is WorkflowStatus.FAILED
    assert (done.error_message or "").startswith("task 'second': TooLargeError: the context")
    assert list(done.final_context) == ["first"]


async def test_the_size_of_a_context_counts_what_others_merged_while_a_task_ran() -> None:
    gate = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task()
        async def first(context: Context) -> None:
            context["first"] = "x" * 60

        @task()
        async def second(context: Context) -> None:
            await gate.wait()
            context["second"] = "x" * 60

        @task(dependencies=["first"])
        async def opens() -> None:
            gate.set()

    async with Runner(":memory:", registry=registry, limits=SizeLimits(100, 100)) as runner:
        done = await runner.execute.aio("w")

    assert (done.error_message or "").startswith("task 'second': TooLargeError: the context")
    assert list(done.final_context) == ["first"]


@pytest.mark.parametrize("place", ["result", "context"])
async def test_over_512_kb_is_warned_of_and_stored(place: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def leaves(context: Context) -> str | None:
            if place == "result":
                return LARGE
            context["large"] = LARGE
            return None

    with pytest.warns(LargeValueWarning, match=f"the {place} .* 614,4.. bytes"):
        done, run = await run_one(registry)

    assert run.status is TaskStatus.SUCCESS
    assert (run.result if place == "result" else done.final_context["large"]) == LARGE


async def test_a_warning_that_is_made_an_error_fails_the_task_and_nothing_else() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def leaves() -> str:
            return LARGE

    _, run = await run_one(registry)

    assert run.status is TaskStatus.FAILED
    assert (run.error_message or "").startswith("LargeValueWarning")
