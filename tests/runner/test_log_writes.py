"""Lines of tasks reach the disk with the transactions of others, also past a store that fails."""

import asyncio
import logging
from datetime import timedelta

import pytest

from asyncflow import Client, Registry, Runner, TaskStatus, VirtualClock, Workflow, task
from asyncflow._failpoint import armed
from asyncflow._model.port import CURRENT_TASK, TaskScope
from asyncflow._runner.logs import MOST_LINES, TaskLog
from asyncflow._runner.trouble import PAUSES
from tests.runner.scene import forever, log_numbers, turns

AT_MOST = timedelta(milliseconds=100)

logger = logging.getLogger("tests.of.log.writes")
logger.setLevel(logging.INFO)


async def test_a_task_that_logs_nothing_arms_no_timer() -> None:
    clock = VirtualClock()
    began = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(idempotent=False)
        async def works() -> None:
            began.set()
            await forever()

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        deadline = clock.next_deadline
        await runner.start.aio("w")
        await began.wait()
        logger.warning("of nobody")
        await turns()

        assert clock.next_deadline == deadline


async def test_lines_that_were_not_stored_go_with_the_next_transaction(url: str) -> None:
    clock = VirtualClock()
    begun, more, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(idempotent=False)
        async def works() -> None:
            logger.info("one")
            begun.set()
            await more.wait()
            logger.info("two")
            await end.wait()

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await turns()
        with armed("store.commit.before:1:raise"):
            await clock.advance(AT_MOST)
            more.set()
            await turns()
            await clock.advance(PAUSES[0])
            await clock.advance(AT_MOST)
        (run,) = await execution.task_executions.aio()
        lines = [line.text async for line in run.logs.aio()]
        end.set()
        await execution.wait.aio()

    assert lines == ["one", "two"]


async def test_lines_that_were_not_stored_need_no_others_to_be_tried_again(url: str) -> None:
    clock = VirtualClock()
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(idempotent=False)
        async def works() -> None:
            logger.info("alone")
            begun.set()
            await forever()

    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await turns()
        with armed("store.commit.before:1:raise"):
            await clock.advance(AT_MOST)
            await clock.advance(PAUSES[0] + AT_MOST)
        (run,) = await execution.task_executions.aio()
        lines = [line.text async for line in run.logs.aio()]

    assert lines == ["alone"]


async def test_lines_that_were_not_stored_stay_before_those_that_came_meanwhile() -> None:
    port = Client(":memory:")
    log = TaskLog(port, VirtualClock())
    token = CURRENT_TASK.set(TaskScope(port, 1, "one", "default", "works", 1, 1))
    with log.hearing():
        logger.info("one")
        logger.info("two")
        taken = log.take()
        logger.info("three")
        log.put_back(taken)
        found = [line.text for line in log.take()]
    CURRENT_TASK.reset(token)

    assert found == ["one", "two", "three"]


async def test_while_the_store_fails_the_newest_ten_thousand_lines_wait_and_one_warning_tells_it(
    caplog: pytest.LogCaptureFixture, url: str
) -> None:
    clock = VirtualClock()
    begun, more = asyncio.Event(), asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(idempotent=False)
        async def works() -> None:
            logger.info("old")
            begun.set()
            await more.wait()

        @task(idempotent=False)
        async def other() -> None:
            await more.wait()
            log_numbers(MOST_LINES)

    async with Runner(url, registry=registry, clock=clock) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
        await turns()
        with armed("store.commit.before:1:raise"):
            await clock.advance(AT_MOST)
            more.set()
            await turns()
            await clock.advance(PAUSES[0])
        done = await execution.wait.aio()
        found = {
            run.task_name: len([line async for line in run.logs.aio()])
            for run in await done.task_executions.aio()
        }
        warned = [each for each in caplog.records if "were not kept" in each.getMessage()]

    assert found == {"works": 0, "other": MOST_LINES}
    assert [each.getMessage() for each in warned] == [
        "1 lines of tasks' logs were not kept: the store failed"
    ]


async def test_lines_of_a_task_that_is_cut_off_by_the_end_of_its_runner_are_kept(url: str) -> None:
    begun = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(idempotent=False)
        async def works() -> None:
            logger.info("before the end")
            begun.set()
            await forever()

    clock = VirtualClock()
    async with Runner(url, registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await begun.wait()
    async with Client(url, registry=registry) as client:
        found = await client.execution.aio(execution.name)
        assert found is not None
        (run,) = await found.task_executions.aio()
        lines = [line.text async for line in run.logs.aio()]

    assert run.status is TaskStatus.RUNNING
    assert lines == ["before the end"]
