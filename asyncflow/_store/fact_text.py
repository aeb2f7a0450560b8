"""Facts as text: for letters to an owner, and for the log. Only names and JSON, never code."""

import json
from datetime import datetime
from typing import Final, assert_never

from pydantic_core import to_json

from asyncflow._core.facts import (
    CellWritten,
    EventAwaited,
    EventSent,
    ExecutionRecovered,
    ExecutionStarted,
    Fact,
    PeriodPassed,
    RecoverySurvived,
    RetryFellDue,
    StopRequested,
    TaskActionRequested,
    TaskEnded,
    TaskStarted,
)
from asyncflow._model.status import TaskAction
from asyncflow._store.codec import plain
from asyncflow.errors import StoreError


def fact_body(fact: Fact) -> str:  # noqa: C901  one arm for each fact, the frequent ones first
    """Return a fact without its time as JSON; large payloads are in other rows."""
    match fact:
        case TaskEnded():
            outcome = fact.outcome
            attempt = [fact.task, fact.sequence_number, fact.try_number]
            began = None if fact.began is None else fact.began.isoformat()
            return _json([*attempt, plain(outcome.status), outcome.error, began])
        case TaskStarted() | RetryFellDue():
            return _json([fact.task, fact.sequence_number, fact.try_number])
        case ExecutionStarted() | ExecutionRecovered() | RecoverySurvived() | StopRequested():
            return "{}"
        case EventAwaited():
            return _json([fact.task, fact.sequence_number, fact.try_number, fact.name])
        case EventSent():
            return _json({"key": fact.key, "faults": fact.faults})
        case CellWritten():
            return _json({"state": fact.name, "cleared": fact.text is None})
        case PeriodPassed():
            return _json([fact.task, fact.number])
        case TaskActionRequested():
            return _json({"task": fact.task, "action": fact.action})
        case _:
            assert_never(fact)


def _json(body: object) -> str:
    try:
        return to_json(body).decode()
    except ValueError:  # it writes no lone surrogates; escaped, they are harmless
        return json.dumps(body)


SIGNALLED: Final = "EventSignalled"
"""The kind of a letter about a signal; its body names the awaited event."""


def signalled_body(awaited: int) -> str:
    """Return the body of a letter about the signal of an awaited event."""
    return json.dumps({"awaited": awaited})


def signalled(body: str) -> int:
    """Return the awaited event that a letter is about."""
    return int(json.loads(body)["awaited"])


def request(kind: str, body: str, at: datetime) -> StopRequested | TaskActionRequested:
    """Return the fact that a letter tells.

    Raises:
        StoreError: a letter of a kind that this version does not know.
    """
    if kind == StopRequested.__name__:
        return StopRequested(at)
    if kind == TaskActionRequested.__name__:
        wish = json.loads(body)
        return TaskActionRequested(at, str(wish["task"]), TaskAction(wish["action"]))
    text = f"the store has a letter of the unknown kind {kind!r}: a newer asyncflow wrote it"
    raise StoreError(text)
