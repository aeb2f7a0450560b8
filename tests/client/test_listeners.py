"""Listeners: what they hear, from when on, in which order, and how they end."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest

from asyncflow import (
    Client,
    Event,
    ListenerNotFoundError,
    ListenerProcessor,
    Registry,
    Runner,
    UsageError,
    VirtualClock,
)
from tests.client.ears import BOTH, Heard
from tests.client.forms import Form
from tests.runner.scene import ERRORS, forever, turns, until

LIMIT = timedelta(seconds=5)
POLL = timedelta(milliseconds=200)

both = pytest.mark.parametrize("ear", BOTH)


@pytest.fixture(params=["client", "runner", "client, sqlite", "runner, sqlite"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    """Open one on the machine's clock."""
    kind = Runner if "runner" in request.param else Client
    url = f"sqlite:///{tmp_path / 'flows.db'}" if "sqlite" in request.param else ":memory:"
    async with kind(url, registry=Registry()) as opened:
        yield opened


@both
async def test_listening_starts_at_the_call(client: Client, ear: type[Heard]) -> None:
    heard = ear()
    await client.send_event.aio("said", 1)

    listener = await client.register_listener.aio(heard)
    await client.send_event.aio("said", 2)
    await client.send_event.aio("said", 3)
    await until(lambda: len(heard.events) == 2)

    assert isinstance(listener, str)
    assert heard.values == [2, 3]
    assert [event.offset for event in heard.events] == [2, 3]


@both
async def test_def_is_called_in_a_thread_and_async_def_on_the_loop(ear: type[Heard]) -> None:
    heard = ear()
    async with Client(":memory:") as client:
        await client.register_listener.aio(heard)
        await client.send_event.aio("said")
        await until(lambda: bool(heard.batches))

    assert (threading.get_ident() in heard.threads) == (ear is not Heard)


def test_both_forms_register_and_unregister(form: Form) -> None:
    came = threading.Event()

    def note(_: list[Event]) -> None:
        came.set()

    heard = Heard(note)
    with form.open(Client(":memory:")) as client:
        listener = form.call(client.register_listener, heard, ["said"])
        form.call(client.send_event, "said", 1)
        form.call(client.unregister_listener, listener)
        form.call(client.send_event, "said", 2)

    assert heard.values in ([], [1])


async def test_it_hears_only_its_keys_exactly(client: Client) -> None:
    one, two, single = Heard(), Heard(), Heard()
    await client.register_listener.aio(one, ["a"])
    await client.register_listener.aio(two, ["a", "b"])
    await client.register_listener.aio(single, "ab")
    everything = Heard()
    await client.register_listener.aio(everything, None)

    for key in ("A", "a", "ab", "b", "a "):
        await client.send_event.aio(key, key)
    await until(lambda: len(everything.events) == 5)
    await until(lambda: len(two.events) == 2 and bool(one.events) and bool(single.events))

    assert everything.values == ["A", "a", "ab", "b", "a "]
    assert (one.values, two.values, single.values) == (["a"], ["a", "b"], ["ab"])


async def test_it_hears_only_its_namespace(client: Client) -> None:
    default, team = Heard(), Heard()
    await client.register_listener.aio(default, ["said"])
    await client.register_listener.aio(team, namespace="team")

    await client.send_event.aio("said", 1)
    await client.send_event.aio("said", 2, namespace="team")
    await client.send_event.aio("said", 3)
    await until(lambda: len(default.events) == 2 and len(team.events) == 1)

    assert (default.values, team.values) == ([1, 3], [2])


@both
async def test_begin_offset_replays_in_order(client: Client, ear: type[Heard]) -> None:
    heard = ear()
    for value in range(1, 6):
        await client.send_event.aio("said" if value != 4 else "other", value)

    await client.register_listener.aio(heard, ["said"], begin_offset=1)
    await client.send_event.aio("said", 6)
    await until(lambda: len(heard.events) == 4)

    assert heard.values == [2, 3, 5, 6]


async def test_begin_time_replays_what_came_after_it_in_order() -> None:
    clock, late, later = VirtualClock(), Heard(), Heard()
    async with Client(":memory:", clock=clock) as client:
        for value in range(4):
            await client.send_event.aio("said", value)
            await clock.advance(timedelta(hours=1))
        since = clock.now() - timedelta(hours=3)  # when 1 was sent

        await client.register_listener.aio(late, begin_time=since)
        await client.register_listener.aio(later, begin_time=since, begin_offset=3)
        await until(lambda: bool(late.events) and bool(later.events))

    assert (late.values, later.values) == ([2, 3], [3])


@pytest.mark.parametrize("slow", BOTH)
async def test_a_slow_one_gets_all_in_order_in_batches_of_500(slow: type[Heard]) -> None:
    go, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait(_: list[Event]) -> object:
        if slow is Heard:
            return asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        return go.wait()

    heard = slow(wait)
    async with Client(":memory:") as client:
        await client.register_listener.aio(heard)
        await client.send_event.aio("said", 0)
        await until(lambda: bool(heard.batches))
        for value in range(1, 1002):
            await client.send_event.aio("said", value)
        go.set()
        await until(lambda: len(heard.events) == 1002)

    assert heard.values == list(range(1002))
    assert [len(batch) for batch in heard.batches] == [1, 500, 500, 1]


async def test_a_batch_is_never_empty(client: Client) -> None:
    heard = Heard()
    await client.register_listener.aio(heard, ["mine"], begin_offset=0)
    for key in ("other", "mine", "other", "other", "mine"):
        await client.send_event.aio(key)
    await until(lambda: len(heard.events) == 2)
    await client.send_event.aio("other")
    await turns()

    assert all(heard.batches)


@both
@pytest.mark.parametrize("error", [ValueError, *ERRORS])
async def test_an_exception_in_process_is_logged_and_the_listener_lives(
    ear: type[Heard], error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(events: list[Event]) -> None:
        if events[0].value == 1:
            raise error("on purpose")

    heard = ear(fail)
    async with Client(":memory:") as client:
        listener = await client.register_listener.aio(heard)
        await client.send_event.aio("said", 1)
        await until(lambda: bool(caplog.records))
        await client.send_event.aio("said", 2)
        await until(lambda: len(heard.events) == 2)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asyncflow.listeners", logging.ERROR)
    assert listener in record.getMessage()
    assert record.exc_info is not None
    assert heard.values == [1, 2]


async def test_unregister_returns_within_100_ms_and_nothing_is_heard_after_it(
    client: Client,
) -> None:
    heard = Heard()
    listener = await client.register_listener.aio(heard)
    await client.send_event.aio("said", 1)
    await until(lambda: bool(heard.events))

    begin = perf_counter()
    await client.unregister_listener.aio(listener)
    took = perf_counter() - begin
    await client.send_event.aio("said", 2)
    await turns()

    assert took < 0.1
    assert heard.values == [1]


@both
async def test_unregister_returns_after_the_current_batch(ear: type[Heard]) -> None:
    go, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait(_: list[Event]) -> object:
        if ear is Heard:
            return asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        return go.wait()

    heard = ear(wait)
    async with Client(":memory:") as client:
        listener = await client.register_listener.aio(heard)
        await client.send_event.aio("said", 1)
        await until(lambda: bool(heard.batches))
        await client.send_event.aio("said", 2)
        ending = asyncio.create_task(client.unregister_listener.aio(listener))
        await turns()
        before = ending.done()
        go.set()
        await ending
        await turns()

    assert not before
    assert heard.values == [1]


@both
async def test_a_process_that_hangs_is_given_up_after_5_s(
    ear: type[Heard], caplog: pytest.LogCaptureFixture
) -> None:
    clock, go = VirtualClock(), threading.Event()

    def hang(_: list[Event]) -> object:
        return go.wait() if ear is Heard else forever()

    heard = ear(hang)
    async with Client(":memory:", clock=clock) as client:
        listener = await client.register_listener.aio(heard)
        await client.send_event.aio("said")
        await until(lambda: bool(heard.batches))
        ending = asyncio.create_task(client.unregister_listener.aio(listener))
        await clock.advance(LIMIT - timedelta(milliseconds=1))
        before = ending.done()
        await clock.advance(timedelta(milliseconds=1))
        await ending
        go.set()

    assert not before
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert listener in caplog.text


@both
async def test_called_in_its_own_process_unregister_returns_at_once(ear: type[Heard]) -> None:
    ids: list[str] = []

    def leave(_: list[Event]) -> object:
        ended.append(ids[0])
        if ear is Heard:
            return client.unregister_listener(ids[0])
        return client.unregister_listener.aio(ids[0])

    ended: list[str] = []
    heard = ear(leave)
    async with Client(":memory:", clock=VirtualClock()) as client:
        ids.append(await client.register_listener.aio(heard))
        await client.send_event.aio("said", 1)
        await until(lambda: bool(ended))
        await client.send_event.aio("said", 2)
        await turns()
        with pytest.raises(ListenerNotFoundError):
            await client.unregister_listener.aio(ids[0])

    assert heard.values == [1]


async def test_an_unknown_listener_is_named(client: Client) -> None:
    listener = await client.register_listener.aio(Heard())
    await client.unregister_listener.aio(listener)

    for each in ("nobody", listener):
        with pytest.raises(ListenerNotFoundError, match=each):
            await client.unregister_listener.aio(each)


@both
async def test_process_may_call_asyncflow(client: Client, ear: type[Heard]) -> None:
    def answer(events: list[Event]) -> object:
        if events[0].key == "answer":
            return None
        if ear is Heard:
            return client.send_event("answer", 2)
        return client.send_event.aio("answer", 2)

    heard = ear(answer)
    await client.register_listener.aio(heard)
    await client.send_event.aio("question", 1)
    await until(lambda: len(heard.events) == 2)

    assert heard.values == [1, 2]


async def test_events_of_other_processes_are_looked_for_every_200_ms(tmp_path: Path) -> None:
    clock, heard = VirtualClock(), Heard()
    url = f"sqlite:///{tmp_path / 'flows.db'}"
    async with Client(url, clock=clock) as client, Client(url) as other:
        before = clock.next_deadline()
        listener = await client.register_listener.aio(heard, ["said"])
        await turns()
        while_listening = clock.next_deadline()
        await other.send_event.aio("said", 1)
        await client.send_event.aio("more")  # which it does not hear, and which comes after
        await clock.advance(POLL)
        await until(lambda: bool(heard.events))
        await client.unregister_listener.aio(listener)
        await turns()

        assert before is None
        assert while_listening == datetime(2026, 1, 1, tzinfo=UTC) + POLL
        assert clock.next_deadline() is None
        assert heard.values == [1]


async def test_its_own_events_wake_it_at_once_also_among_several_runners(tmp_path: Path) -> None:
    clock, heard, registry = VirtualClock(), Heard(), Registry()
    url = f"sqlite:///{tmp_path / 'flows.db'}"
    async with (
        Runner(url, registry=registry, clock=clock) as runner,
        Runner(url, registry=registry),
    ):
        await runner.register_listener.aio(heard)
        await runner.send_event.aio("said", 1)
        await until(lambda: bool(heard.events))

    assert heard.values == [1]


async def test_closing_a_client_ends_its_listeners_after_what_was_sent(client: Client) -> None:
    heard = [Heard(), *(ear() for ear in BOTH)]
    for each in heard:
        await client.register_listener.aio(each)
    for value in range(20):
        await client.send_event.aio("said", value)

    await client.shutdown.aio()

    assert [each.values for each in heard] == [list(range(20))] * 3


@both
async def test_closing_waits_at_most_5_s_for_a_process_that_hangs(
    ear: type[Heard], caplog: pytest.LogCaptureFixture
) -> None:
    clock, go = VirtualClock(), threading.Event()

    def hang(_: list[Event]) -> object:
        return go.wait() if ear is Heard else forever()

    heard, client = ear(hang), Runner(":memory:", registry=Registry(), clock=clock)
    async with client:
        await client.register_listener.aio(heard)
        await client.send_event.aio("said")
        await until(lambda: bool(heard.batches))
        closing = asyncio.create_task(client.shutdown.aio())
        await turns()
        await clock.advance(LIMIT - timedelta(milliseconds=1))
        before = closing.done()
        await clock.advance(timedelta(milliseconds=1))
        await closing
        go.set()

    assert not before
    assert "1 listeners were not done" in caplog.text


async def test_a_listener_sees_what_sixteen_threads_send_at_once_in_order(client: Client) -> None:
    heard = Heard()
    await client.register_listener.aio(heard, ["n"])

    def send(thread: int) -> None:
        for n in range(20):
            client.send_event("n", [thread, n])

    await asyncio.gather(*(asyncio.to_thread(send, n) for n in range(16)))
    await until(lambda: len(heard.events) == 320)

    offsets = [event.offset or 0 for event in heard.events]
    assert offsets == sorted(set(offsets))
    for thread in range(16):
        mine = [value for value in map(str, heard.values) if value.startswith(f"[{thread}, ")]
        assert mine == [f"[{thread}, {n}]" for n in range(20)]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"begin_time": datetime(2026, 1, 1)}, ValueError, "begin_time .* has no time zone"),  # noqa: DTZ001
        ({"begin_offset": -1}, UsageError, "begin_offset .* not -1"),
        ({"event_keys": []}, ValueError, "would hear nothing"),
        ({"event_keys": [""]}, ValueError, "an event's key"),
        ({"event_keys": [1]}, TypeError, "an event's key"),
        ({"namespace": ""}, ValueError, "a namespace"),
        ({"listener_processor": object()}, TypeError, "subclass of ListenerProcessor"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    options: dict[str, object], error: type[Exception], text: str
) -> None:
    arguments: dict[str, object] = {"listener_processor": Heard(), **options}
    async with Client(":memory:") as client:
        with pytest.raises(error, match=text):
            await client.register_listener.aio(**arguments)  # type: ignore[arg-type]


def test_a_processor_without_process_cannot_be_made() -> None:
    class Deaf(ListenerProcessor):
        """It forgot something."""

    with pytest.raises(TypeError, match="process"):
        Deaf()  # type: ignore[abstract]
