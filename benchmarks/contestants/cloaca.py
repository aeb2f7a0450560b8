"""cloaca, Cloacina's Python face, on SQLite: the newest wheel that runs here may be an old one.

Its calls block; the runner has threads of its own.
"""

import os
from functools import partial
from importlib import import_module
from typing import Any

from benchmarks.contest.course import LENGTH, latencies, rates
from benchmarks.contest.heat import Figures, Heat, run


def declare(peer: Any, length: int) -> None:  # noqa: ANN401  who checks types has no cloaca
    """Declare a chain of tasks."""
    with peer.WorkflowBuilder("chain") as builder:
        builder.description("a chain")
        for number in range(length):
            before = [f"t{number - 1}"] if number else []

            @peer.task(id=f"t{number}", dependencies=before)  # type: ignore[untyped-decorator, unused-ignore]
            def link(context: Any) -> Any:  # noqa: ANN401
                context.set("done", 1)
                return context


async def execute(peer: Any, runner: Any) -> None:  # noqa: ANN401  the peer has the types
    """Run the chain."""
    result = runner.execute("chain", peer.Context({}))
    assert result.status == "Completed", result


async def w1(heat: Heat) -> Figures:
    """Run a workflow of one task."""
    peer: Any = import_module("cloaca")
    declare(peer, 1)
    runner = peer.DefaultRunner(f"sqlite://{heat.database}")
    return await latencies(partial(execute, peer, runner), heat.many)


async def w2(heat: Heat) -> Figures:
    """Run a chain."""
    peer: Any = import_module("cloaca")
    declare(peer, LENGTH)
    runner = peer.DefaultRunner(f"sqlite://{heat.database}")
    return await rates(partial(execute, peer, runner), LENGTH)


if __name__ == "__main__":
    os.environ["RUST_LOG"] = "off"
    run({"W1": w1, "W2": w2})
