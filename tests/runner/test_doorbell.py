"""A runner hears at once that something was put before it; without a doorbell, a second later."""

import asyncio
import resource
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop

from asyncflow import Client, Runner, VirtualClock
from asyncflow._runner.doorbell import open_doorbell
from tests.runner.caller import waiting
from tests.runner.scene import rows, turns, until

PROGRAM = Path(__file__).parent / "caller.py"
SOON = 10
SQL_BEGUN = "SELECT status FROM execution WHERE name = 'begun'"


async def call(path: Path, *words: str) -> None:
    """Let another process call a client, and wait for it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", str(PROGRAM), str(path), *words
    )
    assert await process.wait() == 0


async def test_an_idle_runner_is_woken_by_what_another_process_asks_for(
    url: str, path: Path
) -> None:
    # Its clock stands still: no look comes by itself.
    async with Runner(url, registry=waiting(), clock=VirtualClock()) as runner:
        one, two, three = [await runner.start.aio("w") for _ in range(3)]
        await call(path, "send_event", "said", one.name)
        first = await asyncio.wait_for(one.wait.aio(), SOON)
        await call(path, "stop", two.name)
        second = await asyncio.wait_for(two.wait.aio(), SOON)
        await call(path, "start", "w", "begun")
        await until(lambda: rows(path, SQL_BEGUN) == [("RUNNING",)])
        begun = await runner.execution.aio("begun")
        assert begun is not None
        await call(path, "send_event", "said")
        rest = [await asyncio.wait_for(each.wait.aio(), SOON) for each in (three, begun)]

    assert [each.status for each in (first, second)] == ["SUCCESS", "STOPPED"]
    assert [each.status for each in rest] == ["SUCCESS", "SUCCESS"]


async def test_what_a_runner_leaves_when_it_closes_another_one_takes_over_at_once(url: str) -> None:
    async with Runner(url, registry=waiting(), clock=VirtualClock()) as other:
        async with Runner(url, registry=waiting(), clock=VirtualClock()) as runner:
            execution = await runner.start.aio("w")
        await until(lambda: execution.name in other._working_engine.driver.names)
        await other.send_event.aio("said")
        done = await asyncio.wait_for(other.wait.aio(execution.name), SOON)

    assert done.status == "SUCCESS"


async def test_without_a_doorbell_a_runner_looks_within_a_second(url: str, path: Path) -> None:
    clock = VirtualClock()
    async with Runner(url, registry=waiting(), clock=clock) as runner:
        execution = await runner.start.aio("w")
        write(path, "UPDATE runner SET address = NULL")
        async with Client(url) as client:
            await client.send_event.aio("said", execution=execution.name)
        await clock.advance(timedelta(seconds=1))
        done = await asyncio.wait_for(execution.wait.aio(), SOON)

    assert done.status == "SUCCESS"


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1:99999", "127.0.0.1:1", "no.host:\u0664"]
)
async def test_nobody_notices_an_address_at_which_nobody_is(
    address: str, url: str, path: Path
) -> None:
    async with Runner(url, registry=waiting()) as runner, Client(url) as client:
        execution = await runner.start.aio("w")
        write(path, f"UPDATE runner SET address = '{address}'")
        await client.send_event.aio("said")
        done = await asyncio.wait_for(execution.wait.aio(), SOON)

    assert done.status == "SUCCESS"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_many_rings_are_one_and_the_socket_is_closed_with_the_runner(
    run: Callable[..., None],
) -> None:
    async def ring() -> None:
        async with open_doorbell(shared=True) as bell:
            assert bell.address is not None
            host, _, port = bell.address.rpartition(":")
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as caller:
                for _ in range(100):
                    caller.sendto(b"", (host, int(port)))
            await asyncio.wait_for(bell.wait(), SOON)
            await turns(300)  # the rest has come
            await asyncio.wait_for(bell.wait(), SOON)
            assert not bell.rung
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
            other.bind((host, int(port)))  # it is free again

    run(ring())


async def test_a_store_of_one_process_has_no_doorbell() -> None:
    async with open_doorbell(shared=False) as bell:
        assert bell.address is None


async def test_a_runner_works_without_a_doorbell_if_none_can_be_opened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        async with open_doorbell(shared=True) as bell:
            address = bell.address
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert address is None
    assert "only looks now and then" in caplog.text


def write(path: Path, sql: str) -> None:
    """Change the database alone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()
