"""What user code sees of an execution: contexts for tasks, conditions and callbacks."""

from collections.abc import Mapping

from asyncflow._model.context import Context
from asyncflow._model.port import TaskScope
from asyncflow._model.state import Cells
from asyncflow._runner.live import LiveExecution


def task_context(live: LiveExecution, scope: TaskScope, cells: Cells) -> Context:
    """Return an attempt's own copy of the context."""
    return Context.of(live.state.context, task=scope, statuses=live, cells=cells)


def condition_context(live: LiveExecution, cells: Cells) -> Context:
    """Return what a condition of a task may look at."""
    texts = live.state.context
    return Context.of(texts, statuses=live, cells=cells, frozen=True)


def callback_context(
    live: LiveExecution,
    scope: TaskScope,
    base: Mapping[str, str],
    changes: Mapping[str, str | None],
) -> Context:
    """Return what a callback may look at: what the attempt was given, and what it changed."""
    merged = {**base, **changes}
    texts = {key: text for key, text in merged.items() if text is not None}
    return Context.of(texts, task=scope, statuses=live, frozen=True)
