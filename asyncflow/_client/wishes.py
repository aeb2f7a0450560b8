"""What somebody wants to listen to: the arguments of the two `register_listener`s, checked."""

from collections.abc import Sequence
from datetime import datetime

from asyncflow._client.event_listing import checked_keys, checked_offset, checked_time
from asyncflow._model.listener import ListenerProcessor
from asyncflow._model.naming import storable_name
from asyncflow._model.port import ListenerWish


def checked_wish(
    processor: ListenerProcessor,
    keys: Sequence[str] | None,
    begin_time: datetime | None,
    begin_offset: int | None,
    namespace: str,
) -> ListenerWish:
    """Return what is to be heard; raises what `Client.register_listener` raises."""
    if not isinstance(processor, ListenerProcessor):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"what listens is an object of a subclass of ListenerProcessor, not {processor!r}"
        raise TypeError(text)
    wish = ListenerWish(
        processor.process,
        storable_name(namespace, "a namespace"),
        None if keys is None else checked_keys(keys),
        begin=None if begin_offset is None else checked_offset(begin_offset, "begin_offset"),
        since=None if begin_time is None else checked_time(begin_time, "begin_time"),
    )
    if wish.keys is not None and not wish.keys:
        text = "a listener without keys would hear nothing: name some, or None for every key"
        raise ValueError(text)
    return wish
