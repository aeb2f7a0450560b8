"""Finding an event by the address that its webhook was told: for who takes the answer."""

from dataclasses import replace
from typing import Any, Final

from asyncflow._model.awaited import action_of, wishes_of
from asyncflow._model.event import Event
from asyncflow._model.naming import execution_name
from asyncflow._model.port import Port
from asyncflow._model.webhook import parse_callback

PAGE: Final = 100


async def event_at(port: Port, callback_uri: str) -> "Event[Any] | None":
    """Return the event that an address means; see `Client.event_at`.

    Of several, as retries make them, it is the newest.
    """
    run_name, action_name = parse_callback(callback_uri)
    run = await port.find_execution(execution_name(run_name))
    if run is None:
        return None
    for wish in wishes_of(run.id, action_name):
        after = None
        while records := await port.find_awaited(
            replace(wish, newest_first=True, after=after), PAGE
        ):
            for record in records:
                if action_of(record) == action_name:
                    return Event.born_waiting(record, port)
            after = records[-1].id
    return None
