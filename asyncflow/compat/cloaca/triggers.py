"""Cloacina's `trigger`: a trigger of asyncflow, or with ``cron=`` a schedule. It polls nothing."""

from collections.abc import Callable
from typing import Final, NamedTuple, ParamSpec, TypeVar

from asyncflow import Cron, DefinitionError, Workflow
from asyncflow import trigger as _trigger

P = ParamSpec("P")
R = TypeVar("R")


class CronTrigger(NamedTuple):
    """A schedule that was declared by `trigger`, for each runner that opens later."""

    name: str
    workflow: str
    expression: str
    timezone: str


CRON_TRIGGERS: Final[dict[str, CronTrigger]] = {}
"""Those of this process, by name; the later replaces the earlier."""


def trigger(
    workflow: str | None = None,
    *,
    on: str | None = None,
    name: str | None = None,
    poll_interval: str | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    allow_concurrent: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Poll a function, which says by a `TriggerResult` whether its workflow is to start.

    With ``cron`` the workflow starts by the clock instead, and the function is never called: each
    `DefaultRunner` that opens later registers the schedule under the trigger's name.

    Args:
        workflow: what it starts, by name.
        on: the newer word for it.
        name: of the trigger; None: that of the function.
        poll_interval: ``"100ms"``, ``"5s"``, which is the default, ``"1m"``, ``"1h"``, ....
        cron: five fields, or six with seconds first.
        timezone: of ``cron``: an IANA name, by default UTC.
        allow_concurrent: False: nothing starts while an execution of an equal context runs.

    Raises:
        DefinitionError: the options do not go together, or one makes no sense; names the trigger.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        found = name if name is not None else getattr(function, "__name__", repr(function))
        label = f"trigger {found!r}"
        wanted = _workflow(workflow, on, label)
        if cron is None:
            if timezone is not None:
                text = f"{label}: a timezone belongs to cron=..., a poll has none"
                raise DefinitionError(text)
            interval = "5s" if poll_interval is None else poll_interval
            return _trigger(
                wanted, name=name, poll_interval=interval, allow_concurrent=allow_concurrent
            )(function)
        if poll_interval is not None:
            text = f"{label}: give it cron or poll_interval, not both"
            raise DefinitionError(text)
        try:
            schedule = Cron(cron, "UTC" if timezone is None else timezone)
        except ValueError as error:
            text = f"{label}: {error}"
            raise DefinitionError(text) from error
        if allow_concurrent is not False and allow_concurrent is not True:
            text = f"{label}: allow_concurrent is True or False, not {allow_concurrent!r}"
            raise DefinitionError(text)
        CRON_TRIGGERS[found] = CronTrigger(found, wanted, schedule.expression, schedule.timezone)
        return function

    return declare


def _workflow(workflow: object, on: object, label: str) -> str:
    if workflow is not None and on is not None and workflow != on:
        text = f"{label}: workflow={workflow!r} and on={on!r} say different things: give one"
        raise DefinitionError(text)
    found = workflow if workflow is not None else on
    if isinstance(found, Workflow):
        return found.name
    if not isinstance(found, str):
        text = f"{label} is told what it starts, as @trigger(workflow='name'), not {found!r}"
        raise DefinitionError(text)
    return found
