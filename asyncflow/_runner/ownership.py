"""Which executions this runner works on: those it takes over, and what others have put before it.

It looks when its doorbell rings, and once a second. A look reads; it writes only when there is
something to take, and takes little at a time: what was left waits in the store and not in the
driver's inbox, where it would hold up what comes meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

from asyncflow._client.plans import Plans
from asyncflow._clock import Clock, SystemClock
from asyncflow._model.record import EventRecord
from asyncflow._model.registry import Registry
from asyncflow._runner.doorbell import Doorbell
from asyncflow._runner.driver import Driver
from asyncflow._runner.duties import Duties, OnDuty
from asyncflow._runner.entries import Impulse
from asyncflow._runner.lease import Lease
from asyncflow._runner.letters import Letters
from asyncflow._runner.process import is_gone
from asyncflow._runner.recovery import Recovery
from asyncflow._runner.silence import Silence
from asyncflow._runner.together import Together
from asyncflow._store.batch import Dead, Fence, InboxItem, RunnerRow
from asyncflow._store.protocol import HOPELESS, Store
from asyncflow._store.queries import Duties as HeldDuties
from asyncflow._store.queries import Runners, UnownedWorkflows
from asyncflow._store.refusal import fenced
from asyncflow.errors import StoreError

logger = logging.getLogger(__name__)

LOOK: Final = timedelta(seconds=1)
"""Pause between looks."""

AT_ONCE: Final = 500
"""Executions that are taken over and have not gone on yet; twice as many if letters want it."""

AT_FIRST: Final = 32
"""Executions that the first look takes: what was being worked on goes on before more is read."""

FEW: Final = 100
"""When so few of them are left, the next are taken."""

AT_LEAST: Final = 32
"""Executions that a look takes in any case: those for which letters wait are the first."""


class Part(OnDuty, Protocol):
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
        recovery: Recovery,
        letters: Letters,
        duties: Duties,
        lease: Lease,
        parts: Sequence[Part],
        ring: Callable[[], Awaitable[None]],
    ) -> None:
        """Take over for the runner with this fence; ``parts`` do what it has the duty for.

        Wake the other runners by ``ring``.
        """
        self._store = store
        self._clock = clock
        self._fence = fence
        self._driver = driver
        self._doorbell = doorbell
        self._registry = registry
        self._plans = plans
        self._recovery = recovery
        recovery.gone_on = self._go_on
        self._letters = letters
        self._duties = duties
        self._lease = lease
        self._silence = Silence(lease.period, is_gone)
        self._parts = tuple(parts)
        self._seen: frozenset[str] | None = None  # the others at the last claim; None: no claim yet
        self._behind = False  # whether more may be there to be taken than was
        self._parks = True  # whether it takes also what is not declared here
        self._looking = asyncio.Lock()
        self._asked = Together(self._other_rows)
        self._ring = ring
        self._closing = False
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

    async def come_on_duty(self) -> None:
        """Ask for the duties that were not asked for; return when this runner does what it got."""
        async with self._looking:
            if self._duties.unasked:
                await self._claim((), (), 0)

    async def close(self) -> None:
        """Take over no executions any more; leave to others at once what need not wait for an end.

        Letters are still read, and rules judge: what runs may be stopped, and may hear.
        """
        self._closing, self._behind = True, False
        if not (self._duties.close() and self._store.shared):
            return
        try:
            await self.come_on_duty()
            await self._ring()
        except StoreError as error:
            logger.warning("no other runner polls and waits for ticks until the end: %s", error)

    async def others(self, event: EventRecord) -> bool:
        """Say whether any other runner, as far as one can tell, is alive.

        If none is, all who hear the event are here: also what a dead one owned is taken over first.
        """
        rows = await self._asked()
        if not all(map(is_gone, rows)) or (rows and self._closing):
            return True
        if rows or self._duties.missing or self._vanished(rows):
            await self.look()
        if rows and await self._asked():
            return True  # one that was not removed: it lives, whatever the system says of it
        if self._behind or self._closing:
            async with self._looking:
                await self._take_hearers({(event.namespace, event.key)})
        return False

    @property
    def letters(self) -> int:
        """How many letters were read, and are not answered yet."""
        return self._letters.number

    def look_soon(self) -> None:
        """Look at the loop's next turn: something was put before an execution."""
        self._doorbell.ring()

    def may_go_on(self, name: str) -> bool:
        """Say whether an execution that was parked by an earlier runner is still to be judged."""
        live = self._driver.names.get(name)
        if live is None:
            return self._behind
        return self._recovery.waits(live.id) or live.state.head.parked_reason is None

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
            while offset > self._letters.read_until and await self._letters.room():
                await self.look(until=offset)
        except StoreError as error:
            logger.warning("an event is stored and is looked at later: %s", error)
            return
        await self._letters.answered(offset)

    @property
    def _recovering(self) -> bool:
        return self._watching and (self._behind or self._duties.unasked)

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
                except HOPELESS:
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
                if until is None or until > self._letters.read_until:
                    await self._look()
            finally:
                self._tell_settled()

    async def _look(self) -> None:
        rows = await self._checked_rows()
        dead = self._silence.dead(rows, self._lease.beats)
        _log_dead(rows, dead)
        self._parks = self._parks and len(dead) == len(rows)
        await self._recovery.adopt()
        try:
            if not self._closing:
                await self._take(dead, gone=bool(dead) or self._vanished(rows))
                self._seen = frozenset(row.id for row in rows) - {each.runner for each in dead}
            for each in self._parts:
                await each.refresh()
            if rows or self._duties.missing:
                self._duties.see(await self._store.read(HeldDuties()), self._fence.runner)
            if self._duties.unasked:
                await self._claim((), (), 0)
            await self._letters.read(self._missed)
        finally:
            self._recovery.let_go_on()

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

    def _vanished(self, rows: Iterable[RunnerRow]) -> bool:
        """Say whether anybody has gone since the last claim: what it had may be nobody's."""
        return self._seen is None or not self._seen <= {row.id for row in rows}

    async def _wanted(self, *, gone: bool) -> tuple[tuple[str, str], ...]:
        """Return the workflows that are declared here and have executions to be taken over."""
        known = tuple((each.namespace, each.name) for each in self._registry.workflows())
        if gone:
            return known
        unowned = await self._store.read(UnownedWorkflows())
        return tuple(each for each in known if each in unowned) if unowned else ()

    async def _take(self, dead: tuple[Dead, ...] = (), *, gone: bool = False) -> int:
        """Take over some of what is nobody's; return how many. The rest is left to later looks.

        Args:
            dead: runners that are taken for dead.
            gone: whether anybody has gone since the last claim, these included.
        """
        wanted = None if self._parks else await self._wanted(gone=gone)
        waiting, taken = self._recovery.waiting, 0
        limit = max(AT_ONCE - waiting, AT_LEAST) if waiting < 2 * AT_ONCE else 0
        if self._seen is None:
            limit = AT_FIRST
        if gone or self._duties.unasked or (limit and (wanted is None or wanted)):
            taken = await self._claim(dead, wanted, limit)
        self._behind = taken >= limit
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
            self._recovery.let_go_on()
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
        # An error or a cancellation may come after the commit.
        self._recovery.in_doubt = self._duties.unasked = True
        async with self._duties.still:
            wanted, changes = self._duties.wanted, self._duties.changes
            claimed = await self._store.claim(self._fence, dead, workflows, limit, wanted)
            self._recovery.claimed(claimed.executions)
            self._duties.come(claimed.duties)  # what is declared anew meanwhile looks there
            for each in self._parts:
                await each.come_on_duty(claimed.duties)
            self._duties.asked(changes)
        await self._recovery.adopt()
        return len(claimed.executions)

    def _go_on(self) -> None:
        """Take more once most of what was taken has gone on."""
        if self._behind and self._recovery.waiting <= FEW:
            self._doorbell.ring()

    async def _missed(self, items: tuple[InboxItem, ...]) -> bool:
        """Take over who is to hear these and is not here; say whether there was anybody.

        Then they are read again: what else waits for those comes first. Whoever it is may have lost
        its owner just before the reading, or waits still to be taken over.
        """
        taken = 0 if self._behind or self._closing else await self._take()
        if self._behind or self._closing:
            letters = [item.letter for item in self._letters.undelivered(items)]
            taken += await self._take_hearers(
                {
                    (letter.namespace, letter.event.key)
                    for letter in letters
                    if letter.execution is None and letter.event is not None
                }
            )
        return taken > 0


def _log_dead(rows: list[RunnerRow], dead: tuple[Dead, ...]) -> None:
    gone = {each.runner for each in dead}
    for row in rows:
        if row.id in gone:
            how = "is gone" if is_gone(row) else "has shown no life for the time of its lease"
            text = "runner %s (process %d) %s, its executions are taken over"
            logger.warning(text, row.id, row.pid, how)
