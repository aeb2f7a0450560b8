"""What AIFlow's own tests check of notification, as it is here."""

from datetime import UTC, datetime, timedelta

import pytest

from asyncflow import (
    Client,
    Event,
    NotificationClient,
    Registry,
    Runner,
    UsageError,
    VirtualClock,
    Workflow,
    task,
)
from tests.client.ears import Heard
from tests.runner.scene import turns, until

SECOND = timedelta(seconds=1)


async def test_an_event_of_a_task_has_its_namespace_its_sender_and_a_time() -> None:
    sent: list[Event] = []
    with pytest.raises(UsageError, match="only inside a task"):
        NotificationClient("localhost:50052")
    with Registry() as registry, Workflow("w", "team"):

        @task()
        async def says() -> None:
            sent.append(await NotificationClient("localhost:50052").send_event.aio("k", "v"))

    before = datetime.now(UTC)
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", namespace="team")
        listed = [event async for event in runner.list_events.aio(execution=done.name)]

    (event,) = sent
    assert (event.namespace, event.sender) == ("team", f"{done.name}/says")
    assert event.offset is not None
    assert event.offset >= 1
    assert event.create_time is not None
    assert before <= event.create_time <= datetime.now(UTC)
    assert listed == [event]


async def test_listeners_count_by_key_by_offset_by_time_and_by_namespace() -> None:
    clock = VirtualClock()
    by_key, by_offset, far = Heard(), Heard(), Heard()
    by_time = {seconds: Heard() for seconds in (0, 3, 5)}
    async with Client(":memory:", clock=clock) as client:
        begin = clock.now()
        await client.register_listener.aio(by_key, ["a"])
        await client.register_listener.aio(far, namespace="team")
        for number in range(5):
            await clock.advance(SECOND)
            await client.send_event.aio("ab"[number % 2], number)
        await client.register_listener.aio(by_offset, begin_offset=2)
        for seconds, heard in by_time.items():
            await client.register_listener.aio(heard, begin_time=begin + seconds * SECOND)
        await until(lambda: len(by_key.events) == 3 and len(by_offset.events) == 3)
        await until(lambda: len(by_time[0].events) == 5 and len(by_time[3].events) == 2)
        await turns()

    assert by_key.values == [0, 2, 4]
    assert by_offset.values == [2, 3, 4]
    assert {seconds: heard.values for seconds, heard in by_time.items()} == {
        0: [0, 1, 2, 3, 4],
        3: [3, 4],
        5: [],
    }
    assert far.events == []
