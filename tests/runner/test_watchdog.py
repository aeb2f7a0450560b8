"""The watchdog: the file and the line that block the loop, in the log and in the statistics."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop

from asyncflow import LoopStatistics, Registry, Runner, VirtualClock, Workflow, task
from tests.bell import ROOT

LIMIT = timedelta(milliseconds=100)
LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)
LOGGER = "asyncflow._runner.watchdog"

Make = Callable[[], asyncio.AbstractEventLoop]


def block(seconds: float) -> None:
    """Keep the thread for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def sleeps(seconds: float) -> None:
    time.sleep(seconds)  # it blocks, as is tested


BLOCK_LINE = block.__code__.co_firstlineno + 3
SLEEP_LINE = sleeps.__code__.co_firstlineno + 1


async def settled(runner: Runner, blocked: int) -> LoopStatistics:
    """Return what the watchdog says, once it has seen so many blocks and is answered again."""
    while True:
        loop = (await runner.statistics.aio()).loop
        assert loop is not None
        if loop.blocked >= blocked and loop.lateness.most >= loop.longest:
            return loop
        await asyncio.sleep(0.01)  # its thread looks in real time


@pytest.mark.parametrize("make", LOOPS)
@pytest.mark.parametrize("where", ["task", "callback", "beside"])
def test_the_line_that_blocks_the_loop_is_named_while_it_does_and_once_more_with_the_total(
    make: Make, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def blocks() -> None:
            sleeps(0.3)

    async def main() -> LoopStatistics:
        async with Runner(":memory:", registry=registry) as runner:
            if where == "task":
                await runner.execute.aio("w")
            elif where == "callback":
                asyncio.get_running_loop().call_soon(sleeps, 0.3)
            else:
                sleeps(0.3)
            return await settled(runner, 1)

    with asyncio.Runner(loop_factory=make) as loop:
        found = loop.run(main())

    said = [each for each in caplog.records if each.name == LOGGER]
    first, last = [each.getMessage() for each in said]
    place = f"{__file__}:{SLEEP_LINE} (sleeps)"
    assert f"by {place}" in first
    assert "is blocked, 0." in first
    assert "is free again: for 0." in last
    assert place in last
    assert {each.levelno for each in said} == {logging.WARNING}
    assert {each.threadName for each in said} == {"asyncflow watchdog"}
    assert found.blocked == 1
    assert found.place == place
    assert LIMIT < found.longest < timedelta(seconds=2)
    assert found.lateness.most >= found.longest


async def test_a_block_in_a_library_is_named_by_the_user_s_line_and_the_innermost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Runner(":memory:", registry=Registry()) as runner:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.3)"], check=True)  # noqa: ASYNC221  it blocks
        found = await settled(runner, 1)

    assert found.place is not None
    users, _, innermost = found.place.partition(", in ")
    assert users.startswith(f"{__file__}:")
    assert innermost.split(":")[0].endswith("subprocess.py")
    assert found.place in caplog.text


async def test_a_place_is_named_once_in_ten_seconds_and_counted_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Runner(":memory:", registry=Registry(), watchdog="50ms") as runner:
        found = await settled(runner, 0)
        while found.blocked < 3:  # one in which the machine was busy may not count
            sleeps(0.15)
            await asyncio.sleep(0.1)  # it looks in real time
            found = await settled(runner, 0)

    assert caplog.text.count("is blocked") == 1


async def test_a_loop_that_waits_or_works_in_short_steps_is_not_blocked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Runner(":memory:", registry=Registry(), watchdog="200ms") as runner:
        for _ in range(40):
            block(0.005)
            await asyncio.sleep(0.005)  # a short wait, as is tested
        statistics = await runner.statistics.aio()

    assert statistics.loop is not None
    assert statistics.loop.blocked == 0
    assert LOGGER not in {each.name for each in caplog.records}


def test_code_between_two_runs_of_the_loop_does_not_block_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with asyncio.Runner() as loop:
        runner = Runner(":memory:", registry=Registry(), watchdog="50ms")
        loop.run(runner.__aenter__())
        sleeps(0.3)
        statistics = loop.run(runner.statistics.aio())
        loop.run(runner.shutdown.aio())

    assert statistics.loop is not None
    assert statistics.loop.blocked == 0
    assert not [each for each in caplog.records if each.name == LOGGER]


@pytest.mark.parametrize("options", [{"watchdog": None}, {"clock": VirtualClock()}])
async def test_nobody_watches_without_a_limit_or_with_a_virtual_clock(
    options: dict[str, VirtualClock | None],
) -> None:
    clock = options.get("clock")
    watchdog = options.get("watchdog", "1s")
    assert not isinstance(watchdog, VirtualClock)
    async with Runner(":memory:", registry=Registry(), clock=clock, watchdog=watchdog) as runner:
        names = {each.name for each in threading.enumerate()}
        statistics = await runner.statistics.aio()

    assert "asyncflow watchdog" not in names
    assert statistics.loop is None


STOPPED = """
import asyncio, os, sys, time
from asyncflow import Registry, Runner

async def main():
    async with Runner(":memory:", registry=Registry()) as runner:
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.sleep(0.3)  # its thread looks in real time
        print((await runner.statistics.aio()).to_json())

asyncio.run(main())
"""


def test_a_process_that_was_stopped_was_not_blocked(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == "open\n"
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.6)  # so long it stands still
        program.send_signal(signal.SIGCONT)
        out, errors = program.communicate("\n")

    assert errors == ""
    assert '"blocked": 0' in out


def test_a_call_that_lets_no_other_thread_run_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> LoopStatistics:
        async with Runner(":memory:", registry=Registry()) as runner:
            sum(range(60_000_000))
            return await settled(runner, 1)

    found = asyncio.run(main())

    assert found.blocked == 1
    assert found.longest > LIMIT
    assert "is blocked" in caplog.text or "is free again" in caplog.text
