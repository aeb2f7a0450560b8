"""What a runner does itself about executions that it owns, where a client writes a letter.

About all others it asks as any client does.
"""

import asyncio
from collections.abc import Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from asyncflow._client.client import Client
from asyncflow._client.event_calls import event_letter
from asyncflow._client.executions import new_execution, refusal
from asyncflow._client.news import News
from asyncflow._clock import Deadline
from asyncflow._core.facts import StopRequested, TaskActionRequested
from asyncflow._core.plan import Plan
from asyncflow._model.awaited import EventWish
from asyncflow._model.port import TaskScope
from asyncflow._model.record import (
    AwaitedRecord,
    EndedExecution,
    EventRecord,
    ExecutionRecord,
)
from asyncflow._model.status import EventPhase
from asyncflow._model.value import byte_size
from asyncflow._model.workflow import Workflow
from asyncflow._operators.threads import in_thread_of_task, without_slot
from asyncflow._runner.engine import Engine
from asyncflow._runner.entries import Wanted
from asyncflow._runner.live import LiveExecution, Publication, Told
from asyncflow._store.batch import NewExecution, Refused, Signal
from asyncflow.errors import AsyncflowError, ExecutionParkedError, UsageError


class OwnerCalls(Client):
    """Answers by its own driver what is asked of its own executions."""

    _engine: Engine | None = None

    @property
    def _working_engine(self) -> Engine:
        if self._engine is None:
            text = f"{self.label} is not open: open it with `async with` or `with`"
            raise UsageError(text)
        return self._engine

    async def _admit(
        self, workflow: Workflow, row: NewExecution, texts: Mapping[str, str]
    ) -> ExecutionRecord | Refused:
        """Store an execution that this runner owns, and begin it in the same transaction."""
        plan = self._plans.of(workflow)
        live, told = await self._put_wanted(plan, workflow, row, texts)
        refused = await told
        return live.record(row) if refused is None else refused

    async def _executed(
        self, workflow: Workflow, texts: Mapping[str, str], name: str | None, deadline: Deadline
    ) -> EndedExecution:
        """Wait once, for the end or for why there is none: that it has begun nobody asks."""
        if deadline.delay is not None:
            return await super()._executed(workflow, texts, name, deadline)
        plan = self._plans.of(workflow)
        row = new_execution(plan, name, self._clock.now())
        live, told = await self._put_wanted(plan, workflow, row, texts, to_its_end=True)
        driver = self._working_engine.driver
        try:
            with live.news(told, ends=True):
                refused = await told
        except AsyncflowError:
            driver.check()  # it says more, where all is over
            raise
        if refused is not None:
            raise refusal(refused, row)
        return live.as_ended(row) if live.over else await self._ended(live.record(row))

    async def _put_wanted(
        self,
        plan: Plan,
        workflow: Workflow,
        row: NewExecution,
        texts: Mapping[str, str],
        *,
        to_its_end: bool = False,
    ) -> tuple[LiveExecution, asyncio.Future[Refused | None]]:
        driver = self._working_engine.driver
        async with driver.callers:
            told: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
            if self._engine is None or self._engine.closing:
                text = f"{self.label} shuts down and starts nothing more: open another one"
                raise UsageError(text)
            wanted = Wanted.of(plan, workflow, row, texts, told, to_its_end=to_its_end)
            driver.put(wanted)
        return wanted.live, told

    async def _ended(self, record: ExecutionRecord) -> EndedExecution:
        """Wait for news of an execution that this runner owns, else look as a client does."""
        driver = self._working_engine.driver
        while (live := driver.names.get(record.name)) is not None:
            driver.check()
            news = asyncio.get_running_loop().create_future()
            with live.news(news, ends=True):  # before the look: nothing comes unseen in between
                if live.state.head.parked_reason is not None:
                    found = await self._end_of(record.name)  # raises if nothing may help it
                    if found is not None:
                        return await self._as_ended(found)
                await news
            if live.over:
                return live.as_ended(record)
        return await super()._ended(record)

    async def _end_of(self, name: str) -> ExecutionRecord | None:
        """Look at an execution, unless this runner is over."""
        engine = self._working_engine
        engine.driver.check()
        try:
            return await super()._end_of(name)
        except ExecutionParkedError:
            if engine.ownership.may_go_on(name):
                return None
            raise

    async def _request(
        self, record: ExecutionRecord, fact: StopRequested | TaskActionRequested
    ) -> None:
        """Tell a wish to the execution itself, if it is this runner's."""
        driver = self._working_engine.driver
        live = driver.lives.get(record.id)
        if live is None:
            await super()._request(record, fact)
            self._working_engine.ownership.look_soon()  # it may be about to be taken over here
            return
        async with driver.callers:
            done = asyncio.get_running_loop().create_future()
            driver.put(Told(live, fact, done=done))
        await done

    async def publish(self, event: EventRecord, *, by_task: bool = False) -> EventRecord:
        """Store an event for those who hear it, and return it with its offset."""
        engine = self._working_engine
        async with engine.driver.callers:
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            live = None if event.execution is None else engine.driver.lives.get(event.execution)
            by_letter = live is None and (
                event.execution is not None or await engine.ownership.others(event)
            )
            if not by_letter:
                heard = Publication(event, live, done, for_workflows=by_task or live is None)
                engine.driver.put(heard)
        if by_letter:
            # Others hear it too, or nobody here: it goes by letter, also to ourselves.
            (offset,) = await self._store.append([event_letter(event)], self._fence)
            await self._ring()
            if offset is not None:
                self._listeners.sent([(event.namespace, event.key, offset)])
                await engine.ownership.answered(offset)
            return replace(event, offset=offset)
        offset = await done
        if event.namespace in engine.duties.judged:
            await self._ring()  # rules of other runners hear it by letter
        return replace(event, offset=offset)

    async def open_event(self, scope: TaskScope, wish: EventWish) -> AwaitedRecord:
        """Let a task await an event, or find it as an earlier attempt left it; it is on disk."""
        engine = self._working_engine
        for what, text in (("prompt", wish.prompt), ("description", wish.description)):
            self._limits.check(f"the event's {what}", byte_size(text))
        record = await engine.awaits.open(scope, wish)
        if record.offset is not None:  # its rules first: with this task the execution may end
            await engine.ownership.answered(record.offset)
        told = record.notified is not None or record.phase is not EventPhase.RUNNING
        if wish.webhook is not None and not told:
            engine.webhooks.send(record, wish.webhook)
        return record

    async def _take(self, signal: Signal) -> bool:
        """Store a signal; say whether it was taken."""
        engine = self._working_engine
        found = await engine.awaits.take(signal)
        if found is None:
            taken = await super()._take(signal)
            engine.ownership.look_soon()  # it may be about to be taken over here
            return taken
        offset, by_letter = found
        if offset is not None and signal.event.namespace in engine.duties.judged:
            await self._ring()
        if offset is not None and by_letter:
            await engine.ownership.answered(offset)
        return offset is not None

    def _closed(self, records: Sequence[AwaitedRecord]) -> Coroutine[Any, Any, AwaitedRecord]:
        """Wait for events of its own by futures, for others as a client; without a slot."""
        waiting = self._working_engine.awaits.closed(records)
        return _without_slot(waiting) if in_thread_of_task() else waiting

    @contextmanager
    def _news(self, execution: int | None = None) -> Generator[News]:
        """Give what is told of the next transaction of this runner, or about one of its own."""
        driver, news = self._working_engine.driver, News(self._clock)
        driver.check()
        live = None if execution is None else driver.lives.get(execution)
        if live is not None:
            with live.news(news.future):
                yield news
            return
        driver.news.append(news.future)
        try:
            yield news
        finally:
            if news.future in driver.news:
                driver.news.remove(news.future)

    def _patience(self, execution: int | None, pause: timedelta) -> timedelta | None:
        """Wait for ever for news of its own executions: they come."""
        owned = execution in self._working_engine.driver.lives
        return None if owned else super()._patience(execution, pause)

    async def _pause(self, waiting: Sequence[AwaitedRecord], pause: timedelta) -> None:
        """Wait for what is told next of events of its own."""
        if not await self._working_engine.awaits.told(waiting):
            await super()._pause(waiting, pause)


async def _without_slot(waiting: Coroutine[Any, Any, AwaitedRecord]) -> AwaitedRecord:
    """Await it without the slot of the thread that waits for it."""
    async with without_slot():
        return await waiting
