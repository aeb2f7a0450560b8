"""An event loop that runs what is ready in an order that a seed chooses, and lets some of it wait.

asyncio runs callbacks in the order of their coming; nothing of ours may lean on it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

_run_once: Callable[[asyncio.BaseEventLoop], None] = vars(asyncio.BaseEventLoop)["_run_once"]


class SeededLoop(asyncio.SelectorEventLoop):
    """Behaves as asyncio's own until `mix` is called; `settle` ends that."""

    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        """Run everything in order."""
        super().__init__()
        self._chance: Random | None = None

    def mix(self, chance: Random) -> None:
        """Choose the order from the next turn on."""
        self._chance = chance

    def settle(self) -> None:
        """Run everything in order again."""
        self._chance = None

    def _run_once(self) -> None:
        held = self._shuffled()
        _run_once(self)
        self._ready.extendleft(held)

    def _shuffled(self) -> list[asyncio.Handle]:
        """Shuffle what is ready; take out what is to wait for another turn, never all of it."""
        if self._chance is None or len(self._ready) < 2:
            return []
        ready = list(self._ready)
        self._chance.shuffle(ready)
        held = [handle for handle in ready[1:] if self._chance.random() < 0.25]
        self._ready.clear()
        self._ready.extend(handle for handle in ready if handle not in held)
        return held


async def turns(chance: Random, most: int) -> None:
    """Let the loop turn a few times, perhaps not at all."""
    for _ in range(chance.randrange(most + 1)):
        await asyncio.sleep(0)


def run_seeded(main: Callable[[], Any]) -> None:
    """Run a coroutine to its end on such a loop."""
    with asyncio.Runner(loop_factory=SeededLoop) as runner:
        runner.run(main())
