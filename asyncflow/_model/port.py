"""What handles need of whoever asks a store: an interface, so that their imports still point down.

`_client.Client` implements it. Beside it stands how a handle finds its client: the task it is
called in, else the only one that is open.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from asyncflow._frozen import value
from asyncflow._home import Home
from asyncflow._model.awaited import AwaitedFilter, EventWish
from asyncflow._model.record import (
    AwaitedRecord,
    EndedExecution,
    EventRecord,
    ExecutionRecord,
    LogRecord,
    TaskExecutionRecord,
)
from asyncflow._model.status import TaskAction, WorkflowStatus
from asyncflow.errors import TaskStopped, UsageError

R = TypeVar("R")


class Port(Protocol):
    """Asks a store. Every coroutine runs on `__home__`'s loop."""

    @property
    def label(self) -> str:
        """Its class and its store, for messages."""
        ...

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        ...

    async def find_execution(self, name: str) -> ExecutionRecord | None:
        """Return an execution as it is stored."""
        ...

    async def find_executions(
        self,
        *,
        namespace: str | None,
        workflow: str | None,
        statuses: frozenset[WorkflowStatus] | None,
        before: int | None,
        limit: int,
    ) -> tuple[ExecutionRecord, ...]:
        """Return executions, newest first."""
        ...

    async def find_task_executions(self, execution: int) -> tuple[TaskExecutionRecord, ...]:
        """Return every run of every task of an execution, oldest first."""
        ...

    async def find_context(self, execution: int) -> Mapping[str, str]:
        """Return the merged context of an execution, JSON text by key."""
        ...

    async def find_logs(
        self, execution: int, task_name: str, sequence_number: int, *, after: int, limit: int
    ) -> tuple[LogRecord, ...]:
        """Return lines that one run of a task logged, in order, those after an id."""
        ...

    async def await_end(self, name: str, timeout: timedelta | None) -> EndedExecution:
        """Return an execution once it has ended."""
        ...

    async def request_stop(self, name: str) -> None:
        """Return once the wish to stop an execution is on disk."""
        ...

    async def request_action(self, name: str, task_name: str, action: TaskAction) -> None:
        """Return once the wish to act on a task is on disk."""
        ...

    async def find_events(self, wanted: "EventFilter", limit: int) -> tuple[EventRecord, ...]:
        """Return events in order of offset."""
        ...

    async def listen(self, wish: "ListenerWish") -> str:
        """Let a listener hear events from now on, and return its id."""
        ...

    async def stop_listening(self, listener_id: str) -> None:
        """Return once a listener has ended, after its current batch."""
        ...

    def end_listeners(self, scope: "TaskScope") -> None:
        """End the listeners that a task has left behind, each after its current batch."""
        ...

    async def publish(self, event: EventRecord, *, by_task: bool = False) -> EventRecord:
        """Store an event, tell those who hear it, and return it with its offset.

        Workflow rules hear what a task says to its own execution, not what others say to it.
        """
        ...

    async def publish_from(
        self, scope: "TaskScope", key: str, value: object, context: object
    ) -> EventRecord:
        """Publish an event of a task to its own workflow execution."""
        ...

    async def open_event(self, scope: "TaskScope", wish: EventWish) -> AwaitedRecord:
        """Let a task await an event, or find it as an earlier attempt left it; it is on disk."""
        ...

    async def find_awaited(self, wanted: AwaitedFilter, limit: int) -> tuple[AwaitedRecord, ...]:
        """Return awaited events, their phases as of now."""
        ...

    async def awaited_by_name(self, run_name: str, wanted: AwaitedFilter) -> AwaitedRecord | None:
        """Return an event of an execution by its name: one that waits, else the newest."""
        ...

    async def awaited(self, id_: int) -> AwaitedRecord | None:
        """Return an awaited event, its phase as of now; None if it was deleted."""
        ...

    async def await_found(
        self, find: Callable[[], Coroutine[Any, Any, R | None]], timeout: timedelta
    ) -> R | None:
        """Ask again and again until there is something, or for so long."""
        ...

    async def signal(
        self, record: AwaitedRecord, payload: str, sender: str | None, comment: str | None
    ) -> None:
        """Return once an awaited event has its payload, on disk; see `Event.signal`."""
        ...

    def await_closed(
        self, records: Sequence[AwaitedRecord], timeout: timedelta | None
    ) -> Coroutine[Any, Any, AwaitedRecord]:
        """Return the first of some awaited events that is signalled, else the last that closes."""
        ...


@value(frozen=True, slots=True)
class EventFilter:
    """Which events are meant: ``begin`` and ``since`` exclusive, ``end`` and ``until`` inclusive.

    ``begin`` and ``end`` are offsets, ``since`` and ``until`` are times; None leaves one out.
    ``answers`` of False leaves out those that signals made.
    """

    namespace: str | None = None
    keys: frozenset[str] | None = None
    sender: str | None = None
    execution: int | None = None
    begin: int = 0
    end: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    answers: bool = True
    newest_first: bool = False


@value(frozen=True, slots=True)
class ListenerWish:
    """What a listener is to hear, and for whom.

    Attributes:
        process: takes the events that it hears.
        keys: None: every key.
        begin: the offset after which it begins; None, and no ``since``: now.
        since: the time after which it begins.
        scope: of the task with which it ends; None: it ends with its client.
    """

    process: Callable[[list[Any]], object]
    namespace: str
    keys: frozenset[str] | None = None
    begin: int | None = None
    since: datetime | None = None
    scope: "TaskScope | None" = None


class Wait(Protocol):
    """What a thread of a task waits for: a future, on the loop."""

    def done(self) -> bool:
        """Return whether it is over."""
        ...

    def set_exception(self, exception: TaskStopped, /) -> None:
        """End it."""
        ...


@dataclass(slots=True)
class StopSign:
    """Tells a task in a thread that it should end; raised by the loop, read by the thread.

    Attributes:
        threads: how many threads work for the task now.
        abandoned: one of them did not end when the task did.
        waiting: how often the task waits for events now.
        waits: ended when it is raised: what threads of the task wait for; futures of the loop.
    """

    raised: bool = False
    threads: int = 0
    abandoned: bool = False
    waiting: int = 0
    waits: "tuple[Wait, ...]" = ()

    def give(self) -> None:
        """Raise it; on the loop, if anything waits."""
        self.raised = True
        for each in self.waits:
            if not each.done():
                each.set_exception(TaskStopped())

    def check(self) -> None:
        """Raise `TaskStopped` if it is raised: the task should do nothing more."""
        if self.raised:
            raise TaskStopped

    def begin_wait(self, news: "Wait | None") -> None:
        """Note that the task waits for an event, and by which future, if it is in a thread."""
        self.waiting += 1
        if news is not None:
            self.waits += (news,)

    def end_wait(self, news: "Wait") -> None:
        """Note that it waits for that no more."""
        self.waiting -= 1
        if self.waits:
            self.waits = tuple([each for each in self.waits if each is not news])


class Tally:
    """What one attempt has made so far: events by name, and lines of its log.

    Most make events of one name only, and log nothing, and many wait: these have no dict, and no
    counter of lines.

    Attributes:
        lines: gives each its number, also in threads; None before the first.
    """

    __slots__ = ("_first", "_number", "_others", "lines")

    def __init__(self) -> None:
        """Begin with none."""
        self.lines: Iterator[int] | None = None
        self._first: str | None = None
        self._number = 0
        self._others: dict[str, int] | None = None

    def add(self, name: str, number: int = 1) -> int:
        """Count so many more of a name; return how many that makes."""
        if self._first is None or self._first == name:
            self._first = name
            self._number += number
            return self._number
        others = self._others = self._others or {}
        others[name] = others.get(name, 0) + number
        return others[name]


@value(frozen=True, slots=True)
class TaskScope:
    """The task whose code runs here, and the client through which it asks.

    Attributes:
        made: what this attempt has made, also in its threads.
    """

    port: Port
    execution: int
    execution_name: str
    namespace: str
    task_name: str
    sequence_number: int
    try_number: int
    stop_sign: StopSign = field(default_factory=StopSign)
    made: Tally = field(default_factory=Tally, repr=False, compare=False)

    def stop_requested(self) -> bool:
        """Say whether the task was told to stop."""
        return self.stop_sign.raised

    def check(self) -> None:
        """Raise `TaskStopped` if the task was told to stop: it should do nothing more."""
        self.stop_sign.check()


CURRENT_TASK: Final[ContextVar[TaskScope | None]] = ContextVar("asyncflow_task", default=None)
"""Set for the length of an attempt, also in its thread."""


def check_current_task() -> None:
    """Raise `TaskStopped` if the task whose code runs here was told to stop."""
    scope = CURRENT_TASK.get()
    if scope is not None:
        scope.check()


_open_ports: Final[list[Port]] = []


def announce(port: Port) -> None:
    """Let handles find a client that was opened."""
    _open_ports.append(port)


def withdraw(port: Port) -> None:
    """Let handles find it no more."""
    if port in _open_ports:
        _open_ports.remove(port)


def current_port(call: str) -> Port:
    """Return the client for a call that names none.

    Raises:
        UsageError: outside a task, and none or several are open.
        TaskStopped: inside a task that was told to stop.
    """
    scope = CURRENT_TASK.get()
    if scope is not None:
        scope.check()
        return scope.port
    if not _open_ports:
        text = f"{call} finds no open Client or Runner: open one around the call"
        raise UsageError(text)
    # Of those that a fork left here none works, and one says so if there is no other.
    ports = [port for port in _open_ports if not port.__home__().inherited] or _open_ports[:1]
    if len(ports) == 1:
        return ports[0]
    labels = ", ".join(port.label for port in ports)
    way_out = "ask one of them, as in client.event(...) or client.execution(...)"
    text = f"{call} finds several ({labels}): {way_out}"
    raise UsageError(text)
