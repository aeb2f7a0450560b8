"""Events that are born waiting: what an author asks for, how they are named, which are meant.

It computes only: a store keeps them, and a port is asked about them.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from asyncflow._model.duration import parse_duration
from asyncflow._model.naming import check_text, event_key
from asyncflow._model.payload import PayloadType
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.webhook import Webhook

PROMPT: Final = "Approve?"

PROMPT_TYPES: Final = ("text", "markdown")

_SUFFIX: Final = re.compile(r"(?<=[0-9])\.[0-9]+\Z")
_RUN: Final = re.compile(r"(.+)-([1-9][0-9]{0,17})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EventWish:
    """What `new_event` was asked for, checked."""

    name: str
    prompt: str
    prompt_type: str
    payload: PayloadType
    description: str
    timeout: timedelta | None
    webhook: Webhook | None

    @classmethod
    def of(
        cls,
        name: str,
        *,
        prompt: str,
        prompt_type: str,
        data_type: type,
        description: str,
        timeout: str | float | timedelta | None,
        webhook: Webhook | None,
    ) -> "EventWish":
        """Check it; raises what `new_event` raises."""
        if prompt_type not in PROMPT_TYPES:
            text = f"prompt_type is one of {', '.join(PROMPT_TYPES)}, not {prompt_type!r}"
            raise ValueError(text)
        if webhook is not None and not isinstance(webhook, Webhook):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"webhook is a Webhook(url), not {webhook!r}"
            raise TypeError(text)
        return cls(
            name=event_key(name),
            prompt=_text(prompt, "prompt"),
            prompt_type=prompt_type,
            payload=PayloadType.of(data_type),
            description=_text(description, "description"),
            timeout=None if timeout is None else parse_duration(timeout, "timeout"),
            webhook=webhook,
        )


@dataclass(frozen=True, slots=True)
class AwaitedFilter:
    """Which awaited events are meant; None leaves a bound out.

    Attributes:
        waiting: only those that wait now.
        after: the id that the last page ended with.
    """

    namespace: str | None = None
    execution: int | None = None
    task: str | None = None
    sequence_number: int | None = None
    name: str | None = None
    waiting: bool = False
    after: int | None = None
    newest_first: bool = False


def action_of(record: AwaitedRecord) -> str:
    """Return the id of an awaited event, unique in its workflow execution."""
    task, number = record.task_name, record.sequence_number
    return f"{task}-{number}-event-{record.name}-{record.label}"


def run_of(action_name: str) -> tuple[str, int] | None:
    """Return the task and the sequence number in ``"{task}-{n}"``; None if it is none."""
    found = _RUN.fullmatch(action_name)
    return None if found is None else (found[1], int(found[2]))


def wishes_of(execution: int, action_name: str) -> list[AwaitedFilter]:
    """Return which events `action_of` may have named so: several, if a name has such a part."""
    parts = action_name.split("-event-")
    found: list[AwaitedFilter] = []
    for cut in range(1, len(parts)):
        run = run_of("-event-".join(parts[:cut]))
        event = run_of(_SUFFIX.sub("", "-event-".join(parts[cut:])))
        if run is not None and event is not None:
            wish = AwaitedFilter(
                execution=execution, task=run[0], sequence_number=run[1], name=event[0]
            )
            found.append(wish)
    return found


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        text = f"{what} is a string, not {value!r}"
        raise TypeError(text)
    check_text(value, what)
    return str.__str__(value)
