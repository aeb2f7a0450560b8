"""What Flyte has in `flyte.remote`: events and runs, asked from outside a task."""

from asyncflow.compat.flyte.events import Event
from asyncflow.compat.flyte.runs import Run

Condition = Event

__all__ = ["Condition", "Event", "Run"]
