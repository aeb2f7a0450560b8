"""A driver that is closed ends, whenever that is said."""

import asyncio

from asyncflow import Registry, Runner
from tests.runner.scene import until


async def test_a_driver_that_is_closed_just_before_it_rests_ends() -> None:
    with Registry() as registry:
        pass
    async with Runner(":memory:", registry=registry) as runner:
        assert runner._engine is not None
        driver = runner._engine.driver
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stored.add_done_callback(lambda _: driver.close())
        driver.news.append(stored)

        await runner.send_event.aio("any")

        await until(lambda: driver.over)
