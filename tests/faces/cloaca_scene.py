"""Workflows of Cloacina, run once: of one task, or of tasks that end as they are told."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from asyncflow import Runner, TaskExecution, TaskStopped
from asyncflow.compat import cloaca
from asyncflow.compat.cloaca.rules import RuleDict


def execute(
    function: Callable[[cloaca.Context], object] | Callable[[], object],
    data: dict[str, object] | None = None,
    **options: Any,  # noqa: ANN401  as users write them
) -> cloaca.WorkflowResult:
    """Run a workflow of one task, once."""
    with cloaca.WorkflowBuilder("one"):
        given: dict[str, Any] = {"retry_attempts": 1, **options}
        cloaca.task(id="only", **given)(cast("Callable[..., object]", function))
    with cloaca.DefaultRunner(":memory:") as runner:
        return runner.execute("one", cloaca.Context(data))


def ends(how: str) -> Callable[[cloaca.Context], None]:
    """Return the body of a task that ends so."""

    def function(context: cloaca.Context) -> None:
        if how == "fails":
            raise ValueError("kaboom")
        if how == "stops":
            raise TaskStopped

    return function


def add(
    name: str, how: str = "works", needs: Iterable[str] = (), rules: RuleDict | None = None
) -> None:
    """Make a task that ends so."""
    options: dict[str, Any] = {} if rules is None else {"trigger_rules": rules}
    if how == "is skipped":
        options["trigger_rules"] = cloaca.any_of()
    cloaca.task(id=name, dependencies=list(needs), retry_attempts=1, **options)(ends(how))


def outcome(run: TaskExecution) -> str:
    """Say in one word what became of a task."""
    return "skipped" if run.result == "skipped" else str(run.status)


def play(workflow: str = "w", data: dict[str, object] | None = None) -> dict[str, list[str]]:
    """Run a workflow; return what became of each task, once for each time that it ran."""
    found: dict[str, list[str]] = {}
    with Runner(":memory:") as runner:
        for run in runner.execute(workflow, data, timeout="10s").task_executions():
            found.setdefault(run.task_name, []).append(outcome(run))
    return found


SUCCESS, FAILED, SKIPPED = ["SUCCESS"], ["FAILED"], ["skipped"]
