"""A trigger that polls a web server, and remembers on disk how far it came.

Run it with ``python examples/poll_http.py``. It starts its own server, so it needs no network.
"""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

from asyncflow import Context, Runner, TriggerResult, Workflow, task, trigger

MOST = 2  # orders in one answer


class Shop:
    """A web server with a list of orders: ``GET /orders?after=2`` gives those after number 2."""

    def __init__(self) -> None:
        """Begin without orders."""
        self.port = 0
        self.orders: list[str] = []

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one request."""
        _, target, _ = (await reader.readline()).decode().split()
        after = int(parse_qs(urlsplit(target).query)["after"][0])
        numbers = range(after + 1, min(after + MOST, len(self.orders)) + 1)
        body = json.dumps([{"id": n, "item": self.orders[n - 1]} for n in numbers]).encode()
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


shop = Shop()


async def get(port: int, target: str) -> list[dict[str, Any]]:
    """Return what a server on this machine says; in a real service a library would ask."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    status = head.split(b" ", 2)[1]
    if status != b"200":
        raise ConnectionError(f"{target} is answered with status {status.decode()}")
    orders: list[dict[str, Any]] = json.loads(body)
    return orders


with Workflow("ship"):

    @task()
    async def ship(context: Context) -> None:
        """Send one order."""
        context["shipped"] = context["item"].upper()


# `cursor` is the number of the last order that was taken. It is written in the transaction that
# starts the executions: none is lost, none starts twice, whenever this process is killed. A poll
# that raises is in the trigger's history, and the next ones come later and later until one works.
@trigger(workflow="ship", poll_interval="50ms", poll_timeout="5s")
async def new_orders(cursor: int | None = None) -> TriggerResult:
    """Ask for what is new, and start an execution for each order."""
    orders = await get(shop.port, f"/orders?after={cursor or 0}")
    if not orders:
        return TriggerResult.skip()
    fires = [TriggerResult.fire(order, key=f"order {order['id']}") for order in orders]
    return TriggerResult.fire_many(fires, cursor=orders[-1]["id"])


async def serve_until(number: int, database: Path) -> None:
    """Run until so many orders have been shipped, and print them."""
    async with Runner(database) as runner:
        while True:
            history = await runner.get_trigger_execution_history.aio("new_orders")
            if len(history) == number:
                break
            await asyncio.sleep(0.05)
        for each in reversed(history):
            if execution := await runner.execution.aio(each["workflow_execution_id"] or ""):
                done = await execution.wait.aio()
                print(f"  {each['key']}: {done.status} {done.final_context['shipped']}")


async def main(database: Path) -> None:
    """Serve some orders, stop, and go on in another runner where the first one was."""
    server = await asyncio.start_server(shop.answer, "127.0.0.1", 0)
    shop.port = server.sockets[0].getsockname()[1]
    async with server:
        shop.orders += ["apples", "pears", "plums"]
        print("The first runner:")
        await serve_until(3, database)
        shop.orders += ["quinces", "figs"]
        print("The second one, which goes on where the first was:")
        await serve_until(5, database)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder, "shop.db")))
