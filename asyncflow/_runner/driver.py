"""Append, decide, commit, dispatch: the one loop that turns facts into what follows from them.

Only the driver decides and only it commits. While one transaction is on its way new facts gather,
and the next takes them: group commit without a timer. It calls no user code but conditions,
through the judge.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from asyncflow._client.listeners import Sent
from asyncflow._clock import Clock
from asyncflow._core.decide import standing
from asyncflow._failpoint import hit
from asyncflow._runner.callers import Callers
from asyncflow._runner.consequences import Consequences, Dispatch
from asyncflow._runner.desk import Desk
from asyncflow._runner.duties import Duties
from asyncflow._runner.entries import Awaited, Entry, Impulse, Signalled, Wanted
from asyncflow._runner.judge import Judge
from asyncflow._runner.live import LiveExecution, Publication, Told
from asyncflow._runner.logs import TaskLog
from asyncflow._runner.meter import Meters
from asyncflow._runner.reread import reread, untaken
from asyncflow._runner.rest import Rest
from asyncflow._runner.riders import Riders
from asyncflow._runner.roster import Roster
from asyncflow._runner.rulebook import Rulebook
from asyncflow._runner.trouble import Trouble
from asyncflow._runner.turns import Turns
from asyncflow._runner.waiters import Waiters
from asyncflow._runner.work import Work
from asyncflow._store.batch import ExecutionWrite, Fence, Receipt
from asyncflow._store.protocol import HOPELESS, Store
from asyncflow._timer import Callback, Timer
from asyncflow.errors import AsyncflowError, StoreError, UsageError

logger = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 512
"""Facts for one transaction: more gain nothing, and those first in line would wait for them."""

ANSWERED: Final = (Told, Wanted, Publication, Impulse, Awaited, Signalled)
"""Entries whose callers may wait for an answer."""


class Driver:
    """Holds the executions that this runner owns, and answers what they are told.

    Everything is called on the home loop.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        fence: Fence,
        dispatch: Dispatch,
        *,
        judge: Judge,
        rulebook: Rulebook,
        log: TaskLog,
        waiters: Waiters,
        duties: Duties,
        listeners: Callable[[Iterable[Sent]], None],
        meters: Meters,
    ) -> None:
        """Begin with no executions; `run` must be started in the runner's task group."""
        self.news: list[asyncio.Future[None]] = []  # told of the next transaction, and of the end
        self.meters = meters
        self._store = store
        self._clock = clock
        self._fence = fence
        self._rulebook = rulebook
        self._desk = Desk(judge, rulebook, self._first, self._between)
        self._roster = Roster(self._desk.receivers)
        self.lives, self.names = self._roster.by_id, self._roster.by_name
        self._dispatch = dispatch
        self._log = log
        self._waiters = waiters
        self._still = duties.still
        self._inbox: deque[Entry] = deque()
        self.callers = Callers(self._inbox)
        self._turns = Turns(clock)
        self._consequences = Consequences(
            self._roster, dispatch, waiters, listeners, turns=self._turns, inbox=self._inbox
        )
        self._taking = False
        self._deferred: list[Callable[[], None]] = []
        self._rest = Rest()
        self.riders = Riders(clock, self._rest.stir)
        log.wake = self._rest.stir
        self._closing = False
        self._trouble = Trouble()
        self._failure: BaseException | None = None
        self._over: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """End the runner: something that was to be put will never come."""
        self._failure = self._failure or error
        self._rest.stir()

    def call_at_time(self, when: datetime, callback: Callback) -> Timer:
        """Set a timer that the runner cannot be without: where it fails, all ends."""

        def fire() -> None:
            try:
                hit("timer.fire.before")
                callback()
            except BaseException as error:  # a loop would only log it, and nobody would go on
                self.fail(error)

        return self._clock.call_at_time(when, fire)

    @property
    def waiting(self) -> int:
        """How many entries are in the inbox."""
        return len(self._inbox)

    def put(self, entry: Entry) -> None:
        """Append: the entry is answered in the order of coming, in one of the next transactions."""
        if self._over is not None:
            self.check()
        if isinstance(entry, ANSWERED) and entry.done is not None:
            self.callers.owe(entry.done)
        self._inbox.append(entry)
        self._rest.stir()

    @property
    def over(self) -> bool:
        """Whether nothing is answered any more."""
        return self._over is not None

    def check(self) -> None:
        """Raise `UsageError` if nothing is answered any more."""
        if self._over is not None:
            raise _refusal(self._over) from self._over

    def adopt(self, live: LiveExecution) -> None:
        """Come to work on an execution that has a row."""
        self._roster.add(live)

    def release(self) -> None:
        """Answer what waits for conditions that nobody will judge any more."""
        for live in self.lives.values():
            self._desk.release(live)
            live.held = None

    def close(self) -> None:
        """End `run` once everything that was appended is answered."""
        self._closing = True
        self._rest.stir()

    def end(self, error: BaseException) -> None:
        """Answer nothing more, and tell all who wait for an answer why."""
        if self._over is not None:
            return
        self._over = error
        self.riders.end()
        self._tell_news()
        told = error if isinstance(error, AsyncflowError) else _refusal(error)
        self.callers.end(told)
        for live in self.lives.values():
            live.wake()
            for awaiting in live.awaiting.values():
                awaiting.fail(told)

    async def settled(self) -> None:
        """Return when nothing can be answered before time moves on."""
        await self._rest.settled()

    async def run(self) -> None:
        """Answer until closed. An error here is the end of the runner, and told to all who wait."""
        try:
            await self._run()
        except BaseException as error:
            self.end(error)
            raise
        else:
            self.end(UsageError("it was shut down"))
        finally:
            self._rest.begin()

    async def _run(self) -> None:
        while True:
            if not self._ready:
                if self._closing:
                    return
                await self._have_a_rest()
            if self._failure is not None:
                raise self._failure
            waited = self._still.locked()
            await self._still.acquire()  # `async with` would be two coroutines more each time
            if waited:
                self._turns.begin()
            try:
                work = await self._take()
                error = await self._commit(work)
            finally:
                self._still.release()
            if error is None:
                self._tell_news()
            else:
                await self._undo(work, error)

    async def _have_a_rest(self) -> None:
        await self._turns.give()  # a task that was begun just now may have ended by then
        if not (self._ready or self._closing):  # once it is closed nobody stirs it any more
            self.riders.rest()
            await self._rest.until_stirred()
            self._turns.begin()

    @property
    def _ready(self) -> bool:
        if self._inbox or self._log.due or self._failure is not None:
            return True
        if self._closing:
            return bool(self.riders) or self._log.waiting
        return not self.riders.patient and bool(self.riders)

    def _first(self, entries: Sequence[Entry]) -> None:
        """Append before everything else."""
        self._inbox.extendleft(reversed(entries))
        self._rest.stir()

    def go_on(self, told: Told) -> None:
        """Answer what an execution was told while it was held up, then ``told``."""

        def answer() -> None:
            held, told.live.held = told.live.held or (), None
            self._first([*held, told])

        self._between(answer)

    def _between(self, call: Callable[[], None]) -> None:
        """Call back when no entry is half answered: what it makes next could overtake others."""
        if self._taking:
            self._deferred.append(call)
        else:
            call()

    async def _take(self) -> Work:
        """Decide on what has gathered, on committed state plus what this very batch changes."""
        work = Work()
        self._taking = True
        try:
            await self._decide(work)
        finally:
            self._taking = False
            deferred, self._deferred = self._deferred, []
            for each in deferred:
                each()
        # Lines last: those of a task that ends in this transaction are all there.
        work.logs = self._log.take()
        self.callers.admit()
        hit("driver.decide.after")
        return work

    async def _decide(self, work: Work) -> None:
        # Before what their attempts did since. Of one that begins in a turn that is given below,
        # what it does may be answered before its start: the state is the same.
        for start in self.riders.take():
            self._desk.answer(work, start)
        while self._inbox:
            for _ in self._desk.open(work, self._inbox.popleft()) or ():
                if self._turns.past:
                    await self._turns.give()
            if self._inbox and (len(work) >= MOST_AT_ONCE or self._turns.over):
                return

    async def _commit(self, work: Work) -> StoreError | None:
        """Store it and act on it; return what went wrong."""
        batch = work.batch(self._fence, await self._writes(work) if work.answers else ())
        if batch is None:
            await self._consequences.follow(work, Receipt())
            if self._turns.past:  # a commit lets others have theirs, this must not go without
                await self._turns.give()
            return None
        try:
            receipt = await self._store.commit(batch)
        except HOPELESS:
            raise
        except StoreError as error:
            return error
        if self._trouble.reason:
            self._trouble.end()
        self._log.stored()
        now = self._turns.begin()
        self.meters.stored.add(now, work.facts, work.ended)
        await self._consequences.follow(work, receipt)
        return None

    async def _writes(self, work: Work) -> list[ExecutionWrite]:
        writes: list[ExecutionWrite] = []
        for live, answer in work.answers.items():
            writes.append(answer.write(live.id))
            if self._turns.over:
                await self._turns.give()
        return writes

    def _tell_news(self) -> None:
        news, self.news = self.news, []
        for each in news:
            if not each.done():
                each.set_result(None)

    async def _undo(self, work: Work, error: StoreError) -> None:
        """Forget what could not be stored: tell callers, read states again, try the rest again."""
        self._trouble.begin(error, len(work))
        refused = work.refuse(error)
        self._log.put_back(work.logs)
        while True:
            self._rest.begin()
            await self._clock.pause(self._trouble.next_pause())
            self._turns.begin()
            self._rest.end()
            again = await self._reread(work, refused)
            if again is not None:
                break
        self._first(again)

    async def _reread(self, work: Work, again: Sequence[Entry]) -> list[Entry] | None:
        """Go on from what the store says is true; return what is to be answered again.

        None if the store could not be asked.
        """
        try:
            found = await reread(self._store, self._fence.runner, work.answers, self.lives)
            await self._rulebook.reread(work.heard)
            self._waiters.doubt(work)
            entries = await untaken(self._store, self._fence.runner, again)
        except HOPELESS:
            raise
        except StoreError as error:
            logger.error("the store cannot be read: %s", error)  # noqa: TRY400  it repeats
            return None
        for live in found:
            known = self.lives.get(live.id)
            if known is None:
                self._roster.add(live)
            elif known is not live:  # taken over meanwhile, as the store has it
                continue
            for command in standing(live.plan, live.state, self._clock.now()):
                self._dispatch(live, command)
            self._roster.look_at(live)
        return entries


def _refusal(error: BaseException) -> UsageError:
    why = "it was cancelled" if isinstance(error, asyncio.CancelledError) else str(error)
    return UsageError(f"the runner answers nothing more: {why or repr(error)}")
