"""What Cloacina has and asyncflow has not: each name says, when it is used, what to do instead."""

from collections.abc import Callable
from typing import Final, NoReturn

from asyncflow import UsageError

_GRAPH = (
    "it has no computation graphs and no reactors: call plain functions in a task, and start "
    "workflows by events: Runner.add_workflow_rule()"
)
_TENANT = "it has no tenants: give each a DefaultRunner with a file of its own"
_PACKAGE = "it has no packages: leave it out, a workflow is what is imported"
_NAME = "tasks are named by their ids alone"
_VARIABLE = "read os.environ['CLOACINA_VAR_...']"

LEFT_OUT: Final = {
    **dict.fromkeys(
        (
            *("ComputationGraphBuilder", "batch_accumulator", "node", "passthrough_accumulator"),
            *("polling_accumulator", "reactor", "state_accumulator", "stream_accumulator"),
        ),
        _GRAPH,
    ),
    **dict.fromkeys(("DatabaseAdmin", "TenantConfig", "TenantCredentials"), _TENANT),
    **dict.fromkeys(
        ("boundary_schema", "constructor", "workflow_params", "workflow_secrets"), _PACKAGE
    ),
    **dict.fromkeys(("TaskNamespace", "WorkflowContext"), _NAME),
    **dict.fromkeys(("var", "var_or"), _VARIABLE),
}


def refused(name: str) -> Callable[..., NoReturn]:
    """Return a function of that name that raises.

    Raises:
        AttributeError: Cloacina has no such name either.
    """
    if name not in LEFT_OUT:
        text = f"module 'asyncflow.compat.cloaca' has no attribute {name!r}"
        raise AttributeError(text)
    instead = LEFT_OUT[name]

    def call(*_: object, **__: object) -> NoReturn:
        text = f"asyncflow has no {name}(): {instead}"
        raise UsageError(text)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Raise `UsageError`: {instead}."
    return call
