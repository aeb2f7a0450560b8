"""What an open runner consists of: how its parts are made of each other, and how they end.

It starts no coroutine: the runner does, in its task group.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from asyncflow._client.bodies import cancelled_by_nobody
from asyncflow._clock import Clock, Deadline, SystemClock, VirtualClock
from asyncflow._model.statistics import LeaseStatistics
from asyncflow._runner.awaits import Awaits
from asyncflow._runner.dispatcher import Dispatcher
from asyncflow._runner.driver import Driver
from asyncflow._runner.duties import Duties
from asyncflow._runner.judge import Judge
from asyncflow._runner.ownership import Ownership
from asyncflow._runner.pollers import Pollers
from asyncflow._runner.retention import Retention
from asyncflow._runner.rulebook import Rulebook
from asyncflow._runner.suspects import Suspects
from asyncflow._runner.task_runner import TaskRunner
from asyncflow._runner.timekeeper import Timekeeper
from asyncflow._runner.waiters import Waiters
from asyncflow._runner.webhooks import Webhooks

logger = logging.getLogger(__name__)

LAST_WRITES: Final = timedelta(seconds=5)
"""How long a closing runner tries to store the last facts, after the grace."""


@dataclass(slots=True)
class Engine:
    """What an open runner consists of. Everything is called on the home loop."""

    clock: Clock
    driver: Driver
    judge: Judge
    tasks: TaskRunner
    dispatcher: Dispatcher
    ownership: Ownership
    rulebook: Rulebook
    pollers: Pollers
    timekeeper: Timekeeper
    duties: Duties
    suspects: Suspects
    waiters: Waiters
    awaits: Awaits
    webhooks: Webhooks
    retention: Retention | None = None
    lease: Callable[[], LeaseStatistics] | None = None
    label: str = "Runner"
    closing: bool = False
    _failed: bool = False
    _limits: list[Deadline] = field(default_factory=list[Deadline])

    def drop(self) -> None:
        """Cancel users' code, without an end to tell."""
        self.tasks.drop()
        self.judge.drop()
        self.pollers.drop()

    async def drained(self) -> None:
        """Return when no user's code runs."""
        await self.tasks.drained()
        await self.judge.drained()
        await self.pollers.drained()

    def declared(self) -> None:
        """Take up what was declared just now."""
        self.pollers.declared()
        self.timekeeper.declared()
        if self.duties.unasked:
            self.ownership.look_soon()

    async def vital(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what the runner cannot be without: where it fails, all ends, and hears why."""
        try:
            await work
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody asked for it: the group would take it for an end like any other, and the
            # runner would be open, own executions, and answer nothing.
            failure = cancelled_by_nobody(work)
            self._fail(failure)
            raise failure from error
        except Exception as error:  # whatever it is: raised on, it ends the group
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        if not self._failed:  # its other parts fail of it
            self._failed = True
            text = "%s has ended, and what it worked on is left to others: %s; open another one"
            logger.error(text, self.label, str(error) or repr(error))
        self.driver.end(error)
        self.drop()

    @asynccontextmanager
    async def _within(self, limit: timedelta) -> AsyncGenerator[None]:
        """Bound the body of the ``async with`` by a time of the runner's clock.

        By as long a real one, too, if that is virtual: whoever closes may not move it any more.
        """
        real = limit if isinstance(self.clock, VirtualClock) else None
        async with SystemClock().deadline(real) as outer, self.clock.deadline(limit) as inner:
            self._limits = [outer, inner]
            try:
                yield
            finally:
                self._limits = []

    def limit(self, grace: timedelta) -> None:
        """Let what is being waited for go on for so long from now; nothing if nothing is."""
        for each in self._limits:
            each.restart(grace)

    @property
    def _busy(self) -> bool:
        return bool(self.tasks.running or self.pollers.polling or self.judge.judging)

    def _warn_of_the_rest(self, grace: timedelta) -> None:
        if self.tasks.running:
            text = "tasks still run after %s, the next runner starts them anew: %s"
            logger.warning(text, grace, self.tasks.named())
        elif self.pollers.polling:
            text = "triggers are still polled after %s, their answers are lost: %s"
            logger.warning(text, grace, self.pollers.polling)
        elif self.judge.judging:  # else only sleepers had no time to end
            text = "conditions are still awaited after %s: their events are not judged"
            logger.warning(text, grace)

    async def _hand_over(self) -> None:
        """Leave polling and ticks to others at once, which need not wait for what runs here."""
        await self.timekeeper.drained()
        await self.ownership.close()

    async def drain(
        self,
        label: str,
        driving: asyncio.Task[None],
        grace: timedelta,
        watching: Iterable[asyncio.Task[None]] = (),
    ) -> None:
        """Start nothing more, let what runs end within the grace, and store its ends.

        Args:
            label: of the runner, for messages.
            driving: what runs the driver.
            grace: how long users' code may go on.
            watching: what reads letters meanwhile; it is cancelled after the grace.
        """
        self.closing = True
        self.pollers.close()
        self.timekeeper.close()
        self.suspects.close()
        self.tasks.close()
        self.dispatcher.close()
        self.waiters.close(self.driver.lives.values())
        self.tasks.drop(waiting=True)  # what it waits for is not told any more, whatever the grace
        if self.tasks.running:
            text = "%s shuts down: tasks that run (%d) may go on for %s"
            logger.info(text, label, self.tasks.running, grace)
        try:
            async with self._within(grace):
                if grace and self._busy:
                    await self._hand_over()
                await self.drained()
        except TimeoutError:
            self._warn_of_the_rest(grace)
        finally:
            for each in watching:
                each.cancel()
            await self.webhooks.close()
            self.drop()  # also if whoever closes is cancelled, as by a second Ctrl-C
            self.driver.release()
            self.driver.close()
        try:
            async with self._within(LAST_WRITES):
                await asyncio.wait({driving})
                await self.drained()  # of those that were dropped, which may clean up
                await self.timekeeper.drained()
        except TimeoutError:
            if not driving.done():
                logger.error("the store did not take the last facts: tasks run again")  # noqa: TRY400  the traceback would say nothing more
                driving.cancel()
