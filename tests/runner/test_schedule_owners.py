"""Several runners on one file: each tick starts one execution, and a restart stops no newer one."""

import itertools
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from asyncflow import Context, Registry, Runner, VirtualClock, Workflow, WorkflowStatus, task
from asyncflow._store.queries import Schedules
from tests.runner.scene import forever, rows, until
from tests.runner.ticking import HOUR, SECOND, START, Held, noting

EVERY = timedelta(milliseconds=40)


async def test_two_runners_on_one_file_start_one_execution_for_each_tick(
    url: str, path: Path
) -> None:
    log: list[str] = []
    registry = noting(log)
    async with AsyncExitStack() as stack:
        runners = [await stack.enter_async_context(Runner(url, registry=registry)) for _ in "ab"]
        await runners[0].register_schedule.aio("w", EVERY, catchup="all", overlap="allow")
        await until(lambda: len(log) >= 45)  # the second one learns of it within a second
    ticks = rows(path, "SELECT at, execution, dropped FROM tick ORDER BY at")
    executions = rows(path, "SELECT count(*) FROM execution")

    assert max(Counter(log).values()) == 1
    assert executions == [(len(ticks),)]
    assert all(dropped is None for _, _, dropped in ticks)
    due = [at for at, _, _ in ticks if isinstance(at, int)]
    gaps = {second - first for first, second in itertools.pairwise(due)}
    assert gaps == {EVERY // timedelta(microseconds=1)}


async def test_of_two_runners_that_restart_neither_stops_what_the_other_started_just_now(
    url: str,
) -> None:
    begun: list[str] = []
    registry = Registry()
    with registry, Workflow("w"):

        @task()
        async def hold(context: Context) -> None:
            begun.append(context["scheduled_time"])
            await forever()

    async with AsyncExitStack() as stack:
        runners = [
            await stack.enter_async_context(Runner(url, registry=registry, grace=0)) for _ in "abc"
        ]
        # The others learn of it in their next looks.
        schedule = await runners[0].register_schedule.aio("w", "60ms", overlap="restart")
        since = schedule["created_at"] + 1.5 * SECOND
        await until(lambda: len(begun) >= 60)
        await runners[0].disable_schedule.aio("w")
        lines = await runners[0].get_schedule_history.aio("w", None)
        runs = Counter(begun)  # what one leaves that closes, another takes over

    started = [each for each in reversed(lines) if each["workflow_execution_id"] is not None]
    assert max(runs.values()) == 1
    assert started[-1]["scheduled_time"] > since
    for earlier, later in itertools.pairwise(started):
        assert earlier["status"] is WorkflowStatus.STOPPED
        assert earlier["completed_at"] is not None
        assert earlier["completed_at"] >= later["scheduled_time"]
        assert earlier["completed_at"] <= later["created_at"] + 5 * SECOND


async def test_an_execution_of_the_very_tick_is_not_in_its_way() -> None:
    held, clock = Held(), VirtualClock(START)
    async with Runner(":memory:", registry=held.registry, clock=clock, grace=0) as runner:
        await runner.register_schedule.aio("w", "1h", overlap="restart")
        await clock.advance(HOUR)
        (record,) = await runner._store.read(Schedules())
        # As if another runner had started it after this one was told that it had to wait.
        room = await runner._working_engine.timekeeper._make_room(record, START + HOUR)
        await clock.settle()
        log = list(held.log)

    assert room
    assert log == ["begin 01:00"]
