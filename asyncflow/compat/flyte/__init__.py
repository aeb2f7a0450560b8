"""Flyte's names for tasks that wait for events: its documented code changes its imports only.

No module here does anything of its own; docs/migrate-from-flyte.md says what differs.
"""

from typing import NoReturn

from asyncflow.compat.flyte import errors, models, remote
from asyncflow.compat.flyte.environment import TaskEnvironment
from asyncflow.compat.flyte.events import (
    ConditionWebhook,
    EventWebhook,
    new_condition,
    new_event,
)
from asyncflow.compat.flyte.left_out import refuse
from asyncflow.compat.flyte.runs import Run, run, with_runcontext
from asyncflow.compat.flyte.session import (
    init,
    init_from_api_key,
    init_from_config,
    init_in_cluster,
)

__all__ = [
    "ConditionWebhook",
    "EventWebhook",
    "Run",
    "TaskEnvironment",
    "errors",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "models",
    "new_condition",
    "new_event",
    "remote",
    "run",
    "with_runcontext",
]


def __getattr__(name: str) -> NoReturn:
    raise refuse(name)
