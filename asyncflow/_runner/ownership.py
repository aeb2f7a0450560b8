"""Which executions this runner works on: those it takes over, and what others have put before it.

It looks when its doorbell rings, and once a second. A look reads; it writes only when there is
something to take, and takes little at a time: what was left waits in the store and not in the
driver's inbox, where it would hold up what comes meanwhile.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

from asyncflow._client.plans import Plans
from asyncflow._clock import Clock, SystemClock
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import ExecutionRecovered, ExecutionStarted
from asyncflow._core.plan import Plan
from asyncflow._model.record import EventRecord
from asyncflow._model.registry import Registry
from asyncflow._model.status import WorkflowStatus
from asyncflow._runner.doorbell import Doorbell
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import Impulse, LiveExecution, Publication, Told, Undeliverable
from asyncflow._runner.process import is_gone
from asyncflow._runner.together import Together
from asyncflow._runner.waiters import Waiters, answer_of
from asyncflow._store.batch import Dead, Fence, InboxItem, RunnerRow, StoredExecution
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
"""Executions that are taken over and have not gone on yet; twice as many if letters want it."""

FEW: Final = 100
"""When so few of them are left, the next are taken."""

AT_LEAST: Final = 32
"""Executions that a look takes in any case: those for which letters wait are the first."""


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
        self._fresh: set[int] = set()  # taken over, and their first fact is not decided on
        self._returning: list[Told] = []  # what begins again once its letters are delivered
        self._behind = False  # whether more may be there to be taken than was
        self._parks = True  # whether it takes also what is not declared here
        self._in_doubt = False  # whether more may be claimed than is known here
        self._letters: dict[int, Publication | None] = {}
        self._read = 0  # offset of the last event that came by letter
        self._looking = asyncio.Lock()
        self._asked = Together(self._other_rows)
        self._watching = False
        self._settling: list[asyncio.Future[None]] = []

    async def recover(self) -> None:
        """Take over what no live owner holds, also what is declared nowhere here.

        The latter is parked, so that those who wait for it learn why it does not go on; another
        runner, which may know it, leaves it to that one. What one look does not take, `watch` does.
        On return what was taken has gone on, on disk, unless that takes longer than a second.
        """
        await self.look()
        if self._driver.lives or self._letters:
            await self._caught_up()

    async def others(self, event: EventRecord) -> bool:
        """Say whether any other runner, as far as one can tell, is alive.

        If none is, all who hear the event are here: also what a dead one owned is taken over first.
        """
        rows = await self._asked()
        if not all(map(is_gone, rows)):
            return True
        if rows:
            await self.look()
        if self._behind:
            async with self._looking:
                await self._take_hearers({(event.namespace, event.key)})
        return False

    @property
    def letters(self) -> int:
        """How many letters were read, and are not answered yet."""
        return len(self._letters)

    def look_soon(self) -> None:
        """Look at the loop's next turn: something was put before an execution."""
        self._doorbell.ring()

    def may_go_on(self, name: str) -> bool:
        """Say whether an execution that was parked by an earlier runner is still to be judged."""
        live = self._driver.names.get(name)
        if live is None:
            return self._behind
        return live.id in self._fresh or live.state.head.parked_reason is None

    async def settled(self) -> None:
        """Return when no more will be taken over before time moves on.

        An ordinary look is not waited for: there is one for each second that a clock goes over.
        """
        while self._recovering and (self._doorbell.rung or self._looking.locked()):
            settled = asyncio.get_running_loop().create_future()
            self._settling.append(settled)
            await settled

    async def answered(self, offset: int) -> None:
        """Return when this runner's executions have answered an event that came by letter."""
        try:
            await self.look(until=offset)
        except StoreError as error:
            logger.warning("an event is stored and is looked at later: %s", error)
            return
        for letter in tuple(self._letters.values()):
            if letter is not None and letter.offset == offset and letter.done is not None:
                # Several may wait for it: who is cancelled takes it from nobody else.
                await asyncio.wait({letter.done})
                letter.done.result()

    @property
    def _recovering(self) -> bool:
        return self._watching and self._behind

    async def watch(self) -> None:
        """Look whenever it rings, and each second if others write the store. Ends by cancellation.

        If nobody does, a virtual clock has no second of each day to stop at.
        """
        self._watching = True
        try:
            while self._watching:
                await self._heard()
                try:
                    await self.look()
                except FencedError:
                    raise
                except StoreError as error:
                    logger.warning("the store could not be looked at: %s", error)
        finally:
            self._watching = False
            self._tell_settled()

    async def _heard(self) -> None:
        timer = self._clock.call_later(LOOK, self._doorbell.ring) if self._store.shared else None
        try:
            await self._doorbell.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _tell_settled(self) -> None:
        settling, self._settling = self._settling, []
        for each in settling:
            if not each.done():
                each.set_result(None)

    async def look(self, until: int | None = None) -> None:
        """Take over what is nobody's, and read what others have put before this runner.

        Args:
            until: an offset; a letter of that event may have been read by somebody else's look.
        """
        # One at a time: a letter to what another look is just taking over has its reader here.
        async with self._looking:
            try:
                if until is None or until > self._read:
                    await self._look()
            finally:
                self._tell_settled()

    async def _look(self) -> None:
        rows = await self._checked_rows()
        dead = tuple(Dead(row.id, row.beat) for row in rows if is_gone(row))
        _log_dead(rows, dead)
        self._parks = self._parks and len(dead) == len(rows)
        await self._adopt_claimed()
        try:
            await self._take(dead)
            for each in self._refreshed:
                await each.refresh()
            await self._read_letters()
        finally:
            self._let_go_on()

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

    async def _wanted(self, dead: tuple[Dead, ...]) -> tuple[tuple[str, str], ...]:
        """Return the workflows that are declared here and have executions to be taken over."""
        known = tuple((each.namespace, each.name) for each in self._registry.workflows())
        if dead:
            return known
        unowned = await self._store.read(UnownedWorkflows())
        return tuple(each for each in known if each in unowned) if unowned else ()

    async def _take(self, dead: tuple[Dead, ...] = ()) -> int:
        """Take over some of what is nobody's; return how many. The rest is left to later looks."""
        wanted = None if self._parks else await self._wanted(dead)
        waiting, taken = len(self._fresh), 0
        limit = max(AT_ONCE - waiting, AT_LEAST) if waiting < 2 * AT_ONCE else 0
        if dead or (limit and (wanted is None or wanted)):
            taken = await self._claim(dead, wanted, limit)
        self._behind = taken == limit
        self._parks = self._parks and self._behind
        self._go_on()
        return taken

    async def _take_hearers(self, heard: Iterable[tuple[str, str]]) -> int:
        """Take over all that listens for events, by namespace and key; return how many."""
        wanted = tuple(
            (each.namespace, each.name)
            for each in self._registry.workflows()
            for namespace, key in heard
            if each.namespace == namespace and key in self._plans.of(each).by_key
        )
        taken = 0
        while wanted and (number := await self._claim((), wanted, AT_ONCE)):
            taken += number
            self._let_go_on()
            await self._caught_up()  # what else comes meanwhile has its turn
        return taken

    async def _caught_up(self) -> None:
        """Return once the driver has answered what it was told so far, but in a second at most."""
        told = Impulse(asyncio.get_running_loop().create_future())
        self._driver.put(told)
        with suppress(StoreError, TimeoutError):
            async with SystemClock().deadline(LOOK):  # a real one, also where the driver waits
                await told.done

    async def _claim(
        self, dead: tuple[Dead, ...], workflows: tuple[tuple[str, str], ...] | None, limit: int
    ) -> int:
        self._in_doubt = True  # an error or a cancellation may come after the commit
        claimed = await self._store.claim(self._fence, dead, workflows, limit)
        self._in_doubt, ids = False, claimed.executions
        self._claimed += ids
        await self._adopt_claimed()
        return len(ids)

    def _go_on(self) -> None:
        """Take more once most of what was taken has gone on."""
        if self._behind and len(self._fresh) <= FEW:
            self._doorbell.ring()

    def _gone_on(self, execution: int) -> None:
        self._fresh.discard(execution)
        self._go_on()

    async def _adopt_claimed(self) -> None:
        """Begin to work on what is claimed; what cannot be read now is read at the next look."""
        if self._in_doubt:
            owned = await self._store.read(OwnedExecutions(self._fence.runner))
            self._claimed = tuple(each for each in owned if each not in self._driver.lives)
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
        now, gone_on = self._clock.now(), partial(self._gone_on, live.id)
        self._fresh.add(live.id)
        if record.status is WorkflowStatus.INIT:
            self._driver.put(Told(live, ExecutionStarted(now), answered=gone_on))
        else:
            self._returning.append(Told(live, ExecutionRecovered(now), answered=gone_on))

    def _let_go_on(self) -> None:
        """Start the tasks of what was taken over, once its letters are delivered.

        A task whose event was signalled meanwhile ends at once, and the execution with it; the
        rules that hear of the signal by a letter come first.
        """
        returning, self._returning = self._returning, []
        for told in returning:
            self._driver.put(told)

    async def _read_letters(self) -> None:
        """Deliver what is there, once. A letter is forgotten when it is there no more."""
        query, there = Inbox(self._fence.runner), dict[int, Publication | None]()
        while items := await self._store.read(query):
            if await self._missed(items):
                query, there = Inbox(self._fence.runner), {}
                continue
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

    async def _missed(self, items: tuple[InboxItem, ...]) -> bool:
        """Take over who is to hear these and is not here; say whether there was anybody.

        Then they are read again: what else waits for those comes first. Whoever it is may have lost
        its owner just before the reading, or waits still to be taken over.
        """
        taken = 0 if self._behind else await self._take()
        if self._behind:
            letters = [item.letter for item in items if item.id not in self._letters]
            taken += await self._take_hearers(
                {
                    (letter.namespace, letter.event.key)
                    for letter in letters
                    if letter.execution is None and letter.event is not None
                }
            )
        return taken > 0

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
        signal = letter.kind == SIGNALLED  # workflow rules hear it also after that execution's end
        if live is None and letter.execution is not None and not signal:
            self._driver.put(Undeliverable(item.id))
        elif event is not None:
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


def _log_dead(rows: list[RunnerRow], dead: tuple[Dead, ...]) -> None:
    gone = {each.runner for each in dead}
    for row in rows:
        if row.id in gone:
            text = "runner %s (process %d) is gone, its executions are taken over"
            logger.warning(text, row.id, row.pid)
