"""Asks users' conditions whether an event meets them. It gives verdicts, never decides.

A condition that raises counts as not met, and what it changed in users' states is undone; nothing
that it does reaches another task's rules.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias

from asyncflow._clock import Clock
from asyncflow._home import GATE
from asyncflow._model.condition import Condition
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.record import EventRecord
from asyncflow._model.value import SizeLimits
from asyncflow._runner.attempt import describe
from asyncflow._runner.cells import Overlay
from asyncflow._runner.live import LiveExecution, Verdicts
from asyncflow._runner.views import condition_context
from asyncflow.errors import UsageError

logger = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=30)
"""How long an ``async def is_met`` may take."""


@dataclass(frozen=True, slots=True)
class Question:
    """One condition: its number among the verdicts, and whose it is, for people."""

    number: int
    whose: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Case:
    """Conditions to be asked about one event, in order of declaration.

    Attributes:
        where: whose they all are, for people.
        context: makes the context for one condition; none sees what another changed in its own.
    """

    where: str
    event: EventRecord
    context: Callable[[], Context]
    cells: Overlay
    questions: Sequence[Question]


Opinion: TypeAlias = bool | BaseException | Awaitable[bool]
Answer: TypeAlias = bool | BaseException
Judging: TypeAlias = Generator[Awaitable[bool], Answer, Verdicts]


@dataclass(frozen=True, slots=True)
class Pending:
    """A case in which an ``async def is_met`` must be awaited."""

    judging: Judging
    first: Awaitable[bool]


class Judge:
    """Judges cases: each condition sees the states as the one before it left them."""

    def __init__(
        self,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        limits: SizeLimits,
    ) -> None:
        """Let asynchronous conditions run in what ``spawn`` starts."""
        self.limits = limits
        self._clock = clock
        self._spawn = spawn
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def execution(self, live: LiveExecution, record: EventRecord) -> Verdicts | Pending:
        """Judge an event for the rules of the tasks of an execution."""
        questions = [
            Question(rule.index, f"task {rule.task!r}", rule.condition)
            for rule in live.plan.by_key[record.key]
            if rule.condition is not None
        ]
        if not questions:
            return Verdicts()
        cells = Overlay(live.state.cells, self.limits)
        case = Case(
            repr(live.name), record, lambda: condition_context(live, cells), cells, questions
        )
        return self.verdicts(case)

    def verdicts(self, case: Case) -> Verdicts | Pending:
        """Return what the conditions say, or what must be awaited to know; see `later`."""
        judging = _judge(case)
        gate = GATE.set(_refuse)
        try:
            return Pending(judging, next(judging))
        except StopIteration as judged:
            verdicts: Verdicts = judged.value
            return verdicts
        finally:
            GATE.reset(gate)

    def later(self, pending: Pending, tell: Callable[[Verdicts], None]) -> None:
        """Await verdicts beside everything else, then tell them."""

        async def judge() -> None:
            tell(await self._await(pending))

        task = self._spawn(judge())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: _forget(pending.first))  # if it was never begun

    @property
    def judging(self) -> bool:
        """Whether verdicts are being awaited."""
        return bool(self._tasks)

    async def drained(self) -> None:
        """Return when nothing is being judged."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def drop(self) -> None:
        """Cancel what is being judged, without a verdict to tell."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    async def _await(self, pending: Pending) -> Verdicts:
        GATE.set(_refuse)
        opinion = pending.first
        try:
            while True:
                opinion = pending.judging.send(await self._answer(opinion))
        except StopIteration as judged:
            verdicts: Verdicts = judged.value
            return verdicts
        finally:
            pending.judging.close()

    async def _answer(self, opinion: Awaitable[bool]) -> Answer:
        try:
            async with self._clock.deadline(PATIENCE):
                answer = bool(await opinion)
        except BaseException as error:  # user code: a condition that raises is not met
            if self._closed:
                raise asyncio.CancelledError from error
            return error
        if self._closed:
            raise asyncio.CancelledError
        return answer


def _unstored(record: EventRecord) -> Event:
    """Return an event as conditions see it, whether it came by letter and is stored or not."""
    return replace(Event.of(record), offset=None)


def _judge(case: Case) -> Judging:
    """Ask one condition after the other; yield what must be awaited, to be sent what came of it."""
    met: set[int] = set()
    faults: list[str] = []
    for question in case.questions:
        before = dict(case.cells.changes)
        opinion = _ask(question.condition, case)
        answer = (yield opinion) if isinstance(opinion, Awaitable) else opinion
        if isinstance(answer, BaseException):
            case.cells.changes = before
            faults.append(_fault(question, case, answer))
        elif answer:
            met.add(question.number)
    return Verdicts(frozenset(met), tuple(faults), case.cells.changes)


def _ask(condition: Condition, case: Case) -> Opinion:
    try:
        met = condition.is_met(_unstored(case.event), case.context())
        return met if isinstance(met, Awaitable) else bool(met)
    except BaseException as error:  # user code: a condition that raises is not met
        return error


def _fault(question: Question, case: Case, error: BaseException) -> str:
    """Log what a condition raised, and return it for the record."""
    text = "the condition of %s in %s counts as not met by event %r: it raised"
    logger.error(text, question.whose, case.where, case.event.key, exc_info=error)
    return f"condition of {question.whose}: {describe(error)}"


def _forget(opinion: Awaitable[bool]) -> None:
    if isinstance(opinion, Coroutine):
        opinion.close()


def _refuse() -> None:
    text = "a condition looks at its event and its context only: asyncflow cannot be called in it"
    raise UsageError(text)
