"""A program for `test_trigger_crash`: a file trigger, and a workflow that writes down each file.

It ends when so many files have been worked on. Usage: inbox.py DATABASE FOLDER NUMBER.
"""

import asyncio
import sys
from pathlib import Path

from asyncflow import Context, Runner, Workflow, WorkflowStatus, task
from asyncflow.triggers import FileTrigger

NAME = "inbox"


def declare(folder: Path) -> None:
    """Declare a workflow of one short task, and what starts it."""
    with Workflow("intake"):

        @task()
        async def note(context: Context) -> str:
            return str(context["uri"])

    FileTrigger("intake", folder, name=NAME, poll_interval="10ms")


async def main(database: str, folder: str, number: str) -> None:
    """Work until so many executions have succeeded."""
    declare(Path(folder))
    async with Runner(f"sqlite:///{database}") as runner:
        done = 0
        while done < int(number):
            await asyncio.sleep(0.01)
            listed = [each async for each in runner.executions.aio(workflow="intake")]
            done = sum(each.status is WorkflowStatus.SUCCESS for each in listed)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
