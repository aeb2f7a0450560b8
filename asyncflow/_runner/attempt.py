"""One attempt of one task: what it was given, and how what came of it is told as a fact."""

import asyncio
import random
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asyncflow._core.facts import TaskEnded, TaskStarted
from asyncflow._core.state import Outcome
from asyncflow._model.context import Context
from asyncflow._model.operator import Operator
from asyncflow._model.port import TaskScope
from asyncflow._model.status import TaskStatus
from asyncflow._model.value import PLAIN, SizeLimits, byte_size, to_json_text
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._timer import Timer

LONGEST: Final = 64 * 1024
"""Characters of a traceback that are kept: its end, where the error is."""

LOST: Final = "CrashError: its process died, and it is not idempotent"

LONGEST_ERROR: Final = 16 * 1024
"""Characters of an error's text that are kept: its beginning."""


@dataclass(slots=True, eq=False)
class Attempt:
    """A body at work. It has no command: thousands may wait, and its scope says the same.

    Attributes:
        last: a failure of it is not retried.
        lost: its process died and it may not run again; see `StartTask`.
        start: when its body began.
        stopper: calls a user's `stop`, while that works.
        begun: its body is on the loop, and can be cancelled.
        stopping: it was told to stop.
        unmeasured: its operator is to be asked for metrics, once its work has ended.
        over: its work ended after it was told to stop, and there is nothing left to cancel.
        dropped: its runner shuts down; its end is nobody's to tell, the next owner starts it anew.
    """

    live: LiveExecution
    operator: Operator
    context: Context
    scope: TaskScope
    last: bool
    lost: bool
    start: datetime | None = None
    body: asyncio.Task[None] | None = None
    stopper: asyncio.Task[None] | None = None
    patience: Timer | None = None
    begun: bool = False
    stopping: bool = False
    unmeasured: bool = False
    over: bool = False
    dropped: bool = False
    base: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def number(self) -> tuple[int, int]:
        """Sequence and try number."""
        return self.scope.sequence_number, self.scope.try_number

    @property
    def ending(self) -> bool:
        """Whether the engine cancels it; any other cancellation is the user's own affair."""
        return self.stopping or self.dropped

    @property
    def followed(self) -> bool:
        """Whether more of its operator may be called, once its work has ended."""
        operator = self.operator
        if operator.on_success is not None or operator.on_failure is not None:
            return True
        return type(operator).get_metrics is not Operator.get_metrics

    def started(self) -> Told:
        """Tell that the body began; it must have."""
        at, scope = self.start, self.scope
        assert at is not None
        fact = TaskStarted(at, scope.task_name, scope.sequence_number, scope.try_number)
        return Told(self.live, fact)

    def stopped(self, at: datetime) -> TaskEnded:
        """Tell that it ended because it was told to."""
        return self._ended(
            at, Outcome(TaskStatus.STOPPED, abandoned=self.scope.stop_sign.abandoned)
        )

    def failed(self, at: datetime, error: BaseException, *, retryable: bool = True) -> TaskEnded:
        """Tell that it ended with an error."""
        outcome = Outcome(
            TaskStatus.FAILED,
            error=describe(error),
            traceback=_trace(error),
            abandoned=self.scope.stop_sign.abandoned,
        )
        return self._ended(at, outcome, retryable=retryable)

    def crashed(self, at: datetime) -> TaskEnded:
        """Tell that it ended with the process that ran it."""
        return self._ended(at, Outcome(TaskStatus.FAILED, error=LOST), retryable=False)

    def succeeded(self, at: datetime, value: object, limits: SizeLimits) -> TaskEnded:
        """Tell that it ended well, or, if what it leaves cannot be stored, that it failed."""
        name = self.scope.task_name
        try:
            changes = self.context.changes()
            if changes:
                left = {**self.live.state.context, **changes}  # others merged theirs meanwhile
                kept = ((key, text) for key, text in left.items() if text is not None)
                size = sum(byte_size(key) + byte_size(text) for key, text in kept)
                limits.check(f"the context that task {name!r} leaves", size)
            result = None
            plain = type(value) in PLAIN  # most are: `Context` is abstract, and slow to ask for
            if value is not None and (plain or not isinstance(value, Context)):
                result = to_json_text(value, "result")
                limits.check(f"the result of task {name!r}", byte_size(result))
        except BaseException as error:  # user code: serializers; a warning may be made an error
            return self.failed(at, error, retryable=False)
        return self._ended(at, Outcome(TaskStatus.SUCCESS, result=result), changes)

    def _ended(
        self,
        at: datetime,
        outcome: Outcome,
        context: Mapping[str, str | None] | None = None,
        *,
        retryable: bool = True,
    ) -> TaskEnded:
        scope = self.scope
        return TaskEnded(
            at=at,
            task=scope.task_name,
            sequence_number=scope.sequence_number,
            try_number=scope.try_number,
            outcome=outcome,
            context=context or {},
            dice=random.random(),
            retryable=retryable,
            began=self.start,
        )


def describe(error: BaseException) -> str:
    """Return the type and the text of an error."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # user code: an error's own __str__
        text = "(its text cannot be had)"
    if len(text) > LONGEST_ERROR:
        text = f"{text[:LONGEST_ERROR]}... ({len(text):,} characters)"
    return _printable(f"{name}: {text}" if text else name)


def _trace(error: BaseException) -> str | None:
    try:
        lines = traceback.format_exception(error)
    except BaseException:  # user code: an exception's own attributes
        return None
    return _printable("".join(lines))[-LONGEST:]


def _printable(text: str) -> str:
    """Return the text without what a store cannot hold: lone surrogates, as in some file names."""
    return text.encode("utf-8", "backslashreplace").decode()
