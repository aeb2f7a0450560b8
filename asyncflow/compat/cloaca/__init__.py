"""Cloacina's names: a script of its documents runs with only its import changed.

No module here does anything of its own; docs/migrate-from-cloacina.md says what differs.
"""

from collections.abc import Callable
from typing import NoReturn

from asyncflow import TriggerResult
from asyncflow.compat.cloaca.config import DefaultRunnerConfig
from asyncflow.compat.cloaca.context import Context
from asyncflow.compat.cloaca.handle import TaskHandle
from asyncflow.compat.cloaca.left_out import refused
from asyncflow.compat.cloaca.retry import (
    BackoffStrategy,
    RetryCondition,
    RetryPolicy,
    RetryPolicyBuilder,
)
from asyncflow.compat.cloaca.rules import (
    all_of,
    always,
    any_of,
    context_value,
    none_of,
    task_failed,
    task_skipped,
    task_success,
)
from asyncflow.compat.cloaca.runner import DefaultRunner, WorkflowResult
from asyncflow.compat.cloaca.tasks import task
from asyncflow.compat.cloaca.triggers import trigger
from asyncflow.compat.cloaca.workflows import (
    Workflow,
    WorkflowBuilder,
    register_workflow_constructor,
)

__all__ = [
    "BackoffStrategy",
    "Context",
    "DefaultRunner",
    "DefaultRunnerConfig",
    "RetryCondition",
    "RetryPolicy",
    "RetryPolicyBuilder",
    "TaskHandle",
    "TriggerResult",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowResult",
    "all_of",
    "always",
    "any_of",
    "context_value",
    "none_of",
    "register_workflow_constructor",
    "task",
    "task_failed",
    "task_skipped",
    "task_success",
    "trigger",
]


def __getattr__(name: str) -> Callable[..., NoReturn]:
    return refused(name)
