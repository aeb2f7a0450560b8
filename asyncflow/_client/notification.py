"""What a task says to its own workflow execution, and hears, under the AIFlow documents' name.

It works only inside a task, and never reaches another namespace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from asyncflow._client.event_listing import checked_filter, events_page
from asyncflow._client.wishes import checked_wish
from asyncflow._dual import Page, dual_iterator, dual_method
from asyncflow._home import Home
from asyncflow._model.event import Event
from asyncflow._model.listener import ListenerProcessor
from asyncflow._model.naming import event_key
from asyncflow._model.port import CURRENT_TASK, EventFilter
from asyncflow.errors import UsageError


class NotificationClient:
    """Sends events in the name of the task that makes it, and listens in the task's namespace.

    An event goes to the rules of the task's own workflow execution, and to those who listen in
    its namespace.

    Args:
        server_uri: ignored; the AIFlow documents pass an address, and there is no server here.

    Raises:
        UsageError: outside a task.
    """

    def __init__(self, server_uri: str | None = None) -> None:
        """Find the task."""
        scope = CURRENT_TASK.get()
        if scope is None:
            text = (
                "NotificationClient works only inside a task, whose events it sends: "
                "elsewhere use send_event of a Client or Runner"
            )
            raise UsageError(text)
        self.server_uri = server_uri
        self._scope = scope

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        return self._scope.port.__home__()

    @dual_method
    async def send_event(self, key: str, value: object = None, context: object = None) -> Event:
        """Send an event. On return it is on disk and the rules of this execution have answered.

        Args:
            key: what it is about; a non-empty string.
            value: any JSON value; None stays None.
            context: a further JSON value.

        Raises:
            TypeError, ValueError: key, value or context cannot be stored.
            TaskStopped: the task was told to stop; nothing was sent.
        """
        scope = self._scope
        scope.check()
        record = await scope.port.publish_from(scope, event_key(key), value, context)
        return Event.of(record)

    @dual_iterator
    async def list_events(
        self,
        cursor: EventFilter | None,
        /,
        key: str | Iterable[str] | None = None,
        *,
        begin_offset: int = 0,
        end_offset: int | None = None,
        begin_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int = 100,
    ) -> Page[Event, EventFilter]:
        """Iterate over the events of the task's namespace; see `Client.list_events`.

        Raises:
            TaskStopped: the task was told to stop.
        """
        self._scope.check()
        if cursor is None:
            wanted = checked_filter(key, begin_offset, end_offset, begin_time, end_time)
            cursor = replace(wanted, namespace=self._scope.namespace)
        return await events_page(self._scope.port, cursor, limit)

    @dual_method
    async def register_listener(
        self,
        listener_processor: ListenerProcessor,
        event_keys: Sequence[str] | None = None,
        *,
        begin_time: datetime | None = None,
        begin_offset: int | None = None,
    ) -> str:
        """Listen in the task's namespace from now on; see `Client.register_listener`.

        A listener that is not unregistered ends with the attempt of the task that registered it.

        Raises:
            TaskStopped: the task was told to stop.
        """
        scope = self._scope
        scope.check()
        wish = checked_wish(
            listener_processor, event_keys, begin_time, begin_offset, scope.namespace
        )
        return await scope.port.listen(replace(wish, scope=scope))

    @dual_method
    async def unregister_listener(self, listener_id: str) -> None:
        """End a listener after its current batch; see `Client.unregister_listener`.

        Raises:
            ListenerNotFoundError: none of that id listens here.
        """
        await self._scope.port.stop_listening(listener_id)
