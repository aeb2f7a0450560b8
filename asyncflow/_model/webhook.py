"""What is told somebody when an event begins to wait: where, and what. It sends nothing itself.

The address of an event for who answers is here too: how it is written, and how it is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from asyncflow._model.naming import storable_name
from asyncflow._model.value import JsonValue, from_json_text, to_json_text

PLACEHOLDER: Final = "{callback_uri}"

CALLBACK_BASE: Final = "asyncflow:"
"""Where events are answered, unless a runner is told."""

_BASE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^?#\s]*")
_CALLBACK: Final = re.compile(r"(?:.*/)?events/([^/]+)/([^/]+)/signal", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Webhook:
    """An HTTP POST that a runner sends once an event waits, as for a message with two buttons.

    It is sent after the event is on disk, at least once, with at most three attempts. One that
    fails is logged on ``asyncflow.webhooks`` and shown by `Event.webhook_error`, and fails nothing.
    Needs httpx, which the extra ``webhook`` installs.

    The answer comes to an address of your own service: `Runner` has ``callback_uri``, where such
    addresses begin, and `Client.event_at` says which event one means. Asyncflow serves none.

    Args:
        url: where it is sent: of ``http`` or ``https``.
        payload: a JSON object, sent as it is, but that ``{callback_uri}`` in any string of it
            becomes the address for the answer. None sends what `Event.to_dict` gives, and the
            address as ``callback_uri``.

    Raises:
        TypeError, ValueError: the URL is none, or the payload has no JSON form.
    """

    url: str
    payload: Mapping[str, object] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Check both, so that a fault is found where it is written."""
        storable_name(self.url, "the url of a webhook")
        if not self.url.lower().startswith(("http://", "https://")):
            text = f"the url of a webhook begins with http:// or https://, not {self.url!r}"
            raise ValueError(text)
        if self.payload is not None:
            to_json_text(dict(self.payload), "payload")

    def body(self, callback_uri: str, shown: Mapping[str, object]) -> JsonValue:
        """Return what is sent: the payload with its placeholders filled in."""
        if self.payload is None:
            return from_json_text(to_json_text({**shown, "callback_uri": callback_uri}))
        return _filled(from_json_text(to_json_text(dict(self.payload))), callback_uri)


def _filled(value: JsonValue, callback_uri: str) -> JsonValue:
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, callback_uri)
    if isinstance(value, list):
        return [_filled(each, callback_uri) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, callback_uri) for key, each in value.items()}
    return value


def callback_base(base: object) -> str:
    """Return what the addresses of events may begin with, without a slash at the end.

    Raises:
        TypeError, ValueError: it is no URI, or has a query or a fragment.
    """
    text = storable_name(base, "callback_uri")
    if _BASE.fullmatch(text) is None:
        message = f"callback_uri is like https://ops.example/flow, without ? and #, not {text!r}"
        raise ValueError(message)
    return text.rstrip("/")


def callback_of(base: str, run_name: str, action_name: str) -> str:
    """Return the address under which an event is answered."""
    return f"{base}/events/{quote(run_name, safe='')}/{quote(action_name, safe='')}/signal"


def parse_callback(uri: str) -> tuple[str, str]:
    """Return the ``run_name`` and the ``action_name`` of the event that an address means.

    Args:
        uri: the whole address, or its path alone, as it was sent: with its percent signs.

    Raises:
        TypeError, ValueError: it is not the address of an event.
    """
    path = re.split("[?#]", storable_name(uri, "a callback_uri"), maxsplit=1)[0].rstrip("/")
    found = _CALLBACK.fullmatch(path)
    if found is None:
        text = f"{uri!r} is no callback_uri: it ends with events/<run_name>/<action_name>/signal"
        raise ValueError(text)
    try:
        return unquote(found[1], errors="strict"), unquote(found[2], errors="strict")
    except UnicodeDecodeError as error:
        text = f"{uri!r} is no callback_uri: its percent signs stand for no UTF-8"
        raise ValueError(text) from error
