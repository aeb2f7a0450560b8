"""Turns of the loop: whoever has worked for long lets others work. It waits for nothing else."""

from collections.abc import Generator
from types import coroutine
from typing import Final

from asyncflow._clock import Clock

AT_ONCE: Final = 0.005
"""Seconds of the engine's work without giving the loop to others."""


SOME: Final = 8
"""Questions for each look at the clock where what is done in between takes some microseconds."""

QUICK: Final = 0.0005
"""Seconds between two looks: if it were more, the next question is a look: users' code is slow."""


@coroutine
def give_turn() -> Generator[None]:
    """Let everybody go on who can, once."""
    yield


class Turns:
    """Gives the loop to others whenever `AT_ONCE` is over; by the runner's clock."""

    __slots__ = ("_clock", "_left", "_looked", "_until")

    def __init__(self, clock: Clock) -> None:
        """Begin to count now."""
        self._clock = clock
        self._left = 1  # questions until the next look
        self.begin()

    def begin(self) -> None:
        """Begin to count anew: others had their turn."""
        self._looked = self._clock.monotonic()
        self._until = self._looked + AT_ONCE

    @property
    def over(self) -> bool:
        """Whether others should have a turn; where all goes quickly, it seldom looks at the clock."""
        self._left -= 1
        if self._left > 0:
            return False
        now = self._clock.monotonic()
        self._left = SOME if now - self._looked < QUICK else 1
        self._looked = now
        return now > self._until

    async def give(self) -> None:
        """Let everybody go on who can, once."""
        await give_turn()
        self.begin()
