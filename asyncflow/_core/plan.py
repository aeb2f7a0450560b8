"""A workflow, compiled: frozen, and indexed by what may set its rules off.

A decision looks rules up by their cause and never scans them, so that its cost does not grow with
the workflow.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from asyncflow._frozen import value
from asyncflow._model.condition import Condition, SingleEventCondition, TaskStatusCondition
from asyncflow._model.policy import Retry
from asyncflow._model.schedule import Schedule
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow._model.workflow import Workflow


@value(frozen=True, slots=True)
class TaskPlan:
    """One task.

    Attributes:
        alone: no rule STARTs it, so it starts with the execution.
        listens: an event may start it, so an execution waits for it while it has not run.
        idempotent: it may run again after a crash that left no result.
        period: when it is restarted; an interval is counted from the begin of the execution.
    """

    name: str
    retry: Retry
    idempotent: bool
    alone: bool
    listens: bool
    period: Schedule | None = None


@value(frozen=True, slots=True)
class StatusRule:
    """Act on ``task`` when all of ``upstreams`` have the status that is given for them."""

    index: int
    task: str
    action: TaskAction
    upstreams: tuple[tuple[str, TaskStatus], ...]


@value(frozen=True, slots=True)
class EventRule:
    """Act on ``task`` when an event of a key was sent, and ``condition``, if any, is met by it."""

    index: int
    task: str
    action: TaskAction
    condition: Condition | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Plan:
    """A workflow as `decide` wants it. Two plans are the same only if they are one object.

    Attributes:
        fingerprint: equal for equal tasks and rules; says whether a definition changed.
        by_status: status rules by each (task, status) that they look at.
        by_key: event rules by each key, in order of declaration.
        periodic: tasks with a period: while there is one the execution does not end by itself.
        listening: how many tasks an event may start.
        met: numbers of status rules with how many of their upstreams have the wanted status before
            any task has run.
    """

    workflow: str
    namespace: str
    fingerprint: str
    finish_when_idle: bool
    tasks: Mapping[str, TaskPlan]
    status_rules: tuple[StatusRule, ...]
    by_status: Mapping[tuple[str, TaskStatus], tuple[StatusRule, ...]]
    by_key: Mapping[str, tuple[EventRule, ...]]
    periodic: tuple[TaskPlan, ...] = ()
    listening: int = 0
    met: Mapping[int, int] = field(default_factory=dict[int, int])

    @classmethod
    def of(cls, workflow: Workflow) -> "Plan":
        """Compile a workflow that was declared without errors."""
        rules = list(_rules(workflow))
        by_status: dict[tuple[str, TaskStatus], list[StatusRule]] = defaultdict(list)
        by_key: dict[str, list[EventRule]] = defaultdict(list)
        for keys, rule in rules:
            if isinstance(rule, StatusRule):
                for cause in rule.upstreams:
                    by_status[cause].append(rule)
            else:
                for key in dict.fromkeys(keys):
                    by_key[key].append(rule)
        tasks = _tasks(workflow, [rule for _, rule in rules])
        return cls(
            workflow=workflow.name,
            namespace=workflow.namespace,
            fingerprint=_fingerprint(workflow, rules),
            finish_when_idle=workflow.finish_when_idle,
            tasks=tasks,
            status_rules=tuple(rule for _, rule in rules if isinstance(rule, StatusRule)),
            by_status=_shared(by_status),
            by_key={key: tuple(found) for key, found in by_key.items()},
            periodic=tuple(task for task in tasks.values() if task.period is not None),
            listening=sum(task.listens for task in tasks.values()),
            met=_met_at_first(by_status),
        )

    @classmethod
    def gone(cls, workflow: str, namespace: str) -> "Plan":
        """Return the plan of a workflow that is not declared here: no tasks, no rules."""
        return cls(workflow, namespace, "", True, {}, (), {}, {})


def _rules(workflow: Workflow) -> Iterator[tuple[tuple[str, ...], StatusRule | EventRule]]:
    """Give each rule of the workflow a number, in order of declaration, beside its event keys."""
    index = 0
    for operator in workflow.tasks.values():
        for rule in operator.rules:
            name, action, condition = operator.name, rule.action, rule.condition
            if isinstance(condition, TaskStatusCondition):
                yield (), StatusRule(index, name, action, tuple(condition.statuses.items()))
            else:
                judged = None if type(condition) is SingleEventCondition else condition
                keys = tuple(condition.expect_event_keys)
                yield keys, EventRule(index, name, action, judged)
            index += 1


def _tasks(workflow: Workflow, rules: list[StatusRule | EventRule]) -> dict[str, TaskPlan]:
    started = {rule.task for rule in rules if rule.action is TaskAction.START}
    listening = {
        rule.task
        for rule in rules
        if isinstance(rule, EventRule) and rule.action is not TaskAction.STOP
    }
    return {
        name: TaskPlan(
            name=name,
            retry=operator.retry,
            idempotent=operator.idempotent,
            alone=name not in started,
            listens=name in listening,
            period=operator.period,
        )
        for name, operator in workflow.tasks.items()
    }


def _shared(
    by_status: Mapping[tuple[str, TaskStatus], list[StatusRule]],
) -> dict[tuple[str, TaskStatus], tuple[StatusRule, ...]]:
    """Return the rules as tuples, one for all the tasks that the same rules look at."""
    tuples: dict[tuple[int, ...], tuple[StatusRule, ...]] = {}
    return {
        cause: tuples.setdefault(tuple(rule.index for rule in found), tuple(found))
        for cause, found in by_status.items()
    }


def _met_at_first(
    by_status: Mapping[tuple[str, TaskStatus], list[StatusRule]],
) -> Mapping[int, int]:
    """Return what is met before any task has run: what looks at tasks that have not."""
    first = [rules for (_, wanted), rules in by_status.items() if wanted is TaskStatus.INIT]
    return Counter(rule.index for rules in first for rule in rules)


def _fingerprint(
    workflow: Workflow, rules: list[tuple[tuple[str, ...], StatusRule | EventRule]]
) -> str:
    policies = {id(operator.retry): operator.retry for operator in workflow.tasks.values()}
    shown = {id_: repr(retry) for id_, retry in policies.items()}
    told = {
        "finish_when_idle": workflow.finish_when_idle,
        "tasks": [
            [
                operator.name,
                type(operator).__qualname__,
                operator.idempotent,
                shown[id(operator.retry)],
                repr(operator.period),
            ]
            for operator in workflow.tasks.values()
        ],
        "rules": [
            [rule.task, rule.action, rule.upstreams]
            if isinstance(rule, StatusRule)
            else [rule.task, rule.action, keys, type(rule.condition).__qualname__]
            for keys, rule in rules
        ],
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
