"""Tasks that are shell commands. Nothing of one outlives its task, if its runner is not killed.

A command is run as it was declared: no value of an event or a context is put into its text.
"""

import os
import shutil
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Final, Unpack, cast

from asyncflow._model.context import Context
from asyncflow._model.operator import Operator, TaskOptions
from asyncflow._operators.lines import Lines
from asyncflow._operators.process import Child, running_clock
from asyncflow._operators.workers import work_in_thread
from asyncflow.errors import BashError, DefinitionError

TAIL: Final = 20
"""Lines of output that an error shows."""


class BashOperator(Operator):
    """A task that runs a shell command, with ``bash -c``, or ``sh -c`` where there is no bash.

    The command works in an empty folder of its own, which is removed afterwards. It reads nothing,
    and what it writes to stdout and stderr is logged line by line on ``asyncflow.task``. Its
    environment is the runner's, with ``ASYNCFLOW_EXECUTION``, ``ASYNCFLOW_TASK``,
    ``ASYNCFLOW_SEQUENCE_NUMBER``, ``ASYNCFLOW_TRY_NUMBER`` and ``ASYNCFLOW_IDEMPOTENCY_KEY``.
    A return code other than 0 fails the attempt with `BashError`. There is no result.

    Stopped, timed out or shut down, all processes of its session get SIGTERM, and 10 s later
    SIGKILL. What it leaves in the background when it ends gets SIGKILL.

    Args:
        name: unique in the workflow.
        bash_command: the command. Never put foreign text into it: pass that by ``env``.
        env: what the environment has beside.
        options: see `task`.

    Raises:
        DefinitionError: the command or the environment cannot be passed on; and what `Operator`
            raises.
    """

    def __init__(
        self,
        name: str,
        bash_command: str,
        *,
        env: Mapping[str, str] | None = None,
        **options: Unpack[TaskOptions],
    ) -> None:
        """Declare the task in the workflow whose block is open."""
        if not _passes(bash_command) or not bash_command.strip():
            text = f"task {name!r}: bash_command is the text of a command, not {bash_command!r}"
            raise DefinitionError(text)
        self.bash_command = bash_command
        self.env = _environment(name, {} if env is None else env)
        super().__init__(name, **options)

    async def start(self, context: Context) -> None:
        """Run the command, and return when it has ended well."""
        lines = Lines(TAIL)
        # What cannot be removed, or comes again while it is, is not worth failing for.
        folder = TemporaryDirectory(prefix="asyncflow-", ignore_cleanup_errors=True)
        try:
            returncode = await self._run(context, folder.name, lines)
        finally:
            await _remove(folder)
        if returncode:
            raise BashError(returncode, tuple(lines.tail))

    async def _run(self, context: Context, folder: str, lines: Lines) -> int:
        shell = shutil.which("bash") or "sh"
        child = Child(
            [shell, "-c", self.bash_command],
            lines.feed,
            environment={**os.environ, **_names(context), **self.env},
            folder=folder,
        )
        try:
            while await child.listen():
                pass
            await child.ended()
        finally:
            returncode = await child.finish(running_clock())
            lines.close()
        return returncode


def _names(context: Context) -> dict[str, str]:
    return {
        "ASYNCFLOW_EXECUTION": context.execution_name,
        "ASYNCFLOW_TASK": context.task_name,
        "ASYNCFLOW_SEQUENCE_NUMBER": str(context.sequence_number),
        "ASYNCFLOW_TRY_NUMBER": str(context.try_number),
        "ASYNCFLOW_IDEMPOTENCY_KEY": context.idempotency_key,
    }


async def _remove(folder: "TemporaryDirectory[str]") -> None:
    """Remove a folder: an empty one here, what may take long in a thread."""
    try:
        os.rmdir(folder.name)
    except OSError:  # something is in it
        await work_in_thread(folder.cleanup)
    else:
        folder.cleanup()  # that it does not warn


def _environment(task: str, given: object) -> dict[str, str]:
    """Return variables that a process can be given."""
    label = f"task {task!r}: env"
    if not isinstance(given, Mapping):
        text = f"{label} is a mapping of names to texts, not {given!r}"
        raise DefinitionError(text)
    found: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str) or not _passes(name) or not name or "=" in name:
            text = f"{label} has the name {name!r}: a name is a text without '=' and NUL"
            raise DefinitionError(text)
        if not isinstance(value, str) or not _passes(value):
            text = f"{label}[{name!r}] is {value!r}: a value is a text without NUL"
            raise DefinitionError(text)
        found[name] = value
    return found


def _passes(text: object) -> bool:
    """Say whether it can be handed to a process."""
    if not isinstance(text, str) or "\0" in text:
        return False
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
