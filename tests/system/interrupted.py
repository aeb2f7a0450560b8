"""A program that blocks in a call, and says so: ``python interrupted.py DATABASE CALL KIND``.

Ctrl-C is to end it.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from asyncflow import Condition, Context, Event, Registry, Runner, TaskAction, Workflow, task

INTERRUPTS = 20
"""How many a listing outlives, before one ends it."""


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Asked(Condition):
    """Hangs, or is met."""

    def __init__(self, hanging: bool) -> None:
        super().__init__(["said"])
        self._hanging = hanging

    async def is_met(self, event: Event, context: Context) -> bool:
        if self._hanging:
            say("begun")
            await asyncio.get_running_loop().create_future()
        return True


def declare(*, hanging: bool) -> Registry:
    """Declare workflows that hang, or the same ones, that end."""

    async def on_the_loop() -> None:
        if hanging:
            say("begun")
            await asyncio.get_running_loop().create_future()

    def in_a_thread() -> None:
        if hanging:
            say("begun")
            threading.Event().wait()

    with Registry() as registry:
        for kind, body in (("async", on_the_loop), ("thread", in_a_thread)):
            with Workflow(kind):
                task(id="one")(body)
        with Workflow("asked"):

            @task()
            async def answer() -> None:
                """Start when the condition is met."""

            answer.action_on_condition(TaskAction.START, Asked(hanging))
    return registry


def wait(runner: Runner, kind: str) -> None:
    runner.start(kind, name="e").wait()


def execute(runner: Runner, kind: str) -> None:
    runner.execute(kind)


def send_event(runner: Runner, kind: str) -> None:
    runner.start("asked", name="e")
    runner.send_event("said")


def listing(runner: Runner, kind: str) -> None:
    """List for ever, and go on after each Ctrl-C but the last."""
    runner.start(kind, name="e")
    for number in range(5):
        runner.send_event(str(number))
    for turn in count():
        try:
            if turn < INTERRUPTS:
                say("listing")
            while True:
                assert len(list(runner.list_events(limit=1))) == 5
                assert [each.name for each in runner.executions(limit=1)] == ["e"]
        except KeyboardInterrupt:
            if turn + 1 == INTERRUPTS:
                raise


def shutdown(runner: Runner, kind: str) -> None:
    execution = runner.start(kind, name="e")
    del execution
    runner.shutdown()


CALLS: dict[str, Callable[[Runner, str], None]] = {
    call.__name__: call for call in (wait, execute, send_event, listing, shutdown)
}


async def wait_in_a_loop(url: str, kind: str) -> None:
    async with Runner(url, registry=declare(hanging=True), grace=0) as runner:
        await (await runner.start.aio(kind, name="e")).wait.aio()


class Says(logging.Handler):
    """Says when the runner waits for its tasks."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def main() -> None:
    database, how, kind = sys.argv[1:]
    log = logging.getLogger("asyncflow._runner.engine")
    log.setLevel(logging.INFO)
    log.addHandler(Says())
    url = f"sqlite:///{Path(database)}"
    name, _, way = how.partition(" ")
    if way == "in a loop":
        asyncio.run(wait_in_a_loop(url, kind))
    elif way == "in with":
        with Runner(url, registry=declare(hanging=True), grace=0) as runner:
            CALLS[name](runner, kind)
    else:
        CALLS[name](Runner(url, registry=declare(hanging=True), grace="1h"), kind)


if __name__ == "__main__":
    main()
