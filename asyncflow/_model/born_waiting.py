"""What an event shows that a task made: what is asked, of which type, until when."""

from collections.abc import Callable, Sequence
from dataclasses import Field
from datetime import datetime
from typing import Any, ClassVar, Self

from asyncflow._model.payload import PayloadType
from asyncflow._model.port import Port, current_port
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow.errors import EventClosedError, EventTimedOutError, UsageError


class BornWaiting:
    """Keeps the row of what was born waiting, and who is asked, out of an event's fields.

    An event that was just sent has no such row, and None for all of this.
    """

    __slots__ = ("_author", "_port", "_record")

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _author: type | None
    _port: Port | None
    _record: AwaitedRecord | None

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the row, or what waits would seem to be signalled; who is asked is found anew."""
        shown = tuple(getattr(self, name) for name in type(self).__dataclass_fields__)
        return _read_back, (type(self), shown, self._awaited)

    def _asked(self, call: str) -> Port:
        port: Port | None = getattr(self, "_port", None)  # a user's own event has none
        return current_port(call) if port is None else port

    @staticmethod
    def _one_asked(events: "Sequence[BornWaiting]", call: str) -> Port:
        """Return the client of all of them: a row's id means something in its own store only."""
        port, *others = (each._asked(call) for each in events)  # noqa: SLF001  its own
        for other in others:
            if other is not port:
                text = f"{call} is about events of one client, not of {port.label}, {other.label}"
                raise UsageError(text)
        return port

    @property
    def _awaited(self) -> AwaitedRecord | None:
        return getattr(self, "_record", None)

    @property
    def expected_type(self) -> type | None:
        """The type that its payload must have; None for an event that was just sent.

        ``dict`` for a pydantic model that no task of this process has declared.
        """
        record = self._awaited
        return None if record is None else PayloadType(record.data_type).python_type

    @property
    def task_name(self) -> str | None:
        """The task that made it; None for an event that was just sent."""
        record = self._awaited
        return None if record is None else record.task_name

    @property
    def prompt(self) -> str | None:
        """What people are asked; None for an event that was just sent."""
        record = self._awaited
        return None if record is None else record.prompt

    @property
    def prompt_type(self) -> str | None:
        """How the prompt is written, ``text`` or ``markdown``; None for one that was just sent."""
        record = self._awaited
        return None if record is None else record.prompt_type

    @property
    def description(self) -> str | None:
        """What its author says of it; None for an event that was just sent."""
        record = self._awaited
        return None if record is None else record.description

    @property
    def deadline(self) -> datetime | None:
        """When it times out, aware, UTC; None if it does not."""
        record = self._awaited
        return None if record is None else record.deadline

    @property
    def comment(self) -> str | None:
        """What who signalled it added for people to read."""
        record = self._awaited
        return None if record is None else record.comment

    @property
    def webhook_error(self) -> str | None:
        """Type and text of what went wrong with its webhook; None if nothing did, so far."""
        record = self._awaited
        return None if record is None else record.webhook_error


def payload_of(record: AwaitedRecord, author: type | None = None) -> object:
    """Return what an awaited event was signalled with, or raise why it was not.

    Args:
        record: as it is now.
        author: the type with which its task has declared it; None: what has the name.
    """
    if record.phase is not EventPhase.SUCCEEDED or record.value is None:
        raise closed(record)
    return PayloadType(record.data_type).decoded(record.value, record.name, author)


def closed(record: AwaitedRecord) -> EventClosedError:
    """Return the error of an awaited event that nobody signalled."""
    timed_out = record.phase is EventPhase.TIMED_OUT
    kind = EventTimedOutError if timed_out else EventClosedError
    return kind(record.name, record.run_name, record.phase)


def _read_back(
    kind: Callable[..., BornWaiting], shown: tuple[object, ...], record: AwaitedRecord | None
) -> BornWaiting:
    event = kind(*shown)
    object.__setattr__(event, "_record", record)
    return event
