"""What a runner does itself about awaited events of executions that it owns.

Others of its store are asked about as any client does.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeAlias

from asyncflow._clock import Clock
from asyncflow._core.facts import EventAwaited
from asyncflow._failpoint import hit
from asyncflow._model.awaited import EventWish
from asyncflow._model.port import CURRENT_TASK, StopSign, TaskScope
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._operators.threads import in_thread_of_task
from asyncflow._runner.awaiting import Answer, Awaiting, Telling
from asyncflow._runner.driver import Driver
from asyncflow._runner.entries import Awaited, Signalled
from asyncflow._runner.live import LiveExecution
from asyncflow._runner.waiters import Waiters
from asyncflow._store.batch import NewAwaited, Signal
from asyncflow.errors import EventAlreadyExistsError, UsageError

Closed: TypeAlias = Callable[[Sequence[AwaitedRecord]], Coroutine[Any, Any, AwaitedRecord]]


class Taken(NamedTuple):
    """The offset of a signal, None if it was refused; and whether a letter tells rules of it."""

    offset: int | None
    by_letter: bool


class Awaits:
    """Makes, signals and waits for events by the driver. Called on the home loop."""

    def __init__(self, clock: Clock, driver: Driver, waiters: Waiters) -> None:
        """Ask this driver, which tells ``waiters``.

        ``elsewhere`` must be set before the first call: it is asked about events of others.
        """
        self._clock = clock
        self._driver = driver
        self._waiters = waiters
        self.elsewhere: Closed

    async def open(self, scope: TaskScope, wish: EventWish) -> AwaitedRecord:
        """Let a task await an event, or find it as an earlier attempt left it."""
        live = self._driver.lives.get(scope.execution)
        if live is None:
            text = f"workflow execution {scope.execution_name!r} is not worked on here any more"
            raise UsageError(text)
        place = scope.made.add(wish.name)
        record: AwaitedRecord | None = None
        try:
            record = await self._opened(live, scope, wish, place)
        finally:
            if record is None:
                scope.made.add(wish.name, -1)
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

    async def closed(self, records: Sequence[AwaitedRecord]) -> AwaitedRecord:
        """Return the first of some events that is signalled, else the last that closes.

        Many wait in this very coroutine: there are no others between it and what is told, and it
        holds on to as few objects as can be.
        """
        self._driver.check()
        hit("event.wait.before")
        sign = _stop_sign()
        while (news := self._begin_wait(records, sign)) is not None:
            try:
                id_, answer = await news
            finally:
                self._end_wait(records, sign, news)
            if answer is None:
                break
            found, records = _apart(records, id_, answer)
            if found.phase is EventPhase.SUCCEEDED or not records:
                return found
            self._driver.check()
        return await self.elsewhere(records)

    async def told(self, records: Sequence[AwaitedRecord]) -> bool:
        """Return once something is told of one of some events; at once, and False, if not here."""
        sign = _stop_sign()
        news = self._begin_wait(records, sign)
        if news is None:
            return False
        try:
            await news
        finally:
            self._end_wait(records, sign, news)
        return True

    def _begin_wait(
        self, records: Sequence[AwaitedRecord], sign: StopSign | None
    ) -> Telling | None:
        """Return what takes what is told next of some events; None if not all of them wait here.

        A thread that is told to stop waits no more.
        """
        found = [self._awaiting(record) for record in records]
        awaited = [each for each in found if each is not None]
        if len(awaited) < len(found):
            return None
        news: Telling = asyncio.get_running_loop().create_future()
        if sign is not None:
            in_thread = in_thread_of_task()
            if in_thread:
                sign.check()  # it came on the way from the thread to the loop
            sign.begin_wait(news if in_thread else None)
        for each in awaited:
            each.add(news)
        return news

    def _end_wait(
        self, records: Sequence[AwaitedRecord], sign: StopSign | None, news: Telling
    ) -> None:
        for record in records:
            awaiting = self._awaiting(record)
            if awaiting is not None:
                awaiting.remove(news)
        if sign is not None:
            sign.end_wait(news)

    def _awaiting(self, record: AwaitedRecord) -> Awaiting | None:
        """Return the memory of an event, if it waits here."""
        live = self._driver.lives.get(record.execution)
        return None if live is None else live.awaiting.get(record.id)


def _stop_sign() -> StopSign | None:
    """Return that of the task whose code runs here."""
    scope = CURRENT_TASK.get()
    return None if scope is None else scope.stop_sign


def _apart(
    records: Sequence[AwaitedRecord], id_: int, answer: Answer
) -> tuple[AwaitedRecord, Sequence[AwaitedRecord]]:
    """Return the record of an event as it is now, and those of the others."""
    if len(records) == 1:
        return answer.of(records[0]), ()
    found = next(answer.of(record) for record in records if record.id == id_)
    return found, [record for record in records if record.id != id_]
