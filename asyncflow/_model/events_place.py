"""Which events of a workflow execution are meant, and where a listing of them goes on."""

from dataclasses import dataclass, replace

from asyncflow._model.awaited import AwaitedFilter, run_of
from asyncflow._model.naming import storable_name
from asyncflow._model.port import EventFilter, Port
from asyncflow.errors import ExecutionNotFoundError


@dataclass(frozen=True, slots=True)
class EventsPlace:
    """Where a listing of the events of an execution goes on: in which of its two parts, and where.

    Attributes:
        awaited: which of those that tasks made are to come; None: all have come.
        sent: which of those that were sent are to come; None: none are listed.
    """

    port: Port
    awaited: AwaitedFilter | None
    sent: EventFilter | None


async def first_place(port: Port, run_name: str, action_name: str | None) -> EventsPlace:
    """Return where a listing begins; raises what `Event.listall` raises."""
    run = await port.find_execution(run_name)
    if run is None:
        raise ExecutionNotFoundError(run_name)
    wanted = await _of_action(port, AwaitedFilter(execution=run.id), action_name)
    return EventsPlace(port, wanted, sent_to(run.id, run.name, action_name))


def wanted_of(wanted: AwaitedFilter, action_name: str | None) -> tuple[AwaitedFilter, ...]:
    """Return what a task's name means; and ``"{task}-{n}"``, if no such task made one."""
    if action_name is None:
        return (wanted,)
    by_task = replace(wanted, task=storable_name(action_name, "action_name"))
    run = run_of(action_name)
    if run is None:
        return (by_task,)
    return (by_task, replace(wanted, task=run[0], sequence_number=run[1]))


async def _of_action(port: Port, wanted: AwaitedFilter, action_name: str | None) -> AwaitedFilter:
    *others, last = wanted_of(wanted, action_name)
    for each in others:
        if await port.find_awaited(each, 1):
            return each
    return last


def sent_to(execution: int, run_name: str, action_name: str | None) -> EventFilter:
    """Return which events that were just sent are meant: all, or those of a task."""
    sender = None if action_name is None else f"{run_name}/{action_name}"
    return EventFilter(execution=execution, sender=sender, answers=False)
