"""A program for `test_kills`: many executions of ten tasks each, some of them at a time.

Several processes may share the work. Usage: main(DATABASE, LOG, NUMBER, WIDTH, PAUSE).
"""

import asyncio
from pathlib import Path
from typing import Final

from asyncflow import Context, ExecutionExistsError, Registry, Runner, Workflow, task
from tests.crash.book import Book

TASKS: Final = 10


def declare(book: Book, pause: float) -> Registry:
    """Declare a chain of tasks that write down when they begin and end, some seconds later."""
    with Registry() as registry, Workflow("crowd"):
        before: list[str] = []
        for number in range(TASKS):
            name = f"task-{number}"

            @task(id=name, dependencies=list(before))
            async def body(context: Context) -> str:
                run = (context.execution_name, context.task_name, "1")
                book.write("ran", *run, str(context.try_number))
                await asyncio.sleep(pause)
                book.write("ended", *run)
                return context.idempotency_key

            before = [name]
    return registry


async def main(database: str, log: str, number: str, width: str, pause: str) -> None:
    """See so many executions through, at most ``width`` of them at a time."""
    book = Book(Path(log), synced=False)
    slots = asyncio.Semaphore(int(width))
    async with Runner(database, registry=declare(book, float(pause))) as runner:

        async def see(name: str) -> None:
            async with slots:
                try:
                    await runner.start.aio("crowd", name=name)
                except ExecutionExistsError:
                    pass
                else:
                    book.write("acked", f"start {name}", "null")
                await runner.wait.aio(name)
                book.write("acked", f"result {name}", "null")

        ended = {each.name async for each in runner.executions.aio("crowd") if each.status.final}
        names = {f"crowd-{each}" for each in range(int(number))} - ended
        await asyncio.gather(*map(see, sorted(names)))
