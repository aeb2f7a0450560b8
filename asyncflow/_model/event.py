"""The event as conditions, tasks and callers see it: a value; asking a store for one is the port's.

Facts of the wire (JSON text, row ids) stay in `record`.
"""

from dataclasses import dataclass
from datetime import datetime

from asyncflow._model.record import EventRecord
from asyncflow._model.value import JsonValue, from_json_text


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was said under a key, once, in a namespace or in one workflow execution.

    The fields are those of the AIFlow documents.

    Attributes:
        key: what it is about; rules and listeners choose by it, exactly.
        value: any JSON value; None stays None.
        namespace: where it is heard.
        sender: ``"{execution}/{task}"`` for a task's event, else what the sender said.
        offset: its place among all events of the store: grows, never repeats. None inside a
            condition, because offsets are given at commit.
        create_time: when it was sent, aware, UTC; None for one that was never sent.
        context: a further JSON value that its sender added.
    """

    key: str
    value: JsonValue = None
    namespace: str = "default"
    sender: str | None = None
    offset: int | None = None
    create_time: datetime | None = None
    context: JsonValue = None

    @classmethod
    def of(cls, record: EventRecord) -> "Event":
        """Return what the record says, its values decoded."""
        return cls(
            key=record.key,
            value=from_json_text(record.value),
            namespace=record.namespace,
            sender=record.sender,
            offset=record.offset,
            create_time=record.create_time,
            context=None if record.context is None else from_json_text(record.context),
        )
