"""Webhooks are told of events by a real server's word, at the engine's own time."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Gate
from threading import Thread
from typing import Any

import pytest

from asyncflow import VirtualClock, Webhook
from asyncflow._client.bodies import Bodies
from asyncflow._clock import START
from asyncflow._model.record import AwaitedRecord
from asyncflow._runner.webhooks import Webhooks
from asyncflow._store.batch import Notified
from tests.runner.scene import turns, until

BASE = "https://ops.example/flow"
URI = f"{BASE}/events/run%2F1/ship-1-event-ok%3F-1/signal"


def awaited(id_: int = 7) -> AwaitedRecord:
    """Return an event as it is right after its task has made it."""
    return AwaitedRecord(
        id=id_,
        execution=1,
        run_name="run/1",
        namespace="default",
        task_name="ship",
        sequence_number=1,
        name="ok?",
        place=1,
        data_type="bool",
        created=START,
        prompt="Ship it?",
    )


class Server(ThreadingHTTPServer):
    """Answers with the statuses that it is given, then with 204; keeps what it was sent."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[object] = []
        self.kinds: list[str | None] = []
        self.gate = Gate()
        self.gate.set()
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Answer(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        text = self.rfile.read(int(self.headers["Content-Length"]))
        server.kinds.append(self.headers["Content-Type"])
        server.bodies.append(json.loads(text))
        server.gate.wait()
        self.send_response(server.statuses.pop(0) if server.statuses else 204)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  not on stderr
        pass


@contextmanager
def serving(*statuses: int) -> Generator[Server]:
    server = Server(*statuses)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Scene:
    """Webhooks with a clock that stands still, and what they have noted."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.noted: list[Notified] = []
        self.begun: list[asyncio.Task[None]] = []
        self.hooks = Webhooks(self._spawn, self.clock, BASE, self.noted.append)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.begun.append(Bodies().start(coroutine))
        return self.begun[-1]

    async def passes(self, seconds: float) -> None:
        """Let time pass, once somebody waits for just that."""
        due = self.clock.now() + timedelta(seconds=seconds)
        await until(lambda: self.clock.next_deadline() == due)
        await self.clock.advance_to(due)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]  used by pytest
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@asynccontextmanager
async def scene() -> AsyncGenerator[Scene]:
    made = Scene()
    try:
        yield made
    finally:
        await made.hooks.close()


async def test_a_payload_is_posted_with_the_address_that_answers_the_event() -> None:
    payload = {"text": "Ship it? {callback_uri}", "actions": [{"url": "{callback_uri}"}], "n": 1}

    with serving() as server:
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url, payload))
            await until(lambda: bool(s.noted))

    assert s.noted == [Notified(7, START)]
    assert server.bodies == [{"text": f"Ship it? {URI}", "actions": [{"url": URI}], "n": 1}]
    assert server.kinds == ["application/json"]


async def test_without_a_payload_all_that_the_event_shows_is_posted() -> None:
    with serving(200) as server:
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url))
            await until(lambda: bool(s.noted))

    (body,) = server.bodies
    assert isinstance(body, dict)
    assert body["callback_uri"] == URI
    assert body["prompt"] == "Ship it?"
    assert (body["expected_type"], body["phase"]) == ("bool", "RUNNING")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_is_out_of_order_is_asked_three_times_at_growing_pauses(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(status, status) as server:
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url))
            await s.passes(1)
            await s.passes(5)
            await until(lambda: bool(s.noted))

    assert s.noted == [Notified(7, START + timedelta(seconds=6))]
    assert len(server.bodies) == 3
    assert not caplog.records


async def test_after_three_attempts_the_failure_is_noted_and_logged_with_its_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(500, 502, 503) as server:
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url))
            await s.passes(1)
            await s.passes(5)
            await until(lambda: bool(s.noted))

    assert [each.error for each in s.noted] == ["HTTP status 503"]
    assert len(server.bodies) == 3
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("asyncflow.webhooks", logging.WARNING)
    assert "event 'ok?' of task 'ship' of 'run/1' failed: HTTP status 503" in line.getMessage()


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
async def test_what_will_not_be_taken_the_next_time_is_posted_once(status: int) -> None:
    with serving(status) as server:
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url))
            await until(lambda: bool(s.noted))

    assert s.noted == [Notified(7, START, f"HTTP status {status}")]
    assert len(server.bodies) == 1


async def test_a_server_that_is_not_there_is_tried_three_times() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with scene() as s:
        s.hooks.send(awaited(), Webhook(f"http://127.0.0.1:{port}/"))
        await s.passes(1)
        await s.passes(5)
        await until(lambda: bool(s.noted))

    (noted,) = s.noted
    assert noted.error is not None
    assert noted.error.startswith("ConnectError: ")


async def test_a_server_that_does_not_answer_has_ten_seconds_at_each_attempt() -> None:
    with serving() as server:
        server.gate.clear()
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url))
            for pause in (1, 5):
                await until(lambda: s.clock.next_deadline() is not None)
                await s.passes(10)
                await s.passes(pause)
            await s.passes(10)
            await until(lambda: bool(s.noted))
            server.gate.set()

    assert [each.error for each in s.noted] == ["no answer within 10 s"]


async def test_a_webhook_that_hangs_does_not_hold_up_another_one() -> None:
    with serving() as slow, serving() as quick:
        slow.gate.clear()
        async with scene() as s:
            s.hooks.send(awaited(1), Webhook(slow.url))
            s.hooks.send(awaited(2), Webhook(quick.url))
            await until(lambda: bool(s.noted))

    assert s.noted == [Notified(2, START)]


async def test_closing_breaks_off_what_is_under_way_and_notes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving() as server:
        server.gate.clear()
        async with scene() as s:
            s.hooks.send(awaited(1), Webhook(server.url))
            await until(lambda: len(server.bodies) == 1)

            await s.hooks.close()
            await s.hooks.close()
            s.hooks.send(awaited(2), Webhook(server.url))

    assert (s.noted, len(s.begun), caplog.records) == ([], 1, [])
    assert s.begun[0].cancelled()


async def test_closing_before_the_first_was_sent_notes_nothing() -> None:
    async with scene() as s:
        s.hooks.send(awaited(1), Webhook("http://127.0.0.1:1/"))
        await s.hooks.close()

    assert s.noted == []


async def test_what_is_under_way_is_not_begun_again_but_later_it_is() -> None:
    with serving() as server:
        server.gate.clear()
        async with scene() as s:
            s.hooks.send(awaited(), Webhook(server.url))
            s.hooks.send(awaited(), Webhook(server.url))
            await until(lambda: len(server.bodies) == 1)
            server.gate.set()
            await until(lambda: len(s.noted) == 1)
            await turns()
            assert len(server.bodies) == 1

            s.hooks.send(awaited(), Webhook(server.url))
            await until(lambda: len(s.noted) == 2)

    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "url", ["http://", "http://[", "http://a:b:c/", "https://\x7f/", "http:///x"]
)
async def test_an_address_that_means_nothing_is_noted(url: str) -> None:
    async with scene() as s:
        s.hooks.send(awaited(), Webhook(url))
        done: Callable[[], bool] = lambda: bool(s.noted)  # noqa: E731  typed
        while not done():
            await turns()
            due = s.clock.next_deadline()
            if due is not None:
                await s.clock.advance_to(due)

    (noted,) = s.noted
    assert noted.error


async def test_without_httpx_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "asyncflow._runner.posting", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)  # what importing it finds where it is missing

    async with scene() as s:
        s.hooks.send(awaited(), Webhook("http://127.0.0.1:1/"))
        await until(lambda: bool(s.noted))

    (noted,) = s.noted
    assert noted.error == "webhooks need httpx: pip install httpx"


async def test_two_hundred_at_once_are_all_told() -> None:
    with serving() as server:
        async with scene() as s:
            for id_ in range(200):
                s.hooks.send(awaited(id_), Webhook(server.url))
            await until(lambda: len(s.noted) == 200)

    assert {each.awaited for each in s.noted} == set(range(200))
    assert [each.error for each in s.noted if each.error] == []
