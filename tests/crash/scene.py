"""A program that passes every failpoint, and finishes what an earlier run of it has begun.

Two runners work, one after the other, and clients ask beside and between them. Each step is taken
until it is acknowledged, in this process or in one before it; then it is in the book and not taken
again. Usage: main(DATABASE, LOG).
"""

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from asyncflow import (
    Client,
    Context,
    Event,
    EventTimedOutError,
    ExecutionExistsError,
    FencedError,
    ListenerProcessor,
    Registry,
    Runner,
    SingleEventCondition,
    StoreError,
    TaskAction,
    TriggerResult,
    Workflow,
    WorkflowRule,
    new_event,
    task,
    trigger,
)
from asyncflow._failpoint import FailpointError
from tests.crash.book import Book

ITEMS: Final = 4
TICKS: Final = 3
MOST_TRIES: Final = 20
"""A failpoint in a task makes an attempt fail."""
BIG: Final = 10
BYTES: Final = 500_000
MOST_REFUSALS: Final = 8
LOOK: Final = 0.005


class Ear(ListenerProcessor):
    """Remembers offsets."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    async def process(self, events: list[Event]) -> None:
        self.offsets += [each.offset for each in events if each.offset is not None]


def ran(book: Book, context: Context) -> None:
    """Do what is outside of the database."""
    book.write(
        "ran",
        context.execution_name,
        context.task_name,
        str(context.sequence_number),
        str(context.try_number),
    )


def declare(book: Book) -> Registry:
    """Declare all that runs."""
    with Registry() as registry:
        declare_chain(book)
        declare_waiting(book)
        for name in ("ruled", "ticked", "polled", "off"):
            with Workflow(name):

                @task(id="only", retries=MOST_TRIES, retry_delay="20ms")
                async def only(context: Context) -> str:
                    ran(book, context)
                    return context.task_name

        @trigger("polled", name="feed", poll_interval="10ms", dedup="forever")
        async def feed(cursor: object) -> TriggerResult:
            number = cursor if isinstance(cursor, int) else 0
            if number == ITEMS:
                return TriggerResult.skip()
            return TriggerResult.fire({"item": number}, key=f"item-{number}", cursor=number + 1)

    return registry


def declare_chain(book: Book) -> None:
    with Workflow("chain"):

        @task(retries=MOST_TRIES, retry_delay="20ms")
        async def first(context: Context) -> str:
            ran(book, context)
            context["first"] = context.execution_name
            return "first"

        @task(dependencies=[first], retries=MOST_TRIES, retry_delay="20ms")
        async def flaky(context: Context) -> str:
            ran(book, context)
            if context.try_number == 1:
                raise ConnectionError("no route")
            return "flaky"

        @task(dependencies=[flaky], retries=MOST_TRIES, retry_delay="20ms")
        def last(context: Context) -> str:
            ran(book, context)
            return "last"

    with Workflow("careful"):

        @task(idempotent=False)  # nor tried again: what a failpoint makes of it may be a failure
        async def careful(context: Context) -> str:
            ran(book, context)
            return "careful"


def declare_waiting(book: Book) -> None:
    with Workflow("asks"):

        @task(retries=MOST_TRIES, retry_delay="20ms")
        async def asks(context: Context) -> int:
            event = await new_event.aio("approve", data_type=int)
            answer = await event.wait.aio()
            late = await new_event.aio("late", timeout="20ms")
            with suppress(EventTimedOutError):
                await late.wait.aio()
            ran(book, context)
            return answer

    with Workflow("endless"):

        @task(retries=MOST_TRIES, retry_delay="20ms")
        async def waits(context: Context) -> None:
            ran(book, context)
            await asyncio.get_running_loop().create_future()

        @task(retries=MOST_TRIES, retry_delay="20ms")
        async def hears(context: Context) -> None:
            ran(book, context)

        hears.action_on_event_received(TaskAction.START, "said")


class Scene:
    """Steps, asked of one port."""

    def __init__(self, port: Client, book: Book, works: Runner | None = None) -> None:
        """Ask ``port``; ``works`` is who is to do what it asks for."""
        self.port = port
        self.book = book
        self.works = works

    async def step(self, label: str, call: Callable[[], Awaitable[object]]) -> None:
        """Take a step until it is acknowledged. A runner that has ended raises what else there is.

        A name that is taken is that of an earlier try, which was stored.
        """
        refusals = 0
        while label not in self.book.acked:
            try:
                value = await call()
            except ExecutionExistsError:
                value = None
            except (StoreError, FailpointError, CancelledError) as error:
                refusals += 1
                if isinstance(error, FencedError) or refusals > MOST_REFUSALS:
                    raise
                continue
            self.book.ack(label, value)

    async def start(self, workflow: str, name: str) -> None:
        await self.step(f"start {name}", lambda: self._start(workflow, name))

    async def _start(self, workflow: str, name: str) -> None:
        await self.port.start.aio(workflow, name=name)

    async def send(self, key: str, value: int) -> None:
        await self.step(f"event {key} {value}", lambda: self._send(key, value))

    async def _send(self, key: str, value: int) -> int | None:
        return (await self.port.send_event.aio(key, value)).offset

    async def fill(self, number: int) -> None:
        """Write so much that the WAL is taken into the database."""
        labels = (f"big {number} {each}" for each in range(BIG))
        await asyncio.gather(*(self.step(label, self._fill) for label in labels))

    async def _fill(self) -> None:
        await self.port.send_event.aio("big", "x" * BYTES)

    async def signal(self, name: str, value: int) -> None:
        await self.step(f"signal {name}", lambda: self._signal(name, value))

    async def _signal(self, name: str, value: int) -> int:
        event = await self.awaited(name)
        await event.signal.aio(value)
        return value

    async def awaited(self, name: str) -> Event[int]:
        """Return the event of an execution, as soon as it is there."""
        while True:
            event = await self.port.event.aio("approve", name)
            if event is not None:
                return event
            self.check_driver()
            await asyncio.sleep(LOOK)

    def check_driver(self) -> None:
        """Raise if the runner works no more: who polls, or is a client, does not notice it."""
        if self.works is not None:
            self.works._working_engine.driver.check()

    async def result(self, name: str) -> None:
        await self.step(f"result {name}", lambda: self._result(name))

    async def _result(self, name: str) -> dict[str, object]:
        done = await self.port.wait.aio(name)
        return {each.task_name: each.result for each in await done.task_executions.aio()}

    async def stop(self, name: str) -> None:
        await self.step(f"stop {name}", lambda: self._stop(name))

    async def _stop(self, name: str) -> None:
        await self.port.stop.aio(name)
        while (found := await self.port.execution.aio(name)) and not found.status.final:
            self.check_driver()
            await asyncio.sleep(LOOK)

    async def ended(self, workflow: str | None, at_least: int) -> None:
        """Wait until so many executions have ended, and none runs."""
        while True:
            found = [each async for each in self.port.executions.aio(workflow)]
            if len(found) >= at_least and all(each.status.final for each in found):
                return
            self.check_driver()
            await asyncio.sleep(LOOK)

    async def heard(self, ear: Ear) -> None:
        """Wait until a listener has heard all events of its key that were acknowledged."""
        acked = self.book.acked.items()
        offsets = {value for label, value in acked if label.startswith("event said")}
        while not offsets <= set(ear.offsets):
            self.check_driver()
            await asyncio.sleep(LOOK)


async def first(scene: Scene) -> None:
    """Begin with everything, and leave something to the second."""
    port = scene.port
    await scene.step("schedule", lambda: _registered(port, "ticked"))
    await scene.step("other schedule", lambda: _other(port))
    await scene.step("off", lambda: port.disable_workflow.aio("off"))
    await scene.step("schedule off", lambda: _registered(port, "off"))
    await scene.fill(1)
    await scene.start("chain", "chain-1")
    await scene.start("careful", "careful-1")
    await scene.start("asks", "asks-1")
    await scene.start("endless", "endless-1")
    await scene.signal("asks-1", 7)
    await scene.send("said", 1)
    await scene.send("go", 1)
    await scene.stop("endless-1")
    await scene.result("chain-1")
    await scene.result("asks-1")
    await scene.start("asks", "asks-2")
    await scene.awaited("asks-2")


async def _registered(port: Client, workflow: str) -> None:
    await port.register_schedule.aio(workflow, "100ms", catchup="all", overlap="allow")


async def _other(port: Client) -> None:
    await port.register_schedule.aio("ticked", "@daily", name="daily")


async def between(scene: Scene) -> None:
    """Ask while nobody works."""
    await scene.signal("asks-2", 8)
    await scene.start("chain", "chain-2")
    await scene.send("said", 2)


async def beside(scene: Scene) -> None:
    """Ask while somebody else works."""
    await scene.start("chain", "chain-3")
    await scene.start("endless", "endless-3")
    await scene.start("careful", "careful-3")
    await scene.send("go", 2)
    await scene.stop("endless-3")


async def second(scene: Scene, ear: Ear) -> None:
    """See everything through."""
    port = scene.port
    for name in ("asks-2", "chain-2", "chain-3"):
        await scene.result(name)
    await scene.fill(2)
    await scene.start("asks", "asks-3")
    await scene.signal("asks-3", 9)
    await scene.result("asks-3")
    await scene.send("said", 3)
    await scene.ended("polled", ITEMS)
    await scene.ended("ticked", TICKS)
    await scene.step("disable", lambda: port.disable_schedule.aio("ticked"))
    await scene.step("drop", lambda: port.delete_schedule.aio("daily"))
    await scene.step("disable workflow", lambda: port.disable_workflow.aio("chain"))
    await scene.step("enable workflow", lambda: port.enable_workflow.aio("chain"))
    await scene.ended("ruled", 2)
    await scene.ended(None, 0)
    await scene.heard(ear)


def runner(database: str, registry: Registry) -> Runner:
    rule = WorkflowRule(SingleEventCondition("go"))
    rules = [("ruled", rule)]
    return Runner(
        database, registry=registry, rules=rules, grace="200ms", retention="30d", lease="200ms"
    )


async def main(database: str, log: str) -> None:
    """Do what is left to do."""
    book = Book(Path(log))
    registry = declare(book)
    if "first" not in book.acked:
        async with runner(database, registry) as port:
            await port.register_listener.aio(Ear(), ["said"], begin_offset=0)
            await first(Scene(port, book, port))
        book.ack("first")
    async with Client(database, registry=registry) as client:
        await between(Scene(client, book))
    ear = Ear()
    async with runner(database, registry) as port:
        await port.register_listener.aio(ear, ["said"], begin_offset=0)
        async with Client(database, registry=registry) as client:  # it rings whom it finds
            await beside(Scene(client, book, port))
        await second(Scene(port, book, port), ear)
    book.ack("second")
