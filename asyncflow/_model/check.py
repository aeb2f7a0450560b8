"""What a workflow must be when its block ends: names that exist, and a way to start each task."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping

from asyncflow._model.condition import TaskStatusCondition
from asyncflow._model.operator import Operator, upstream_statuses
from asyncflow._model.rule import TaskRule
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow.errors import DefinitionError

_SHOWN = 20


def check_tasks(workflow: str, tasks: Mapping[str, Operator]) -> None:
    """Turn the dependencies of each task into its first rule, and see that every task can start.

    Takes a time that grows with the rules, not with their square.

    Raises:
        DefinitionError: there is no task, a dependency is none of them, or some of them could only
            be started by each other; the message names them.
    """
    if not tasks:
        text = f"workflow {workflow!r} has no task: make at least one inside its `with` block"
        raise DefinitionError(text)
    try:
        for operator in tasks.values():
            _resolve_dependencies(operator, tasks)
        _refuse_circles(tasks)
    except DefinitionError as error:
        text = f"workflow {workflow!r}: {error}"
        raise DefinitionError(text) from error


def _resolve_dependencies(operator: Operator, tasks: Mapping[str, Operator]) -> None:
    if operator.dependencies:
        upstreams = [_task(operator, each, tasks) for each in operator.dependencies]
        statuses = upstream_statuses(operator, dict.fromkeys(upstreams, TaskStatus.SUCCESS))
        operator.rules.insert(0, TaskRule(TaskStatusCondition(statuses), TaskAction.START))


def _refuse_circles(tasks: Mapping[str, Operator]) -> None:
    stuck = _never_started(tasks)
    if stuck:
        circle = " -> ".join(map(repr, _cycle(tasks, stuck)))
        text = (
            f"tasks wait for each other, and nothing else starts them: {circle}; "
            "remove one of the rules, or let an event start one of the tasks"
        )
        raise DefinitionError(text)


def listed(names: Mapping[str, object]) -> str:
    """Return names as text for an error message, not too many."""
    shown = ", ".join(repr(name) for name, _ in zip(names, range(_SHOWN), strict=False))
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "none"


def _task(
    operator: Operator, dependency: str | Operator, tasks: Mapping[str, Operator]
) -> Operator:
    if isinstance(dependency, Operator):
        return dependency
    if dependency not in tasks:
        text = (
            f"task {operator.name!r} depends on {dependency!r}, which is no task of this workflow; "
            f"its tasks are: {listed(tasks)}"
        )
        raise DefinitionError(text)
    return tasks[dependency]


def _never_started(tasks: Mapping[str, Operator]) -> dict[str, None]:
    """Return the tasks that can never start, in order of declaration."""
    waiting: dict[str, list[tuple[str, dict[str, None]]]] = defaultdict(list)
    ready = deque[str]()
    for name, operator in tasks.items():
        ways = list(_ways(operator))
        if not all(ways):
            ready.append(name)
        for missing in ways:
            for upstream in missing:
                waiting[upstream].append((name, missing))
    stuck = dict.fromkeys(tasks)
    while ready:
        started = ready.popleft()
        if started in stuck:
            del stuck[started]
            ready.extend(_freed(started, waiting[started]))
    return stuck


def _freed(started: str, waiting: list[tuple[str, dict[str, None]]]) -> Iterator[str]:
    """Yield the tasks that waited for this one last."""
    for name, missing in waiting:
        missing.pop(started, None)
        if not missing:
            yield name


def _ways(operator: Operator) -> Iterator[dict[str, None]]:
    """Yield, for each rule that may start the task, the tasks that must have run before."""
    starting = [rule for rule in operator.rules if rule.action is not TaskAction.STOP]
    if not any(rule.action is TaskAction.START for rule in starting):
        yield {}  # it starts with the workflow
        return
    for rule in starting:
        if isinstance(rule.condition, TaskStatusCondition):
            statuses = rule.condition.statuses.items()
            yield {task: None for task, status in statuses if status is not TaskStatus.INIT}
        else:
            yield {}


def _cycle(tasks: Mapping[str, Operator], stuck: Mapping[str, None]) -> list[str]:
    """Return a cycle of stuck tasks, from each to the one that it waits for."""
    path: dict[str, None] = {}
    name = next(iter(stuck))
    while name not in path:
        path[name] = None
        name = next(each for way in _ways(tasks[name]) for each in way if each in stuck)
    names = list(path)
    return [*names[names.index(name) :], name]
