"""Which executions this runner works on: those it takes over, and what others have put before it.

It looks once a second. A look reads; it writes only when there is something to take.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol

from asyncflow._client.plans import Plans
from asyncflow._clock import Clock
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import ExecutionRecovered, ExecutionStarted
from asyncflow._core.plan import Plan
from asyncflow._model.registry import Registry
from asyncflow._model.status import WorkflowStatus
from asyncflow._runner.doorbell import Doorbell
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import LiveExecution, Publication, Told, Undeliverable
from asyncflow._runner.process import is_gone
from asyncflow._runner.waiters import Waiters, answer_of
from asyncflow._store.batch import Fence, InboxItem, RunnerRow, StoredExecution
from asyncflow._store.fact_text import SIGNALLED, request, signalled
from asyncflow._store.protocol import Store
from asyncflow._store.queries import (
    Inbox,
    OwnedExecutions,
    Runners,
    StoredExecutions,
    UnownedWorkflows,
)
from asyncflow._store.refusal import fenced
from asyncflow.errors import FencedError, StoreError

logger = logging.getLogger(__name__)

LOOK: Final = timedelta(seconds=1)
"""Pause between looks."""

AT_ONCE: Final = 500
"""Executions that one claim takes."""


class Refreshed(Protocol):
    """Does as the store says, which somebody else may have written."""

    async def refresh(self) -> None:
        """Read it again."""
        ...


class Ownership:
    """Takes over executions and letters for one runner."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        fence: Fence,
        driver: Driver,
        doorbell: Doorbell,
        *,
        registry: Registry,
        plans: Plans,
        waiters: Waiters,
        refreshed: Sequence[Refreshed],
    ) -> None:
        """Take over for the runner with this fence; a look refreshes ``refreshed``, too."""
        self._store = store
        self._clock = clock
        self._fence = fence
        self._driver = driver
        self._doorbell = doorbell
        self._registry = registry
        self._plans = plans
        self._waiters = waiters
        self._refreshed = tuple(refreshed)
        self._claimed: tuple[int, ...] = ()
        self._in_doubt = False  # whether more may be claimed than is known here
        self._letters: dict[int, Publication | None] = {}
        self._read = 0  # offset of the last event that came by letter
        self._looking = asyncio.Lock()

    async def recover(self) -> None:
        """Take over all that no live owner holds, also what is declared nowhere here.

        The latter is parked, so that those who wait for it learn why it does not go on; another
        runner, which may know it, leaves it to that one.
        """
        await self.look()
        if not await self.others():
            async with self._looking:
                await self._claim((), None)

    async def others(self) -> bool:
        """Say whether any other runner, as far as one can tell, is alive.

        What a dead one owned is taken over first: it hears what is sent from now on.
        """
        rows = await self._other_rows()
        if any(map(is_gone, rows)):
            await self.look()
        return not all(map(is_gone, rows))

    async def answered(self, offset: int) -> None:
        """Return when this runner's executions have answered an event that came by letter."""
        try:
            await self.look(until=offset)
        except StoreError as error:
            logger.warning("an event is stored and is looked at later: %s", error)
            return
        for letter in tuple(self._letters.values()):
            if letter is not None and letter.offset == offset and letter.done is not None:
                await letter.done

    async def watch(self) -> None:
        """Look whenever it rings, and each second if others write the store. Ends by cancellation.

        If nobody does, a virtual clock has no second of each day to stop at.
        """
        while True:
            timer = None
            if self._store.shared:
                timer = self._clock.call_later(LOOK, self._doorbell.ring)
            try:
                await self._doorbell.wait()
            finally:
                if timer is not None:
                    timer.cancel()
            try:
                await self.look()
            except FencedError:
                raise
            except StoreError as error:
                logger.warning("the store could not be looked at: %s", error)

    async def look(self, until: int | None = None) -> None:
        """Take over what is nobody's, and read what others have put before this runner.

        Args:
            until: an offset; a letter of that event may have been read by somebody else's look.
        """
        # One at a time: a letter to what another look is just taking over has its reader here.
        async with self._looking:
            if until is not None and until <= self._read:
                return
            rows = await self._checked_rows()
            dead = tuple(row.id for row in rows if is_gone(row))
            _log_dead(rows, dead)
            await self._adopt_claimed()
            await self._claim(dead, await self._wanted(dead))
            for each in self._refreshed:
                await each.refresh()
            await self._read_letters()

    async def _checked_rows(self) -> list[RunnerRow]:
        """Return the rows of the others; raise `FencedError` if this runner was replaced.

        A look writes only now and then, and would not notice it otherwise.
        """
        rows = await self._store.read(Runners())
        own = [row.epoch for row in rows if row.id == self._fence.runner]
        if own != [self._fence.epoch]:
            raise fenced(self._fence)
        return [row for row in rows if row.id != self._fence.runner]

    async def _other_rows(self) -> list[RunnerRow]:
        return [row for row in await self._store.read(Runners()) if row.id != self._fence.runner]

    async def _wanted(self, dead: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Return the workflows that are declared here and have executions to be taken over."""
        known = tuple((each.namespace, each.name) for each in self._registry.workflows())
        if dead:
            return known
        unowned = await self._store.read(UnownedWorkflows())
        return tuple(each for each in known if each in unowned) if unowned else ()

    async def _claim(
        self, dead: tuple[str, ...], workflows: tuple[tuple[str, str], ...] | None
    ) -> None:
        if not (dead or workflows is None or workflows):
            return
        while True:
            self._in_doubt = True  # an error or a cancellation may come after the commit
            ids = await self._store.claim(self._fence, dead, workflows, AT_ONCE)
            self._in_doubt = False
            self._claimed += ids
            dead = ()
            await self._adopt_claimed()
            if len(ids) < AT_ONCE:
                return

    async def _adopt_claimed(self) -> None:
        """Begin to work on what is claimed; what cannot be read now is read at the next look."""
        if self._in_doubt:
            self._claimed = await self._store.read(OwnedExecutions(self._fence.runner))
            self._in_doubt = False
        if self._claimed:
            for stored in await self._store.read(StoredExecutions(self._claimed)):
                self._adopt(stored)
            self._claimed = ()

    def _adopt(self, stored: StoredExecution) -> None:
        record = stored.record
        if record.id in self._driver.lives or record.status.final:
            return
        workflow = self._registry.find(record.workflow, record.namespace)
        if workflow is None:
            plan = Plan.gone(record.workflow, record.namespace)
        else:
            plan = self._plans.of(workflow)
        redefined = plan.fingerprint != record.fingerprint
        if redefined:
            text = "workflow execution %r goes on under another definition: %s, it was %s"
            logger.info(text, record.name, plan.fingerprint or "none", record.fingerprint)
        state = ExecutionState.restore(
            plan, stored.head, stored.tasks, stored.context, stored.cells
        )
        live = LiveExecution(record.name, plan, workflow, state, record.id)
        live.redefined = redefined and workflow is not None
        self._driver.adopt(live)
        now = self._clock.now()
        begun = record.status is not WorkflowStatus.INIT
        fact = ExecutionRecovered(now) if begun else ExecutionStarted(now)
        self._driver.put(Told(live, fact))

    async def _read_letters(self) -> None:
        """Deliver what is there, once. A letter is forgotten when it is there no more."""
        query, there = Inbox(self._fence.runner), dict[int, Publication | None]()
        while items := await self._store.read(query):
            # After the reading: whoever was to hear these may have lost its owner just before it.
            await self._claim((), await self._wanted(()))
            early = await self._early(items)
            for item in items:
                event = item.letter.event
                self._read = max(self._read, (event.offset or 0) if event is not None else 0)
                if item.id in self._letters:
                    there[item.id] = self._letters[item.id]
                elif item.letter.execution not in early:
                    there[item.id] = self._letters[item.id] = self._try_deliver(item)
            query = replace(query, after=items[-1].id)
        self._letters = there

    async def _early(self, items: tuple[InboxItem, ...]) -> frozenset[int]:
        """Return who will only later hear what is for them: begun in a commit that is in doubt."""
        targets = (item.letter.execution for item in items)
        absent = {each for each in targets if each is not None and each not in self._driver.lives}
        if not absent:
            return frozenset()
        found = await self._store.read(StoredExecutions(tuple(sorted(absent))))
        return frozenset(each.record.id for each in found if not each.record.status.final)

    def _try_deliver(self, item: InboxItem) -> Publication | None:
        try:
            return self._deliver(item)
        except StoreError as error:  # it stays there, for a runner that understands it
            logger.error("a letter is not delivered: %s", error)  # noqa: TRY400  it says it all
            return None

    def _deliver(self, item: InboxItem) -> Publication | None:
        letter, event = item.letter, item.letter.event
        live = None if letter.execution is None else self._driver.lives.get(letter.execution)
        if live is None and letter.execution is not None:
            self._driver.put(Undeliverable(item.id))
        elif event is not None:
            signal = letter.kind == SIGNALLED
            if signal and live is not None and event.offset is not None:
                # It is on disk: who waits need not wait until the rules have answered.
                self._waiters.answer(live, signalled(letter.body), answer_of(event, event.offset))
            wide = signal or live is None
            heard = Publication(
                event, live, letter=item.id, offset=event.offset, for_workflows=wide
            )
            heard.done = asyncio.get_running_loop().create_future()
            heard.done.add_done_callback(_looked_at)
            self._driver.put(heard)
            return heard
        elif live is not None:
            fact = request(letter.kind, letter.body, letter.at)
            self._driver.put(Told(live, fact, letter=item.id))
        return None


def _looked_at(done: asyncio.Future[int]) -> None:
    """Take note of an error that nobody may be waiting for."""
    if not done.cancelled():
        done.exception()


def _log_dead(rows: list[RunnerRow], dead: tuple[str, ...]) -> None:
    for row in rows:
        if row.id in dead:
            text = "runner %s (process %d) is gone, its executions are taken over"
            logger.warning(text, row.id, row.pid)
