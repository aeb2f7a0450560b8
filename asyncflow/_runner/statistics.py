"""Finds out what a runner tells of itself. It changes nothing, and holds nothing up."""

from datetime import timedelta

from asyncflow._model.statistics import (
    Lateness,
    LoopStatistics,
    QueueStatistics,
    Rate,
    RateStatistics,
    RunnerStatistics,
    StoreStatistics,
)
from asyncflow._runner.engine import Engine
from asyncflow._runner.meter import Meter
from asyncflow._runner.process import is_gone
from asyncflow._runner.watchdog import Watchdog
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Runners, Sizes


async def statistics(engine: Engine, store: Store, watchdog: Watchdog | None) -> RunnerStatistics:
    """Return what is so now; of the store, as of its last commit."""
    sizes, runners = await store.read(Sizes()), await store.read(Runners())
    meters, now = engine.driver.meters, engine.clock.monotonic()
    total, per_second = meters.stored.total, meters.stored.per_second(now)
    return RunnerStatistics(
        loop=None if watchdog is None else _loop(watchdog),
        queues=QueueStatistics(
            inbox=engine.driver.waiting,
            riding=len(engine.driver.riders),
            held_back=engine.driver.callers.held_back,
            letters=engine.ownership.letters,
            executions=len(engine.driver.lives),
            parked=sum(each.parked is not None for each in engine.driver.lives.values()),
            tasks=engine.tasks.running,
            waiting_for_thread=engine.tasks.waiting_for_thread,
        ),
        rates=RateStatistics(
            facts=Rate(int(total.facts), per_second.facts),
            transactions=Rate(int(total.transactions), per_second.transactions),
            tasks=Rate(int(total.tasks), per_second.tasks),
        ),
        polls=_lateness(meters.polls, now),
        ticks=_lateness(meters.ticks, now),
        store=StoreStatistics(
            file_bytes=sizes.file_bytes,
            wal_bytes=sizes.wal_bytes,
            free_bytes=sizes.free_bytes,
            executions=sizes.executions,
            events=sizes.events,
            letters=sizes.letters,
        ),
        lease=None if engine.lease is None else engine.lease(),
        runners=sum(not is_gone(row) for row in runners),
    )


def _loop(watchdog: Watchdog) -> LoopStatistics:
    return LoopStatistics(
        blocked=watchdog.blocked,
        longest=timedelta(seconds=watchdog.longest),
        place=watchdog.place,
        lateness=_lateness(watchdog.lateness, watchdog.now()),
    )


def _lateness(meter: Meter, now: float) -> Lateness:
    mean, most = meter.mean(now), meter.most(now)
    return Lateness(mean=timedelta(seconds=mean), most=timedelta(seconds=most))
