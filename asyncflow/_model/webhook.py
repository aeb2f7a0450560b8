"""What is told somebody when an event begins to wait: where, and what. It sends nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from asyncflow._model.naming import storable_name
from asyncflow._model.value import JsonValue, from_json_text, to_json_text

PLACEHOLDER: Final = "{callback_uri}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An HTTP POST that a runner sends once an event waits, as for a message with two buttons.

    It is sent after the event is on disk, at least once; one that fails is logged and shown by
    `Event.webhook_error`, and fails nothing. Needs ``pip install asyncflow[webhook]``.

    Args:
        url: of ``http`` or ``https``.
        payload: JSON object; each string in it may have ``{callback_uri}``, which becomes the
            address under which the event is signalled: see ``callback_uri`` of `Runner`. None
            sends that alone, and what the event shows.

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
