"""Names of `ai_flow.model`."""

from asyncflow.compat.ai_flow.model import (
    action,
    condition,
    context,
    execution_type,
    internal,
    operator,
    rule,
    state,
    status,
    task_execution,
    workflow,
    workflow_execution,
)

__all__ = [
    "action",
    "condition",
    "context",
    "execution_type",
    "internal",
    "operator",
    "rule",
    "state",
    "status",
    "task_execution",
    "workflow",
    "workflow_execution",
]
