"""What a runner and the process of a task say to each other: a line of JSON each. Never a pickle.

To the process: the job; then answers to what it asks, and that it should stop. From it: lines of
its log, questions, and one end.
"""

import builtins
import traceback
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final, cast

import asyncflow.errors as known
from asyncflow._model.awaited import EventWish
from asyncflow._model.payload import PayloadType
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow._model.webhook import Webhook

LONGEST_TRACE: Final = 64 * 1024
"""Characters of a traceback that are told: its end, where the error is."""

Message = dict[str, Any]


def encoded(message: Message) -> bytes:
    """Return a message as a line."""
    return to_json_text(message, "message").encode() + b"\n"


def decoded(line: bytes) -> Message:
    """Return the message of a line."""
    return cast("Message", from_json_text(line.decode()))


def error_message(error: BaseException) -> Message:
    """Return what is told of an error."""
    try:
        text = str(error)
    except BaseException:  # user code: an error's own __str__
        text = "(its text cannot be had)"
    try:
        trace = "".join(traceback.format_exception(error))
    except BaseException:  # user code: an exception's own attributes
        trace = ""
    kind = type(error).__name__
    return {"type": kind, "text": text, "traceback": trace[-LONGEST_TRACE:]}


def known_error(message: Message) -> Exception:
    """Return an error of asyncflow or of Python itself, as it was raised in the runner."""
    name, text = message["type"], message["text"]
    kind = getattr(known, name, None) or getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        kind = known.AsyncflowError
    error = kind.__new__(kind, text)
    Exception.__init__(error, text)  # its own would make another text
    return error


def awaited_message(record: AwaitedRecord) -> Message:
    """Return what is told of an awaited event."""
    told = asdict(record)
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in told.items()
    }


def told_awaited(message: Message) -> AwaitedRecord:
    """Return the awaited event that a message tells of."""
    times = {
        key: datetime.fromisoformat(message[key])
        for key in ("created", "deadline", "ended", "notified")
        if message[key] is not None
    }
    fields: Message = {**message, **times, "phase": EventPhase(message["phase"])}
    return AwaitedRecord(**fields)


def wish_message(wish: EventWish) -> Message:
    """Return what is told of an event that a task asks for."""
    hook = wish.webhook
    return {
        "name": wish.name,
        "prompt": wish.prompt,
        "prompt_type": wish.prompt_type,
        "data_type": wish.payload.text,
        "description": wish.description,
        "timeout": None if wish.timeout is None else wish.timeout.total_seconds(),
        "webhook": None if hook is None else {"url": hook.url, "payload": hook.payload},
    }


def told_wish(message: Message) -> EventWish:
    """Return the event that a message asks for."""
    hook, timeout = message["webhook"], message["timeout"]
    return EventWish(
        name=message["name"],
        prompt=message["prompt"],
        prompt_type=message["prompt_type"],
        payload=PayloadType(message["data_type"]),
        description=message["description"],
        timeout=None if timeout is None else timedelta(seconds=timeout),
        webhook=None if hook is None else Webhook(**hook),
    )


class RemoteTraceback(Exception):  # noqa: N818  it is the cause of one
    """Shows where in its process an error was raised."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def remote_error(message: Message) -> Exception:
    """Return an error of a user's code, with its type's name, its text and its traceback."""
    kind = type(message["type"], (Exception,), {"__module__": "builtins"})
    error: Exception = kind(message["text"])
    error.__cause__ = RemoteTraceback(message["traceback"])
    return error
