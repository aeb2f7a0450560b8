"""Prefect, with a temporary server of its own on SQLite, in a process beside this one."""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contest.course import LENGTH, latencies, rates
from benchmarks.contest.heat import Figures, Heat, given, run

Flow = Callable[[], Awaitable[Any]]


def flow_of(peer: Any, length: int) -> Flow:  # noqa: ANN401  who checks types has no Prefect
    """Declare a flow of tasks, one after the other."""

    @peer.task  # type: ignore[untyped-decorator, unused-ignore]
    async def one() -> int:
        return 1

    @peer.flow  # type: ignore[untyped-decorator, unused-ignore]
    async def chain() -> int:
        for _ in range(length):
            await one()
        return length

    flow: Flow = chain
    return flow


async def with_server(length: int, measure: Callable[[Flow], Awaitable[Figures]]) -> Figures:
    """Measure a flow while a server runs."""
    peer: Any = import_module("prefect")
    settings: Any = import_module("prefect.settings")
    server: Any = import_module("prefect.server.api.server").SubprocessASGIServer()
    server.start()
    try:
        with settings.temporary_settings({settings.PREFECT_API_URL: server.api_url}):
            return await measure(flow_of(peer, length))
    finally:
        server.stop()


async def w1(heat: Heat) -> Figures:
    """Run a flow of one task."""
    return await with_server(1, partial(latencies, many=heat.many))


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    del heat
    return await with_server(LENGTH, partial(rates, units=LENGTH))


if __name__ == "__main__":
    os.environ["PREFECT_HOME"] = str(Path(given().folder) / "prefect")
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"  # 20 s can be too few
    run({"W1": w1, "W2": w2})
