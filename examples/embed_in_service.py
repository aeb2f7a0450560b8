"""Workflows inside a service: a small TCP server that starts one for each order.

    python examples/embed_in_service.py [--port 8765] [--database PATH]

It reads lines and answers each with one line:

    order 3 apples       accepted order-0a1b2c3d4e5f
    status order-0a...   SUCCESS {"item": "apples", ...}
    cancel order-0a...   stopping

Ctrl-C or SIGTERM ends it: no new requests, running tasks get a grace period, then it exits.
What is not done then, the next start goes on with.
"""

import argparse
import asyncio
import json
import re
import signal
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from weakref import WeakSet

from asyncflow import AsyncflowError, Context, Runner, Workflow, task

AMOUNT = re.compile("[0-9]{1,9}")

with Workflow("order"):

    @task(id="reserve")
    async def reserve(context: Context) -> None:
        """Take the goods from the shelf; the key is the same if a crash makes it run again."""
        context["reservation"] = context.idempotency_key

    @task(id="charge", retries=3, retry_delay="100ms", timeout="10s")
    async def charge(context: Context) -> None:
        """Ask for the money: three more attempts, of ten seconds at most each."""
        context["charged"] = context["amount"] * 2

    @task(id="ship", dependencies=[reserve, charge])
    async def ship(context: Context) -> str:
        """Send it, once both are done."""
        return f"{context['amount']} {context['item']} are on their way"


async def answer(runner: Runner, line: str) -> str:
    """Do what a request says. `start` returns once the execution is on disk, not when it ends."""
    match line.split():
        case ["order", amount, item] if AMOUNT.fullmatch(amount):
            started = await runner.start.aio("order", {"amount": int(amount), "item": item})
            return f"accepted {started.name}"
        case ["status", name]:
            found = await runner.execution.aio(name)
            if found is None:
                return f"error: no order {name}"
            return f"{found.status} {json.dumps(found.final_context)}"
        case ["cancel", name]:
            await runner.stop.aio(name)
            return "stopping"
        case _:
            return "error: say order AMOUNT ITEM, status NAME or cancel NAME"


async def serve(runner: Runner, reader: StreamReader, writer: StreamWriter) -> None:
    """Answer one client's lines until it goes away."""
    try:
        while line := await reader.readline():
            try:
                text = await answer(runner, line.decode(errors="replace"))
            except AsyncflowError as error:
                text = f"error: {error}"
            writer.write(f"{text}\n".encode())
            await writer.drain()
    except ValueError:  # what `readline` says of a line over 64 KB
        writer.write(b"error: the line is too long\n")
    except ConnectionError:
        pass  # the client is gone; what it ordered goes on
    finally:
        writer.close()


async def main(port: int, database: Path) -> None:
    """Serve until a signal comes."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    # The runner opens first and closes last, so that no request finds it closed.
    async with Runner(database) as runner, asyncio.TaskGroup() as clients:
        writers = WeakSet[StreamWriter]()

        def connected(reader: StreamReader, writer: StreamWriter) -> None:
            writers.add(writer)
            clients.create_task(serve(runner, reader, writer))

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await ended.wait()
        server.close()
        for writer in tuple(writers):
            writer.close()  # its reader comes to an end
    print("closed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take orders on a TCP port of this machine.")
    parser.add_argument("--port", type=int, default=8765, help="0 takes any that is free")
    parser.add_argument("--database", type=Path, default=Path("asyncflow-orders.db"))
    given = parser.parse_args()
    try:
        asyncio.run(main(given.port, given.database))
    except (OSError, AsyncflowError) as problem:  # the port is taken, or the database no database
        sys.exit(f"embed_in_service: {problem}")
