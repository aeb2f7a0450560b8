"""Predicates on an event and a context: when a rule acts. Users write their own."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import cast

from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.naming import checked_name
from asyncflow._model.state import ValueStateDescriptor
from asyncflow._model.status import TaskStatus
from asyncflow.errors import DefinitionError


class Condition(ABC):
    """Says of an event whether it is met. It is asked about every event of its keys.

    Args:
        expect_event_keys: the keys of the events that it is asked about; they match exactly.

    Raises:
        DefinitionError: there are no keys, or one is no non-empty string.
    """

    expect_event_keys: Sequence[str]

    def __init__(self, expect_event_keys: Sequence[str]) -> None:
        self.expect_event_keys = _checked_keys(expect_event_keys, type(self).__qualname__)

    @abstractmethod
    def is_met(self, event: Event, context: Context) -> bool | Awaitable[bool]:
        """Return whether the condition is met. One that raises counts as not met.

        It may be ``async def``, and then take 30 s. As ``def`` it runs on the runner's loop, and
        must not wait.

        Args:
            event: has one of the expected keys; its offset is not known yet.
            context: of the workflow execution, to be read only.
        """


class SingleEventCondition(Condition):
    """Met by any event of one key."""

    def __init__(self, expect_event_key: str) -> None:
        super().__init__([checked_name(expect_event_key, "expect_event_key")])

    def is_met(self, event: Event, context: Context) -> bool:
        """Return whether the event has the key."""
        return event.key in self.expect_event_keys


class TaskStatusCondition(Condition):
    """Met when tasks have the statuses that are given for them, all at once.

    No event sets it off but the changes of these tasks' statuses, so it expects no keys. A task
    that never ran is INIT.

    Args:
        statuses: the expected status by the name of the task, at least one.
    """

    def __init__(self, statuses: Mapping[str, TaskStatus]) -> None:
        if not statuses:
            text = "a condition on task statuses needs at least one task"
            raise DefinitionError(text)
        self.statuses = {task: _status(task, each) for task, each in statuses.items()}
        self.expect_event_keys = ()

    def is_met(self, event: Event, context: Context) -> bool:
        """Return whether all tasks have their statuses now."""
        return all(
            (context.get_task_status(task) or TaskStatus.INIT) is status
            for task, status in self.statuses.items()
        )


class _Composite(Condition):
    """Asks those of its conditions that expect the key of an event, in order."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        label = type(self).__qualname__
        if not isinstance(conditions, (list, tuple)) or not conditions:
            text = f"{label} takes a list of at least one condition, not {conditions!r}"
            raise DefinitionError(text)
        self.conditions = tuple(map(checked_condition, conditions))
        keys = [key for each in self.conditions for key in each.expect_event_keys]
        if not all(each.expect_event_keys for each in self.conditions):
            text = f"{label} asks about events, and a condition on task statuses hears of none"
            raise DefinitionError(text)
        super().__init__(list(dict.fromkeys(keys)))

    def is_met(self, event: Event, context: Context) -> bool | Awaitable[bool]:
        """Return what its conditions amount to; awaitable if one of them is ``async def``."""
        found: dict[int, bool] = {}
        asked = iter(
            [n for n, each in enumerate(self.conditions) if event.key in each.expect_event_keys]
        )
        for number in asked:
            met = self.conditions[number].is_met(event, context)
            if isinstance(met, Awaitable):
                return self._later(met, number, asked, found, event, context)
            found[number] = bool(met)
        return self._amount(found, context)

    async def _later(  # noqa: PLR0917  all that the loop above knew
        self,
        met: Awaitable[bool],
        number: int,
        asked: Iterator[int],
        found: dict[int, bool],
        event: Event,
        context: Context,
    ) -> bool:
        found[number] = bool(await met)
        for rest in asked:
            opinion = self.conditions[rest].is_met(event, context)
            found[rest] = bool(await opinion if isinstance(opinion, Awaitable) else opinion)
        return self._amount(found, context)

    @abstractmethod
    def _amount(self, found: Mapping[int, bool], context: Context) -> bool:
        """Return whether it is met, if its conditions of these numbers said so of the event."""


class MeetAllCondition(_Composite):
    """Met by the event that completes a set: each of its conditions was met since the last time.

    It remembers in a state which of them were met. One that an event does not meet any more counts
    as not met. Once it was met it starts again.

    Args:
        name: of its state, unique among the states of the workflow.
        conditions: each with event keys of its own.
    """

    def __init__(self, name: str, conditions: Sequence[Condition]) -> None:
        super().__init__(conditions)
        self.name = checked_name(name, "the name of a MeetAllCondition")

    def _amount(self, found: Mapping[int, bool], context: Context) -> bool:
        state = context.get_state(ValueStateDescriptor(self.name))
        before = set(cast("list[int]", state.value() or []))
        met = {number for number in before if number not in found}
        met |= {number for number, said in found.items() if said}
        complete = met >= set(range(len(self.conditions)))
        if complete:
            state.clear()
        elif met != before:
            state.update(sorted(met))
        return complete


class MeetAnyCondition(_Composite):
    """Met by an event that meets any of its conditions; all of those that expect it are asked.

    Args:
        conditions: each with event keys of its own.
    """

    def _amount(self, found: Mapping[int, bool], context: Context) -> bool:
        return any(found.values())


def _status(task: str, status: str) -> TaskStatus:
    try:
        return TaskStatus(status)
    except ValueError as error:
        text = f"the status of task {task!r} is one of {', '.join(TaskStatus)}, not {status!r}"
        raise DefinitionError(text) from error


def checked_condition(condition: object) -> Condition:
    """Return a condition that a rule can use.

    Raises:
        DefinitionError: it is no condition, or one without keys.
    """
    if not isinstance(condition, Condition):
        hint = ": make an instance of it" if isinstance(condition, type) else ""
        text = f"condition is an instance of Condition, not {condition!r}{hint}"
        raise DefinitionError(text)
    if not isinstance(condition, TaskStatusCondition):
        name = type(condition).__qualname__
        keys: object = getattr(condition, "expect_event_keys", None)
        if keys is None:
            text = (
                f"{name} has no expect_event_keys: "
                "call super().__init__(expect_event_keys=[...]) in its __init__"
            )
            raise DefinitionError(text)
        condition.expect_event_keys = _checked_keys(keys, name)
    return condition


def _checked_keys(keys: object, condition: str) -> tuple[str, ...]:
    if not isinstance(keys, (list, tuple)) or not keys:
        text = f"{condition}: expect_event_keys is a list of at least one event key, not {keys!r}"
        raise DefinitionError(text)
    found = cast("Sequence[object]", keys)
    return tuple(checked_name(key, f"{condition}: an event key") for key in found)
