"""A client's calls about events: what is said is stored, for whoever hears it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from asyncflow._client.base import ClientBase
from asyncflow._client.event_listing import checked_filter, events_page
from asyncflow._client.wishes import checked_wish
from asyncflow._dual import Page, dual_iterator, dual_method
from asyncflow._model.callback import event_at
from asyncflow._model.event import Event
from asyncflow._model.listener import ListenerProcessor
from asyncflow._model.naming import storable_name
from asyncflow._model.port import EventFilter, ListenerWish, TaskScope
from asyncflow._model.record import EventRecord
from asyncflow._store.batch import Letter
from asyncflow._store.queries import Events


class EventCalls(ClientBase):
    """Sends events, lists them, and listens."""

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

    @dual_method
    async def event_at(self, callback_uri: str) -> Event | None:
        """Return the event that a webhook was told to answer there, None if it is gone.

        For the service that takes the answer, which then signals the event.

        Args:
            callback_uri: the address, or its path alone, as it came: with its percent signs.

        Raises:
            ValueError: it is no such address.
        """
        return await event_at(self, callback_uri)

    @dual_iterator
    async def list_events(
        self,
        cursor: EventFilter | None,
        /,
        key: str | Iterable[str] | None = None,
        *,
        namespace: str | None = None,
        sender: str | None = None,
        execution: str | None = None,
        begin_offset: int = 0,
        end_offset: int | None = None,
        begin_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int = 100,
    ) -> Page[Event, EventFilter]:
        """Iterate over events in order of offset; ``limit`` is the size of a page.

        An event is listed if all that is given holds for it: ``key`` (one, or several of which it
        has one), ``namespace``, ``sender``, ``execution`` (the name of that to which it was
        confined), and the bounds. ``begin_offset`` and ``begin_time`` are exclusive, ``end_offset``
        and ``end_time`` inclusive; times are aware.

        Raises:
            ExecutionNotFoundError: there is no such execution.
            ValueError: a time has no time zone, or a name is none; UsageError, TypeError: an
                argument is not of its kind.
        """
        if cursor is None:
            wanted = checked_filter(key, begin_offset, end_offset, begin_time, end_time)
            cursor = replace(
                wanted,
                namespace=None if namespace is None else storable_name(namespace, "a namespace"),
                sender=None if sender is None else storable_name(sender, "an event's sender"),
                execution=None if execution is None else (await self._existing(execution)).id,
            )
        return await events_page(self, cursor, limit)

    @dual_method
    async def register_listener(
        self,
        listener_processor: ListenerProcessor,
        event_keys: Sequence[str] | None = None,
        *,
        begin_time: datetime | None = None,
        begin_offset: int | None = None,
        namespace: str = "default",
    ) -> str:
        """Let a processor hear the events of a namespace from now on; return the listener's id.

        It hears them in order of offset, in batches that are never empty, until
        `unregister_listener`, or until this client closes. Its place is not stored: give the last
        offset that it has seen as ``begin_offset`` to go on from there.

        Args:
            listener_processor: its `process` is called in a thread, or on the client's loop if it
                is ``async def``.
            event_keys: the keys that it hears, exactly; None: every key.
            begin_time: first hear again what was sent after this aware time.
            begin_offset: first hear again what comes after this offset.
            namespace: where it listens.

        Raises:
            ValueError: the time has no time zone, or there is no key; TypeError, UsageError: an
                argument is not of its kind.
        """
        wish = checked_wish(listener_processor, event_keys, begin_time, begin_offset, namespace)
        return await self.listen(wish)

    @dual_method
    async def unregister_listener(self, listener_id: str) -> None:
        """End a listener. On return its `process` is not running, nor called again.

        It waits for the current batch, at most 5 s; then it gives up with a warning. Called inside
        the listener's own `process` it returns at once, and that call was the last.

        Raises:
            ListenerNotFoundError: none of that id listens here.
        """
        await self.stop_listening(listener_id)

    # --- the port ---

    async def find_events(self, wanted: EventFilter, limit: int) -> tuple[EventRecord, ...]:
        """Return events in order of offset."""
        query = Events(
            namespace=wanted.namespace,
            execution=wanted.execution,
            keys=wanted.keys,
            begin=wanted.begin,
            end=wanted.end,
            limit=limit,
            sender=wanted.sender,
            since=wanted.since,
            until=wanted.until,
            answers=wanted.answers,
            newest_first=wanted.newest_first,
        )
        return await self._store.read(query)

    async def listen(self, wish: ListenerWish) -> str:
        """Let a listener hear events from now on, and return its id."""
        return await self._listeners.start(wish)

    async def stop_listening(self, listener_id: str) -> None:
        """Return once a listener has ended, after its current batch."""
        await self._listeners.stop(listener_id)

    def end_listeners(self, scope: TaskScope) -> None:
        """End the listeners that a task has left behind, each after its current batch."""
        self._listeners.stop_those_of(scope)

    async def publish(self, event: EventRecord, *, by_task: bool = False) -> EventRecord:
        """Store an event for those who hear it, and return it with its offset."""
        (offset,) = await self._store.append([event_letter(event)], self._fence)
        await self._ring()
        if offset is not None:
            self._listeners.sent([(event.namespace, event.key, offset)])
        return replace(event, offset=offset)

    async def publish_from(
        self, scope: TaskScope, key: str, value: object, context: object
    ) -> EventRecord:
        """Publish an event of a task to its own workflow execution."""
        now = self._clock.now()
        event = self._envelopes.of_task(scope, key, value, context, at=now)
        return await self.publish(event, by_task=True)


def event_letter(event: EventRecord) -> Letter:
    """Return the letter that brings an event to those who hear it."""
    return Letter(event.namespace, "EventSent", "{}", event.create_time, event.execution, event)
