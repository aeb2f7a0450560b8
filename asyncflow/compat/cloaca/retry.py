"""Cloacina's retry policies, read into asyncflow's options of a task. Nothing here waits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

from asyncflow import DefinitionError

Strategy: TypeAlias = Literal["fixed", "linear", "exponential"]

_JITTER = 0.25
FIELDS: Final = {
    "retry_attempts": "attempts",
    "retry_delay_ms": "delay",
    "retry_max_delay_ms": "longest",
    "retry_backoff": "strategy",
    "retry_jitter": "jitter",
    "retry_condition": "condition",
}
"""Fields of a `RetryPolicy`, by the names of the options."""

_TRANSIENT: Final = (
    *("timeout", "timed out", "connection", "network", "temporary", "unavailable"),
    *("busy", "overloaded", "rate limit"),
)
"""Of errors that pass: what their type or their text contains."""

_CONDITIONS: Final[dict[str, tuple[str, ...] | None]] = {
    "all": None,
    "never": (),
    "transient": _TRANSIENT,
}


class RetryOptions(TypedDict):
    """Options of an asyncflow task."""

    retries: int
    retry_delay: timedelta
    retry_backoff: Strategy
    retry_max_delay: timedelta
    retry_jitter: float
    retry_if: Callable[[BaseException], bool] | None


@dataclass(frozen=True, slots=True)
class BackoffStrategy:
    """How the delay grows with each failure; make it with its class methods."""

    name: Strategy
    multiplier: float = 1.0

    @classmethod
    def fixed(cls) -> "BackoffStrategy":
        """Not at all."""
        return cls("fixed")

    @classmethod
    def linear(cls, multiplier: float = 1.0) -> "BackoffStrategy":
        """By the first delay, times the multiplier, each time."""
        return cls("linear", _factor(multiplier))

    @classmethod
    def exponential(cls, base: float = 2.0, multiplier: float | None = None) -> "BackoffStrategy":
        """Twofold each time; the first delay is multiplied.

        Raises:
            DefinitionError: another base than 2.
        """
        if base != 2:  # noqa: PLR2004  the only one there is
            text = f"an exponential delay doubles in asyncflow, its base is 2, not {base!r}"
            raise DefinitionError(text)
        return cls("exponential", 1.0 if multiplier is None else _factor(multiplier))


@dataclass(frozen=True, slots=True)
class RetryCondition:
    """After which errors a task is tried again; make it with its class methods.

    Attributes:
        patterns: one of these is in the error, as ``"ValueError: text"``, in capitals or not; None:
            after every error.
    """

    patterns: tuple[str, ...] | None

    @classmethod
    def never(cls) -> "RetryCondition":
        """After none."""
        return cls(())

    @classmethod
    def all_errors(cls) -> "RetryCondition":
        """After each."""
        return cls(None)

    @classmethod
    def transient_only(cls) -> "RetryCondition":
        """After a timeout, or one that speaks of a connection, a network, a rate limit, ...."""
        return cls(_TRANSIENT)

    @classmethod
    def error_pattern(cls, patterns: Sequence[str]) -> "RetryCondition":
        """After one whose type or text contains one of these texts, in capitals or not.

        Raises:
            DefinitionError: there is none, or one is no text.
        """
        found: object = patterns
        if not isinstance(found, list | tuple) or not found or not all(map(_is_text, found)):
            text = f"error_pattern takes a list of texts, at least one, not {patterns!r}"
            raise DefinitionError(text)
        return cls(tuple(patterns))

    def allows(self, error: BaseException | str) -> bool:
        """Say whether an attempt may follow an error, or one of that type or text."""
        if self.patterns is None:
            return True
        if isinstance(error, str):
            told = error.lower()
        else:
            told = f"{type(error).__name__}: {error}".lower()
        return any(each.lower() in told for each in self.patterns)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a task is tried, and how late; make it with `builder` or `default`.

    Attributes:
        attempts: all of them, the first too; 0 counts as 1.
        delay: after the first failure.
        longest: where the delay stops growing.
        jitter: whether a delay is up to a quarter longer.
    """

    attempts: int = 3
    delay: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=1)
    strategy: BackoffStrategy = field(default_factory=BackoffStrategy.exponential)
    condition: RetryCondition = field(default_factory=RetryCondition.all_errors)
    jitter: bool = True

    @classmethod
    def builder(cls) -> "RetryPolicyBuilder":
        """Return what makes one, call by call."""
        return RetryPolicyBuilder(cls())

    @classmethod
    def default(cls) -> "RetryPolicy":
        """Three attempts, after one second and two, up to a quarter longer."""
        return cls()

    def should_retry(self, attempt: int, error_type: BaseException | str | None = None) -> bool:
        """Say whether another attempt follows a failed one, counted from 1.

        Args:
            attempt: which one has failed.
            error_type: the error, or its type or text; None: one that may be followed.
        """
        if attempt >= self.attempts or self.condition.patterns == ():
            return False
        return error_type is None or self.condition.allows(error_type)

    def calculate_delay(self, attempt: int) -> float:
        """Return how many seconds after a failed attempt the next one is due, without jitter."""
        doubled = 2.0 ** min(attempt - 1, 64)
        growth = {"fixed": 1.0, "linear": float(attempt), "exponential": doubled}
        delay = self._first().total_seconds() * growth[self.strategy.name]
        return min(delay, self.longest.total_seconds())

    def options(self) -> RetryOptions:
        """Return it as asyncflow's options of a task.

        Raises:
            DefinitionError: it makes no sense.
        """
        if type(self.attempts) is not int or self.attempts < 0:
            text = f"retry_attempts is the number of all attempts, not {self.attempts!r}"
            raise DefinitionError(text)
        return RetryOptions(
            retries=0 if self.condition.patterns == () else max(self.attempts - 1, 0),
            retry_delay=min(self._first(), self.longest),
            retry_backoff=self.strategy.name,
            retry_max_delay=self.longest,
            retry_jitter=_JITTER if self.jitter else 0.0,
            retry_if=self.condition.allows if self.condition.patterns else None,
        )

    def _first(self) -> timedelta:
        return self.delay * self.strategy.multiplier


class RetryPolicyBuilder:
    """Makes a `RetryPolicy`, call by call; times are in seconds."""

    __slots__ = ("_policy",)

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def max_attempts(self, attempts: int) -> "RetryPolicyBuilder":
        """Say how many attempts there are, the first too."""
        return RetryPolicyBuilder(replace(self._policy, attempts=attempts))

    def initial_delay(self, delay_seconds: float) -> "RetryPolicyBuilder":
        """Say how long the first delay is."""
        delay = duration(delay_seconds * 1000, "initial_delay")
        return RetryPolicyBuilder(replace(self._policy, delay=delay))

    def max_delay(self, delay_seconds: float) -> "RetryPolicyBuilder":
        """Say where the delay stops growing."""
        longest = duration(delay_seconds * 1000, "max_delay")
        return RetryPolicyBuilder(replace(self._policy, longest=longest))

    def backoff_strategy(self, strategy: BackoffStrategy) -> "RetryPolicyBuilder":
        """Say how the delay grows."""
        return RetryPolicyBuilder(replace(self._policy, strategy=strategy))

    def retry_condition(self, condition: RetryCondition) -> "RetryPolicyBuilder":
        """Say after which errors there is another attempt."""
        return RetryPolicyBuilder(replace(self._policy, condition=condition))

    def with_jitter(self, jitter: bool) -> "RetryPolicyBuilder":
        """Say whether delays vary."""
        return RetryPolicyBuilder(replace(self._policy, jitter=jitter))

    def build(self) -> RetryPolicy:
        """Return the policy."""
        return self._policy


class RetryArguments(TypedDict, total=False):
    """What the options of a task say of retries; None is as if it were not given."""

    retry: RetryPolicy | None
    retry_attempts: int | None
    retry_delay_ms: float | None
    retry_max_delay_ms: float | None
    retry_backoff: str | None
    retry_jitter: bool | None
    retry_condition: str | None


def read_policy(arguments: RetryArguments) -> RetryPolicy:
    """Return the policy that the options of a task say.

    Raises:
        DefinitionError: one makes no sense, or there is a policy beside them.
    """
    given = {
        name: value
        for name, value in arguments.items()
        if name in RetryArguments.__annotations__ and value is not None
    }
    policy = given.pop("retry", None)
    if policy is None:
        return RetryPolicy(**{FIELDS[name]: _read(name, value) for name, value in given.items()})
    if given:
        text = f"retry=RetryPolicy(...) says all of it: leave out {', '.join(given)}"
        raise DefinitionError(text)
    if not isinstance(policy, RetryPolicy):
        text = f"retry is a RetryPolicy, as its builder() makes it, not {policy!r}"
        raise DefinitionError(text)
    return policy


def _read(name: str, value: Any) -> Any:  # noqa: ANN401  one type for each name
    match name:
        case "retry_delay_ms" | "retry_max_delay_ms":
            return duration(value, name)
        case "retry_backoff":
            return _strategy(value)
        case "retry_condition":
            return _condition(value)
        case _:
            return value


def duration(milliseconds: float, what: str, *, zero: bool = True) -> timedelta:
    """Return a duration of milliseconds; zero may be, unless it is refused."""
    number = type(milliseconds) in {int, float} and 0 <= milliseconds < float("inf")
    if not number or (milliseconds == 0 and not zero):
        least = "0 or more" if zero else "over 0"
        text = f"{what} is a number, {least}, not {milliseconds!r}"
        raise DefinitionError(text)
    return timedelta(milliseconds=milliseconds)


def _strategy(name: str) -> BackoffStrategy:
    for each in get_args(Strategy):
        if name == each:
            return BackoffStrategy(each)
    text = f"retry_backoff is 'fixed', 'linear' or 'exponential', not {name!r}"
    raise DefinitionError(text)


def _condition(name: str) -> RetryCondition:
    if name not in _CONDITIONS:
        text = f"retry_condition is 'all', 'never' or 'transient', not {name!r}"
        raise DefinitionError(text)
    return RetryCondition(_CONDITIONS[name])


def _is_text(pattern: object) -> bool:
    return isinstance(pattern, str) and bool(pattern)


def _factor(multiplier: float) -> float:
    if type(multiplier) not in {int, float} or not 0 < multiplier < float("inf"):
        text = f"the multiplier of a delay is a number over 0, not {multiplier!r}"
        raise DefinitionError(text)
    return float(multiplier)
