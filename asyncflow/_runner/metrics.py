"""Asks an operator for its figures once its work has ended. An error in it never changes an end."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, cast

from asyncflow._clock import Clock
from asyncflow._core.facts import TaskEnded
from asyncflow._model.operator import Operator
from asyncflow._model.port import CURRENT_TASK, StopSign
from asyncflow._model.value import SizeLimits, byte_size, to_json_text
from asyncflow._operators.hooks import call
from asyncflow._operators.threads import DEADLINE
from asyncflow._runner.attempt import Attempt

logger = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=5)


async def with_metrics(
    clock: Clock, limits: SizeLimits, attempt: Attempt, ended: TaskEnded
) -> TaskEnded:
    """Return an attempt's end with what its operator says of the work; asked at most once.

    A stop that comes meanwhile cancels it, as it does a body.
    """
    if not attempt.unmeasured:
        return ended
    attempt.unmeasured = False
    if type(attempt.operator).get_metrics is Operator.get_metrics:
        return ended
    attempt.over = attempt.stopping
    earlier = attempt.scope
    # A task that was stopped may still say what it did: it gets a sign of its own.
    sign = StopSign()
    CURRENT_TASK.set(replace(earlier, stop_sign=sign))
    try:
        text = await _ask(clock, limits, attempt)
    finally:
        sign.give()  # for a thread that is still at it
        CURRENT_TASK.set(earlier)
    return replace(ended, outcome=replace(ended.outcome, metrics=text))


async def _ask(clock: Clock, limits: SizeLimits, attempt: Attempt) -> str | None:
    """Return the metrics as JSON text, None if there are none."""
    name, execution = attempt.scope.task_name, attempt.live.name
    deadline = clock.deadline(PATIENCE)
    try:
        async with deadline:
            DEADLINE.set(deadline)  # the wait for a thread is not the operator's time
            found: object = await call(attempt.operator.get_metrics, attempt.context)
        return _checked(limits, found)
    except BaseException as error:  # user code: the task's end stays what it is
        if isinstance(error, asyncio.CancelledError) and _is_ours(attempt):
            raise
        if isinstance(error, TimeoutError) and deadline.expired:
            text = "get_metrics() of task %r of %r took longer than %s"
            logger.error(text, name, execution, PATIENCE)  # noqa: TRY400  the traceback would say nothing more
        else:
            logger.exception("get_metrics() of task %r of %r failed", name, execution)
        return None


def _checked(limits: SizeLimits, found: object) -> str | None:
    if not isinstance(found, Mapping):
        text = f"get_metrics returns a mapping of names to JSON values, not {type(found).__name__}"
        raise TypeError(text)
    if not found:
        return None
    text = to_json_text(cast("Mapping[object, object]", found), "metrics")
    limits.check("the metrics", byte_size(text))
    return text


def _is_ours(attempt: Attempt) -> bool:
    """Say whether the engine has cancelled it; any other cancellation is the user's own."""
    return attempt.dropped or (attempt.stopping and not attempt.over)
