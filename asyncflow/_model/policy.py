"""How often, and how late, a failed attempt is tried again. Nothing here rolls dice or waits."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias, get_args

from asyncflow._model.duration import parse_duration
from asyncflow.errors import DefinitionError

Backoff: TypeAlias = Literal["fixed", "linear", "exponential"]
"""How the delay grows with each failure: not; by itself each time; twofold each time."""

DEFAULT_DELAY: Final = timedelta(seconds=1)
DEFAULT_MAX_DELAY: Final = timedelta(minutes=5)
DEFAULT_JITTER: Final = 0.1

_BACKOFFS: Final = get_args(Backoff)
_MOST_DOUBLINGS: Final = 64
"""A microsecond doubled so often is over the longest delay there can be."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When the next attempt is due.

    The defaults try never; if at all, after one second, then two, four, ... up to five minutes,
    each up to a tenth later, so that tasks that failed together do not come back together.

    Attributes:
        retries: how many attempts may follow the first.
        delay: after the first failure.
        backoff: how the delay grows.
        max_delay: where it stops growing; None: five minutes, or ``delay`` if that is longer.
        jitter: how much later, at most, as a part of the delay, 0 to 1. It is added last, so that
            an attempt never comes before its delay is over.

    Raises:
        DefinitionError: a field makes no sense; the message names it as `Operator` does.
    """

    retries: int = 0
    delay: timedelta = DEFAULT_DELAY
    backoff: Backoff = "exponential"
    max_delay: timedelta | None = None
    jitter: float = DEFAULT_JITTER

    def __post_init__(self) -> None:
        if type(self.retries) is not int or self.retries < 0:
            text = f"retries is a whole number, 0 or more, not {self.retries!r}"
            raise DefinitionError(text)
        if self.backoff not in _BACKOFFS:
            names = ", ".join(map(repr, _BACKOFFS))
            text = f"retry_backoff is one of {names}, not {self.backoff!r}"
            raise DefinitionError(text)
        if type(self.jitter) not in {int, float} or not 0 <= self.jitter <= 1:
            text = f"retry_jitter is a part of the delay, from 0 to 1, not {self.jitter!r}"
            raise DefinitionError(text)
        self._check_delays()

    def delay_for(self, failures: int, dice: float) -> timedelta:
        """Return how long after a failure the next attempt is due.

        Args:
            failures: how many attempts have failed, this one too.
            dice: from 0 up to 1, rolled by the caller.
        """
        if not self.delay:
            return self.delay
        longest, growth = self._longest(), self._growth(failures)
        # Compared before it is multiplied: the product may be more than a timedelta holds.
        delay = longest if growth > longest // self.delay else self.delay * growth
        return delay + delay * (self.jitter * dice)

    def _growth(self, failures: int) -> int:
        match self.backoff:
            case "fixed":
                return 1
            case "linear":
                return max(1, failures)
            case "exponential":
                return 1 << max(0, min(failures - 1, _MOST_DOUBLINGS))

    def _longest(self) -> timedelta:
        if self.max_delay is None:
            return max(self.delay, DEFAULT_MAX_DELAY)
        return self.max_delay

    def _check_delays(self) -> None:
        try:
            object.__setattr__(self, "delay", parse_duration(self.delay, "retry_delay", zero=True))
            if self.max_delay is not None:
                longest = parse_duration(self.max_delay, "retry_max_delay", zero=True)
                object.__setattr__(self, "max_delay", longest)
        except ValueError as error:
            raise DefinitionError(*error.args) from error
        if self._longest() < self.delay:
            text = f"retry_max_delay {self.max_delay} is shorter than retry_delay {self.delay}"
            raise DefinitionError(text)


NEVER: Final = Retry()
"""The policy that most tasks have: one object for all of them, in workflows of thousands."""
