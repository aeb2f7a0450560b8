"""One task of Cloacina, run once."""

from collections.abc import Callable
from typing import Any, cast

from asyncflow.compat import cloaca


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
