"""A webhook asks for an approval, and the answer comes to the address that it was told.

Run it with ``python examples/webhook_approval.py``; it needs ``pip install httpx``.
One server on this machine plays both parts: the chat that shows the question, and the service
that takes the answer.
"""

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import Request, urlopen

from asyncflow import Client, Runner, Webhook, Workflow, new_event, task


class Server(ThreadingHTTPServer):
    """Knows whom to ask about events."""

    client: Client


server = Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
ADDRESS = f"http://127.0.0.1:{server.server_port}"

with Workflow("release") as release:

    @task()
    async def deploy() -> str:
        """Ask in the chat, and ship."""
        question = Webhook(
            f"{ADDRESS}/chat",
            payload={"text": "Ship 1.2?", "buttons": {"yes": "{callback_uri}"}},
        )
        approval = await new_event.aio("approve", prompt="Ship 1.2?", webhook=question)
        return "shipped" if await approval.wait.aio() else "rejected"


class Both(BaseHTTPRequestHandler):
    """Takes messages for the chat, and answers for the service."""

    def do_POST(self) -> None:
        """Take either."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.show(body) if self.path == "/chat" else self.take(body)
        with suppress(ConnectionError):
            self.send_response(status)
            self.end_headers()

    def show(self, message: dict[str, dict[str, str]]) -> int:
        """Show a message in the chat, where somebody presses a button at once."""
        print("the chat shows:", message["text"])
        Thread(target=press, args=[message["buttons"]["yes"]]).start()
        return 204

    def take(self, approved: bool) -> int:
        """Take an answer. A real service first finds out who answers, and whether they may."""
        assert isinstance(self.server, Server)
        event = self.server.client.event_at(self.path)
        if event is None:
            return 404
        event.signal(approved, by="the chat")
        return 204

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write nothing."""


def press(address: str) -> None:
    """Do what a button does."""
    with urlopen(Request(address, data=b"true", method="POST")):
        pass


def main() -> None:
    """Ship one version, and print who let it."""
    server.RequestHandlerClass = Both
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    try:
        with Runner(":memory:", callback_uri=f"{ADDRESS}/flow") as runner:
            server.client = runner
            execution = runner.execute(release)
            (event,) = runner.events(execution.name)
            (run,) = execution.task_executions()
            print(f"{run.result}, as {event.signalled_by} says")
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
