"""Durable, event-driven workflows that live inside an asyncio service: the public names.

_model declares, _core decides, _store keeps, _operators work, _client asks, _runner runs. A module
imports its own layer or lower ones; nothing below imports this one.
"""

from asyncflow._client.client import Client
from asyncflow._client.notification import NotificationClient
from asyncflow._client.schedule_views import ScheduleStatistics, ScheduleTick, WorkflowSchedule
from asyncflow._client.triggers import TriggerExecution, TriggerSchedule
from asyncflow._clock import Clock, SystemClock, VirtualClock
from asyncflow._model.condition import (
    Condition,
    MeetAllCondition,
    MeetAnyCondition,
    SingleEventCondition,
    TaskStatusCondition,
)
from asyncflow._model.context import Context
from asyncflow._model.duration import parse_duration
from asyncflow._model.event import Event
from asyncflow._model.execution import TaskExecution, TaskExecutionKey, WorkflowExecution
from asyncflow._model.listener import ListenerProcessor
from asyncflow._model.log import LogLine
from asyncflow._model.new_event import new_event
from asyncflow._model.operator import Operator, OperatorConfigItem
from asyncflow._model.payload import EventPayload
from asyncflow._model.record import RuleRecord
from asyncflow._model.registry import Registry
from asyncflow._model.rule import TaskRule, WorkflowRule
from asyncflow._model.schedule import Cron, Interval
from asyncflow._model.state import (
    State,
    StateDescriptor,
    StateType,
    ValueState,
    ValueStateDescriptor,
)
from asyncflow._model.statistics import (
    Lateness,
    LeaseStatistics,
    LoopStatistics,
    QueueStatistics,
    Rate,
    RateStatistics,
    RunnerStatistics,
    StoreStatistics,
)
from asyncflow._model.status import (
    EventPhase,
    ExecutionType,
    TaskAction,
    TaskStatus,
    WorkflowStatus,
)
from asyncflow._model.trigger import Trigger, TriggerResult, trigger
from asyncflow._model.value import JsonValue, LargeValueWarning, SizeLimits
from asyncflow._model.webhook import Webhook
from asyncflow._model.workflow import (
    RedeclaredWarning,
    Workflow,
    WorkflowBuilder,
    WorkflowContextManager,
)
from asyncflow._operators.bash import BashOperator
from asyncflow._operators.python import PythonOperator, task
from asyncflow._runner.runner import Runner
from asyncflow.errors import (
    AsyncflowError,
    BashError,
    DefinitionError,
    DuplicateTaskError,
    EventAlreadyExistsError,
    EventAlreadySignalledError,
    EventClosedError,
    EventNotFoundError,
    EventTimedOutError,
    EventTypeError,
    ExecutionExistsError,
    ExecutionNotFoundError,
    ExecutionParkedError,
    FencedError,
    ListenerNotFoundError,
    NotFoundError,
    RuleNotFoundError,
    ScheduleNotFoundError,
    StorageFullError,
    StoreDamagedError,
    StoreError,
    StoreGoneError,
    StoreLocationError,
    StoreReadOnlyError,
    StoreVersionError,
    SyncInLoopError,
    TaskNotFoundError,
    TaskStopped,
    TooLargeError,
    TriggerNotFoundError,
    UsageError,
    WaitTimeoutError,
    WorkflowDisabledError,
    WorkflowInUseError,
    WorkflowNotFoundError,
)

__all__ = [
    "AsyncflowError",
    "BashError",
    "BashOperator",
    "Client",
    "Clock",
    "Condition",
    "Context",
    "Cron",
    "DefinitionError",
    "DuplicateTaskError",
    "Event",
    "EventAlreadyExistsError",
    "EventAlreadySignalledError",
    "EventClosedError",
    "EventNotFoundError",
    "EventPayload",
    "EventPhase",
    "EventTimedOutError",
    "EventTypeError",
    "ExecutionExistsError",
    "ExecutionNotFoundError",
    "ExecutionParkedError",
    "ExecutionType",
    "FencedError",
    "Interval",
    "JsonValue",
    "LargeValueWarning",
    "Lateness",
    "LeaseStatistics",
    "ListenerNotFoundError",
    "ListenerProcessor",
    "LogLine",
    "LoopStatistics",
    "MeetAllCondition",
    "MeetAnyCondition",
    "NotFoundError",
    "NotificationClient",
    "Operator",
    "OperatorConfigItem",
    "PythonOperator",
    "QueueStatistics",
    "Rate",
    "RateStatistics",
    "RedeclaredWarning",
    "Registry",
    "RuleNotFoundError",
    "RuleRecord",
    "Runner",
    "RunnerStatistics",
    "ScheduleNotFoundError",
    "ScheduleStatistics",
    "ScheduleTick",
    "SingleEventCondition",
    "SizeLimits",
    "State",
    "StateDescriptor",
    "StateType",
    "StorageFullError",
    "StoreDamagedError",
    "StoreError",
    "StoreGoneError",
    "StoreLocationError",
    "StoreReadOnlyError",
    "StoreStatistics",
    "StoreVersionError",
    "SyncInLoopError",
    "SystemClock",
    "TaskAction",
    "TaskExecution",
    "TaskExecutionKey",
    "TaskNotFoundError",
    "TaskRule",
    "TaskStatus",
    "TaskStatusCondition",
    "TaskStopped",
    "TooLargeError",
    "Trigger",
    "TriggerExecution",
    "TriggerNotFoundError",
    "TriggerResult",
    "TriggerSchedule",
    "UsageError",
    "ValueState",
    "ValueStateDescriptor",
    "VirtualClock",
    "WaitTimeoutError",
    "Webhook",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowContextManager",
    "WorkflowDisabledError",
    "WorkflowExecution",
    "WorkflowInUseError",
    "WorkflowNotFoundError",
    "WorkflowRule",
    "WorkflowSchedule",
    "WorkflowStatus",
    "new_event",
    "parse_duration",
    "task",
    "trigger",
]
