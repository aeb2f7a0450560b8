"""What the tests of the runner share: conditions of one line, turns of the loop, one task run."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from asyncflow import (
    Condition,
    Context,
    Event,
    Registry,
    Runner,
    TaskExecution,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    task,
)
from asyncflow._runner.logs import TaskLog

Question = Callable[[Event, Context], bool | Awaitable[bool]]

ERRORS: list[type[BaseException]] = [
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    GeneratorExit,
    StopIteration,
]
"""What usually ends more than a task."""


class When(Condition):
    """Asks a function."""

    def __init__(self, ask: Question, *keys: str) -> None:
        super().__init__(keys or ["said"])
        self._ask = ask

    def is_met(self, event: Event, context: Context) -> bool | Awaitable[bool]:
        return self._ask(event, context)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it is so; the test's timeout ends what never comes."""
    while not condition():  # noqa: ASYNC110  threads set it, which know no loop
        await asyncio.sleep(0)


async def turns(number: int = 50) -> None:
    """Let happen what the loop can do without time or threads."""
    for _ in range(number):
        await asyncio.sleep(0)


async def closing(runner: Runner) -> asyncio.Task[None]:
    """Begin to shut down, and return what ends with it."""
    task = asyncio.create_task(runner.shutdown.aio())
    await turns()
    return task


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()


async def run_one(
    registry: Registry, url: str = ":memory:"
) -> tuple[WorkflowExecution, TaskExecution]:
    """Run the workflow "w" of one task; then another one, to see that the runner still works."""
    with registry, Workflow("after"):

        @task()
        async def fine() -> str:
            return "fine"

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()
        after = await runner.execute.aio("after")
    assert after.status is WorkflowStatus.SUCCESS
    return done, run


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the database alone."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def declare(name: str, *tasks: str, body: Callable[[Context], None] | None = None) -> Registry:
    """Declare tasks in a chain; without a body they hang."""
    registry = Registry()
    with registry, Workflow(name):
        before: list[str] = []
        for each in tasks:

            @task(id=each, dependencies=list(before))
            async def work(context: Context) -> None:
                if body is None:
                    await forever()
                else:
                    body(context)

            before = [each]
    return registry


async def ended(execution: WorkflowExecution) -> tuple[WorkflowExecution, list[TaskExecution]]:
    """Return an execution once it has ended, and what it ran."""
    done = await execution.wait.aio()
    return done, await done.task_executions.aio()


def log_numbers(end: int) -> None:
    """Log the numbers from 0, past pytest's own handlers, which keep each record for ever."""
    (handler,) = (each for each in logging.getLogger().handlers if isinstance(each, TaskLog))
    for number in range(end):
        handler.handle(logging.LogRecord("numbers", logging.INFO, "", 0, "%d", (number,), None))
