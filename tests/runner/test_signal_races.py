"""A signal against all that may happen at the same time, in the orders that seeds choose.

None is lost, none is delivered twice, and of two that differ one is refused.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TypeAlias, TypeVar

import pytest

from asyncflow import (
    Client,
    Context,
    Event,
    EventAlreadySignalledError,
    EventClosedError,
    EventPhase,
    EventTimedOutError,
    Registry,
    Runner,
    TaskAction,
    VirtualClock,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    new_event,
    task,
)
from asyncflow._store.batch import Batch, Fence, Receipt, RunnerRow
from asyncflow._store.memory.store import MemoryStore
from asyncflow._store.queries import Query
from tests.runner.seeded_loop import SeededLoop, run_seeded, turns

T = TypeVar("T")
Outcome: TypeAlias = tuple[str, int | type[Exception]]
STEP = timedelta(milliseconds=10)
NAMES = ("approve", "reject")


class Slow(MemoryStore):
    """Takes a few turns before and after each transaction, as a disk would; others write it too."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.ring: Callable[[], None] = unheard
        self._chance = chance

    @property
    def shared(self) -> bool:
        return True

    async def register(self, runner: RunnerRow) -> Fence:
        return await super().register(replace(runner, address=None))

    async def commit(self, batch: Batch) -> Receipt:
        other = batch.fence is None
        late = other and self._chance.random() < 0.3
        await turns(self._chance, 100 if late else 4)  # others may be late: time goes on
        receipt = await super().commit(batch)
        if batch.signals and other:
            self.ring()  # as by a datagram
        asked = batch.awaited and self._chance.random() < 0.3
        await turns(self._chance, 100 if asked else 4)  # who else looks may see it first
        return receipt

    async def read(self, query: Query[T]) -> T:
        await turns(self._chance, 1)
        answer = await super().read(query)
        await turns(self._chance, 1)
        return answer


def unheard() -> None:
    """Ring where no runner is up yet."""


@dataclass
class Log:
    """What was seen outside of the store.

    Attributes:
        taken: the payloads of the signals that returned without an error, by event.
        refused: what the others raised.
        got: what each wait in the task returned or raised.
        others: what waits elsewhere returned or raised.
    """

    taken: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in NAMES})
    refused: list[tuple[str, int, type[Exception]]] = field(
        default_factory=list[tuple[str, int, type[Exception]]]
    )
    got: list[Outcome] = field(default_factory=list[Outcome])
    others: list[Outcome] = field(default_factory=list[Outcome])
    heard: list[int] = field(default_factory=list[int])


@dataclass
class Scene:
    """One seed: what takes part, and what it saw.

    Attributes:
        names: the events that the task makes; it waits for any of two.
        signallers: how many have not signalled yet.
    """

    chance: Random
    clock: VirtualClock = field(default_factory=VirtualClock)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        chance = self.chance
        self.names = NAMES[: chance.choice((1, 1, 2))]
        self.timeout = chance.choice((None, None, STEP, 3 * STEP))
        self.stopped = chance.random() < 0.25
        self.leaves = chance.random() < 0.15  # the task ends without waiting
        self.fails = not self.timeout and chance.random() < 0.2  # it is retried, and finds them
        self.letters = chance.random() < 0.5
        self.both = chance.random() < 0.5  # and the owner's own process signals too
        self.signallers = 0
        self.payloads = [chance.randrange(2) for _ in range(chance.randrange(1, 4))]

    def declare(self) -> Registry:
        """Declare a task that asks and waits, and one that hears the signal."""
        with Registry() as registry, Workflow("w"):

            @task(retries=1, retry_delay=0)
            async def asks(context: Context) -> None:
                await self.ask(context.try_number)

            @task()
            async def hears() -> None:
                self.log.heard.append(1)

            hears.action_on_event_received(TaskAction.START, "never")
            hears.action_on_event_received(TaskAction.RESTART, NAMES[0])  # each time
        return registry

    async def ask(self, attempt: int) -> None:
        await turns(self.chance, 5)
        events: list[Event[int]] = []
        for name in self.names:
            events.append(await new_event.aio(name, data_type=int, timeout=self.timeout))
            await turns(self.chance, 3)
        if self.fails and attempt == 1:
            raise ConnectionError("no route")
        if self.leaves:
            return
        first = await self.wait(events)
        await turns(self.chance, 3)
        for _ in range(2):  # again, the same
            self.log.got.append(await outcome(first))

    async def wait(self, events: Sequence[Event[int]]) -> Event[int]:
        if len(events) == 1:
            self.log.got.append(await outcome(events[0]))
            return events[0]
        try:
            first = await Event.wait_any.aio(*events)
        except EventClosedError as error:
            self.log.got.append((events[0].name, type(error)))
            return events[0]
        assert isinstance(first.value, int)
        self.log.got.append((first.name, first.value))
        return first

    async def signal(self, port: Client, run: str, name: str, payload: int) -> None:
        event = await self.found(port, run, name)
        await turns(self.chance, self.chance.choice((0, 30)))
        try:
            if event is not None:
                await event.signal.aio(payload)
        except (EventAlreadySignalledError, EventClosedError) as error:
            self.log.refused.append((name, payload, type(error)))
        else:
            if event is not None:
                self.log.taken[name].append(payload)
        finally:
            self.signallers -= 1

    async def look_on(self, port: Client, run: str) -> None:
        """Wait as the task does, elsewhere."""
        event = await self.found(port, run, self.names[0])
        if event is not None:
            self.log.others.append(await outcome(event))

    async def found(self, port: Client, run: str, name: str) -> Event[int] | None:
        while True:
            event = await port.event.aio(name, run)
            if event is not None:
                return event
            execution = await port.execution.aio(run)
            assert execution is not None
            if execution.status.final or await self.asked(execution):
                return None
            await turns(self.chance, 3)

    async def asked(self, execution: WorkflowExecution) -> bool:
        runs = await execution.task_executions.aio()
        return any(run.task_name == "asks" and run.status.ended for run in runs)

    async def tick(self) -> None:
        while True:
            await turns(self.chance, 10)
            await self.clock.advance(STEP)

    async def play(self) -> None:
        """Let it all happen, then look at what must hold."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        store = Slow(self.chance)
        registry = self.declare()
        client = Client(":memory:", registry=registry, clock=self.clock)
        runner = Runner(":memory:", registry=registry, clock=self.clock, grace=0)
        for each in (client, runner):
            each._store = store
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            await stack.enter_async_context(runner)
            store.ring = runner._working_engine.ownership.look_soon
            loop.mix(self.chance)
            ticking = asyncio.create_task(self.tick())
            await self.race(runner, client)
            ticking.cancel()
            loop.settle()

    async def race(self, runner: Runner, client: Client) -> None:
        execution = await runner.start.aio("w")
        run = execution.name
        ports: list[Client] = [client] if self.letters else [runner]
        if self.letters and self.both:
            ports.append(runner)
        async with asyncio.TaskGroup() as group:
            for payload in self.payloads:
                self.signallers += 1
                port, name = self.chance.choice(ports), self.chance.choice(self.names)
                group.create_task(self.signal(port, run, name, payload))
            group.create_task(self.look_on(self.chance.choice(ports), run))
            group.create_task(self.close(execution))
        events = [await client.event.aio(name, run) for name in self.names]
        done = await execution.refresh.aio()
        self.check(done, [event for event in events if event is not None])

    async def close(self, execution: WorkflowExecution) -> None:
        """Stop it at some time; or once it is idle, if no signal has started what hears it."""
        if self.stopped:
            await turns(self.chance, 60)
        else:
            while not await self.settled(execution):
                await turns(self.chance, 3)
            await turns(self.chance, 60)
        await execution.stop.aio(wait=True)

    async def settled(self, execution: WorkflowExecution) -> bool:
        runs = await (await execution.refresh.aio()).task_executions.aio()
        ended = {run.task_name for run in runs if run.status.ended}
        taken = self.log.taken
        over = "asks" in ended or not (self.leaves or self.timeout or any(taken.values()))
        heard = len(self.log.heard) >= bool(taken[NAMES[0]])
        return over and heard and self.signallers == 0

    def check(self, done: WorkflowExecution, events: Sequence[Event[int]]) -> None:
        assert done.status in {WorkflowStatus.SUCCESS, WorkflowStatus.STOPPED}
        found = {event.name: event for event in events}
        for name, taken in self.log.taken.items():
            assert len(set(taken)) <= 1, "two payloads were taken"
            if taken:
                assert (found[name].phase, found[name].value) == (EventPhase.SUCCEEDED, taken[0])
            elif name in found:
                assert found[name].phase in {EventPhase.TIMED_OUT, EventPhase.ABORTED}
        for name, payload, kind in self.log.refused:
            if kind is EventAlreadySignalledError:
                assert payload not in self.log.taken[name]
                assert self.log.taken[name]
            else:
                assert not self.log.taken[name], "closed, and signalled all the same"
        for name, what in (*self.log.got, *self.log.others):
            self.check_outcome(name, what)
        assert len(set(self.log.got)) <= 1, "another answer the second time"
        if not (self.stopped or self.leaves):
            assert len(self.log.got) == 3
        self.check_heard()

    def check_outcome(self, name: str, what: int | type[Exception]) -> None:
        if isinstance(what, int):
            assert what in self.log.taken[name], "nobody was told that this was taken"
        elif what is EventTimedOutError:
            assert self.timeout is not None
            assert not self.log.taken[name], "timed out, and signalled all the same"
        else:
            assert not self.log.taken[name]

    def check_heard(self) -> None:
        signalled = bool(self.log.taken[NAMES[0]])
        assert len(self.log.heard) <= signalled, "the rule heard it twice, or nothing"
        if signalled and not self.stopped:
            assert len(self.log.heard) == 1


async def outcome(event: Event[int]) -> Outcome:
    try:
        return event.name, await event.wait.aio()
    except EventClosedError as error:
        return event.name, type(error)


def play(seed: int) -> None:
    run_seeded(lambda: asyncio.wait_for(Scene(Random(seed)).play(), 20))


@pytest.mark.parametrize("begin", range(0, 1000, 100))
@pytest.mark.timeout(60)
def test_of_a_signal_that_races_with_everything_none_is_lost_and_none_comes_twice(
    begin: int,
) -> None:
    for seed in range(begin, begin + 100):
        play(seed)
