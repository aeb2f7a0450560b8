"""Calls users' ``on_success``, ``on_failure`` and ``retry_if``: isolated, logged.

They are called after the body and before its end is on disk, so at least once. What they raise
changes nothing.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from asyncflow._clock import Clock
from asyncflow._core.facts import TaskEnded
from asyncflow._model.status import TaskStatus
from asyncflow._operators.hooks import call
from asyncflow._operators.threads import DEADLINE
from asyncflow._runner.attempt import Attempt
from asyncflow._runner.views import callback_context

logger = logging.getLogger("asyncflow.callbacks")

PATIENCE: Final = timedelta(seconds=30)


async def call_back(clock: Clock, attempt: Attempt, ended: TaskEnded) -> None:
    """Tell the task's callbacks of its end; of a failure only if no attempt follows."""
    operator = attempt.operator
    if operator.on_success is None and operator.on_failure is None:
        return
    name, execution = attempt.scope.task_name, attempt.live.name
    seen = (attempt.live, attempt.scope, attempt.base)
    try:
        async with clock.deadline(PATIENCE) as deadline:
            DEADLINE.set(deadline)  # the wait for a thread is not the callback's time
            if ended.outcome.status is TaskStatus.SUCCESS and operator.on_success is not None:
                context = callback_context(*seen, ended.context)
                await call(operator.on_success, name, context)
            elif _final_failure(attempt, ended) and operator.on_failure is not None:
                context = callback_context(*seen, {})
                await call(operator.on_failure, name, ended.outcome.error or "", context)
    except BaseException as error:  # user code: the task's end stays what it is
        if attempt.ending and isinstance(error, asyncio.CancelledError):
            raise
        logger.exception("a callback of task %r of %r raised", name, execution)


def allows_retry(attempt: Attempt, error: BaseException) -> bool:
    """Ask the task whether another attempt may follow this failure, if it has one left."""
    asked = attempt.operator.retry_if
    if asked is None or attempt.last:
        return True
    try:
        return bool(asked(error))
    except BaseException:  # user code: what it would have said is not known
        name, execution = attempt.scope.task_name, attempt.live.name
        logger.exception("retry_if of task %r of %r raised", name, execution)
        return True


def _final_failure(attempt: Attempt, ended: TaskEnded) -> bool:
    failed = ended.outcome.status is TaskStatus.FAILED
    return failed and (attempt.last or not ended.retryable)
