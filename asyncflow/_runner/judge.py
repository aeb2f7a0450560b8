"""Asks users' conditions whether an event meets them. It gives verdicts, never decides.

A condition that raises counts as not met; nothing that it does reaches another task's rules.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias

from asyncflow._clock import Clock
from asyncflow._core.plan import EventRule
from asyncflow._home import GATE
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.record import EventRecord
from asyncflow._runner.attempt import describe
from asyncflow._runner.live import LiveExecution, Verdicts
from asyncflow._runner.views import condition_context
from asyncflow.errors import UsageError

logger = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=30)
"""How long an ``async def is_met`` may take."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a condition raised, instead of a verdict."""

    text: str


Opinion: TypeAlias = bool | Fault | Awaitable[bool]
Answer: TypeAlias = bool | Fault


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
        """Return what the conditions say, or what must be awaited to know."""
        judged = [rule for rule in live.plan.by_key[record.key] if rule.condition is not None]
        if not judged:
            return Verdicts()
        event = replace(Event.of(record), offset=None)  # also of a letter, whose event is stored
        context = condition_context(live)
        gate = GATE.set(_refuse)
        try:
            opinions = [(rule, self._ask(live, rule, event, context)) for rule in judged]
        finally:
            GATE.reset(gate)
        known = [(rule, met) for rule, met in opinions if isinstance(met, bool | Fault)]
        if len(known) == len(opinions):
            return _verdicts(known)
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

    def _ask(self, live: LiveExecution, rule: EventRule, event: Event, context: Context) -> Opinion:
        if rule.condition is None:
            return True
        try:
            met = rule.condition.is_met(event, context)
            return met if isinstance(met, Awaitable) else bool(met)
        except BaseException as error:  # user code: a condition that raises is not met
            return _fault(live, rule, event, error)

    async def _await(
        self, live: LiveExecution, event: Event, opinions: list[tuple[EventRule, Opinion]]
    ) -> Verdicts:
        GATE.set(_refuse)
        known: list[tuple[EventRule, Answer]] = []
        for rule, opinion in opinions:
            if self._closed:
                _forget(opinion)
            else:
                known.append((rule, await self._answer(live, rule, event, opinion)))
        if self._closed:
            raise asyncio.CancelledError
        return _verdicts(known)

    async def _answer(
        self, live: LiveExecution, rule: EventRule, event: Event, opinion: Opinion
    ) -> Answer:
        if not isinstance(opinion, Awaitable):
            return opinion
        try:
            async with self._clock.deadline(PATIENCE):
                return bool(await opinion)
        except BaseException as error:  # user code: a condition that raises is not met
            return False if self._closed else _fault(live, rule, event, error)


def _verdicts(known: list[tuple[EventRule, Answer]]) -> Verdicts:
    return Verdicts(
        met=frozenset(rule.index for rule, answer in known if answer is True),
        faults=tuple(answer.text for _, answer in known if isinstance(answer, Fault)),
    )


def _fault(live: LiveExecution, rule: EventRule, event: Event, error: BaseException) -> Fault:
    """Log what a condition raised, and return it for the execution's record."""
    text = "rule %d of task %r in %r counts as not met by event %r: its condition raised"
    logger.error(text, rule.index, rule.task, live.name, event.key, exc_info=error)
    return Fault(f"condition of task {rule.task!r}: {describe(error)}")


def _forget(opinion: Opinion) -> None:
    if isinstance(opinion, Coroutine):
        opinion.close()


def _refuse() -> None:
    text = "a condition looks at its event and its context only: asyncflow cannot be called in it"
    raise UsageError(text)
