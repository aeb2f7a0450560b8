"""Asks users' conditions whether an event meets them. It gives verdicts, never decides.

A condition that raises counts as not met; nothing that it does reaches another task's rules.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeAlias

from asyncflow._clock import Clock
from asyncflow._core.plan import EventRule
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.record import EventRecord
from asyncflow._runner.live import LiveExecution
from asyncflow._runner.views import condition_context

logger = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=30)
"""How long an ``async def is_met`` may take."""

Verdicts: TypeAlias = frozenset[int]
Opinion: TypeAlias = tuple[EventRule, bool | Awaitable[bool]]


class Judge:
    """Judges one event for one execution, conditions in their order of declaration."""

    def __init__(self, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Let asynchronous conditions run in what ``spawn`` starts."""
        self._clock = clock
        self._spawn = spawn

    def verdicts(
        self, live: LiveExecution, record: EventRecord
    ) -> Verdicts | Coroutine[Any, Any, Verdicts]:
        """Return the numbers of the rules that are met, or what must be awaited to know."""
        judged = [rule for rule in live.plan.by_key[record.key] if rule.condition is not None]
        if not judged:
            return frozenset()
        event = Event.of(record)
        context = condition_context(live)
        opinions = [(rule, self._ask(live, rule, event, context)) for rule in judged]
        if all(isinstance(met, bool) for _, met in opinions):
            return frozenset(rule.index for rule, met in opinions if met)
        return self._await(live, opinions)

    def later(
        self, verdicts: Coroutine[Any, Any, Verdicts], tell: Callable[[Verdicts], None]
    ) -> None:
        """Await verdicts beside everything else, then tell them."""

        async def judge() -> None:
            tell(await verdicts)

        self._spawn(judge())

    def _ask(
        self, live: LiveExecution, rule: EventRule, event: Event, context: Context
    ) -> bool | Awaitable[bool]:
        if rule.condition is None:
            return True
        try:
            met = rule.condition.is_met(event, context)
        except Exception:  # user code: a condition that raises is not met
            _complain(live, rule, event)
            return False
        return met if isinstance(met, Awaitable) else bool(met)

    async def _await(self, live: LiveExecution, opinions: list[Opinion]) -> Verdicts:
        met = set[int]()
        for rule, opinion in opinions:
            try:
                async with self._clock.deadline(PATIENCE):
                    if opinion if isinstance(opinion, bool) else await opinion:
                        met.add(rule.index)
            except Exception:  # user code: a condition that raises is not met
                logger.exception(_COMPLAINT, rule.index, rule.task, live.name)
        return frozenset(met)


_COMPLAINT: Final = "rule %d of task %r in %r counts as not met, its condition raised"


def _complain(live: LiveExecution, rule: EventRule, event: Event) -> None:
    text = _COMPLAINT + " on event %r"
    logger.exception(text, rule.index, rule.task, live.name, event.key)
