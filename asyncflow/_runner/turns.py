"""Turns of the loop: whoever has worked for long lets others work. It waits for nothing else."""

from collections.abc import Callable, Generator, Iterable
from types import coroutine
from typing import Final, TypeVar

from asyncflow._clock import Clock

T = TypeVar("T")

AT_ONCE: Final = 0.005
"""Seconds of the engine's work without giving the loop to others."""


SOME: Final = 8
"""Items between two looks at the clock: an item takes some microseconds."""


class Turns:
    """Gives the loop to others whenever `AT_ONCE` is over; by the runner's clock."""

    __slots__ = ("_clock", "_until")

    def __init__(self, clock: Clock) -> None:
        """Begin to count now."""
        self._clock = clock
        self._until = clock.monotonic() + AT_ONCE

    def begin(self) -> None:
        """Begin to count anew: others had their turn."""
        self._until = self._clock.monotonic() + AT_ONCE

    @property
    def over(self) -> bool:
        """Whether others should have a turn."""
        return self._clock.monotonic() > self._until

    async def go_through(self, items: Iterable[T], act: Callable[[T], object]) -> None:
        """Act on one after the other, and give others their turns."""
        for number, item in enumerate(items):
            act(item)
            if number % SOME == 0 and self.over:
                await self.give()

    async def give(self) -> None:
        """Let everybody go on who can, once."""
        await _turn()
        self.begin()


@coroutine
def _turn() -> Generator[None]:
    yield
