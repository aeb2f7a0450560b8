"""What a runner does itself about awaited events of executions that it owns.

Others of its store are asked about as any client does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from asyncflow._clock import Clock
from asyncflow._core.facts import EventAwaited
from asyncflow._failpoint import hit
from asyncflow._model.awaited import EventWish
from asyncflow._model.port import CURRENT_TASK, TaskScope
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._operators.threads import in_thread_of_task
from asyncflow._runner.awaiting import Answer, Awaiting
from asyncflow._runner.driver import Driver
from asyncflow._runner.entries import Awaited, Signalled
from asyncflow._runner.live import LiveExecution
from asyncflow._runner.waiters import Waiters
from asyncflow._store.batch import NewAwaited, Signal
from asyncflow.errors import EventAlreadyExistsError, TaskStopped, UsageError

Telling: TypeAlias = "asyncio.Future[tuple[int, Answer | None]]"
"""Takes an event's id and what became of it; None: the store knows."""

Closed: TypeAlias = Callable[[Sequence[AwaitedRecord]], Awaitable[AwaitedRecord]]


class Taken(NamedTuple):
    """The offset of a signal, None if it was refused; and whether a letter tells rules of it."""

    offset: int | None
    by_letter: bool


class Awaits:
    """Makes, signals and waits for events by the driver. Called on the home loop."""

    def __init__(self, clock: Clock, driver: Driver, waiters: Waiters) -> None:
        """Ask this driver, which tells ``waiters``."""
        self._clock = clock
        self._driver = driver
        self._waiters = waiters

    async def open(self, scope: TaskScope, wish: EventWish) -> AwaitedRecord:
        """Let a task await an event, or find it as an earlier attempt left it."""
        live = self._driver.lives.get(scope.execution)
        if live is None:
            text = f"workflow execution {scope.execution_name!r} is not worked on here any more"
            raise UsageError(text)
        place = scope.events.add(wish.name)
        record: AwaitedRecord | None = None
        try:
            record = await self._opened(live, scope, wish, place)
        finally:
            if record is None:
                scope.events.add(wish.name, -1)
        if record is None:
            raise EventAlreadyExistsError(wish.name, scope.task_name)
        return record

    async def _opened(
        self, live: LiveExecution, scope: TaskScope, wish: EventWish, place: int
    ) -> AwaitedRecord | None:
        now, task, number = self._clock.now(), scope.task_name, scope.sequence_number
        row = NewAwaited(
            execution=live.id,
            run_name=live.name,
            namespace=live.plan.namespace,
            task=task,
            sequence_number=number,
            name=wish.name,
            place=place,
            failures=live.state.task(task).failures,
            data_type=wish.payload.text,
            created=now,
            prompt=wish.prompt,
            prompt_type=wish.prompt_type,
            description=wish.description,
            deadline=None if wish.timeout is None else now + wish.timeout,
        )
        fact = EventAwaited(now, task, number, scope.try_number, wish.name)
        hit("event.open.before")
        with self._waiters.opening(live):
            async with self._driver.callers:
                done: asyncio.Future[AwaitedRecord | None]
                done = asyncio.get_running_loop().create_future()
                self._driver.put(Awaited(live, fact, row, done))
            return await done

    async def take(self, signal: Signal) -> Taken | None:
        """Store a signal, or return None: its execution is not worked on here."""
        if signal.event.execution not in self._driver.lives:
            return None
        async with self._driver.callers:
            live = self._driver.lives.get(signal.event.execution)
            if live is None:  # it has ended meanwhile
                return None
            done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
            entry = Signalled(live, signal, done)
            hit("event.signal.before")
            self._driver.put(entry)
        return Taken(await done, entry.signal.by_letter)

    async def closed(self, records: Sequence[AwaitedRecord], elsewhere: "Closed") -> AwaitedRecord:
        """Return the first of some events that is signalled, else the last that closes.

        What is not told here is asked ``elsewhere``. Many wait in this very coroutine: there are
        no others between it and what is told.
        """
        self._driver.check()
        hit("event.wait.before")
        while (awaited := self._awaiting(records)) is not None:
            with _News(awaited) as news:
                id_, answer = await news
            if answer is None:
                break
            found, records = _apart(records, id_, answer)
            if found.phase is EventPhase.SUCCEEDED or not records:
                return found
        return await elsewhere(records)

    async def told(self, records: Sequence[AwaitedRecord]) -> bool:
        """Return once something is told of one of some events; at once, and False, if not here."""
        awaited = self._awaiting(records)
        if awaited is None:
            return False
        with _News(awaited) as news:
            await news
        return True

    def _awaiting(self, records: Sequence[AwaitedRecord]) -> tuple[Awaiting, ...] | None:
        """Return the memory of events, if all of them wait here."""
        found: list[Awaiting] = []
        for record in records:
            live = self._driver.lives.get(record.execution)
            awaiting = None if live is None else live.awaiting.get(record.id)
            if awaiting is None:
                return None
            found.append(awaiting)
        return tuple(found)


def _apart(
    records: Sequence[AwaitedRecord], id_: int, answer: Answer
) -> tuple[AwaitedRecord, Sequence[AwaitedRecord]]:
    """Return the record of an event as it is now, and those of the others."""
    if len(records) == 1:
        return answer.of(records[0]), ()
    found = next(answer.of(record) for record in records if record.id == id_)
    return found, [record for record in records if record.id != id_]


class _News:
    """What is told next of some events: in the body of ``with``, a future.

    A thread that is told to stop waits no more.
    """

    __slots__ = ("_awaited", "_future", "_sign", "_stop")

    def __init__(self, awaited: tuple[Awaiting, ...]) -> None:
        self._awaited = awaited
        self._future: Telling = asyncio.get_running_loop().create_future()
        scope = CURRENT_TASK.get()
        self._sign = None if scope is None else scope.stop_sign
        self._stop: Callable[[], None] | None = None
        if scope is not None and in_thread_of_task():
            scope.check()  # a stop came on the way from the thread to the loop
            self._stop = partial(_stop, self._future)

    def __enter__(self) -> "Telling":
        for each in self._awaited:
            each.waiters += (self._future,)
        if self._sign is not None:
            self._sign.begin_wait(self._stop)
        return self._future

    def __exit__(self, *_: object) -> None:
        for each in self._awaited:
            each.waiters = tuple([other for other in each.waiters if other is not self._future])
        if self._sign is not None:
            self._sign.end_wait(self._stop)


def _stop(news: "Telling") -> None:
    if not news.done():
        news.set_exception(TaskStopped())
