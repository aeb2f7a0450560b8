"""An execution that this runner owns, a workflow with rules, and what both are told.

Nothing here decides.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import Fact
from asyncflow._core.plan import Plan
from asyncflow._model.record import EndedExecution, EventRecord, ExecutionRecord
from asyncflow._model.rule import WorkflowRule
from asyncflow._model.status import TaskStatus
from asyncflow._model.workflow import Workflow
from asyncflow._runner.awaiting import Awaiting
from asyncflow._store.batch import NewExecution
from asyncflow.errors import TaskNotFoundError

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False, repr=False)
class LiveExecution:
    """An unfinished execution in its owner's memory.

    Attributes:
        workflow: None if it is not declared here; then the execution is parked.
        id: its row, 0 until the transaction that makes it has committed.
        held: facts that wait until a condition has been judged; None if none is being judged.
        waiters: resolved when there is something new to see about its end. None: nobody waits.
        ended: sequence and try number of each task's last attempt that ended here: a `StartTask`
            that is told again starts nothing. None: no attempt has ended.
        awaiting: by id, the awaited events that its tasks have made here and that wait still.
        watched: how many wait for changes of its tasks, of whatever kind.
        parked: why, if it was said.
        redefined: its row has the fingerprint of another definition than it goes on under.
        over: it has ended, and that is on disk.
    """

    name: str
    plan: Plan
    workflow: Workflow | None
    state: ExecutionState
    id: int = 0
    held: "deque[Told] | None" = None
    waiters: "list[asyncio.Future[Any]] | None" = None
    ended: dict[str, tuple[int, int]] | None = None
    awaiting: dict[int, Awaiting] = field(default_factory=dict[int, Awaiting])
    watched: int = 0
    redefined: bool = False
    over: bool = False
    parked: str | None = None

    def as_ended(self, known: "NewExecution | ExecutionRecord") -> EndedExecution:
        """Return how it has ended, as it is on disk; ``known`` says what never changes."""
        return EndedExecution(self.record(known), self.state.context)

    def record(self, known: "NewExecution | ExecutionRecord") -> ExecutionRecord:
        """Return its record as the state has it; ``known`` says what never changes."""
        head = self.state.head
        return ExecutionRecord(
            id=self.id,
            name=self.name,
            workflow=known.workflow,
            namespace=known.namespace,
            execution_type=known.execution_type,
            status=head.status,
            created=known.created,
            begin=head.begin,
            end=head.end,
            error=head.error,
            parked_reason=head.parked_reason,
            stopping=head.stopping,
            fingerprint=self.plan.fingerprint,
            owner=None,
            heard=head.heard,
            recoveries=head.recoveries,
        )

    def status_of(self, task: str) -> TaskStatus | None:
        """Return the latest status of a task, None if it never ran.

        Raises:
            TaskNotFoundError: the workflow has no such task.
        """
        found = self.state.tasks.get(task)
        if found is not None:
            return found.status
        if task not in self.plan.tasks:
            raise TaskNotFoundError(task, self.plan.workflow, tuple(self.plan.tasks))
        return None

    def news(self, news: asyncio.Future[Any], *, ends: bool = False) -> "LiveNews":
        """Have a future resolved with the next transaction about it, or about its end only.

        For a ``with``: after its body nobody waits any more.
        """
        return LiveNews(self, news, ends=ends)

    def note_parking(self) -> None:
        """Say once that it is parked: nobody may be waiting for it."""
        before, self.parked = self.parked, self.state.head.parked_reason
        if self.parked is not None and self.parked != before:
            logger.warning("workflow execution %r is parked: %s", self.name, self.parked)

    def wake(self) -> None:
        """Let everybody who waits for it look again."""
        waiters, self.waiters = self.waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)


class LiveNews:
    """What `LiveExecution.news` is for a ``with``.

    No generator: each workflow that is executed needs one, and that would take three times as long.
    """

    __slots__ = ("_live", "_news", "_watched")

    def __init__(self, live: LiveExecution, news: asyncio.Future[Any], *, ends: bool) -> None:
        """Take whom to tell of what."""
        self._live = live
        self._news = news
        self._watched = int(not ends)

    def __enter__(self) -> None:
        """Begin to wait."""
        live = self._live
        if live.waiters is None:
            live.waiters = [self._news]
        else:
            live.waiters.append(self._news)
        live.watched += self._watched

    def __exit__(self, *_: object) -> None:
        """Wait no more."""
        live = self._live
        live.watched -= self._watched
        if live.waiters is not None and self._news in live.waiters:
            live.waiters.remove(self._news)


@dataclass(slots=True)
class Publication:
    """An event on its way to everybody who hears it.

    Attributes:
        event: its offset is None until it is stored.
        confined: hears it alone; None: everybody in the namespace.
        done: resolved with the offset when all who hear it have answered, on disk.
        letter: the inbox item that brought it, already stored.
        open: answers that are still to be written.
        refused: it could not be stored, and nobody is to hear it any more.
        for_workflows: whether workflow rules hear it: not if somebody outside sent it to one
            execution.
        until: the greatest id of an execution that hears it; None: all.
        ruled: the workflows whose rules hear it here; None: those that do when it is opened.
    """

    event: EventRecord
    confined: LiveExecution | None = None
    done: asyncio.Future[int] | None = None
    letter: int | None = None
    offset: int | None = None
    open: int = 0
    refused: bool = False
    for_workflows: bool = True
    until: int | None = None
    ruled: "tuple[RuledWorkflow, ...] | None" = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What users' conditions said of an event: the rules that are met, and what was raised.

    Attributes:
        cells: what they changed in users' states.
    """

    met: frozenset[int] = frozenset()
    faults: tuple[str, ...] = ()
    cells: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(slots=True)
class Told:
    """A fact for one execution.

    Attributes:
        publication: the event that the fact is about.
        verdicts: of the conditions that the event met; None: not judged yet.
        done: resolved when the answer is on disk; takes the error if it could not be stored.
        letter: the inbox item that brought it.
        answered: called once it is decided on; its answer is not on disk by then.
    """

    live: LiveExecution
    fact: Fact
    publication: Publication | None = None
    verdicts: Verdicts | None = None
    done: asyncio.Future[None] | None = None
    letter: int | None = None
    answered: Callable[[], None] | None = None


@dataclass(slots=True)
class LiveRule:
    """A workflow rule of this process."""

    name: str
    rule: WorkflowRule
    paused: bool = False


HEARD: Final = ""
"""The state of a workflow that has the offset of the last letter; users' states have names."""


@dataclass(slots=True, eq=False, repr=False)
class RuledWorkflow:
    """A workflow that has rules in this process.

    Attributes:
        key: its namespace and its name.
        rules: by name, in the order of their adding.
        cells: users' states of the workflow, JSON text by name.
        held: events that wait until a condition has been judged; None if none is being judged.
        on_duty: whether this runner judges events by them; else another does.
    """

    key: tuple[str, str]
    rules: dict[str, LiveRule] = field(default_factory=dict[str, LiveRule])
    cells: dict[str, str] = field(default_factory=dict[str, str])
    held: "deque[Heard] | None" = None
    on_duty: bool = False

    def has_heard(self, publication: Publication) -> bool:
        """Say whether an event came by letter before: a letter may be delivered twice."""
        offset = _in_order(publication)
        return offset is not None and offset <= int(self.cells.get(HEARD, "0"))

    def hears(self, publication: Publication) -> dict[str, str]:
        """Return the state that tells later that an event came by letter."""
        offset = _in_order(publication)
        return {} if offset is None else {HEARD: str(offset)}

    def remember(self, cells: Mapping[str, str | None]) -> None:
        """Change users' states."""
        merged = {**self.cells, **cells}
        self.cells = {name: text for name, text in merged.items() if text is not None}


def _in_order(publication: Publication) -> int | None:
    """Return the offset of an event whose letters come to each runner in that order.

    A signal's comes to the owner of the execution alone, and later than others where that is
    replaced; it is told once, because its letter is taken with the answer.
    """
    alone = publication.letter is None or publication.event.awaited is not None
    return None if alone else publication.offset


@dataclass(slots=True)
class Heard:
    """An event for the rules of a workflow; ``verdicts`` is None until they are judged."""

    workflow: RuledWorkflow
    publication: Publication
    verdicts: Verdicts | None = None
