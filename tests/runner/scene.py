"""What the tests of the runner share: conditions of one line, and turns of the loop."""

import asyncio
from collections.abc import Awaitable, Callable

from asyncflow import Condition, Context, Event

Question = Callable[[Event, Context], bool | Awaitable[bool]]


class When(Condition):
    """Asks a function."""

    def __init__(self, ask: Question, *keys: str) -> None:
        super().__init__(keys or ["said"])
        self._ask = ask

    def is_met(self, event: Event, context: Context) -> bool | Awaitable[bool]:
        return self._ask(event, context)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it is so; the test's timeout ends what never comes."""
    while not condition():  # noqa: ASYNC110  threads set it, which know no loop
        await asyncio.sleep(0)


async def turns(number: int = 50) -> None:
    """Let happen what the loop can do without time or threads."""
    for _ in range(number):
        await asyncio.sleep(0)


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()
