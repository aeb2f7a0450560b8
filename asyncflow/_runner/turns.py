"""Turns of the loop: whoever has worked for long lets others work. It waits for nothing else."""

from collections.abc import Generator
from types import coroutine
from typing import Final

from asyncflow._clock import Clock

AT_ONCE: Final = 0.005
"""Seconds of the engine's work without giving the loop to others."""


SOME: Final = 8
"""Questions for each look at the clock: what is done in between takes some microseconds."""


@coroutine
def give_turn() -> Generator[None]:
    """Let everybody go on who can, once."""
    yield


class Turns:
    """Gives the loop to others whenever `AT_ONCE` is over; by the runner's clock."""

    __slots__ = ("_asked", "_clock", "_until")

    def __init__(self, clock: Clock) -> None:
        """Begin to count now."""
        self._clock = clock
        self._asked = 0
        self._until = clock.monotonic() + AT_ONCE

    def begin(self) -> float:
        """Begin to count anew, since others had their turn; return the clock's seconds."""
        now = self._clock.monotonic()
        self._until = now + AT_ONCE
        return now

    @property
    def over(self) -> bool:
        """Whether others should have a turn; it looks at the clock at each eighth question."""
        self._asked += 1
        return self._asked % SOME == 0 and self.past

    @property
    def past(self) -> bool:
        """The same, with a look at the clock each time: where what is done in between may be long.

        Such are conditions, which are users' code, and the reading of contexts.
        """
        return self._clock.monotonic() > self._until

    async def give(self) -> None:
        """Let everybody go on who can, once."""
        await give_turn()
        self.begin()
