"""Flyte's `run` and `Run`: a run is an execution of the workflow that a task was made."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, cast
from urllib.parse import quote

from asyncflow import ExecutionNotFoundError, TaskExecution, WorkflowExecution, WorkflowStatus
from asyncflow.compat.flyte.both import Both
from asyncflow.compat.flyte.environment import INPUTS, TASKS, Task
from asyncflow.compat.flyte.errors import RunFailedError
from asyncflow.compat.flyte.models import PHASES, ActionPhase
from asyncflow.compat.flyte.session import SESSION

Mode = Literal["local", "remote", "hybrid"]


class Run:
    """One run of a task. `phase` is that of when it was asked for, or was waited for."""

    get: ClassVar["Both[[str], Run]"]
    listall: ClassVar["Both[..., Iterator[Run]]"]

    def __init__(self, execution: WorkflowExecution) -> None:
        self.execution = execution

    def __repr__(self) -> str:
        return f"<Run {self.name!r}: {self.phase}>"

    @property
    def name(self) -> str:
        """Its name, the ``run_name`` of its events."""
        return self.execution.name

    @property
    def url(self) -> str:
        """What names it; there is no console behind it."""
        return f"asyncflow:/runs/{quote(self.name, safe='')}"

    @property
    def phase(self) -> ActionPhase:
        """QUEUED, RUNNING, or how it ended."""
        return PHASES[self.execution.status]

    def done(self) -> bool:
        """Say whether it had ended when it was asked for, or waited for."""
        return self.phase.is_terminal

    @property
    def wait(self) -> Both[..., None]:
        """Return once it has ended, however it ended."""
        return Both(self._wait, self._await)

    @property
    def outputs(self) -> Both[[], tuple[Any, ...]]:
        """Return what the task returned, once it has ended: a tuple, of one for most."""
        return Both(self._outputs, self._aoutputs)

    @property
    def inputs(self) -> Both[[], dict[str, Any]]:
        """Return what the task was given, by name."""
        return Both(self._inputs, self._ainputs)

    @property
    def abort(self) -> Both[..., None]:
        """Stop it; on return the wish is on disk."""
        return Both(self._abort, self._aabort)

    def _wait(self, *_: object, **__: object) -> None:
        self.execution = self.execution.wait()

    async def _await(self, *_: object, **__: object) -> None:
        self.execution = await self.execution.wait.aio()

    def _outputs(self) -> tuple[Any, ...]:
        self._wait()
        return self._read(self.execution.task_executions())

    async def _aoutputs(self) -> tuple[Any, ...]:
        await self._await()
        return self._read(await self.execution.task_executions.aio())

    def _inputs(self) -> dict[str, Any]:
        self.execution = self.execution.refresh()
        return self._given()

    async def _ainputs(self) -> dict[str, Any]:
        self.execution = await self.execution.refresh.aio()
        return self._given()

    def _abort(self, *_: object, **__: object) -> None:
        self.execution.stop()

    async def _aabort(self, *_: object, **__: object) -> None:
        await self.execution.stop.aio()

    def _given(self) -> dict[str, Any]:
        stored = cast("Mapping[str, object]", self.execution.final_context.get(INPUTS, {}))
        task = TASKS.get(self.execution.workflow_name)
        return dict(stored) if task is None else task.interface.inputs(stored)

    def _read(self, done: list[TaskExecution]) -> tuple[Any, ...]:
        """Return the outputs; of a task that this process has not declared they are plain JSON."""
        if self.execution.status is not WorkflowStatus.SUCCESS:
            why = self.execution.error_message or "it was aborted"
            text = f"run {self.name!r} is {self.phase}, and has no outputs: {why}"
            raise RunFailedError(text)
        result = done[-1].result
        task = TASKS.get(self.execution.workflow_name)
        if task is not None:
            return task.interface.outputs(result)
        return () if result is None else (result,)


def _get(name: str) -> Run:
    return _found(SESSION.client().execution(name), name)


async def _aget(name: str) -> Run:
    """Return the run of that name.

    Raises:
        ExecutionNotFoundError: there is none.
    """
    client = await SESSION.aclient()
    return _found(await client.execution.aio(name), name)


def _found(execution: WorkflowExecution | None, name: str) -> Run:
    if execution is None:
        raise ExecutionNotFoundError(name)
    return Run(execution)


def _listall(limit: int = 100) -> Iterator[Run]:
    return (Run(each) for each in SESSION.client().executions(limit=limit))


async def _alistall(limit: int = 100) -> Iterator[Run]:
    """Iterate over runs, newest first; awaited, it has fetched them all."""
    client = await SESSION.aclient()
    return iter([Run(each) async for each in client.executions.aio(limit=limit)])


Run.get = Both(_get, _aget)
Run.listall = Both(_listall, _alistall)


class RunContext:
    """How `run` runs: see `with_runcontext`."""

    def __init__(self, mode: Mode | None = None, name: str | None = None) -> None:
        self._local = mode == "local"
        self._name = name

    @property
    def run(self) -> Both[..., Run]:
        """Start a task with its inputs, and return its run."""
        return Both(self._run, self._arun)

    def _run(self, task: Task[..., Any], *args: object, **kwargs: object) -> Run:
        inputs = {INPUTS: task.interface.stored(args, kwargs)}
        run = Run(SESSION.client().start(task.workflow, inputs, name=self._name))
        if self._local:
            run.outputs()
        return run

    async def _arun(self, task: Task[..., Any], *args: object, **kwargs: object) -> Run:
        """Start a task; on return its run is on disk."""
        inputs = {INPUTS: task.interface.stored(args, kwargs)}
        client = await SESSION.aclient()
        run = Run(await client.start.aio(task.workflow, inputs, name=self._name))
        if self._local:
            await run.outputs.aio()
        return run


def with_runcontext(
    mode: Mode | None = None, *, name: str | None = None, **_: object
) -> RunContext:
    """Say how to run.

    Args:
        mode: ``"local"`` returns once the run has ended, and raises if it failed; otherwise it goes
            on in the background.
        name: of the run; None makes one.
        _: what else Flyte's takes, of containers and its console, has no effect.
    """
    return RunContext(mode, name)


run: Final = RunContext().run
