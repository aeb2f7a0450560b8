"""Functions that ask for events in processes of their own: they are found here by name."""

import logging
import threading

from pydantic import BaseModel

from asyncflow import EventAlreadyExistsError, EventTimedOutError, NotificationClient, new_event


class Approval(BaseModel):
    by: str


def answers() -> list[object]:
    number = new_event("number", data_type=int).wait()
    model = new_event("model", data_type=Approval).wait()
    return [number, model.by, type(model).__name__]


def waits() -> int:
    return new_event("number", data_type=int).wait()


def asks_meanwhile() -> int:
    event = new_event("number", data_type=int)
    notifier = NotificationClient()
    found: list[int] = []
    waiting = threading.Thread(target=lambda: found.append(event.wait()))
    waiting.start()
    logging.getLogger("any").info("while it waits")
    notifier.send_event("meanwhile")
    waiting.join()
    return found[0]


def times_out() -> list[str]:
    errors: list[str] = []
    event = new_event("short", timeout="1h")
    try:
        new_event("short")
    except EventAlreadyExistsError as error:
        errors.append(type(error).__name__)
    try:
        event.wait()
    except EventTimedOutError as error:
        errors.append(type(error).__name__)
    return errors


def asks_who() -> str | None:
    event = new_event("go")
    event.wait()
    return event.refresh().signalled_by
