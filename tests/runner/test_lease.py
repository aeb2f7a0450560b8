"""A runner shows that it lives by a thread of its own, and ends when it was replaced."""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import FencedError, Registry, Runner, UsageError, VirtualClock, Workflow, task
from asyncflow._failpoint import armed
from tests.runner.scene import forever, rows, until

BEATS = "SELECT beat FROM runner"


def declared() -> Registry:
    with Registry() as registry, Workflow("w"):

        @task()
        async def lasts() -> None:
            await forever()

    return registry


def leases() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "asyncflow lease"]


def beat(path: Path) -> int:
    ((found,),) = rows(path, BEATS)
    assert isinstance(found, int)
    return found


async def test_beats_are_counted_while_the_loop_is_blocked(url: str, path: Path) -> None:
    async with Runner(url, registry=Registry(), lease="200ms"):
        await until(lambda: beat(path) > 0)
        before = beat(path)
        until_then = time.monotonic() + 5
        while beat(path) < before + 3 and time.monotonic() < until_then:
            pass  # the loop does not turn
        after = beat(path)

    assert after >= before + 3


async def test_beats_are_counted_while_a_virtual_clock_stands_still(url: str, path: Path) -> None:
    async with Runner(url, registry=Registry(), lease="100ms", clock=VirtualClock()):
        await until(lambda: beat(path) > 1)


async def test_its_row_tells_its_lease(url: str, path: Path) -> None:
    async with Runner(url, registry=Registry(), lease=timedelta(seconds=7)):
        found = rows(path, "SELECT lease FROM runner")

    assert found == [(7_000_000,)]


async def test_where_nobody_else_can_come_there_is_none() -> None:
    async with Runner(":memory:", registry=Registry()):
        found = leases()

    assert found == []


async def test_its_thread_ends_with_it(url: str) -> None:
    async with Runner(url, registry=Registry(), lease="1h"):
        during = leases()

    assert (len(during), leases()) == (1, [])


async def test_who_was_replaced_ends_before_it_looks(url: str, path: Path) -> None:
    clock = VirtualClock()  # no look comes by time

    async def work() -> None:
        async with Runner(url, registry=declared(), lease="100ms", clock=clock) as runner:
            run = await runner.start.aio("w")
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("DELETE FROM runner")
            await run.wait.aio()

    with pytest.raises(FencedError):
        await work()


async def test_who_was_replaced_says_so_in_the_log_and_to_later_calls(
    url: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[str] = []

    async def work() -> None:
        async with Runner(url, registry=declared(), lease="100ms") as runner:
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("DELETE FROM runner")
            await until(lambda: not runner._home.is_open)
            with pytest.raises(UsageError) as caught:
                await runner.start.aio("w")
            refused.append(str(caught.value))

    with pytest.raises(FencedError):
        await work()
    (said,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "was replaced" in refused[0]
    assert said.getMessage().startswith("Runner(")
    assert "was replaced" in said.getMessage()
    assert "open another one" in said.getMessage()


async def test_a_beat_that_fails_is_tried_again(
    url: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with armed("store.renew.before:1:raise,store.renew.before:2:raise"):
        async with Runner(url, registry=Registry(), lease="100ms"):
            await until(lambda: beat(path) > 1)

    assert caplog.text.count("cannot renew its lease") == 1


@pytest.mark.parametrize("lease", ["0s", "-1s", 0, "soon"])
def test_a_lease_is_a_time(lease: str | int) -> None:
    with pytest.raises(ValueError, match="lease"):
        Runner(":memory:", registry=Registry(), lease=lease)


async def test_a_runner_that_is_silent_is_replaced_though_its_process_lives(
    url: str, path: Path
) -> None:
    registry = declared()

    async def work() -> None:
        async with Runner(url, registry=registry, lease="400ms", grace=0) as silent:
            run = await silent.start.aio("w")
            lease = silent._working_engine.ownership._lease
            lease._closing.set()  # its thread ends, as if it were stopped
            async with Runner(url, registry=registry, lease="400ms", grace=0) as heir:
                lives = heir._working_engine.driver.lives
                await until(lambda: run.id in lives)
            await run.wait.aio()

    with pytest.raises(FencedError):
        await work()
    assert rows(path, BEATS) == []
