"""The process of a task with ``isolation="process"``: calls one function, tells its end, and ends.

Started as ``python -m asyncflow._operators.child``, by `isolation`. It must not outlive its runner,
and it never opens a store: what its function asks, the runner answers.
"""

import asyncio
import logging
import os
import pkgutil
import runpy
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from itertools import count
from types import ModuleType
from typing import Any, BinaryIO, Final, NoReturn, cast

from asyncflow._home import GATE, Home
from asyncflow._model.awaited import EventWish
from asyncflow._model.context import Context, RunningTask
from asyncflow._model.port import CURRENT_TASK, Port, TaskScope
from asyncflow._model.record import AwaitedRecord, EventRecord
from asyncflow._model.status import TaskStatus
from asyncflow._model.value import to_json_text
from asyncflow._operators.isolation import IMPORTED, importing
from asyncflow._operators.lines import LONGEST
from asyncflow._operators.python import filled
from asyncflow._operators.wire import (
    Message,
    awaited_message,
    decoded,
    encoded,
    error_message,
    known_error,
    told_awaited,
    wish_message,
)
from asyncflow.errors import TaskStopped, UsageError

MAIN: Final = "__mp_main__"
"""The name under which the main file runs here, as where `multiprocessing` spawns."""


class Link:
    """The pipes to the runner."""

    def __init__(self, source: int, sink: int) -> None:
        for each in (source, sink):
            os.set_inheritable(each, False)
        self._source: BinaryIO = os.fdopen(source, "rb")
        self._sink: BinaryIO = os.fdopen(sink, "wb", buffering=0)
        self._writing = threading.RLock()
        self._numbers = count()
        self._asked: dict[int, Future[Any]] = {}
        self._waits: set[int] = set()

    def receive(self) -> Message:
        """Return the next message; the runner's end is the end of all."""
        line = self._source.readline()
        if not line.endswith(b"\n"):
            _die()
        return decoded(line[:-1])

    def say(self, message: Message) -> None:
        """Tell the runner something."""
        rest = memoryview(encoded(message))
        with self._writing:
            while rest:
                try:
                    rest = rest[self._sink.write(rest) :]
                except BrokenPipeError:
                    _die()

    def ask(self, **question: object) -> Future[Any]:
        """Ask the runner something, and return what will have the answer."""
        number = next(self._numbers)
        answer = self._asked[number] = Future()
        if question["ask"] == "wait":
            self._waits.add(number)
        self.say({**question, "number": number})
        return answer

    def attend(self, scope: TaskScope) -> None:
        """Hand answers to those who asked, as long as the runner lives."""
        while True:
            message = self.receive()
            if "stop" in message:
                scope.stop_sign.give()
                self._stop_waits()
                continue
            answer = self._asked.pop(message["number"], None)
            if answer is None:  # it was a wait that a stop has ended
                continue
            self._waits.discard(message["number"])
            if "error" in message:
                answer.set_exception(known_error(message["error"]))
            else:
                answer.set_result(message["value"])

    def _stop_waits(self) -> None:
        """End what waits for events; all else is answered soon."""
        for number in self._waits & self._asked.keys():
            self._asked.pop(number).set_exception(TaskStopped())


class Proxy:
    """Stands for the client of a task in the runner; knows what a task may ask from here."""

    label = "the runner of this process"

    def __init__(self, link: Link) -> None:
        self._link = link
        self._home = Home(_session, self.label)
        self._home.open_in_thread()

    def __home__(self) -> Home:
        return self._home

    async def publish_from(
        self, scope: TaskScope, key: str, value: object, context: object
    ) -> EventRecord:
        """Have the runner publish an event of the task."""
        text = to_json_text(value, "value")
        more = None if context is None else to_json_text(context, "context")
        asked = self._link.ask(ask="publish", key=key, value=value, context=context)
        told = await asyncio.wrap_future(asked)
        created = datetime.fromisoformat(told.pop("create_time"))
        return EventRecord(**told, value=text, context=more, create_time=created)

    async def open_event(self, scope: TaskScope, wish: EventWish) -> AwaitedRecord:
        """Have the runner make an event for the task."""
        asked = self._link.ask(ask="open", wish=wish_message(wish))
        return told_awaited(await asyncio.wrap_future(asked))

    async def awaited(self, id_: int) -> AwaitedRecord | None:
        """Have the runner look at an event."""
        told = await asyncio.wrap_future(self._link.ask(ask="awaited", id=id_))
        return None if told is None else told_awaited(told)

    async def await_closed(
        self, records: Sequence[AwaitedRecord], timeout: timedelta | None
    ) -> AwaitedRecord:
        """Have the runner wait; a stop ends this."""
        waiting = [awaited_message(record) for record in records]
        seconds = None if timeout is None else timeout.total_seconds()
        asked = self._link.ask(ask="wait", records=waiting, timeout=seconds)
        return told_awaited(await asyncio.wrap_future(asked))

    def __getattr__(self, name: str) -> NoReturn:
        text = (
            f"this call ({name}) does not work in a task with isolation='process': there are the "
            "context, new_event and NotificationClient().send_event; do the rest in another task"
        )
        raise UsageError(text)


class RemoteStatuses:
    """Asks the runner for the statuses of tasks of the execution."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def status_of(self, name: str) -> TaskStatus | None:
        """Return the latest status of a task, None if it never ran."""
        found = self._link.ask(ask="status", name=name).result()
        return None if found is None else TaskStatus(found)


class RemoteCells:
    """Asks the runner for the states of the execution."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def get(self, name: str) -> str | None:
        """Return what is kept under a name."""
        value = self._link.ask(ask="get", name=name).result()
        return None if value is None else to_json_text(value)

    def put(self, name: str, text: str | None) -> None:
        """Keep a text under a name."""
        self._link.ask(ask="put", name=name, text=text).result()


class Forwarding(logging.Handler):
    """Logs in the runner."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Forward a record, line by line."""
        try:
            text = self.format(record)
        except Exception:  # user code: arguments that do not fit
            self.handleError(record)
            return
        for line in text.splitlines():
            for at in range(0, len(line), LONGEST):
                self._link.say({"level": record.levelno, "line": line[at : at + LONGEST]})


def main() -> NoReturn:
    """Do the one job, and end without a look at what the function left running."""
    link = Link(int(sys.argv[1]), int(sys.argv[2]))
    job = link.receive()
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[Forwarding(link)])
    end = _end(link, job)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # the function may have closed it
            stream.flush()
    link.say(end)
    os._exit(0)


def _end(link: Link, job: Message) -> Message:
    """Call the function, and return how that ended."""
    try:
        function = _function(job)
        scope = TaskScope(port=cast("Port", Proxy(link)), **job["scope"])
        context = _context(link, job, scope)
        threading.Thread(target=link.attend, args=(scope,), daemon=True).start()
        CURRENT_TASK.set(scope)
        GATE.set(scope.check)
        arguments, keywords = filled(
            tuple(job["arguments"]), job["keywords"], job["place"], context
        )
        value = function(*arguments, **keywords)
        nothing = value is None or isinstance(value, Context)
        result = None if nothing else to_json_text(value, "result")
        return {"result": result, "changes": context.changes()}
    except TaskStopped:
        return {"stopped": True}
    except BaseException as error:  # user code: even SystemExit is only an end of the task
        return {"error": error_message(error)}


def _function(job: Message) -> Callable[..., Any]:
    """Import what has the function as the runner does, and return the function."""
    sys.path[:] = job["path"]
    sys.argv[:] = job["argv"]
    if job["pythonpath"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = job["pythonpath"]
    GATE.set(_refuse)
    importing.set()
    if job["main"] is not None:
        _run_main(job["main"])
    found: Any = pkgutil.resolve_name(job["target"])
    importing.clear()
    function: Callable[..., Any] = getattr(found, "python_callable", found)
    return function


def _run_main(main: dict[str, str]) -> None:
    """Run the main module under another name, so that what it guards does not run."""
    if "name" in main:
        names = runpy.run_module(main["name"], run_name=MAIN, alter_sys=True)
    else:
        names = runpy.run_path(main["file"], run_name=MAIN)
    module = ModuleType(MAIN)
    module.__dict__.update(names)
    sys.modules["__main__"] = sys.modules[MAIN] = module


def _refuse() -> None:
    """Keep a main module without a guard from running its workflows in here again."""
    raise UsageError(IMPORTED)


def _context(link: Link, job: Message, scope: TaskScope) -> Context:
    task = RunningTask(
        execution_name=scope.execution_name,
        task_name=scope.task_name,
        sequence_number=scope.sequence_number,
        try_number=scope.try_number,
        stop_requested=lambda: scope.stop_sign.raised,
    )
    texts, statuses, cells = job["context"], RemoteStatuses(link), RemoteCells(link)
    return Context.of(texts, task=task, statuses=statuses, cells=cells)


@asynccontextmanager
async def _session() -> AsyncGenerator[None]:
    """Have nothing to open: the pipes are."""
    yield


def _die() -> NoReturn:
    """End at once, with all that was started here: the runner is gone."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
