"""How the parts of an open runner are made of each other. It starts nothing."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from asyncflow._client.listeners import Sent
from asyncflow._client.plans import Plans
from asyncflow._clock import Clock
from asyncflow._model.port import Port
from asyncflow._model.registry import Registry
from asyncflow._model.value import SizeLimits
from asyncflow._runner.awaits import Awaits
from asyncflow._runner.dispatcher import Dispatcher
from asyncflow._runner.doorbell import Doorbell
from asyncflow._runner.driver import Driver
from asyncflow._runner.duties import Duties
from asyncflow._runner.engine import Engine
from asyncflow._runner.judge import Judge
from asyncflow._runner.lease import Lease
from asyncflow._runner.letters import Letters
from asyncflow._runner.logs import TaskLog
from asyncflow._runner.meter import Meters
from asyncflow._runner.ownership import Ownership, Part
from asyncflow._runner.poller import Polling
from asyncflow._runner.pollers import Pollers
from asyncflow._runner.recovery import Recovery
from asyncflow._runner.retention import RETENTION, Retention
from asyncflow._runner.rulebook import Rulebook
from asyncflow._runner.task_runner import Spawn, TaskRunner
from asyncflow._runner.timekeeper import Timekeeper
from asyncflow._runner.waiters import Waiters
from asyncflow._runner.webhooks import Webhooks
from asyncflow._store.batch import Fence
from asyncflow._store.protocol import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a runner works with while it is open."""

    port: Port
    store: Store
    clock: Clock
    registry: Registry
    plans: Plans
    limits: SizeLimits
    threads: int
    callback_base: str
    listeners: Callable[[Iterable[Sent]], None]
    fence: Fence
    lease: Lease
    log: TaskLog
    doorbell: Doorbell
    retention: timedelta | None
    ring: Callable[[], Awaitable[None]]


def assemble(means: Means, spawn: Spawn) -> Engine:
    """Make an engine; users' code is to run in what ``spawn`` starts."""
    clock, duties = means.clock, Duties()
    meters = Meters.begin(clock.monotonic())
    tasks = TaskRunner(spawn, clock, means.port, means.limits, means.threads)
    dispatcher = Dispatcher(clock, tasks)
    judge, waiters = Judge(clock, spawn, means.limits), Waiters(clock)
    rulebook = _rulebook(means, judge, duties)
    driver = Driver(
        means.store,
        clock,
        means.fence,
        dispatcher,
        judge=judge,
        rulebook=rulebook,
        log=means.log,
        waiters=waiters,
        duties=duties,
        listeners=means.listeners,
        meters=meters,
    )
    dispatcher.driver = driver
    waiters.put, waiters.timer = driver.put, driver.call_at_time
    waiters.letters = means.doorbell.ring
    polling = _polling(means, driver, duties, meters)
    pollers, timekeeper = Pollers(polling, spawn), Timekeeper(polling, means.port, spawn)
    recovery = Recovery(
        means.store,
        clock,
        means.fence,
        driver,
        registry=means.registry,
        plans=means.plans,
        still=duties.still,
    )
    letters = Letters(
        means.store, means.fence, driver, rulebook, waiters, look_soon=means.doorbell.ring
    )
    recovery.taken_over = letters.more
    parts = (rulebook, pollers, timekeeper)
    ownership = _ownership(means, driver, recovery, letters, duties=duties, parts=parts)
    pollers.ask = ownership.come_on_duty
    return Engine(
        clock=clock,
        driver=driver,
        judge=judge,
        tasks=tasks,
        dispatcher=dispatcher,
        ownership=ownership,
        rulebook=rulebook,
        pollers=pollers,
        timekeeper=timekeeper,
        duties=duties,
        suspects=recovery.suspects,
        waiters=waiters,
        awaits=Awaits(clock, driver, waiters),
        webhooks=Webhooks(spawn, clock, means.callback_base, driver.put),
        retention=_retention(means, duties),
        lease=means.lease.statistics if means.store.shared else None,
    )


def _retention(means: Means, duties: Duties) -> Retention | None:
    if means.retention is None:
        return None
    duties.want(RETENTION)
    has_duty = partial(duties.has, RETENTION)
    return Retention(means.store, means.clock, means.fence, means.retention, has_duty)


def _rulebook(means: Means, judge: Judge, duties: Duties) -> Rulebook:
    return Rulebook(
        means.store,
        means.clock,
        judge,
        means.registry,
        means.plans,
        duties=duties,
        fence=means.fence,
    )


def _polling(means: Means, driver: Driver, duties: Duties, meters: Meters) -> Polling:
    return Polling(
        means.store,
        means.clock,
        driver,
        means.registry,
        means.plans,
        means.limits,
        duties,
        means.fence,
        meters,
    )


def _ownership(
    means: Means,
    driver: Driver,
    recovery: Recovery,
    letters: Letters,
    *,
    duties: Duties,
    parts: Sequence[Part],
) -> Ownership:
    return Ownership(
        means.store,
        means.clock,
        means.fence,
        driver,
        means.doorbell,
        registry=means.registry,
        plans=means.plans,
        recovery=recovery,
        letters=letters,
        duties=duties,
        lease=means.lease,
        parts=parts,
        ring=means.ring,
    )
