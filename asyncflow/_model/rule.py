"""Rules: what to do when a condition is met. They ask; what follows is decided elsewhere."""

from collections.abc import Awaitable
from dataclasses import dataclass

from asyncflow._model.condition import Condition, checked_condition
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.status import TaskAction
from asyncflow.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class TaskRule:
    """When the condition is met, act on the task that has the rule.

    Raises:
        DefinitionError: the condition cannot be used, or the action is no `TaskAction`.
    """

    condition: Condition
    action: TaskAction

    def __post_init__(self) -> None:
        checked_condition(self.condition)
        if not isinstance(self.action, TaskAction):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"action is TaskAction.START, STOP or RESTART, not {self.action!r}"
            raise DefinitionError(text)

    def trigger(
        self, event: Event, context: Context
    ) -> TaskAction | Awaitable[TaskAction | None] | None:
        """Return the action if the event meets the condition, else None.

        Await what comes of a condition whose ``is_met`` is ``async def``.
        """
        met = self.condition.is_met(event, context)
        if isinstance(met, Awaitable):
            return self._later(met)
        return self.action if met else None

    async def _later(self, met: Awaitable[bool]) -> TaskAction | None:
        return self.action if await met else None


@dataclass(frozen=True, slots=True)
class WorkflowRule:
    """When the condition is met, start a workflow execution.

    Raises:
        DefinitionError: the condition cannot be used.
    """

    condition: Condition

    def __post_init__(self) -> None:
        checked_condition(self.condition)

    def trigger(self, event: Event, context: Context) -> bool | Awaitable[bool]:
        """Return whether the event meets the condition.

        Await what comes of a condition whose ``is_met`` is ``async def``.
        """
        met = self.condition.is_met(event, context)
        return met if isinstance(met, Awaitable) else bool(met)
