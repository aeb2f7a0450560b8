"""AIFlow's calls on workflows and executions, each asked of the only open `Client` or `Runner`.

In a task, of the one that runs it. There is no server to ask; what only a server could do is
refused with `UsageError`. All of them block; in a coroutine use the calls that they stand for.
"""

import runpy
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias, TypeVar

from asyncflow import (
    Client,
    ExecutionNotFoundError,
    NotFoundError,
    Runner,
    TaskExecution,
    UsageError,
    Workflow,
    WorkflowExecution,
    WorkflowRule,
)
from asyncflow import WorkflowSchedule as Stored
from asyncflow.compat.ai_flow.cron import translated

T = TypeVar("T")

TriggerId: TypeAlias = tuple[str, str, str]
"""Namespace, workflow and name of a workflow rule."""


class WorkflowTrigger(NamedTuple):
    """A workflow rule, as AIFlow calls it."""

    namespace: str
    workflow_name: str
    name: str
    is_paused: bool

    @property
    def id(self) -> TriggerId:
        """What the calls on one trigger take."""
        return self[:3]


class WorkflowSchedule(NamedTuple):
    """A schedule of a workflow, as AIFlow calls it.

    Attributes:
        id: what the calls on one schedule take.
        name: what `Client.get_schedule` and its like take.
    """

    id: int
    namespace: str
    workflow_name: str
    name: str
    expression: str
    is_paused: bool
    create_time: datetime


# --- workflows ---


def upload_workflows(workflow_file_path: str, artifacts: object = None) -> list[Workflow]:
    """Run a Python file and return the workflows at its top level, which are now declared.

    A file that this process has imported already, as a program has itself, is not run again.

    Args:
        workflow_file_path: the file.
        artifacts: ignored; nothing is uploaded.
    """
    path = Path(workflow_file_path).resolve(strict=True)
    names = _imported(path)
    if names is None:
        names = runpy.run_path(str(path), run_name=path.stem)
    found = [each for each in names.values() if isinstance(each, Workflow) and each.declared]
    return list(dict.fromkeys(found))


def delete_workflow(workflow_name: str, namespace: str = "default") -> None:
    """See `Client.delete_workflow`."""
    Client.current().delete_workflow(workflow_name, namespace)


def disable_workflow(workflow_name: str, namespace: str = "default") -> None:
    """See `Client.disable_workflow`."""
    Client.current().disable_workflow(workflow_name, namespace)


def enable_workflow(workflow_name: str, namespace: str = "default") -> None:
    """See `Client.enable_workflow`."""
    Client.current().enable_workflow(workflow_name, namespace)


# --- executions ---


def start_workflow_execution(workflow_name: str, namespace: str = "default") -> int:
    """Start a workflow and return the id of its execution; see `Client.start`."""
    return Client.current().start(workflow_name, namespace=namespace).id


def stop_workflow_execution(workflow_execution_id: int) -> None:
    """Stop an execution; see `WorkflowExecution.stop`."""
    _execution(workflow_execution_id).stop()


def stop_workflow_executions(workflow_name: str, namespace: str = "default") -> None:
    """Stop all executions of a workflow that have not ended."""
    for each in Client.current().executions(workflow_name, namespace):
        if not each.status.final:
            each.stop()


def get_workflow_execution(workflow_execution_id: int) -> WorkflowExecution | None:
    """Return the execution of that id, None if there is none."""
    found = _found(workflow_execution_id)
    return None if found is None else found.refresh()


def list_workflow_executions(
    workflow_name: str,
    namespace: str = "default",
    limit: int | None = None,
    offset: int | None = None,
) -> list[WorkflowExecution]:
    """Return executions of a workflow, newest first."""
    return _slice(Client.current().executions(workflow_name, namespace), limit, offset)


def list_task_executions(
    workflow_execution_id: int, limit: int | None = None, offset: int | None = None
) -> list[TaskExecution]:
    """Return every run of each task of an execution, in the order of their first start."""
    runs = _execution(workflow_execution_id).task_executions()
    return _slice(runs, limit, offset)


def start_task_execution(workflow_execution_id: int, task_name: str) -> None:
    """Start a task, if none of its runs is alive; see `WorkflowExecution.start_task`."""
    _execution(workflow_execution_id).start_task(task_name)


def stop_task_execution(workflow_execution_id: int, task_name: str) -> None:
    """Stop the latest run of a task; see `WorkflowExecution.stop_task`."""
    _execution(workflow_execution_id).stop_task(task_name)


# --- triggers, which asyncflow calls workflow rules ---


def add_workflow_trigger(
    rule: WorkflowRule, workflow_name: str, namespace: str = "default"
) -> WorkflowTrigger:
    """Start a workflow by a rule from now on; see `Runner.add_workflow_rule`."""
    name = Runner.current().add_workflow_rule(workflow_name, rule, namespace=namespace)
    return WorkflowTrigger(namespace, workflow_name, name, is_paused=False)


def get_workflow_trigger(trigger_id: TriggerId) -> WorkflowTrigger | None:
    """Return the trigger of that id, None if there is none."""
    namespace, workflow_name, _ = trigger_id
    found = list_workflow_triggers(workflow_name, namespace)
    return next((each for each in found if each.id == trigger_id), None)


def list_workflow_triggers(
    workflow_name: str,
    namespace: str = "default",
    limit: int | None = None,
    offset: int | None = None,
) -> list[WorkflowTrigger]:
    """Return the triggers of a workflow."""
    rules = Client.current().list_workflow_rules(workflow_name, namespace)
    found = (
        WorkflowTrigger(each.namespace, each.workflow, each.name, each.paused) for each in rules
    )
    return _slice(found, limit, offset)


def pause_workflow_trigger(trigger_id: TriggerId) -> None:
    """See `Client.pause_workflow_rule`."""
    namespace, workflow_name, name = trigger_id
    Client.current().pause_workflow_rule(workflow_name, name, namespace)


def resume_workflow_trigger(trigger_id: TriggerId) -> None:
    """See `Client.resume_workflow_rule`."""
    namespace, workflow_name, name = trigger_id
    Client.current().resume_workflow_rule(workflow_name, name, namespace)


def delete_workflow_trigger(trigger_id: TriggerId) -> None:
    """See `Client.delete_workflow_rule`."""
    namespace, workflow_name, name = trigger_id
    Client.current().delete_workflow_rule(workflow_name, name, namespace)


def delete_workflow_triggers(workflow_name: str, namespace: str = "default") -> None:
    """Delete all triggers of a workflow."""
    for each in list_workflow_triggers(workflow_name, namespace):
        delete_workflow_trigger(each.id)


# --- schedules ---


def add_workflow_schedule(
    expression: str, workflow_name: str, namespace: str = "default", *, timezone: str | None = None
) -> WorkflowSchedule:
    """Start a workflow by a schedule from now on; see `Client.register_schedule`.

    The same expression again is the same schedule: a program may add it each time it starts.

    Args:
        expression: ``"cron@minute hour day month day_of_week"``, with weekday 0 for Monday, or
            ``"interval@days hours minutes seconds"``.
        workflow_name: what it starts.
        namespace: of the workflow.
        timezone: of a cron expression; None: UTC. AIFlow takes that of its machine.

    Raises:
        WorkflowNotFoundError: no workflow of that name is declared.
        ValueError: the expression makes no sense, or restricts both the day and the weekday.
    """
    made = Client.current().register_schedule(
        workflow_name,
        translated(expression),
        name=f"{workflow_name} {expression}",
        timezone=timezone,
        namespace=namespace,
    )
    return _schedule(made)


def get_workflow_schedule(schedule_id: int) -> WorkflowSchedule | None:
    """Return the schedule of that id, None if there is none."""
    found = map(_schedule, Client.current().list_schedules())
    return next((each for each in found if each.id == schedule_id), None)


def list_workflow_schedules(
    workflow_name: str,
    namespace: str = "default",
    limit: int | None = None,
    offset: int | None = None,
) -> list[WorkflowSchedule]:
    """Return the schedules of a workflow."""
    found = Client.current().list_schedules(
        workflow_name, limit=limit, offset=offset, namespace=namespace
    )
    return [_schedule(each) for each in found]


def delete_workflow_schedule(schedule_id: int) -> None:
    """See `Client.delete_schedule`."""
    found = _known_schedule(schedule_id)
    Client.current().delete_schedule(found.name, namespace=found.namespace)


def delete_workflow_schedules(workflow_name: str, namespace: str = "default") -> None:
    """Delete all schedules of a workflow."""
    for each in list_workflow_schedules(workflow_name, namespace):
        Client.current().delete_schedule(each.name, namespace=namespace)


def pause_workflow_schedule(schedule_id: int) -> None:
    """See `Client.disable_schedule`."""
    found = _known_schedule(schedule_id)
    Client.current().disable_schedule(found.name, namespace=found.namespace)


def resume_workflow_schedule(schedule_id: int) -> None:
    """See `Client.enable_schedule`."""
    found = _known_schedule(schedule_id)
    Client.current().enable_schedule(found.name, namespace=found.namespace)


# --- what only a server could do ---


def _refused(name: str, instead: str) -> Callable[..., NoReturn]:
    def call(*_: object, **__: object) -> NoReturn:
        text = f"asyncflow has no {name}(): {instead}"
        raise UsageError(text)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Raise `UsageError`: {instead}."
    return call


_NAMESPACE = "a namespace is there as soon as a workflow or an event names it"
add_namespace = _refused("add_namespace", _NAMESPACE)
get_namespace = _refused("get_namespace", _NAMESPACE)
update_namespace = _refused("update_namespace", _NAMESPACE)
list_namespace = _refused("list_namespace", _NAMESPACE)
delete_namespace = _refused("delete_namespace", _NAMESPACE)

_WORKFLOW = "workflows are objects of this program, which upload_workflows() returns"
get_workflow = _refused("get_workflow", _WORKFLOW)
list_workflows = _refused("list_workflows", _WORKFLOW)

_DELETE = "delete_workflow() deletes all executions of a workflow"
delete_workflow_execution = _refused("delete_workflow_execution", _DELETE)

get_task_execution = _refused(
    "get_task_execution", "list_task_executions() has those of a workflow execution"
)

_SNAPSHOT = "the newest definition of a workflow is what is imported"
get_workflow_snapshot = _refused("get_workflow_snapshot", _SNAPSHOT)
list_workflow_snapshots = _refused("list_workflow_snapshots", _SNAPSHOT)
delete_workflow_snapshot = _refused("delete_workflow_snapshot", _SNAPSHOT)
delete_workflow_snapshots = _refused("delete_workflow_snapshots", _SNAPSHOT)


# --- inside ---


def _imported(path: Path) -> dict[str, object] | None:
    """Return the names of a file that is a module of this process, None if it is none."""
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).resolve() == path:
            return vars(module)
    return None


def _found(execution: int) -> WorkflowExecution | None:
    """Look an execution up among the newest first: ids grow."""
    for each in Client.current().executions():
        if each.id <= execution:
            return each if each.id == execution else None
    return None


def _execution(execution: int) -> WorkflowExecution:
    found = _found(execution)
    if found is None:
        raise ExecutionNotFoundError(str(execution))
    return found


def _known_schedule(schedule: int) -> WorkflowSchedule:
    found = get_workflow_schedule(schedule)
    if found is None:
        text = f"no schedule has the id {schedule!r}: list_workflow_schedules() has them"
        raise NotFoundError(text)
    return found


def _schedule(schedule: Stored) -> WorkflowSchedule:
    return WorkflowSchedule(
        schedule["id"],
        schedule["namespace"],
        schedule["workflow_name"],
        schedule["name"],
        schedule["expression"],
        not schedule["enabled"],
        schedule["created_at"],
    )


def _slice(items: Iterable[T], limit: int | None, offset: int | None) -> list[T]:
    begin = offset or 0
    return list(islice(items, begin, None if limit is None else begin + limit))
