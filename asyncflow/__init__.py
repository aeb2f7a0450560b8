"""Durable, event-driven workflows that live inside an asyncio service: the public names.

_model declares, _core decides, _store keeps, _operators work, _client asks, _runner runs. A module
imports its own layer or lower ones; nothing below imports this one.
"""

from asyncflow._client.client import Client
from asyncflow._client.notification import NotificationClient
from asyncflow._clock import Clock, SystemClock, VirtualClock
from asyncflow._model.condition import Condition, SingleEventCondition
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.execution import TaskExecution, TaskExecutionKey, WorkflowExecution
from asyncflow._model.listener import ListenerProcessor
from asyncflow._model.operator import Operator, OperatorConfigItem
from asyncflow._model.registry import Registry
from asyncflow._model.rule import TaskRule, WorkflowRule
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus, WorkflowStatus
from asyncflow._model.value import JsonValue, LargeValueWarning, SizeLimits
from asyncflow._model.workflow import (
    RedeclaredWarning,
    Workflow,
    WorkflowBuilder,
    WorkflowContextManager,
)
from asyncflow._operators.python import PythonOperator, task
from asyncflow._runner.runner import Runner
from asyncflow.errors import (
    AsyncflowError,
    DefinitionError,
    DuplicateTaskError,
    ExecutionExistsError,
    ExecutionNotFoundError,
    ExecutionParkedError,
    FencedError,
    ListenerNotFoundError,
    NotFoundError,
    StoreError,
    StoreLocationError,
    StoreReadOnlyError,
    StoreVersionError,
    SyncInLoopError,
    TaskNotFoundError,
    TaskStopped,
    TooLargeError,
    UsageError,
    WaitTimeoutError,
    WorkflowNotFoundError,
)

__all__ = [
    "AsyncflowError",
    "Client",
    "Clock",
    "Condition",
    "Context",
    "DefinitionError",
    "DuplicateTaskError",
    "Event",
    "ExecutionExistsError",
    "ExecutionNotFoundError",
    "ExecutionParkedError",
    "ExecutionType",
    "FencedError",
    "JsonValue",
    "LargeValueWarning",
    "ListenerNotFoundError",
    "ListenerProcessor",
    "NotFoundError",
    "NotificationClient",
    "Operator",
    "OperatorConfigItem",
    "PythonOperator",
    "RedeclaredWarning",
    "Registry",
    "Runner",
    "SingleEventCondition",
    "SizeLimits",
    "StoreError",
    "StoreLocationError",
    "StoreReadOnlyError",
    "StoreVersionError",
    "SyncInLoopError",
    "SystemClock",
    "TaskAction",
    "TaskExecution",
    "TaskExecutionKey",
    "TaskNotFoundError",
    "TaskRule",
    "TaskStatus",
    "TaskStopped",
    "TooLargeError",
    "UsageError",
    "VirtualClock",
    "WaitTimeoutError",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowContextManager",
    "WorkflowExecution",
    "WorkflowNotFoundError",
    "WorkflowRule",
    "WorkflowStatus",
    "task",
]
