"""Flyte's `new_event`, its `EventWebhook`, and one `Event` for who waits and for who signals."""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal, Self

import asyncflow
from asyncflow import EventPayload, EventPhase, JsonValue, UsageError, Webhook
from asyncflow.compat.flyte.both import Both, Either
from asyncflow.compat.flyte.errors import flytes_errors
from asyncflow.compat.flyte.session import SESSION

TYPES: Final = (bool, int, float, str)
OUTSIDE: Final = "Events can only be awaited within a task context."


class EventWebhook(Webhook):
    """An HTTP POST, once an event waits. ``{callback_uri}`` in its payload becomes the address."""

    __slots__ = ()


class Event:
    """An event that a task waits for, as it was when it was asked for.

    Outside a task `new_event` makes one that nobody waits for: it has a name, and no more.
    """

    __slots__ = ("_event", "_name")

    get: ClassVar["Both[..., Event | None]"]
    listall: ClassVar["Listing"]

    def __init__(self, event: "asyncflow.Event[Any] | None", name: str) -> None:
        self._event = event
        self._name = name

    def __repr__(self) -> str:
        shown = "outside a task" if self._event is None else f"of {self.run_name!r}: {self.phase}"
        return f"<Event {self._name!r} {shown}>"

    @property
    def event(self) -> "asyncflow.Event[Any]":
        """Asyncflow's own, for what Flyte's has not.

        Raises:
            RuntimeError: it was made outside a task.
        """
        if self._event is None:
            raise RuntimeError(OUTSIDE)
        return self._event

    @property
    def name(self) -> str:
        """What `get` finds it by."""
        return self._name

    @property
    def action_name(self) -> str:
        """Its own id in the run."""
        return self.event.action_name

    @property
    def run_name(self) -> str:
        """The run that it belongs to."""
        return self.event.run_name

    @property
    def phase(self) -> EventPhase:
        """RUNNING while it waits."""
        return self.event.phase

    @property
    def expected_type(self) -> type | None:
        """The type of its payload."""
        return self.event.expected_type

    data_type = expected_type

    @property
    def prompt(self) -> str | None:
        """What people are asked."""
        return self.event.prompt

    @property
    def description(self) -> str | None:
        """What its author says of it."""
        return self.event.description

    @property
    def deadline(self) -> datetime | None:
        """When it times out."""
        return self.event.deadline

    def to_dict(self) -> dict[str, JsonValue]:
        """Return all that it shows, as JSON values."""
        return self.event.to_dict()

    def to_json(self) -> str:
        """Return that as JSON text."""
        return self.event.to_json()

    @property
    def wait(self) -> Either[[]]:
        """Return its payload, once it is signalled; again if called again."""
        return Either(self._wait, self._await)

    @property
    def signal(self) -> Both[[EventPayload], None]:
        """Give it its payload; on return that is on disk."""
        return Both(self._signal, self._asignal)

    def _wait(self) -> object:
        with flytes_errors():
            return self.event.wait()

    async def _await(self) -> object:
        with flytes_errors():
            return await self.event.wait.aio()

    def _signal(self, payload: EventPayload) -> None:
        with flytes_errors():
            self.event.signal(payload)

    async def _asignal(self, payload: EventPayload) -> None:
        with flytes_errors():
            await self.event.signal.aio(payload)


class Listing:
    """`Event.listall` in both forms."""

    def __call__(
        self, run_name: str, action_name: str | None = None, limit: int = 100
    ) -> Iterator[Event]:
        """Iterate over the events of a run; ``limit`` is the size of a page."""
        found = SESSION.client().events(run_name, _task(action_name), limit=limit)
        return (Event(each, each.name) for each in found if each.task_name is not None)

    def aio(self, run_name: str, action_name: str | None = None, limit: int = 100) -> "AsyncEvents":
        """Return an async iterator; it may also be awaited, which gives itself."""
        return AsyncEvents(run_name, action_name, limit)


class AsyncEvents:
    """Iterates with `async for` over the events of a run; awaiting it gives itself."""

    def __init__(self, run_name: str, action_name: str | None, limit: int) -> None:
        self._asked = (run_name, _task(action_name), limit)
        self._found: AsyncIterator[asyncflow.Event[Any]] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._found is None:
            run_name, action_name, limit = self._asked
            client = await SESSION.aclient()
            self._found = client.events.aio(run_name, action_name, limit=limit)
        async for each in self._found:
            if each.task_name is not None:
                return Event(each, each.name)
        raise StopAsyncIteration

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self


def _get(name: str, /, run_name: str, action_name: str | None = None) -> Event | None:
    found = SESSION.client().event(name, run_name, _task(action_name))
    return None if found is None else Event(found, found.name)


async def _aget(name: str, /, run_name: str, action_name: str | None = None) -> Event | None:
    """Return the event of that name in a run, None if there is none."""
    client = await SESSION.aclient()
    found = await client.event.aio(name, run_name, _task(action_name))
    return None if found is None else Event(found, found.name)


def _task(action_name: str | None) -> str | None:
    """Return the task that an action means: a run has one, which Flyte calls ``a0``."""
    return None if action_name == "a0" else action_name


Event.get = Both(_get, _aget)
Event.listall = Listing()


def _checked(  # noqa: PLR0917  those of new_event
    name: str,
    prompt: str,
    prompt_type: str,
    data_type: type,
    description: str,
    timeout: timedelta | float | None,
    webhook: Webhook | None,
) -> dict[str, Any]:
    if data_type not in TYPES:
        text = f"Invalid data_type {data_type!r} of event {name!r}: bool, int, float or str"
        raise TypeError(text)
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and seconds <= 0:
        text = f"timeout must be positive, not {timeout!r}"
        raise ValueError(text)
    return {
        "prompt": prompt,
        "prompt_type": prompt_type,
        "data_type": data_type,
        "description": description,
        "timeout": timeout,
        "webhook": webhook,
    }


def _new(  # noqa: PLR0917  as Flyte's
    name: str,
    prompt: str = "Approve?",
    prompt_type: Literal["text", "markdown"] = "text",
    data_type: type = bool,
    description: str = "",
    timeout: timedelta | float | None = None,
    webhook: Webhook | None = None,
) -> Event:
    asked = _checked(name, prompt, prompt_type, data_type, description, timeout, webhook)
    try:
        with flytes_errors():
            return Event(asyncflow.new_event(name, **asked), name)
    except UsageError:  # outside a task, where Flyte's only returns the object
        return Event(None, name)


async def _anew(  # noqa: PLR0917  as Flyte's
    name: str,
    prompt: str = "Approve?",
    prompt_type: Literal["text", "markdown"] = "text",
    data_type: type = bool,
    description: str = "",
    timeout: timedelta | float | None = None,
    webhook: Webhook | None = None,
) -> Event:
    """Make an event in a task; on return it is on disk, and `Event.get` finds it.

    Raises:
        TypeError: the type is none of bool, int, float and str.
        ValueError: the timeout is not positive.
        EventAlreadyExistsError: the task waits for an event of that name already.
    """
    asked = _checked(name, prompt, prompt_type, data_type, description, timeout, webhook)
    new: Callable[..., Coroutine[Any, Any, asyncflow.Event[Any]]] = asyncflow.new_event.aio
    try:
        with flytes_errors():
            return Event(await new(name, **asked), name)
    except UsageError:
        return Event(None, name)


new_event = Either(_new, _anew)
new_condition = new_event
ConditionWebhook = EventWebhook
