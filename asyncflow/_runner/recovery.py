"""What a runner has taken over: it is read, and goes on once its letters are delivered.

It never takes over anything; `Ownership` does.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from asyncflow._client.plans import Plans
from asyncflow._clock import Clock
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import ExecutionRecovered, ExecutionStarted
from asyncflow._core.plan import Plan
from asyncflow._failpoint import hit
from asyncflow._model.registry import Registry
from asyncflow._model.status import WorkflowStatus
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._runner.suspects import Suspects, is_suspect
from asyncflow._store.batch import Fence, StoredExecution
from asyncflow._store.protocol import Store
from asyncflow._store.queries import OwnedExecutions, StoredExecutions

logger = logging.getLogger(__name__)

PAGE: Final = 500
"""Executions that are read at once."""


class Recovery:
    """Lets go on what was taken over. Everything is called on the home loop.

    Attributes:
        in_doubt: whether more may be claimed than is known here.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        fence: Fence,
        driver: Driver,
        *,
        registry: Registry,
        plans: Plans,
        still: asyncio.Lock,
    ) -> None:
        """Begin with nothing; ``gone_on`` and ``taken_over`` must be set before the first.

        Args:
            store: has what is claimed.
            clock: tells the time.
            fence: of the runner that claims.
            driver: works on what is adopted.
            registry: has the workflows that are declared.
            plans: made of these.
            still: see `Duties`; whoever adopts must not hold it.
        """
        self.gone_on: Callable[[], None]
        self.taken_over: Callable[[], None]
        self.in_doubt = False
        self.suspects = Suspects(clock, driver)
        self._store = store
        self._clock = clock
        self._fence = fence
        self._driver = driver
        self._registry = registry
        self._plans = plans
        self._still = still
        self._claimed: tuple[int, ...] = ()
        self._fresh: set[int] = set()  # adopted, and their first fact is not decided on
        self._returning: list[Told] = []  # what begins again once its letters are delivered

    @property
    def waiting(self) -> int:
        """How many have not gone on yet, but for suspects, which may wait for long."""
        return len(self._fresh)

    def waits(self, execution: int) -> bool:
        """Say whether it has not gone on yet."""
        return execution in self._fresh or execution in self.suspects

    def claimed(self, ids: tuple[int, ...]) -> None:
        """Take note of what is this runner's now."""
        self._claimed += ids
        self.in_doubt = False

    async def adopt(self) -> None:
        """Begin to work on what is claimed; what cannot be read now is read at the next look."""
        if self.in_doubt:
            # A start that is on disk, and not known here yet, was not claimed.
            async with self._still:
                owned = await self._store.read(OwnedExecutions(self._fence.runner))
                self._claimed = tuple(each for each in owned if each not in self._driver.lives)
                self.in_doubt = False
        while self._claimed:
            page = self._claimed[:PAGE]
            for stored in await self._store.read(StoredExecutions(page)):
                self._adopt(stored)
            self.taken_over()
            self._claimed = self._claimed[len(page) :]

    def _adopt(self, stored: StoredExecution) -> None:
        record = stored.record
        if record.id in self._driver.lives or record.status.final:
            return
        live = self._live(stored)
        hit("owner.adopt.before")
        self._driver.adopt(live)
        now, gone_on = self._clock.now(), partial(self._gone_on, live.id)
        if record.status is WorkflowStatus.INIT:
            self._fresh.add(live.id)
            self._driver.put(Told(live, ExecutionStarted(now), answered=gone_on))
        elif is_suspect(live):
            self.suspects.add(Told(live, _recovered(live, now)))
        else:
            self._fresh.add(live.id)
            self._returning.append(Told(live, _recovered(live, now), answered=gone_on))

    def _gone_on(self, execution: int) -> None:
        self._fresh.discard(execution)
        self.gone_on()

    def _live(self, stored: StoredExecution) -> LiveExecution:
        record = stored.record
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
        return live

    def let_go_on(self) -> None:
        """Start the tasks of what was taken over, once its letters are delivered.

        A task whose event was signalled meanwhile ends at once, and the execution with it; the
        rules that hear of the signal by a letter come first.
        """
        returning, self._returning = self._returning, []
        for told in returning:
            self._driver.put(told)
        self.suspects.go_on()


def _recovered(live: LiveExecution, now: datetime) -> ExecutionRecovered:
    tasks = (task for task in live.state.tasks.values() if task.status.alive)
    attempts = frozenset((task.name, task.sequence_number, task.try_number) for task in tasks)
    return ExecutionRecovered(now, live.redefined, attempts)
