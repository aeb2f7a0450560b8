"""What users write to hear events as they come. Who calls it is the client's affair."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable

from asyncflow._model.event import Event


class ListenerProcessor(ABC):
    """Takes the events that a listener hears."""

    @abstractmethod
    def process(self, events: list[Event]) -> object | Awaitable[object]:
        """Take some events, at least one, in order of offset; ``def`` or ``async def``.

        ``def`` is called in a thread, ``async def`` on the client's loop; a listener calls it again
        only when it has returned. What it returns is dropped. What it raises is logged on
        ``asyncflow.listeners``; the listener goes on with the next events.
        """
