"""One row for each call that has both forms: how it is made, and whether an answer is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from asyncflow import (
    Event,
    NotificationClient,
    RuleRecord,
    Runner,
    SingleEventCondition,
    TaskExecution,
    WorkflowExecution,
    WorkflowRule,
    WorkflowStatus,
)
from asyncflow._dual import Dual, DualIterator, Shutdown
from tests.client.ears import Heard

Bound: TypeAlias = Dual[..., object] | DualIterator[..., object] | Shutdown


@dataclass(frozen=True)
class World:
    """A runner, and one of each thing that can be asked."""

    runner: Runner
    done: WorkflowExecution
    open: WorkflowExecution
    run: TaskExecution
    notifier: NotificationClient
    heard: str
    """Two listeners: of the runner, and of a task."""
    heard_by_task: str
    sent: Event


@dataclass(frozen=True)
class Row:
    """A call, its arguments, and whether an answer is right."""

    call: Callable[[World], Bound]
    right: Callable[[Any], bool]
    arguments: Callable[[World], tuple[object, ...]] = lambda world: ()


def is_none(found: object) -> bool:
    return found is None


def nothing(found: list[object]) -> bool:
    return found == []


def named(*names: str) -> Callable[[list[WorkflowExecution]], bool]:
    return lambda found: [each.name for each in found] == list(names)


def is_execution(name: str) -> Callable[[WorkflowExecution | None], bool]:
    return lambda found: found is not None and found.name == name


def succeeded(found: WorkflowExecution) -> bool:
    return found.status is WorkflowStatus.SUCCESS


def entry(key: str, value: object) -> Callable[[Any], bool]:
    return lambda found: found[key] == value


def entries(key: str, *values: object) -> Callable[[list[Any]], bool]:
    return lambda found: [each[key] for each in found] == list(values)


def is_sent(found: Event) -> bool:
    return found.key == "said" and found.offset is not None


def one_event(found: list[Event]) -> bool:
    return [each.key for each in found] == ["first"]


def of(*arguments: object) -> Callable[[World], tuple[object, ...]]:
    return lambda world: arguments


ROWS: dict[str, Row] = {
    "Client.start": Row(lambda w: w.runner.start, lambda found: bool(found.name), of("quick")),
    "Client.execute": Row(lambda w: w.runner.execute, succeeded, of("quick")),
    "Client.execution": Row(lambda w: w.runner.execution, is_execution("done"), of("done")),
    "Client.executions": Row(lambda w: w.runner.executions, named("done"), of("quick")),
    "Client.wait": Row(lambda w: w.runner.wait, succeeded, of("done")),
    "Client.stop": Row(lambda w: w.runner.stop, is_none, of("open")),
    "Client.send_event": Row(lambda w: w.runner.send_event, is_sent, of("said")),
    "Client.list_events": Row(lambda w: w.runner.list_events, one_event, of("first")),
    "Client.register_listener": Row(lambda w: w.runner.register_listener, bool, of(Heard())),
    "Client.unregister_listener": Row(
        lambda w: w.runner.unregister_listener, is_none, lambda w: (w.heard,)
    ),
    "Client.disable_workflow": Row(lambda w: w.runner.disable_workflow, is_none, of("quick")),
    "Client.enable_workflow": Row(lambda w: w.runner.enable_workflow, is_none, of("quick")),
    "Client.delete_workflow": Row(lambda w: w.runner.delete_workflow, is_none, of("quick")),
    "Client.list_workflow_rules": Row(
        lambda w: w.runner.list_workflow_rules,
        lambda found: [type(each) for each in found] == [RuleRecord],
        of("quick"),
    ),
    "Client.pause_workflow_rule": Row(
        lambda w: w.runner.pause_workflow_rule, is_none, of("quick", "rule")
    ),
    "Client.resume_workflow_rule": Row(
        lambda w: w.runner.resume_workflow_rule, is_none, of("quick", "rule")
    ),
    "Client.delete_workflow_rule": Row(
        lambda w: w.runner.delete_workflow_rule, is_none, of("quick", "rule")
    ),
    "Client.list_trigger_schedules": Row(
        lambda w: w.runner.list_trigger_schedules, entries("trigger_name", "looks")
    ),
    "Client.get_trigger_schedule": Row(
        lambda w: w.runner.get_trigger_schedule, entry("workflow_name", "polled"), of("looks")
    ),
    "Client.set_trigger_enabled": Row(
        lambda w: w.runner.set_trigger_enabled, is_none, of("looks", False)
    ),
    "Client.get_trigger_execution_history": Row(
        lambda w: w.runner.get_trigger_execution_history, entries("key", "first"), of("looks")
    ),
    "Client.fire_trigger": Row(
        lambda w: w.runner.fire_trigger, lambda found: bool(found.name), of("looks", {"a": 1})
    ),
    "Client.register_schedule": Row(
        lambda w: w.runner.register_schedule, entry("name", "polled"), of("polled", "1h")
    ),
    "Client.list_schedules": Row(lambda w: w.runner.list_schedules, entries("name", "daily")),
    "Client.get_schedule": Row(
        lambda w: w.runner.get_schedule, entry("workflow_name", "polled"), of("daily")
    ),
    "Client.update_schedule": Row(
        lambda w: w.runner.update_schedule, entry("name", "daily"), of("daily")
    ),
    "Client.enable_schedule": Row(lambda w: w.runner.enable_schedule, is_none, of("daily")),
    "Client.disable_schedule": Row(lambda w: w.runner.disable_schedule, is_none, of("daily")),
    "Client.delete_schedule": Row(lambda w: w.runner.delete_schedule, is_none, of("daily")),
    "Client.get_schedule_history": Row(
        lambda w: w.runner.get_schedule_history, entries("id"), of("daily")
    ),
    "Client.get_schedule_statistics": Row(
        lambda w: w.runner.get_schedule_statistics, entry("ticks", 0), of("daily")
    ),
    "Runner.add_workflow_rule": Row(
        lambda w: w.runner.add_workflow_rule,
        lambda found: found == "rule-2",
        of("quick", WorkflowRule(SingleEventCondition("never"))),
    ),
    "Runner.statistics": Row(lambda w: w.runner.statistics, lambda found: found.runners == 1),
    "Runner.shutdown": Row(lambda w: w.runner.shutdown, is_none),
    "NotificationClient.send_event": Row(lambda w: w.notifier.send_event, is_sent, of("said")),
    "NotificationClient.list_events": Row(lambda w: w.notifier.list_events, one_event, of("first")),
    "NotificationClient.register_listener": Row(
        lambda w: w.notifier.register_listener, bool, of(Heard())
    ),
    "NotificationClient.unregister_listener": Row(
        lambda w: w.notifier.unregister_listener, is_none, lambda w: (w.heard_by_task,)
    ),
    "WorkflowExecution.get": Row(lambda w: WorkflowExecution.get, is_execution("done"), of("done")),
    "WorkflowExecution.listall": Row(
        lambda w: WorkflowExecution.listall, named("done"), of("quick")
    ),
    "WorkflowExecution.refresh": Row(lambda w: w.done.refresh, is_execution("done")),
    "WorkflowExecution.task_executions": Row(
        lambda w: w.done.task_executions,
        lambda found: [each.task_name for each in found] == ["ends"],
    ),
    "WorkflowExecution.wait": Row(lambda w: w.done.wait, succeeded),
    "WorkflowExecution.stop": Row(lambda w: w.open.stop, is_none),
    "WorkflowExecution.start_task": Row(lambda w: w.open.start_task, is_none, of("waits")),
    "WorkflowExecution.stop_task": Row(lambda w: w.open.stop_task, is_none, of("waits")),
    "WorkflowExecution.restart_task": Row(lambda w: w.open.restart_task, is_none, of("waits")),
    "TaskExecution.logs": Row(lambda w: w.run.logs, lambda found: found == []),
    "Client.event": Row(lambda w: w.runner.event, is_none, of("never", "open")),
    "Client.events": Row(lambda w: w.runner.events, nothing, of("open")),
    "Client.event_at": Row(
        lambda w: w.runner.event_at, is_none, of("events/open/waits-1-event-x-1/signal")
    ),
    "Client.waiting_events": Row(lambda w: w.runner.waiting_events, nothing),
    "Event.get": Row(lambda w: Event.get, is_none, of("never", "open")),
    "Event.listall": Row(lambda w: Event.listall, nothing, of("open")),
    "Event.refresh": Row(lambda w: w.sent.refresh, lambda found: found.key == "first"),
    "Event.signal": Row(lambda w: w.sent.signal, is_none, of(1)),
    "Event.wait": Row(lambda w: w.sent.wait, lambda found: found == 1),
    "Event.wait_any": Row(
        lambda w: Event.wait_any, lambda found: found.value == 1, lambda w: (w.sent,)
    ),
}
