"""Workflows that `python -m asyncflow run` serves; the file "log" where it runs says what ran.

Half of the tasks end once the file "term" is there, the others only in a later attempt.
"""

import asyncio
import os
from pathlib import Path

from asyncflow import Context, Workflow, task

TASKS = 50


def said(word: str, name: str) -> None:
    """Append a line in one system call, which a kill cannot cut in two."""
    descriptor = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{word} {name} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


with Workflow("fifty") as fifty:
    for number in range(TASKS):

        @task(id=f"task-{number}")
        async def works(context: Context) -> str:
            name = context.task_name
            said("begin", name)
            if context.try_number == 1:
                while not Path("term").exists():  # noqa: ASYNC110  the test makes it
                    await asyncio.sleep(0.01)  # the test makes the file
                if int(name.removeprefix("task-")) >= TASKS // 2:
                    await asyncio.get_running_loop().create_future()
            said("end", name)
            return name
