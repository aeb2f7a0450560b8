"""Listing events: which ones, in which order, and between which bounds."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    Event,
    ExecutionNotFoundError,
    NotificationClient,
    Registry,
    SystemClock,
    UsageError,
)
from asyncflow._model.port import CURRENT_TASK, StopSign, TaskScope
from asyncflow.errors import TaskStopped
from tests.client.forms import Form
from tests.client.samples import declare

HOUR = timedelta(hours=1)


class Stepping(SystemClock):
    """A clock whose date moves by hand."""

    date = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.date


class Told:
    """A client in whose store there are six events, an hour between one and the next."""

    def __init__(self, form: Form, client: Client, clock: Stepping) -> None:
        self.form, self.client, self.start = form, client, clock.now()
        form.call(client.start, "waits", name="one", namespace="team")
        self.say(clock, "a", 1, sender="ann")
        self.say(clock, "b", 2, sender="bob")
        self.say(clock, "a", 3, namespace="team")
        self.say(clock, "A", 4)
        self.say(clock, "a", 5, execution="one")
        self.say(clock, "b", 6, sender="ann")

    def say(self, clock: Stepping, key: str, value: int, **options: str) -> None:
        clock.date += HOUR
        self.form.call(self.client.send_event, key, value, **options)

    def values(self, *arguments: object, **options: object) -> list[object]:
        found = self.form.items(self.client.list_events, *arguments, **options)  # type: ignore[arg-type]
        return [event.value for event in found]


@pytest.fixture(params=["memory", "sqlite"])
def told(form: Form, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    registry, clock = Registry(), Stepping()
    declare(registry)
    url = ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"
    with form.open(Client(url, registry=registry, clock=clock)) as client:
        yield Told(form, client, clock)


def test_all_events_of_every_namespace_are_listed_in_order_of_offset(told: Told) -> None:
    found: list[Event] = list(told.form.items(told.client.list_events))

    assert [event.offset for event in found] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in found] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"key": "a"}, [1, 3, 5]),
        ({"key": ["a", "A"]}, [1, 3, 4, 5]),
        ({"key": iter(["b"])}, [2, 6]),
        ({"key": []}, []),
        ({"namespace": "team"}, [3, 5]),
        ({"namespace": "other"}, []),
        ({"sender": "ann"}, [1, 6]),
        ({"sender": "ann", "key": "a"}, [1]),
        ({"execution": "one"}, [5]),
        ({"begin_offset": 2}, [3, 4, 5, 6]),
        ({"end_offset": 2}, [1, 2]),
        ({"begin_offset": 2, "end_offset": 4}, [3, 4]),
        ({"begin_offset": 4, "end_offset": 4}, []),
        ({"begin_offset": 6}, []),
        ({"end_offset": 0}, []),
        ({"begin_offset": 2**70}, []),
        ({"key": "a", "begin_offset": 1, "limit": 1}, [3, 5]),
    ],
)
def test_what_is_asked_for_is_listed_begins_exclusive_ends_inclusive(
    told: Told, options: dict[str, object], expected: list[int]
) -> None:
    if isinstance(options.get("key"), Iterator):
        options = {"key": iter(["b"])}  # fresh for each form

    assert told.values(**options) == expected


def test_of_times_too_the_begin_is_exclusive_and_the_end_inclusive(told: Told) -> None:
    second, fourth = told.start + 2 * HOUR, told.start + 4 * HOUR
    elsewhere = timezone(timedelta(hours=5, minutes=30))

    assert told.values(begin_time=second) == [3, 4, 5, 6]
    assert told.values(end_time=second) == [1, 2]
    assert told.values(begin_time=second, end_time=fourth) == [3, 4]
    assert told.values(begin_time=second.astimezone(elsewhere), key="a") == [3, 5]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_a_page_of_any_size_gives_the_same(told: Told, limit: int) -> None:
    assert told.values(limit=limit) == [1, 2, 3, 4, 5, 6]


def test_an_event_that_comes_while_it_is_listed_is_listed_at_the_end(told: Told) -> None:
    listing = told.form.items(told.client.list_events, limit=6)

    first = [next(listing).value for _ in range(6)]
    told.form.call(told.client.send_event, "late", 7)

    assert [*first, *(event.value for event in listing)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"begin_time": datetime(2026, 1, 1)}, ValueError, "begin_time .* has no time zone"),  # noqa: DTZ001
        ({"end_time": datetime(2026, 1, 1)}, ValueError, "end_time .* has no time zone"),  # noqa: DTZ001
        ({"begin_time": "now"}, TypeError, "begin_time is a datetime"),
        ({"begin_offset": -1}, UsageError, "begin_offset .* not -1"),
        ({"end_offset": True}, UsageError, "end_offset .* not True"),
        ({"key": ""}, ValueError, "an event's key"),
        ({"key": [1]}, TypeError, "an event's key"),
        ({"namespace": ""}, ValueError, "a namespace"),
        ({"sender": ""}, ValueError, "sender"),
        ({"limit": 0}, UsageError, "limit"),
        ({"execution": "nobody"}, ExecutionNotFoundError, "nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    told: Told, options: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        told.values(**options)


def test_a_task_lists_the_events_of_its_own_namespace(told: Told) -> None:
    sign = StopSign()
    token = CURRENT_TASK.set(TaskScope(told.client, 1, "one", "team", "t", 1, 1, stop_sign=sign))
    notifier = NotificationClient()
    CURRENT_TASK.reset(token)

    assert [event.value for event in told.form.items(notifier.list_events)] == [3, 5]
    assert [event.value for event in told.form.items(notifier.list_events, begin_offset=3)] == [5]
    sign.raised = True
    with pytest.raises(TaskStopped):
        next(told.form.items(notifier.list_events))


async def test_sixteen_threads_that_send_at_once_lose_nothing(tmp_path: Path) -> None:
    async with Client(f"sqlite:///{tmp_path / 'flows.db'}") as client:

        def send(thread: int) -> list[int | None]:
            return [client.send_event("n", [thread, n]).offset for n in range(20)]

        offsets = await asyncio.gather(*(asyncio.to_thread(send, n) for n in range(16)))
        found = [event async for event in client.list_events.aio("n", limit=50)]

    assert all(each == sorted(each, key=lambda offset: offset or 0) for each in offsets)
    assert [event.offset for event in found] == list(range(1, 321))
    assert sorted(map(str, (event.value for event in found))) == sorted(
        str([thread, n]) for thread in range(16) for n in range(20)
    )
    assert all(event.create_time and event.create_time <= datetime.now(UTC) for event in found)
