"""A client's calls about events: what is said is stored, for whoever hears it."""

from dataclasses import replace

from asyncflow._client.base import ClientBase
from asyncflow._dual import dual_method
from asyncflow._model.event import Event
from asyncflow._model.port import TaskScope
from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Letter


class EventCalls(ClientBase):
    """Sends events."""

    @dual_method
    async def send_event(
        self,
        key: str,
        value: object = None,
        *,
        execution: str | None = None,
        namespace: str | None = None,
        sender: str | None = None,
        context: object = None,
    ) -> Event:
        """Send an event. On return it is on disk, and whoever hears it and runs here has answered.

        Args:
            key: what it is about; a non-empty string.
            value: any JSON value.
            execution: the workflow execution that hears it alone; None: every running one of the
                namespace.
            namespace: None is the execution's, else ``"default"``.
            sender: who says so, for people to read.
            context: a further JSON value.

        Raises:
            ExecutionNotFoundError: there is no such execution.
            TypeError, ValueError: key, value, namespace, sender or context cannot be stored.
            UsageError: the execution is in another namespace.
            TooLargeError: the value is over the limit.
        """
        target = None if execution is None else await self._existing(execution)
        event = self._envelopes.sent(
            key,
            value,
            context,
            at=self._clock.now(),
            sender=sender,
            namespace=namespace,
            target=target,
        )
        return Event.of(await self.publish(event))

    # --- the port ---

    async def publish(self, event: EventRecord) -> EventRecord:
        """Store an event for those who hear it, and return it with its offset."""
        (offset,) = await self._store.append([event_letter(event)])
        return replace(event, offset=offset)

    async def publish_from(
        self, scope: TaskScope, key: str, value: object, context: object
    ) -> EventRecord:
        """Publish an event of a task to its own workflow execution."""
        now = self._clock.now()
        return await self.publish(self._envelopes.of_task(scope, key, value, context, at=now))


def event_letter(event: EventRecord) -> Letter:
    """Return the letter that brings an event to those who hear it."""
    return Letter(event.namespace, "EventSent", "{}", event.create_time, event.execution, event)
