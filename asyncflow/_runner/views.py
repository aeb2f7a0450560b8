"""What user code sees of an execution: contexts for tasks, conditions and callbacks."""

from collections.abc import Callable, Mapping

from asyncflow._model.context import Context, RunningTask
from asyncflow._model.port import TaskScope
from asyncflow._model.state import Cells
from asyncflow._model.status import TaskStatus
from asyncflow._runner.live import LiveExecution
from asyncflow.errors import TaskNotFoundError


def task_context(live: LiveExecution, scope: TaskScope, cells: Cells) -> Context:
    """Return an attempt's own copy of the context."""
    texts, task = live.state.context, _running(scope)
    return Context.of(texts, task=task, status_of=_statuses(live), cells=cells)


def condition_context(live: LiveExecution, cells: Cells) -> Context:
    """Return what a condition of a task may look at."""
    texts = live.state.context
    return Context.of(texts, status_of=_statuses(live), cells=cells, frozen=True)


def callback_context(
    live: LiveExecution,
    scope: TaskScope,
    base: Mapping[str, str],
    changes: Mapping[str, str | None],
) -> Context:
    """Return what a callback may look at: what the attempt was given, and what it changed."""
    merged = {**base, **changes}
    texts = {key: text for key, text in merged.items() if text is not None}
    return Context.of(texts, task=_running(scope), status_of=_statuses(live), frozen=True)


def _running(scope: TaskScope) -> RunningTask:
    return RunningTask(
        execution_name=scope.execution_name,
        task_name=scope.task_name,
        sequence_number=scope.sequence_number,
        try_number=scope.try_number,
        stop_requested=lambda: scope.stop_sign.raised,
    )


def _statuses(live: LiveExecution) -> Callable[[str], TaskStatus | None]:
    def status_of(name: str) -> TaskStatus | None:
        found = live.state.tasks.get(name)
        if found is not None:
            return found.status
        if name not in live.plan.tasks:
            raise TaskNotFoundError(name, live.plan.workflow, tuple(live.plan.tasks))
        return None

    return status_of
