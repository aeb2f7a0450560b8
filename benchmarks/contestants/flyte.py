"""Flyte in its local mode, no cluster: nothing on disk, or with the cache each task's result."""

import asyncio
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, Final

from benchmarks.contest.course import LENGTH, first, latencies, rates
from benchmarks.contest.heat import Figures, Heat, given, run

PEER: Final[Any] = import_module("flyte")  # no types: who checks them has no Flyte
CACHED: Final = given().variant == "cache"
NUMBERS: Final = count()
"""Each call has an argument of its own, so that the cache never answers one."""

ENVIRONMENT: Final[Any] = PEER.TaskEnvironment(
    name="benchmarks",
    cache=PEER.Cache(behavior="auto", version_override="1") if CACHED else "disable",
)
FREE: Final[Any] = PEER.TaskEnvironment(name="uncached")


@ENVIRONMENT.task  # type: ignore[untyped-decorator, unused-ignore]
async def one(number: int) -> int:
    """Do nothing."""
    return number


@FREE.task  # type: ignore[untyped-decorator, unused-ignore]
async def chain(length: int) -> int:
    """Run one task after the other."""
    for _ in range(length):
        await one(next(NUMBERS))
    return length


@FREE.task  # type: ignore[untyped-decorator, unused-ignore]
async def wide(many: int) -> int:
    """Run many tasks beside one another."""
    await asyncio.gather(*(one(next(NUMBERS)) for _ in range(many)))
    return many


async def local(task: Any, many: int | None = None) -> None:  # noqa: ANN401  the peer's
    """Run a task as a workflow."""
    runs = PEER.with_runcontext(mode="local", disable_run_cache=not CACHED)
    await runs.run.aio(task, next(NUMBERS) if many is None else many)


async def w1(heat: Heat) -> Figures:
    """Run a workflow of one task."""
    PEER.init()
    return await latencies(partial(local, one), heat.many)


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    del heat
    PEER.init()
    return await rates(partial(local, chain, LENGTH), LENGTH)


async def w3(heat: Heat) -> Figures:
    """Run many tasks beside one another."""
    PEER.init()
    return await rates(partial(local, wide, heat.many), heat.many)


async def w4(heat: Heat) -> Figures:
    """Run many workflows beside one another."""
    PEER.init()

    async def all_of_them() -> None:
        await asyncio.gather(*(local(one) for _ in range(heat.many)))

    return await rates(all_of_them, heat.many)


async def w8(heat: Heat) -> Figures:
    """Run a first workflow."""
    PEER.init()
    return await first(partial(local, one), heat)


if __name__ == "__main__":
    run({"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W8": w8})
