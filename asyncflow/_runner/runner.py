"""The runner: a client that also works. It opens the store, starts every coroutine, and drains.

All coroutines of the engine are started here, in one task group, which lives in the root task of
the runner's home; users' code runs beside it.
"""

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta
from os import PathLike
from typing import Final

from asyncflow._client.bodies import Bodies
from asyncflow._clock import Clock, Settler, VirtualClock
from asyncflow._dual import dual_method
from asyncflow._model.duration import parse_duration
from asyncflow._model.naming import storable_name
from asyncflow._model.port import CURRENT_TASK
from asyncflow._model.record import (
    TriggerRecord,
)
from asyncflow._model.registry import Registry
from asyncflow._model.rule import WorkflowRule
from asyncflow._model.statistics import RunnerStatistics
from asyncflow._model.value import SizeLimits
from asyncflow._model.webhook import CALLBACK_BASE, callback_base
from asyncflow._model.workflow import Workflow
from asyncflow._runner.assembly import Means, assemble
from asyncflow._runner.doorbell import Doorbell, open_doorbell
from asyncflow._runner.ending import Grace, GracefulShutdown, Serve
from asyncflow._runner.engine import Engine
from asyncflow._runner.lease import LEASE, Lease, open_lease
from asyncflow._runner.logs import TaskLog
from asyncflow._runner.owner import OwnerCalls
from asyncflow._runner.poller import POLLING
from asyncflow._runner.process import HERE, enter, identity, leave
from asyncflow._runner.statistics import statistics
from asyncflow._runner.watchdog import WATCHDOG, Watchdog
from asyncflow._store.batch import Duty, DutyKind, Fence, RunnerRow
from asyncflow._timer import Callback
from asyncflow.errors import StoreError, UsageError

logger = logging.getLogger(__name__)

GRACE: Final = timedelta(seconds=5)
"""How long running tasks may go on once their runner shuts down."""

THREADS: Final = 40
"""Threads for blocking tasks."""


class Runner(OwnerCalls):
    """Works: starts workflows, runs their tasks, and takes over what a dead runner left.

    Everything that `Client` says holds here too.

    Args:
        url: as for `Client`.
        registry: the workflows that it runs; None: the registry that is current now.
        clock: tells the time; a virtual one in tests.
        limits: sizes of values, in bytes of JSON, that are warned of and refused.
        threads: how many blocking tasks work at once.
        grace: how long `shutdown` lets running tasks go on; then they are cancelled, and the next
            runner starts them anew. It then takes at most 5 s to store the last facts.
        lease: without a sign of life for so long it is taken for dead by another runner on the same
            database, also if its process is there. A thread of its own gives the signs: a loop
            that is blocked loses nothing.
        rules: workflows and `WorkflowRule`s that start them. They hear also what was sent while no
            runner was open, and what tasks that run again send: those of `add_workflow_rule`,
            which comes later, do not. See there for the errors; the names are ``"rule-1"``, ....
        retention: how long what has ended is kept, as ``"30d"``; None: for ever. Then executions go
            with all that is theirs, and so do old events to a namespace, and lines of histories.
            What must not happen twice is remembered. One runner of all on a store does it.
        callback_uri: what the ``{callback_uri}`` of a `Webhook` begins with: an address of your
            service, which asks `Client.event_at` what event is meant.
        watchdog: names in the log, and in `statistics`, the line that blocks the event loop for
            longer than this; None, or with a virtual clock: nobody watches.
    """

    def __init__(
        self,
        url: str | PathLike[str] = "sqlite:///asyncflow.db",
        *,
        registry: Registry | None = None,
        clock: Clock | None = None,
        limits: SizeLimits | None = None,
        threads: int = THREADS,
        grace: Grace = GRACE,
        lease: str | float | timedelta = LEASE,
        rules: Sequence[tuple[str | Workflow, WorkflowRule]] = (),
        callback_uri: str = CALLBACK_BASE,
        retention: str | float | timedelta | None = None,
        watchdog: str | float | timedelta | None = WATCHDOG,
    ) -> None:
        """Note what is wanted; nothing is opened yet."""
        if threads < 1:
            text = f"threads must be at least 1, not {threads}"
            raise UsageError(text)
        super().__init__(url, registry=registry, clock=clock, limits=limits)
        self._threads = threads
        self._grace = parse_duration(grace, "grace", zero=True)
        self._lease = parse_duration(lease, "lease")
        self._retention = None if retention is None else parse_duration(retention, "retention")
        self._closing_grace: timedelta | None = None  # of the call that closes it
        self._rules = tuple(rules)
        self._callback_base = callback_base(callback_uri)
        limit = None if watchdog is None else parse_duration(watchdog, "watchdog")
        self._watchdog_limit = None if isinstance(self._clock, VirtualClock) else limit
        self._watchdog: Watchdog | None = None

    @property
    def shutdown(self) -> GracefulShutdown:
        """Close it; refused in its own tasks and polls, which it would wait for."""
        self._check_not_its_own("shut down")
        return GracefulShutdown(self._home, self._limit)

    @property
    def serve(self) -> Serve:
        """Work until SIGTERM or Ctrl-C; refused in its own tasks and polls."""
        self._check_not_its_own("serve")
        return Serve(self._home, self._limit, self.label)

    def _limit(self, grace: timedelta) -> None:
        """Close with this grace, which begins now if it is closing already."""
        self._closing_grace = grace
        if self._engine is not None and self._engine.closing:
            self._engine.limit(grace)

    def _check_not_its_own(self, verb: str) -> None:
        """Refuse what would wait for the end of this runner, in what that end would wait for."""
        polling = POLLING.get()
        if polling is not None and self._engine is not None and polling[0] is self._engine.driver:
            text = (
                f"{polling[1]} cannot {verb} the runner that polls it: each would wait for the "
                f"other; return from the function, and {verb} where the runner was opened"
            )
            raise UsageError(text)
        scope = CURRENT_TASK.get()
        if scope is not None and scope.port is self:
            text = (
                f"task {scope.task_name!r} cannot {verb} the runner that runs it: each would "
                f"wait for the other; end the task, and {verb} where the runner was opened"
            )
            raise UsageError(text)

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[None]:
        """Be open and work: entered and left in the root task of its home."""
        async with (
            super()._session(),
            open_doorbell(shared=self._store.shared) as doorbell,
        ):
            self._bell.own = doorbell.address
            row = RunnerRow(
                id=uuid.uuid4().hex,
                pid=os.getpid(),
                process=identity(os.getpid()),
                host=HERE,
                since=self._clock.now(),
                address=doorbell.address,
                lease=self._lease if self._store.shared else timedelta(),
            )
            enter(row.id)
            try:
                self._fence = fence = await self._store.register(row)
                try:
                    with TaskLog(self, self._clock).hearing() as log, self._watching():
                        async with (
                            open_lease(self._store, fence, row.lease) as lease,
                            self._working(fence, log, doorbell, lease),
                        ):
                            yield
                finally:
                    await self._release(fence)
                    self._fence = None
            finally:
                leave(row.id)

    @contextmanager
    def _watching(self) -> Generator[None]:
        if self._watchdog_limit is None:
            yield
            return
        self._watchdog = Watchdog(self.label, self._watchdog_limit)
        self._watchdog.open()
        try:
            yield
        finally:
            self._watchdog.close()

    async def _release(self, fence: Fence) -> None:
        """Let others take over at once, also after a failure: this process may go on for long."""
        try:
            await self._store.release(fence)
            await self._ring()
        except StoreError:
            logger.exception("runner %s stays in the store until its process ends", fence.runner)

    @asynccontextmanager
    async def _working(
        self, fence: Fence, log: TaskLog, doorbell: Doorbell, lease: Lease
    ) -> AsyncGenerator[None]:
        """Run the engine's coroutines, and drain them at the end."""
        try:
            async with asyncio.TaskGroup() as group:
                engine = self._engine = self._build(group, fence, log, doorbell, lease)
                driving = group.create_task(engine.vital(engine.driver.run()))
                settlers = (engine.driver.settled, engine.ownership.settled, engine.pollers.settled)
                settler = _settle(self._clock, *settlers)
                unwatch = self._registry.watch(_soon(engine.declared))
                hurried, watching = False, list[asyncio.Task[None]]()
                try:
                    for workflow, rule in self._rules:
                        await self._add_rule(workflow, rule, None, None)
                    await engine.pollers.open()
                    await engine.ownership.recover()
                    await engine.timekeeper.open()
                    await engine.ownership.come_on_duty()
                    watching += self._watchers(group, engine, lease)
                    yield
                except asyncio.CancelledError:  # in a hurry: the program ends, or the engine failed
                    hurried = True
                    raise
                finally:
                    closing = self._closing_grace
                    grace = self._grace if closing is None else closing
                    grace = timedelta() if hurried else grace
                    await engine.drain(self.label, driving, grace, watching)
                    self._engine = None
                    settler()
                    unwatch()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first is why the others came

    def _watchers(
        self, group: asyncio.TaskGroup, engine: Engine, lease: Lease
    ) -> Generator[asyncio.Task[None]]:
        """Start what looks at the store, and what keeps the lease."""
        yield group.create_task(engine.vital(engine.ownership.watch()))
        yield group.create_task(engine.vital(lease.kept()))
        if engine.retention is not None:
            yield group.create_task(engine.vital(engine.retention.run()))

    def _build(
        self, group: asyncio.TaskGroup, fence: Fence, log: TaskLog, doorbell: Doorbell, lease: Lease
    ) -> Engine:
        means = Means(
            port=self,
            store=self._store,
            clock=self._clock,
            registry=self._registry,
            plans=self._plans,
            limits=self._limits,
            threads=self._threads,
            callback_base=self._callback_base,
            listeners=self._listeners.sent,
            fence=fence,
            lease=lease,
            log=log,
            doorbell=doorbell,
            retention=self._retention,
            ring=self._ring,
        )
        engine = assemble(means, Bodies(group).start)
        engine.label = self.label
        engine.awaits.elsewhere = self._seen_closed
        return engine

    @dual_method
    async def statistics(self) -> RunnerStatistics:
        """Tell what waits, how much was done, how late it was, and how large the store is.

        It reads a few numbers from the store; the rest is counted anyway.

        Raises:
            UsageError: it is not open.
        """
        return await statistics(self._working_engine, self._store, self._watchdog)

    @dual_method
    async def add_workflow_rule(
        self,
        workflow: str | Workflow,
        rule: WorkflowRule,
        *,
        name: str | None = None,
        namespace: str | None = None,
    ) -> str:
        """Start a workflow whenever an event of its namespace meets a rule; return its name.

        It hears what this runner's tasks send and what is sent to the namespace, from now on and
        as long as this runner is open; see also ``rules`` of `Runner`. Its condition is code: add
        it again, under the same name, each time the program starts. The states of its condition,
        and whether it is paused, are kept.

        One event starts a workflow at most once, however many of its rules it meets.

        Args:
            workflow: its name, or the workflow itself.
            rule: a `WorkflowRule`.
            name: of the rule, unique for its workflow; None: ``"rule-1"``, ``"rule-2"``, ...
            namespace: where a name is looked up, None: in ``"default"``.

        Raises:
            WorkflowNotFoundError: no workflow of that name is declared.
            TypeError: it is no `WorkflowRule`.
            UsageError: this runner has a rule of that name.
        """
        added = await self._add_rule(workflow, rule, name, namespace)
        await self._come_on_duty(self._wanted(workflow, namespace))
        return added

    async def _add_rule(
        self,
        workflow: str | Workflow,
        rule: WorkflowRule,
        name: str | None,
        namespace: str | None,
    ) -> str:
        if not isinstance(rule, WorkflowRule):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"a workflow rule is a WorkflowRule(condition), not {rule!r}"
            raise TypeError(text)
        if name is not None:
            name = storable_name(name, "the name of a workflow rule")
        wanted = self._wanted(workflow, namespace)
        rulebook = self._working_engine.rulebook
        return await rulebook.add(wanted.namespace, wanted.name, rule, name)

    async def _come_on_duty(self, workflow: Workflow) -> None:
        """Ask for the duty to judge by its rules."""
        engine = self._working_engine
        await engine.ownership.come_on_duty()
        if not engine.duties.has(Duty(DutyKind.RULES, workflow.namespace, workflow.name)):
            text = "another runner judges events for workflow %r; %s does once that one is gone"
            logger.info(text, workflow.name, self.label)

    async def _rules_changed(self) -> None:
        await self._working_engine.rulebook.refresh()
        await self._working_engine.ownership.come_on_duty()

    async def _workflow_deleted(self) -> None:
        engine = self._working_engine
        engine.pollers.forget_cursors()
        await engine.rulebook.refresh()
        await engine.timekeeper.refresh()
        await engine.ownership.come_on_duty()

    async def _triggers_changed(self) -> None:
        await self._working_engine.pollers.refresh()

    async def _schedule_changed(self, namespace: str, name: str) -> None:
        await self._working_engine.timekeeper.changed(namespace, name)
        await self._working_engine.ownership.come_on_duty()

    def _last_poll(self, record: TriggerRecord) -> datetime | None:
        pollers = None if self._engine is None else self._engine.pollers
        return None if pollers is None else pollers.last_poll((record.namespace, record.name))


def _settle(clock: Clock, *settlers: Settler) -> Callback:
    """Let a virtual clock stand still while somebody is at work; return what ends that."""
    if not isinstance(clock, VirtualClock):
        return _nothing
    ends = [clock.add_settler(each) for each in settlers]

    def end() -> None:
        for each in ends:
            each()

    return end


def _soon(callback: Callback) -> Callback:
    """Return what calls back on this loop, from whatever thread it is called."""
    loop = asyncio.get_running_loop()

    def call() -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing works any more
            loop.call_soon_threadsafe(callback)

    return call


def _nothing() -> None:
    """Nothing was set up."""
