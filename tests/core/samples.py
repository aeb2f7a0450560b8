"""Workflows for tests: tasks that do nothing, and a block to declare them in."""

from collections.abc import Generator
from contextlib import contextmanager

from asyncflow._model.condition import Condition
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.operator import Operator
from asyncflow._model.registry import Registry
from asyncflow._model.workflow import Workflow


class Nothing(Operator):
    """A task whose body is never called here."""

    def start(self, context: Context) -> None:
        pass


class Asked(Condition):
    """A condition whose answer a test gives by its verdicts."""

    def __init__(self, *keys: str) -> None:
        super().__init__(expect_event_keys=keys)

    def is_met(self, event: Event, context: Context) -> bool:
        raise NotImplementedError(event, context)  # the core must never ask


@contextmanager
def declared(*, finish_when_idle: bool = False) -> Generator[Workflow, None, None]:
    """Open a workflow that no other test sees."""
    with Registry(), Workflow("release", finish_when_idle=finish_when_idle) as workflow:
        yield workflow
