"""Tasks in processes of their own: what can be told another process, and the runner's side.

The other side is `child`. What it asks is answered in the task's own scope.
"""

import asyncio
import inspect
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any, Final, Literal, TypeAlias

from asyncflow._model.context import Context
from asyncflow._model.port import CURRENT_TASK, TaskScope
from asyncflow._model.state import ValueStateDescriptor
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow._operators.lines import Lines, task_log
from asyncflow._operators.process import Child, running_clock
from asyncflow._operators.threads import slot
from asyncflow._operators.wire import (
    Message,
    awaited_message,
    decoded,
    encoded,
    error_message,
    remote_error,
    told_awaited,
    told_wish,
)
from asyncflow.errors import AsyncflowError, DefinitionError, TaskStopped, UsageError, ending

Isolation: TypeAlias = Literal["thread", "process"]

MAIN: Final = "__main__"

importing: Final = threading.Event()
"""Set in a task's process while it imports modules: what they start then starts no more of them."""

IMPORTED: Final = (
    "a module with a task of isolation='process' is imported by the task's process, where it must "
    'not run workflows: put that under `if __name__ == "__main__":`'
)

CHILD: Final = "asyncflow._operators.child"


@dataclass(frozen=True, slots=True)
class Target:
    """A function that another process finds by its name, and what it is called with.

    Attributes:
        arguments: JSON text of a list.
        keywords: JSON text of an object.
    """

    task: str
    function: Callable[..., object]
    module: str
    qualname: str
    arguments: str
    keywords: str

    @staticmethod
    def of(
        isolation: object,
        task: str,
        function: Callable[..., object],
        arguments: Sequence[object],
        keywords: Mapping[str, object],
    ) -> "Target | None":
        """Return what a process is told; None for a thread.

        Raises:
            DefinitionError: it cannot be told; says why.
        """
        label = f"task {task!r}"
        if isolation == "thread":
            return None
        if isolation != "process":
            text = f"{label}: isolation is 'thread' or 'process', not {isolation!r}"
            raise DefinitionError(text)
        reason = _unfit(function)
        if reason is not None:
            text = (
                f"{label}: isolation='process' calls {function!r} in another process, which finds "
                f"it by its module and name, but {reason}"
            )
            raise DefinitionError(text)
        try:
            texts = [to_json_text(list(arguments), "op_args")]
            texts.append(to_json_text(dict(keywords), "op_kwargs"))
        except (TypeError, ValueError) as error:
            text = f"{label}: isolation='process' passes arguments as JSON, but {error}"
            raise DefinitionError(text) from error
        return Target(task, function, function.__module__, function.__qualname__, *texts)

    def check(self) -> None:
        """Refuse a name that leads to something else: the other process would call that."""
        found: object = sys.modules.get(self.module)
        for part in self.qualname.split("."):
            found = getattr(found, part, None)
        if getattr(found, "python_callable", found) is not self.function:
            text = (
                f"task {self.task!r}: {self.module}.{self.qualname} is {found!r} and not the "
                "function of the task: give each function with isolation='process' its own name"
            )
            raise DefinitionError(text)


async def run_apart(target: Target, place: int | str | None, context: Context) -> object:
    """Call a function in a process of its own, and return what it returns.

    What it changed in the context is changed in ``context``. It holds one of the runner's slots for
    blocking tasks.

    Raises:
        ChildProcessError: the process died.
    """
    scope = CURRENT_TASK.get()
    if scope is None:
        raise UsageError("a task with isolation='process' starts only in a runner")
    if importing.is_set():
        raise UsageError(IMPORTED)
    target.check()
    async with slot():
        return await _Run(scope, context).result(_job(target, place, context, scope))


class _Run:
    """One call in a process, seen from the runner."""

    def __init__(self, scope: TaskScope, context: Context) -> None:
        self._scope = scope
        self._context = context
        self._printed = Lines(0)
        self._rest: list[bytes] = []
        self._questions: deque[Message] = deque()
        self._end: Message | None = None
        self._cut = False  # a message was cut off: it would spoil the next
        self._telling = asyncio.Lock()

    async def result(self, job: Message) -> object:
        source, sink = os.pipe()
        try:
            said, says = os.pipe()
        except OSError:  # there are too many
            os.close(source)
            os.close(sink)
            raise
        os.set_blocking(sink, False)
        try:
            child = Child(
                [sys.executable, "-P", "-u", "-m", CHILD, str(source), str(says)],
                self._printed.feed,
                environment={**os.environ, "PYTHONPATH": os.pathsep.join(_path())},
                sources={said: self._hear},
                passed=(source, says),
            )
            returncode = await self._attend(child, sink, job)
        finally:
            os.close(sink)
        return self._outcome(returncode)

    async def _attend(self, child: Child, sink: int, job: Message) -> int:
        """See a process through, and return its return code."""
        try:
            await self._tell(child, sink, job)
            async with asyncio.TaskGroup() as group:
                waits = await self._listen(child, sink, group)
                await child.ended()
                for wait in waits:
                    wait.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._ask_to_stop(sink)
            returncode = await child.finish(running_clock())
            self._printed.close()
        return returncode

    async def _listen(
        self, child: Child, sink: int, group: asyncio.TaskGroup
    ) -> list[asyncio.Task[None]]:
        """Answer until the process says no more; return what may still be waited for."""
        waits: list[asyncio.Task[None]] = []
        while await child.listen():
            while self._questions:
                question = self._questions.popleft()
                reply = self._reply(child, sink, question)
                if question["ask"] == "wait":  # for days: it may say and ask more meanwhile
                    waits.append(group.create_task(reply))
                else:
                    await reply
        return waits

    async def _reply(self, child: Child, sink: int, question: Message) -> None:
        try:
            answer = await self._answer(question)
        except TaskStopped:
            self._ask_to_stop(sink)
        else:
            await self._tell(child, sink, answer)

    async def _tell(self, child: Child, sink: int, message: Message) -> None:
        async with self._telling:
            self._cut = True
            await child.send(sink, encoded(message))
            self._cut = False

    def _ask_to_stop(self, sink: int) -> None:
        """Raise the stop sign there, for one that hears SIGTERM."""
        if self._end is None and not self._cut:
            with suppress(BlockingIOError, BrokenPipeError):  # it does not listen, or has ended
                os.write(sink, encoded({"stop": True}))

    def _hear(self, piece: bytes) -> None:
        """Take in what the process says."""
        *whole, rest = piece.split(b"\n")
        for line in whole:
            self._rest.append(line)
            self._take(decoded(b"".join(self._rest)))
            self._rest.clear()
        self._rest.append(rest)

    def _take(self, message: Message) -> None:
        match message:
            case {"level": level, "line": line}:
                task_log.log(level, "%s", line)
            case {"ask": _}:
                self._questions.append(message)
            case _:
                self._end = message

    async def _answer(self, question: Message) -> Message:
        """Do what the process asks for, as its task would."""
        number = question["number"]
        try:
            return {"number": number, "value": await self._ask(question)}
        except (AsyncflowError, TypeError, ValueError, OSError) as error:
            return {"number": number, "error": error_message(error)}

    async def _ask(self, question: Message) -> object:  # noqa: C901  one arm for each
        scope = self._scope
        scope.check()
        match question:
            case {"ask": "publish", "key": key, "value": value, "context": context}:
                record = await scope.port.publish_from(scope, key, value, context)
                told = asdict(record)
                del told["value"], told["context"]  # the process has them
                return {**told, "create_time": record.create_time.isoformat()}
            case {"ask": "open", "wish": wish}:
                return awaited_message(await scope.port.open_event(scope, told_wish(wish)))
            case {"ask": "awaited", "id": number}:
                found = await scope.port.awaited(number)
                return None if found is None else awaited_message(found)
            case {"ask": "wait", "records": records, "timeout": timeout}:
                patience = None if timeout is None else timedelta(seconds=timeout)
                waiting = list(map(told_awaited, records))
                return awaited_message(await scope.port.await_closed(waiting, patience))
            case {"ask": "status", "name": name}:
                return self._context.get_task_status(name)
            case {"ask": "get", "name": name}:
                return self._context.get_state(ValueStateDescriptor(name)).value()
            case {"ask": "put", "name": name, "text": text}:
                state = self._context.get_state(ValueStateDescriptor(name))
                if text is None:
                    state.clear()
                else:
                    state.update(from_json_text(text))
                return None
            case _:
                text = f"{question['ask']} cannot be asked from another process"
                raise UsageError(text)

    def _outcome(self, returncode: int) -> object:
        match self._end:
            case {"result": result, "changes": changes}:
                _merge(self._context, changes)
                return None if result is None else from_json_text(result)
            case {"error": error}:
                raise remote_error(error)
            case {"stopped": _}:
                raise TaskStopped
            case _:
                text = (
                    f"the process of task {self._scope.task_name!r} ended {ending(returncode)}, "
                    "before its function returned"
                )
                raise ChildProcessError(text)


def _merge(context: Context, changes: Mapping[str, str | None]) -> None:
    for key, text in changes.items():
        if text is not None:
            context[key] = from_json_text(text)
        elif key in context:
            del context[key]


def _job(target: Target, place: int | str | None, context: Context, scope: TaskScope) -> Message:
    """Return all that the process needs to know."""
    return {
        "path": sys.path,
        "argv": sys.argv,
        "pythonpath": os.environ.get("PYTHONPATH"),
        "main": _main() if target.module == MAIN else None,
        "target": f"{target.module}:{target.qualname}",
        "arguments": from_json_text(target.arguments),
        "keywords": from_json_text(target.keywords),
        "place": place,
        "context": context.to_texts(),
        "scope": {
            "execution": scope.execution,
            "execution_name": scope.execution_name,
            "namespace": scope.namespace,
            "task_name": scope.task_name,
            "sequence_number": scope.sequence_number,
            "try_number": scope.try_number,
        },
    }


def _path() -> list[str]:
    return [each or os.getcwd() for each in sys.path]


def _main() -> dict[str, str] | None:
    """Return how the main module is found again: by its name, else by its file."""
    main: ModuleType = sys.modules[MAIN]
    spec = main.__spec__
    if spec is not None:
        return {"name": spec.name}
    file: Any = getattr(main, "__file__", None)
    return None if file is None else {"file": os.path.abspath(file)}


def _unfit(function: Callable[..., object]) -> str | None:
    """Say why another process cannot find or call a function."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "it is async: that is stopped by cancelling it, leave isolation out"
    if not inspect.isfunction(function) and not _is_builtin(function):
        return "it is no plain function: write a `def` at the top of a module that calls it"
    if "<lambda>" in function.__qualname__:
        return "a lambda has no name: write a `def` at the top of a module"
    if "<locals>" in function.__qualname__:
        return "it stands inside another function: move it to the top of a module"
    if function.__module__ == MAIN and _main() is None:
        return "its main module is no file: write it into a module that can be imported"
    return None


def _is_builtin(function: Callable[..., object]) -> bool:
    return inspect.isbuiltin(function) and isinstance(function.__self__, ModuleType)
