"""Functions that tests run in processes of their own: they are found here by name."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from asyncflow import (
    Context,
    NotificationClient,
    Registry,
    ValueStateDescriptor,
    Workflow,
    WorkflowExecution,
    task,
)

with Registry(), Workflow("decorated"):

    @task(isolation="process")
    def decorated(context: Context) -> str:
        return f"{context.task_name} in {__name__}"


earlier: list[Callable[..., object]] = []
for _name in ("first", "second"):
    with Registry(), Workflow(_name):

        @task(id=_name, isolation="process")
        def twice() -> None:
            """Is two functions of one name, and only the second can be found."""

    earlier.append(twice.python_callable)
earlier.pop()


class Holder:
    @staticmethod
    def static(number: int, *, factor: int, context: Context) -> int:
        return number * factor + int(context["given"])


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def place() -> list[int]:
    return [os.getpid(), os.getpgrp(), os.getsid(0)]


def surroundings() -> list[object]:
    return [sys.path, os.environ.get("PYTHONPATH")]


def changes(context: Context) -> dict[str, object]:
    context["list"].append(2)
    context["new"] = {"a": 1}
    del context["gone"]
    return dict(context)


def nothing(context: Context) -> Context:
    return context


def numbers(context: Context) -> list[object]:
    return [context.execution_name, context.sequence_number, context.try_number]


def says(context: Context) -> None:
    say("printed\nünd mehr")
    sys.stderr.write("an error\n")
    subprocess.run(["echo", "of a process"], check=True)
    log = logging.getLogger("any")
    log.debug("not heard")
    log.info("informed of %s", 100)
    try:
        int("x")
    except ValueError:
        log.exception("two\nlines")


def sends() -> list[object]:
    event = NotificationClient("ignored").send_event("said", {"a": [1]}, context="more")
    return [event.key, event.value, event.offset, event.sender, event.context]


def asks(context: Context, name: str) -> object:
    return context.get_task_status(name)


def remembers(context: Context) -> list[object]:
    state = context.get_state(ValueStateDescriptor("sum"))
    seen = [state.value()]
    state.update({"a": 1})
    seen.append(state.value())
    state.clear()
    return [*seen, state.value()]


def sends_wrongly() -> str:
    try:
        NotificationClient().send_event("said", object())
    except TypeError as error:
        return str(error)
    return "sent"


def calls_something_else() -> None:
    WorkflowExecution.get("x")


class OddError(Exception):
    """Has a name of its own."""


def raises() -> None:
    raise OddError("it's odd")


def raises_key_error() -> None:
    raise KeyError("missing")


def exits() -> None:
    sys.exit("out")


def interrupts() -> None:
    raise KeyboardInterrupt


def returns_what_is_no_json() -> object:
    return object()


def ends_hard(context: Context, how: str) -> str:
    if context.try_number > 1:
        return "survived"
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.Signals[how])
    return "ended"


def loops_with_a_child() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    say("begun", os.getpid(), child.pid)
    while True:
        pass


def leaves_a_child() -> int:
    return subprocess.Popen(["sleep", "1000"]).pid


def looks(context: Context, path: str) -> None:
    """Hear SIGTERM, and note what the task knows then."""

    def heard(_number: int, _frame: object) -> None:
        while not context.stop_requested:
            time.sleep(0.001)  # a user's own polling
        try:
            NotificationClient().send_event("said")
        except BaseException as error:
            Path(path).write_text(type(error).__name__)
            raise

    signal.signal(signal.SIGTERM, heard)
    say("begun", os.getpid())
    while True:
        time.sleep(0.01)  # a user's endless loop


class UnspeakableError(Exception):
    """Ends a program if it is asked what it says."""

    def __str__(self) -> str:
        raise SystemExit("asked")


def raises_what_cannot_be_told() -> None:
    raise UnspeakableError
