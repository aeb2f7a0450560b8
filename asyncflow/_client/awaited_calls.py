"""A client's calls about events that tasks await: find them, signal them, wait for them."""

import json
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from asyncflow._client.event_calls import EventCalls
from asyncflow._client.executions import FIRST_LOOK, LAST_LOOK
from asyncflow._client.news import News
from asyncflow._dual import Page, dual_iterator, dual_method
from asyncflow._model.awaited import AwaitedFilter, EventWish
from asyncflow._model.event import Event, events_of_run, find_event
from asyncflow._model.events_place import EventsPlace
from asyncflow._model.execution import page_size
from asyncflow._model.naming import event_key, storable_name
from asyncflow._model.port import CURRENT_TASK, TaskScope
from asyncflow._model.record import AwaitedRecord, EventRecord
from asyncflow._model.status import EventPhase
from asyncflow._model.value import byte_size, to_json_text
from asyncflow._store.batch import Batch, Expiry, Signal
from asyncflow._store.queries import AwaitedByIds, AwaitedByName, AwaitedEvents
from asyncflow.errors import (
    EventAlreadySignalledError,
    EventClosedError,
    EventNotFoundError,
    UsageError,
    WaitTimeoutError,
)

R = TypeVar("R")

MOST_PAUSE: Final = timedelta(milliseconds=100)
"""Between looks for an event that is to be made: somebody waits for it who has something to say."""


class AwaitedCalls(EventCalls):
    """Finds awaited events, and brings them their signals."""

    @dual_method
    async def event(
        self,
        name: str,
        run_name: str,
        action_name: str | None = None,
        *,
        timeout: str | float | timedelta | None = None,
    ) -> Event | None:
        """Return the event of that name in a workflow execution; see `Event.get`."""
        return await find_event(self, name, run_name, action_name, timeout)

    @dual_iterator
    async def events(
        self,
        cursor: EventsPlace | None,
        /,
        run_name: str,
        action_name: str | None = None,
        limit: int = 100,
    ) -> Page[Event, EventsPlace]:
        """Iterate over the events of a workflow execution; see `Event.listall`."""
        return await events_of_run(self, cursor, run_name, action_name, limit)

    @dual_iterator
    async def waiting_events(
        self,
        cursor: AwaitedFilter | None,
        /,
        name: str | None = None,
        *,
        namespace: str | None = None,
        limit: int = 100,
    ) -> Page[Event, AwaitedFilter]:
        """Iterate over all events that wait for a signal now, of all workflow executions.

        The oldest come first; ``limit`` is the size of a page. Only those are listed that have the
        ``name`` and are in the ``namespace``, if these are given.
        """
        size = page_size(limit)
        if cursor is None:
            cursor = AwaitedFilter(
                name=None if name is None else event_key(name),
                namespace=None if namespace is None else storable_name(namespace, "a namespace"),
                waiting=True,
            )
        records = await self.find_awaited(cursor, size)
        items = [Event.born_waiting(record, self) for record in records]
        last = records[-1].id if len(records) == size else None
        return Page(items, None if last is None else replace(cursor, after=last))

    # --- the port ---

    async def open_event(self, scope: TaskScope, wish: EventWish) -> AwaitedRecord:
        """Refuse: a client runs no tasks."""
        text = f"{self.label} runs no tasks: {wish.name!r} can be awaited in a task of a Runner"
        raise UsageError(text)

    async def find_awaited(self, wanted: AwaitedFilter, limit: int) -> tuple[AwaitedRecord, ...]:
        """Return awaited events, their phases as of now."""
        query = AwaitedEvents(
            namespace=wanted.namespace,
            execution=wanted.execution,
            task=wanted.task,
            sequence_number=wanted.sequence_number,
            name=wanted.name,
            waiting_at=self._clock.now() if wanted.waiting else None,
            after=wanted.after,
            limit=limit,
            newest_first=wanted.newest_first,
        )
        return tuple(map(self._as_of_now, await self._store.read(query)))

    async def awaited_by_name(self, run_name: str, wanted: AwaitedFilter) -> AwaitedRecord | None:
        """Return an event of an execution by its name: one that waits, else the newest."""
        query = AwaitedByName(
            run_name,
            wanted.name or "",
            self._clock.now(),
            task=wanted.task,
            sequence_number=wanted.sequence_number,
        )
        found = await self._store.read(query)
        return None if found is None else self._as_of_now(found)

    async def awaited(self, id_: int) -> AwaitedRecord | None:
        """Return an awaited event, its phase as of now; None if it was deleted."""
        for record in await self._store.read(AwaitedByIds((id_,))):
            return self._as_of_now(record)
        return None

    async def await_found(
        self, find: Callable[[], Coroutine[Any, Any, R | None]], timeout: timedelta
    ) -> R | None:
        """Ask again and again until there is something, or for so long."""
        pause = FIRST_LOOK
        with suppress(TimeoutError):
            async with self._clock.deadline(timeout):
                while True:
                    with self._news() as news:
                        found = await find()
                        if found is not None:
                            return found
                        await news.within(pause)
                    pause = min(pause * 2, MOST_PAUSE)
        return None

    async def signal(
        self, record: AwaitedRecord, payload: str, sender: str | None, comment: str | None
    ) -> None:
        """Return once an awaited event has its payload, on disk; see `Event.signal`."""
        self._limits.check("the payload", byte_size(payload))
        if comment is not None:
            self._limits.check("the comment", byte_size(comment))
        if sender is not None:
            self._limits.check("the sender", byte_size(sender))
        event = EventRecord(
            offset=None,
            key=record.name,
            value=payload,
            namespace=record.namespace,
            sender=sender,
            create_time=self._clock.now(),
            context=None if comment is None else to_json_text(comment),
            execution=record.execution,
            awaited=record.id,
            run_name=record.run_name,
        )
        if not await self._take(Signal(record.id, event, comment)):
            await self._check_refused(record, payload)

    def await_closed(
        self, records: Sequence[AwaitedRecord], timeout: timedelta | None
    ) -> Coroutine[Any, Any, AwaitedRecord]:
        """Return the first of some awaited events that is signalled, else the last that closes.

        It is no coroutine of its own: many wait, and each is memory.
        """
        return self._closed(records) if timeout is None else self._closed_within(records, timeout)

    # --- inside ---

    async def _closed_within(
        self, records: Sequence[AwaitedRecord], timeout: timedelta
    ) -> AwaitedRecord:
        try:
            async with self._clock.deadline(timeout):
                return await self._closed(records)
        except TimeoutError as error:
            # What is over already is in time for any timeout, also for none.
            now = await self._expired(tuple(record.id for record in records))
            for record in records:
                if record.id in now and now[record.id].phase is EventPhase.SUCCEEDED:
                    return now[record.id]
            names = ", ".join(repr(record.name) for record in records)
            text = f"event {names} of {records[0].run_name!r} was not signalled within {timeout}"
            raise WaitTimeoutError(f"{text}; it waits on") from error

    async def _take(self, signal: Signal) -> bool:
        """Store a signal and a letter about it; say whether it was taken."""
        batch = Batch(self._fence, signals=(replace(signal, by_letter=True),))
        (offset,) = (await self._store.commit(batch)).signals
        if offset is None:
            return False
        self._listeners.sent([(signal.event.namespace, signal.event.key, offset)])
        await self._ring()
        return True

    async def _check_refused(self, record: AwaitedRecord, payload: str) -> None:
        """Raise why a signal was refused; the same one again is none."""
        found = (await self._expired((record.id,))).get(record.id)
        if found is None:
            raise EventNotFoundError(record.name, record.run_name)
        if found.phase is not EventPhase.SUCCEEDED:
            raise EventClosedError(record.name, record.run_name, found.phase)
        if _canonical(found.value or "") != _canonical(payload):
            raise EventAlreadySignalledError(record.name, record.run_name)

    def _closed(self, records: Sequence[AwaitedRecord]) -> Coroutine[Any, Any, AwaitedRecord]:
        """Wait for the first that is signalled, else the last that closes."""
        return self._seen_closed(records)

    async def _seen_closed(self, records: Sequence[AwaitedRecord]) -> AwaitedRecord:
        """Look again and again, less and less often."""
        pause, waiting = FIRST_LOOK, {record.id: record for record in records}
        while True:
            found = await self._expired(tuple(waiting))
            for id_, record in tuple(waiting.items()):
                row = found.get(id_)
                if row is None:
                    raise EventNotFoundError(record.name, record.run_name)
                if row.phase is EventPhase.SUCCEEDED:
                    return row
                if row.phase is not EventPhase.RUNNING:
                    del waiting[id_]
                if not waiting:
                    return row
            await self._pause(tuple(waiting.values()), pause)
            pause = min(pause * 2, LAST_LOOK)
            scope = CURRENT_TASK.get()
            if scope is not None:
                scope.check()

    @contextmanager
    def _news(self, execution: int | None = None) -> Generator[News]:
        """Give what is told of the next transaction, about an execution if one is named."""
        self._listeners.check()
        yield News(self._clock)

    def _patience(self, execution: int | None, pause: timedelta) -> timedelta | None:
        """Return how long to wait for such news before the next look."""
        return pause

    async def _pause(self, waiting: Sequence[AwaitedRecord], pause: timedelta) -> None:
        """Wait until one of some events may have closed, or so long."""
        await self._clock.pause(pause)

    async def _expired(self, ids: tuple[int, ...]) -> dict[int, AwaitedRecord]:
        """Return awaited events. One that is TIMED_OUT is so on disk.

        Else a signal that was sent in time, and is stored late, would be taken all the same.
        """
        query, now = AwaitedByIds(ids), self._clock.now()
        rows = await self._store.read(query)
        over = [Expiry(row.id, now) for row in rows if row.phase_at(now) is not row.phase]
        if over:
            await self._store.commit(Batch(self._fence, expired=tuple(over)))
            rows = await self._store.read(query)
        return {row.id: row for row in rows}

    def _as_of_now(self, record: AwaitedRecord) -> AwaitedRecord:
        phase = record.phase_at(self._clock.now())
        if phase is record.phase:
            return record
        return replace(record, phase=phase, ended=record.deadline)


def _canonical(text: str) -> str:
    """Return JSON text in one form of the several that mean the same."""
    return json.dumps(json.loads(text), sort_keys=True)
