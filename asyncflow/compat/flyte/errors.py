"""Flyte's errors, each also the one of asyncflow that it stands for."""

from collections.abc import Generator
from contextlib import contextmanager

import asyncflow
from asyncflow import AsyncflowError, EventClosedError, EventPhase, EventTimedOutError


class EventTimedoutError(EventTimedOutError):
    """Nobody signalled an event in its time."""


class EventFailedError(EventClosedError):
    """An event waits no more: the task that made it has failed."""


class ActionAbortedError(EventClosedError):
    """An event waits no more: the task that made it was stopped, or ended without it."""


class EventAlreadyExistsError(AsyncflowError):
    """A task waits for an event of that name already, or the event was signalled already."""


class EventNotFoundError(asyncflow.EventNotFoundError):
    """An event was deleted with its workflow."""


class RunFailedError(AsyncflowError, RuntimeError):
    """A run has failed or was aborted, and has no outputs."""


class _MadeTwiceError(EventAlreadyExistsError, asyncflow.EventAlreadyExistsError):
    pass


class _SignalledTwiceError(EventAlreadyExistsError, asyncflow.EventAlreadySignalledError):
    pass


ConditionTimedoutError = EventTimedoutError
ConditionFailedError = EventFailedError
ConditionAlreadyExistsError = EventAlreadyExistsError
ConditionNotFoundError = EventNotFoundError


@contextmanager
def flytes_errors() -> Generator[None]:
    """Raise what the block raises as Flyte's errors."""
    try:
        yield
    except EventClosedError as error:
        raise _closed(error) from error
    except asyncflow.EventAlreadyExistsError as error:
        raise _MadeTwiceError(error.event, error.task) from error
    except asyncflow.EventAlreadySignalledError as error:
        raise _SignalledTwiceError(error.event, error.run_name) from error
    except asyncflow.EventNotFoundError as error:
        raise EventNotFoundError(error.event, error.run_name) from error


def _closed(error: EventClosedError) -> EventClosedError:
    kind: type[EventClosedError] = ActionAbortedError
    if error.phase == EventPhase.TIMED_OUT:
        kind = EventTimedoutError
    elif error.phase == EventPhase.FAILED:
        kind = EventFailedError
    return kind(error.event, error.run_name, error.phase)
