"""Asks users' conditions whether an event meets them. It gives verdicts, never decides.

A condition that raises counts as not met; nothing that it does reaches another task's rules.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeAlias

from asyncflow._clock import Clock
from asyncflow._core.plan import EventRule
from asyncflow._home import GATE
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.record import EventRecord
from asyncflow._runner.live import LiveExecution
from asyncflow._runner.views import condition_context
from asyncflow.errors import UsageError

logger = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=30)
"""How long an ``async def is_met`` may take."""

Verdicts: TypeAlias = frozenset[int]
Opinion: TypeAlias = tuple[EventRule, bool | Awaitable[bool]]


class Judge:
    """Judges one event for one execution, conditions in their order of declaration."""

    def __init__(
        self, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        """Let asynchronous conditions run in what ``spawn`` starts."""
        self._clock = clock
        self._spawn = spawn
        self._judging: set[asyncio.Task[None]] = set()
        self._closed = False

    def verdicts(
        self, live: LiveExecution, record: EventRecord
    ) -> Verdicts | Coroutine[Any, Any, Verdicts]:
        """Return the numbers of the rules that are met, or what must be awaited to know."""
        judged = [rule for rule in live.plan.by_key[record.key] if rule.condition is not None]
        if not judged:
            return frozenset()
        event = Event.of(record)
        context = condition_context(live)
        gate = GATE.set(_refuse)
        try:
            opinions = [(rule, self._ask(live, rule, event, context)) for rule in judged]
        finally:
            GATE.reset(gate)
        if all(isinstance(met, bool) for _, met in opinions):
            return frozenset(rule.index for rule, met in opinions if met)
        return self._await(live, event, opinions)

    def later(
        self, verdicts: Coroutine[Any, Any, Verdicts], tell: Callable[[Verdicts], None]
    ) -> None:
        """Await verdicts beside everything else, then tell them."""

        async def judge() -> None:
            tell(await verdicts)

        task = self._spawn(judge())
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def drained(self) -> None:
        """Return when nothing is being judged."""
        while self._judging:
            await asyncio.wait(self._judging)

    def drop(self) -> None:
        """Cancel what is being judged, without a verdict to tell."""
        self._closed = True
        for task in self._judging:
            task.cancel()

    def _ask(
        self, live: LiveExecution, rule: EventRule, event: Event, context: Context
    ) -> bool | Awaitable[bool]:
        if rule.condition is None:
            return True
        try:
            met = rule.condition.is_met(event, context)
        except BaseException:  # user code: a condition that raises is not met
            _complain(live, rule, event)
            return False
        return met if isinstance(met, Awaitable) else bool(met)

    async def _await(self, live: LiveExecution, event: Event, opinions: list[Opinion]) -> Verdicts:
        GATE.set(_refuse)
        met = set[int]()
        for rule, opinion in opinions:
            if self._closed:
                _forget(opinion)
            elif await self._opinion(live, rule, event, opinion):
                met.add(rule.index)
        if self._closed:
            raise asyncio.CancelledError
        return frozenset(met)

    async def _opinion(
        self, live: LiveExecution, rule: EventRule, event: Event, opinion: bool | Awaitable[bool]
    ) -> bool:
        try:
            async with self._clock.deadline(PATIENCE):
                return opinion if isinstance(opinion, bool) else bool(await opinion)
        except BaseException:  # user code: a condition that raises is not met
            if not self._closed:
                _complain(live, rule, event)
            return False


def _complain(live: LiveExecution, rule: EventRule, event: Event) -> None:
    text = "rule %d of task %r in %r counts as not met by event %r: its condition raised"
    logger.exception(text, rule.index, rule.task, live.name, event.key)


def _forget(opinion: bool | Awaitable[bool]) -> None:
    if isinstance(opinion, Coroutine):
        opinion.close()


def _refuse() -> None:
    text = "a condition looks at its event and its context only: asyncflow cannot be called in it"
    raise UsageError(text)
