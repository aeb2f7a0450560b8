"""llama-index-workflows, which keeps all in memory: nothing of it outlives its process."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

from benchmarks.contest.course import (
    LENGTH,
    Run,
    crowd,
    first,
    latencies,
    rates,
    signalled,
    until,
)
from benchmarks.contest.heat import Figures, Heat, run

PEER: Final[Any] = import_module("workflows")  # no types: who checks them has no llama-index
EVENTS: Final[Any] = import_module("workflows.events")
STOP: Final[Any] = EVENTS.StopEvent


def event(name: str) -> Any:  # noqa: ANN401  a class of the peer's
    """Make a class of events with a number."""
    return type(name, (EVENTS.Event,), {"__annotations__": {"number": int}})


LINK: Final = event("Link")
DONE: Final = event("Done")
SIGNALLED: Final = event("Signalled")


def workflow(workers: int = 4, **steps: tuple[Callable[..., Any], Any, Any]) -> Any:  # noqa: ANN401
    """Make a workflow of functions, each with the type of its event and of what it returns."""
    made: dict[str, Any] = {}
    for name, (function, takes, gives) in steps.items():
        function.__annotations__ = {"ctx": PEER.Context, "ev": takes, "return": gives}
        function.__qualname__ = f"Made.{name}"  # by its dot the peer knows a method
        made[name] = PEER.step(num_workers=workers)(function)
    return type("Made", (PEER.Workflow,), made)(timeout=None)


def one_step() -> Any:  # noqa: ANN401  the peer has the types
    """Declare a workflow of one step."""

    async def only(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
        del self, ctx, ev
        return STOP(result=1)

    return workflow(only=(only, EVENTS.StartEvent, STOP))


def chain() -> Any:  # noqa: ANN401  the peer has the types
    """Declare a step that follows itself, as often as the chain is long."""

    async def begin(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
        del self, ctx, ev
        return LINK(number=1)

    async def link(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
        del self, ctx
        return STOP(result=1) if ev.number == LENGTH - 1 else LINK(number=ev.number + 1)

    return workflow(begin=(begin, EVENTS.StartEvent, LINK), link=(link, LINK, LINK | STOP))


def wide(many: int) -> Any:  # noqa: ANN401  the peer has the types
    """Declare a workflow of many steps beside one another."""
    left = 0

    async def begin(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
        nonlocal left
        del self, ev
        left = many
        for number in range(many):
            ctx.send_event(LINK(number=number))

    async def one(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
        del self, ctx
        return DONE(number=ev.number)

    async def gather(self: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
        nonlocal left
        del self, ctx, ev
        left -= 1
        return STOP(result=1) if left == 0 else None

    return workflow(
        many,
        begin=(begin, EVENTS.StartEvent, LINK | None),
        one=(one, LINK, DONE),
        gather=(gather, DONE, STOP | None),
    )


async def w1(heat: Heat) -> Figures:
    """Run a workflow of one step."""
    return await latencies(one_step().run, heat.many)


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    del heat
    return await rates(chain().run, LENGTH)


async def w3(heat: Heat) -> Figures:
    """Run many steps beside one another."""
    return await rates(wide(heat.many).run, heat.many)


async def w4(heat: Heat) -> Figures:
    """Run many workflows beside one another."""
    one = one_step()

    async def all_of_them() -> None:
        await asyncio.gather(*(one.run() for _ in range(heat.many)))

    return await rates(all_of_them, heat.many)


class Waiting:
    """A workflow that waits for an event, and who of it waits or has gone on."""

    def __init__(self) -> None:
        """Declare it."""
        self.arrived: set[int] = set()
        self.stamps: dict[int, float] = {}
        self._handlers: dict[int, Any] = {}

        async def waits(owner: object, ctx: Any, ev: Any) -> Any:  # noqa: ANN401
            del owner
            self.arrived.add(ev.number)
            wanted = {"number": ev.number}
            await ctx.wait_for_event(SIGNALLED, requirements=wanted, timeout=None)
            self.stamps[ev.number] = time.monotonic()
            return STOP(result=None)

        self._workflow = workflow(waits=(waits, EVENTS.StartEvent, STOP))

    async def start(self, number: int) -> None:
        """Let one begin."""
        self._handlers[number] = self._workflow.run(number=number)

    async def signal(self, number: int) -> None:
        """Send one its event."""
        self._handlers[number].ctx.send_event(SIGNALLED(number=number))


async def w5(heat: Heat) -> Figures:
    """Signal one workflow after the other."""
    waiting = Waiting()

    async def wait(number: int) -> Run:
        await waiting.start(number)
        await until(partial(waiting.arrived.__contains__, number))
        return partial(waiting.signal, number)

    return await signalled(heat.many, wait, waiting.stamps)


async def w6(heat: Heat) -> Figures:
    """Let many wait, then signal them all."""
    waiting = Waiting()
    return await crowd(
        heat.many,
        waiting.start,
        lambda: len(waiting.arrived),
        waiting.signal,
        lambda: len(waiting.stamps),
    )


async def w8(heat: Heat) -> Figures:
    """Run a first workflow."""
    return await first(one_step().run, heat)


if __name__ == "__main__":
    run({"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W8": w8})
