"""Runs one function as the only task of a workflow."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, Unpack

from asyncflow import PythonOperator, Registry, Runner, TaskExecution, TaskStatus, Workflow


class Filling(TypedDict, total=False):
    op_args: Sequence[object]
    op_kwargs: Mapping[str, object]


async def run(function: Callable[..., object], **filling: Unpack[Filling]) -> TaskExecution:
    """Run a function as the only task of a workflow, and return its task execution."""
    with Registry() as registry, Workflow("one"):
        PythonOperator("one", function, **filling)
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("one", {"given": 1}, timeout="10s")
        (found,) = await done.task_executions.aio()
    return found


async def result_of(function: Callable[..., object], **filling: Unpack[Filling]) -> object:
    found = await run(function, **filling)
    assert found.status is TaskStatus.SUCCESS, found.error_message
    return found.result
