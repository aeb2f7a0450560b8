"""Events as conditions, tasks and callers see them: values, and what to ask about them.

Facts of the wire (JSON text, row ids) stay in `record`. An event holds no live state: `refresh`
looks again.
"""

import json
import reprlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from asyncflow._dual import (
    Page,
    computed_method,
    dual_classmethod,
    dual_classmethod_of_objects,
    dual_iterator_classmethod,
    dual_method,
)
from asyncflow._home import Home
from asyncflow._model.awaited import AwaitedFilter, action_of
from asyncflow._model.born_waiting import BornWaiting, closed, payload_of
from asyncflow._model.duration import parse_timeout
from asyncflow._model.events_place import EventsPlace, first_place, sent_to, wanted_of
from asyncflow._model.execution import page_size
from asyncflow._model.naming import event_key, execution_name, storable_name
from asyncflow._model.payload import EventPayload, PayloadType, plain_payload
from asyncflow._model.port import CURRENT_TASK, Port, current_port
from asyncflow._model.record import AwaitedRecord, EventRecord
from asyncflow._model.status import EventPhase
from asyncflow._model.value import JsonValue, from_json_text, to_json_text
from asyncflow.errors import (
    EventAlreadySignalledError,
    EventNotFoundError,
    UsageError,
)

T_co = TypeVar("T_co", covariant=True, default=Any)


@dataclass(frozen=True, slots=True)
class Event(BornWaiting, Generic[T_co]):
    """Something said under a key, once: sent, or asked for by a task and then signalled.

    `send_event` makes one of the first kind; it is SUCCEEDED from the beginning. `new_event` makes
    one of the second: it is RUNNING until somebody calls `signal`, and its task calls `wait`.

    The fields are those of the AIFlow documents, then those of Flyte's. It is a snapshot: what
    becomes of it later is shown by `refresh`, which returns another one.

    Attributes:
        key: what it is about; rules and listeners choose by it, exactly. Flyte's documents call it
            ``name``.
        value: any JSON value; None stays None, and is what a waiting event has.
        namespace: where it is heard.
        sender: ``"{execution}/{task}"`` for a task's event, else what the sender said; who
            signalled it.
        offset: its place among all events of the store: grows, never repeats. None while it waits,
            and inside a condition, because offsets are given at commit.
        create_time: when it was sent, or began to wait, aware, UTC; None for one that was never
            stored.
        context: a further JSON value that its sender added.
        run_name: the workflow execution that it belongs to; empty for one of a whole namespace.
        action_name: its own id in that execution: ``"{task}-{sequence_number}-event-{name}-{n}"``
            for one that a task made; empty for one that was sent.
        phase: RUNNING while it waits, SUCCEEDED with a value; or FAILED, TIMED_OUT, ABORTED.
    """

    key: str
    value: JsonValue = field(default=None, hash=False)
    namespace: str = "default"
    sender: str | None = None
    offset: int | None = None
    create_time: datetime | None = None
    context: JsonValue = field(default=None, hash=False)
    run_name: str = ""
    action_name: str = ""
    phase: EventPhase = EventPhase.SUCCEEDED

    @classmethod
    def of(cls, record: EventRecord, port: Port | None = None) -> "Event[Any]":
        """Return what the record says, its values decoded; ``port`` is asked for more."""
        event: Event[Any] = cls(
            key=record.key,
            value=from_json_text(record.value),
            namespace=record.namespace,
            sender=record.sender,
            offset=record.offset,
            create_time=record.create_time,
            context=None if record.context is None else from_json_text(record.context),
            run_name=record.run_name or "",
        )
        object.__setattr__(event, "_port", port)
        return event

    @classmethod
    def born_waiting(
        cls, record: AwaitedRecord, port: Port | None = None, author: type | None = None
    ) -> "Event[Any]":
        """Return one that a task made, as its row says.

        Args:
            record: the row.
            port: is asked for more.
            author: the type of the payload in the task itself.
        """
        event: Event[Any] = cls(
            key=record.name,
            value=None if record.value is None else from_json_text(record.value),
            namespace=record.namespace,
            sender=record.sender,
            offset=record.offset,
            create_time=record.created,
            run_name=record.run_name,
            action_name=action_of(record),
            phase=record.phase,
        )
        object.__setattr__(event, "_port", port)
        object.__setattr__(event, "_record", record)
        object.__setattr__(event, "_author", author)
        return event

    def __repr__(self) -> str:
        """Name it, its execution, and its value, shortened; its phase if it has no value."""
        of = f" of {self.run_name!r}" if self.run_name else ""
        known = self.phase is EventPhase.SUCCEEDED
        return f"<Event {self.key!r}{of}: {reprlib.repr(self.value) if known else self.phase}>"

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        return self._asked("Event").__home__()

    @classmethod
    def __class_home__(cls) -> Home:
        """Return where its classmethods run: with the client that is found for the call."""
        return current_port("Event").__home__()

    # --- what it shows ---

    @property
    def name(self) -> str:
        """Its key, as Flyte's documents call it."""
        return self.key

    @property
    def end_time(self) -> datetime | None:
        """When it was signalled, or closed without a signal; None while it waits."""
        record = self._awaited
        return self.create_time if record is None else record.ended

    @property
    def signalled_by(self) -> str | None:
        """Who signalled it, as they said; None if they did not, and before."""
        return self.sender if self.phase is EventPhase.SUCCEEDED else None

    @property
    def signalled_at(self) -> datetime | None:
        """When it was signalled, aware, UTC; None before."""
        return self.end_time if self.phase is EventPhase.SUCCEEDED else None

    @computed_method
    def to_dict(self) -> dict[str, JsonValue]:
        """Return all that it shows, as JSON values; times are in ISO format."""
        record = self._awaited
        return {
            "name": self.key,
            "run_name": self.run_name,
            "action_name": self.action_name,
            "phase": self.phase.value,
            "expected_type": None if record is None else PayloadType(record.data_type).name,
            "value": self.value,
            "namespace": self.namespace,
            "sender": self.sender,
            "offset": self.offset,
            "create_time": _iso(self.create_time),
            "context": self.context,
            "task_name": self.task_name,
            "prompt": self.prompt,
            "prompt_type": self.prompt_type,
            "description": self.description,
            "deadline": _iso(self.deadline),
            "signalled_by": self.signalled_by,
            "signalled_at": _iso(self.signalled_at),
            "end_time": _iso(self.end_time),
            "comment": self.comment,
            "webhook_error": self.webhook_error,
        }

    @computed_method
    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    # --- finding one ---

    @dual_classmethod
    @classmethod
    async def get(
        cls,
        name: str,
        run_name: str,
        action_name: str | None = None,
        *,
        timeout: str | float | timedelta | None = None,
    ) -> "Event[Any] | None":
        """Return the event of that name in a workflow execution, None if there is none.

        Of several one that waits, else the newest. Events that were just sent to the execution
        count too, if no task made one of that name.

        Args:
            name: of the event.
            run_name: the name of the workflow execution.
            action_name: the task that made it, ``"{task}"``, or one run of it,
                ``"{task}-{sequence_number}"``; None: any.
            timeout: wait so long for the event to be there, as after the start of the execution;
                None: look once.

        Raises:
            UsageError: outside a task, and none or several clients are open.
        """
        port = current_port("Event.get")
        return await find_event(port, name, run_name, action_name, timeout)

    @dual_iterator_classmethod
    @classmethod
    async def listall(
        cls,
        cursor: "EventsPlace | None",
        /,
        run_name: str,
        action_name: str | None = None,
        limit: int = 100,
    ) -> "Page[Event[Any], EventsPlace]":
        """Iterate over all events of a workflow execution; ``limit`` is the size of a page.

        First those that its tasks made, oldest first, whatever became of them; then those that were
        sent to it, oldest first. With ``action_name`` only those of that task, as for `get`.

        Raises:
            ExecutionNotFoundError: there is no such execution.
        """
        port = current_port("Event.listall") if cursor is None else cursor.port
        return await events_of_run(port, cursor, run_name, action_name, limit)

    @dual_method
    async def refresh(self) -> "Event[T_co]":
        """Return it as it is now.

        Raises:
            EventNotFoundError: it was deleted with its workflow.
        """
        record = self._awaited
        if record is None:
            return self
        port = self._asked("Event.refresh")
        found = await port.awaited(record.id)
        if found is None:
            raise EventNotFoundError(self.key, self.run_name)
        return Event.born_waiting(found, port, getattr(self, "_author", None))

    # --- answering one ---

    @dual_method
    async def signal(
        self, payload: EventPayload, *, by: str | None = None, comment: str | None = None
    ) -> None:
        """Give it its payload. On return that is on disk, and the waiting task goes on.

        If no runner works on the execution just now, the task goes on when one does. Rules and
        listeners of its key see an event with the payload as its value. The same payload again does
        nothing. This object stays as it is: `refresh` shows who signalled it.

        Args:
            payload: a bool, int, float or str, of the declared type; an int passes for a float. Of
                a pydantic model: an instance, or its dict. A dict is checked here only if a task of
                this process has declared the model, else by `wait`.
            by: who signals, for people to read; None: the task in which this is called, if any.
            comment: a text that is kept with it.

        Raises:
            EventTypeError: the payload is not of the declared type.
            TypeError: no event takes such a payload.
            ValueError: it is NaN, an infinity, or no Unicode text.
            EventAlreadySignalledError: it was signalled before, with another payload.
            EventClosedError: its time was over, or its task ended without it.
            EventNotFoundError: it was deleted with its workflow.
            TooLargeError: the payload is over the limit.
        """
        record = self._awaited
        if record is None:
            if plain_payload(payload) != to_json_text(self.value):
                raise EventAlreadySignalledError(self.key, self.run_name)
            return
        text = PayloadType(record.data_type).encoded(payload, self.key)
        scope = CURRENT_TASK.get()
        if by is None and scope is not None:
            by = f"{scope.execution_name}/{scope.task_name}"
        sender = None if by is None else storable_name(by, "by")
        note = None if comment is None else storable_name(comment, "comment")
        await self._asked("Event.signal").signal(record, text, sender, note)

    # --- waiting for one ---

    @dual_method
    async def wait(self, timeout: str | float | timedelta | None = None) -> T_co:
        """Return its payload once it is signalled; called again, it returns that at once.

        In a task it may take days and restarts: the task begins anew after a crash, and finds its
        event. So what it does before this call may be done twice. A task of ``async def`` costs a
        few kilobytes meanwhile; one of ``def`` blocks its thread, but not one of the runner's
        ``threads``. A payload of a pydantic model is an instance of it. Others may wait, too.

        Args:
            timeout: of this call, a duration or seconds; the event goes on waiting. That of the
                event itself is given to `new_event`.

        Raises:
            EventTimedOutError: the event's own time is over.
            EventClosedError: its task ended without it.
            EventTypeError: a dict that was given for a pydantic model is none.
            WaitTimeoutError: the timeout of this call is over.
            EventNotFoundError: it was deleted with its workflow.
            UsageError: more than 1,000 threads wait.
        """
        record = self._awaited
        if record is None:
            if self.phase is EventPhase.RUNNING:
                text = f"this copy of event {self.key!r} waits for nothing: Event.get() gives one"
                raise UsageError(text)
            return cast("T_co", self.value)
        patience = parse_timeout(timeout)
        if record.phase is EventPhase.RUNNING:
            record = await self._asked("Event.wait").await_closed((record,), patience)
        return cast("T_co", payload_of(record, getattr(self, "_author", None)))

    @dual_classmethod_of_objects
    @classmethod
    async def wait_any(
        cls, *events: "Event[Any]", timeout: str | float | timedelta | None = None
    ) -> "Event[Any]":
        """Return the first of some events that is signalled, as it is then: with its ``value``.

        Of several that are already it is the first one given. Those that close without a signal are
        left out; with the last of them its error is raised. Its `wait` returns the payload at once,
        which is an instance of the declared pydantic model, where ``value`` is its dict.

        Raises:
            EventTimedOutError, EventClosedError: none of them can be signalled any more.
            WaitTimeoutError: the timeout of this call is over.
            UsageError: no event is given, or they are of several clients.
        """
        patience = parse_timeout(timeout)
        if not events:
            text = "wait_any() waits for one of several events: give it at least one"
            raise UsageError(text)
        for event in events:
            if event.phase is EventPhase.SUCCEEDED:
                return event
        port = cls._one_asked(events, "Event.wait_any")
        records = [row for each in events if (row := each._awaited) is not None]  # noqa: SLF001
        waiting = [each for each in records if each.phase is EventPhase.RUNNING]
        found = await port.await_closed(waiting, patience) if waiting else records[-1]
        if found.phase is not EventPhase.SUCCEEDED:
            raise closed(found)
        return Event.born_waiting(found, port)


async def find_event(
    port: Port,
    name: str,
    run_name: str,
    action_name: str | None,
    timeout: str | float | timedelta | None,
) -> "Event[Any] | None":
    """Return an event of an execution; see `Event.get`."""
    patience = parse_timeout(timeout)
    find = partial(_found, port, name, run_name, action_name)
    found = await find()
    return found if found is not None or not patience else await port.await_found(find, patience)


async def _found(
    port: Port, name: str, run_name: str, action_name: str | None
) -> "Event[Any] | None":
    wanted, run_name = AwaitedFilter(name=event_key(name)), execution_name(run_name)
    for each in wanted_of(wanted, action_name):
        record = await port.awaited_by_name(run_name, each)
        if record is not None:
            return Event.born_waiting(record, port)
    run = await port.find_execution(run_name)
    if run is None:
        return None
    sent = sent_to(run.id, run.name, action_name)
    named = replace(sent, keys=frozenset({name}), newest_first=True)
    for found in await port.find_events(named, 1):
        return Event.of(found, port)
    return None


async def events_of_run(
    port: Port,
    place: EventsPlace | None,
    run_name: str,
    action_name: str | None,
    limit: int,
) -> Page["Event[Any]", EventsPlace]:
    """Return one page of the events of an execution; see `Event.listall`."""
    size = page_size(limit)
    if place is None:
        place = await first_place(port, execution_name(run_name), action_name)
    items: list[Event[Any]] = []
    if place.awaited is not None:
        records = await port.find_awaited(place.awaited, size)
        items += [Event.born_waiting(record, port) for record in records]
        if len(records) == size:
            awaited = replace(place.awaited, after=records[-1].id)
            return Page(items, replace(place, awaited=awaited))
    if place.sent is None:
        return Page(items)
    rest = size - len(items)
    sent = await port.find_events(place.sent, rest)
    items += [Event.of(each, port) for each in sent]
    last = sent[-1].offset if len(sent) == rest else None
    if last is None:
        return Page(items)
    return Page(items, EventsPlace(port, None, replace(place.sent, begin=last)))


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
