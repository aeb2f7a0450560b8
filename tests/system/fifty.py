"""A program for `test_crash`: a workflow of 50 tasks whose bodies write lines to a log.

The log is outside the database: what it says was really done. Usage: fifty.py DATABASE LOG.
"""

import asyncio
import os
import sys
from pathlib import Path

from asyncflow import Context, Runner, Workflow, WorkflowStatus, task

WIDTH = 5
NAME = "fifty-1"


def declare(log: Path) -> None:
    """Declare ten rows of five tasks; each task starts after the whole row before it."""
    with Workflow("fifty"):
        row: list[str] = []
        for number in range(10):
            names = [f"task-{number}-{column}" for column in range(WIDTH)]
            for name in names:

                @task(id=name, dependencies=list(row))
                async def body(context: Context) -> str:
                    write(log, f"{context.task_name} {context.try_number}")
                    context[context.task_name] = os.getpid()
                    return context.task_name

            row = names


def write(log: Path, line: str) -> None:
    """Append a line in one system call, which a kill cannot cut in two."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


async def main(database: str, log: str) -> None:
    """Start the execution if it is not there yet, and see it through."""
    declare(Path(log))
    async with Runner(f"sqlite:///{database}") as runner:
        execution = await runner.execution.aio(NAME)
        if execution is None:
            execution = await runner.start.aio("fifty", name=NAME)
        done = await execution.wait.aio(timeout=30)
    if done.status is not WorkflowStatus.SUCCESS:
        sys.exit(f"{done.status}: {done.error_message}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
