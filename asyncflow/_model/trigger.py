"""What is polled: a function that says whether its workflow is to start. Nothing here polls.

The cursor is the one piece of memory that a poll has: what it gave last, once that is on disk.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args

from asyncflow._model.context import Context
from asyncflow._model.duration import parse_duration
from asyncflow._model.naming import checked_name, storable_name
from asyncflow._model.value import to_json_text
from asyncflow._model.workflow import Place, Workflow, current_declarations
from asyncflow.errors import DefinitionError

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

Dedup: TypeAlias = Literal["forever"]
"""How long a key that has started an execution starts no other: for ever."""

POLL_INTERVAL: Final = timedelta(seconds=5)
POLL_TIMEOUT: Final = timedelta(seconds=30)
LONGEST_KEY: Final = 2_000
"""In characters: it is part of an index."""

SHORTEST_INTERVAL: Final = timedelta(milliseconds=10)


_NOT_POLLED: Final = (inspect.isclass, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


class Kept:
    """Stands for a cursor that is left as it is; None clears one."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Kept()


@dataclass(frozen=True, slots=True, eq=False)
class Fire:
    """One execution to start. Equal ones have equal contexts, however they are ordered, and keys.

    Attributes:
        texts: its context, JSON text by key.
        key: what tells it from others instead of its context.
    """

    texts: Mapping[str, str]
    key: str | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fire):
            return NotImplemented
        return (self.context_hash, self.key) == (other.context_hash, other.key)

    def __hash__(self) -> int:
        return hash((self.context_hash, self.key))

    @property
    def context_hash(self) -> str:
        """SHA-256 of the context as JSON with sorted keys, in hexadecimal digits.

        Values are as JSON writes them: 1, 1.0 and True are three.
        """
        context = {key: json.loads(text) for key, text in self.texts.items()}
        text = json.dumps(context, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def identity(self) -> str:
        """Equal for fires that are the same: of one key, or without a key of equal contexts."""
        return f"context {self.context_hash}" if self.key is None else f"key {self.key}"


@dataclass(frozen=True, slots=True)
class TriggerResult:
    """What a poll answers: nothing to do, or what to start. Make it with its class methods.

    A ``cursor`` that is given is stored in the transaction that starts the executions, and passed
    to the next poll of a function with a parameter ``cursor``: a restart neither forgets nor
    repeats. It is any JSON value; None clears it.
    """

    fires: tuple[Fire, ...] = ()
    cursor_text: str | Kept | None = field(default=KEEP)

    def __post_init__(self) -> None:
        if not (isinstance(self.fires, tuple) and all(isinstance(x, Fire) for x in self.fires)):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = (
                "a TriggerResult is made by TriggerResult.fire(), fire_many() or skip(), not of "
                f"{self.fires!r}"
            )
            raise TypeError(text)

    @classmethod
    def skip(cls, *, cursor: object = KEEP) -> "TriggerResult":
        """Start nothing. Nothing is written, unless the cursor changed.

        Raises:
            TypeError, ValueError: the cursor has no JSON form.
        """
        return cls((), _cursor_text(cursor))

    @classmethod
    def fire(
        cls,
        context: Mapping[str, object] | None = None,
        key: str | None = None,
        *,
        cursor: object = KEEP,
    ) -> "TriggerResult":
        """Start the workflow.

        Args:
            context: what its tasks find in their `Context`; JSON values.
            key: what is compared instead of the context, to tell whether this was fired already.
            cursor: what the next poll gets.

        Raises:
            TypeError, ValueError: the context or the cursor has no JSON form, or the key is no
                non-empty text.
        """
        return cls((_fire(context, key),), _cursor_text(cursor))

    @classmethod
    def fire_many(
        cls,
        fires: "Iterable[Mapping[str, object] | TriggerResult]",
        *,
        cursor: object = KEEP,
    ) -> "TriggerResult":
        """Start the workflow for each of a backlog, all in one transaction.

        Args:
            fires: contexts, or results of `fire` where one has a key. None at all is a skip.
            cursor: what the next poll gets.

        Raises:
            TypeError, ValueError: as `fire`; or one of them has a cursor of its own.
        """
        return cls(tuple(_flat(fires)), _cursor_text(cursor))

    def is_fire_result(self) -> bool:
        """Whether it starts anything."""
        return bool(self.fires)

    def is_skip_result(self) -> bool:
        """Whether it starts nothing."""
        return not self.fires


class Trigger(Generic[P, R_co]):
    """A polled function, as `trigger` makes it. It is called as the function itself.

    Attributes:
        name: unique in its namespace.
        workflow: the name of the workflow that it starts.
        namespace: of both.
        poll_interval: from the start of a poll to that of the next.
        allow_concurrent: whether an execution may start while an equal one runs.
        dedup: ``"forever"``: one execution for each key, or context, ever.
        poll_timeout: of one poll.
        takes_cursor: whether the function has a parameter ``cursor``.
        place: where it was declared.
    """

    def __init__(
        self,
        function: Callable[P, R_co],
        workflow: str | Workflow,
        *,
        name: str | None = None,
        namespace: str | None = None,
        poll_interval: str | float | timedelta = POLL_INTERVAL,
        allow_concurrent: bool = False,
        dedup: Dedup | None = None,
        poll_timeout: str | float | timedelta = POLL_TIMEOUT,
    ) -> None:
        """Declare it; see `trigger`."""
        found = name if name is not None else getattr(function, "__name__", None)
        if found is None:
            text = f"@trigger above {function!r}, which has no name: write @trigger(..., name=...)"
            raise DefinitionError(text)
        self.name = checked_name(found, "the name of a trigger")
        self.label = f"trigger {self.name!r}"
        self.workflow, self.namespace = _place(workflow, namespace, self.label)
        self.poll_interval = _interval(poll_interval, f"{self.label}: poll_interval")
        if self.poll_interval < SHORTEST_INTERVAL:
            text = f"{self.label}: poll_interval is {poll_interval!r}; the shortest is '10ms'"
            raise DefinitionError(text)
        self.poll_timeout = _interval(poll_timeout, f"{self.label}: poll_timeout")
        self.allow_concurrent = _checked_bool(allow_concurrent, self.label)
        if dedup is not None and dedup not in get_args(Dedup):
            text = f"{self.label}: dedup is 'forever' or None, not {dedup!r}"
            raise DefinitionError(text)
        self.dedup = dedup
        self.takes_cursor = _takes_cursor(function, self.label)
        self.place = Place.here()
        self.__doc__ = function.__doc__
        self.__name__ = self.name
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function."""
        return self.__wrapped__(*args, **kwargs)

    @property
    def declared_as(self) -> str:
        """Its function and its workflow: what two triggers of one name should have in common."""
        function = getattr(self.__wrapped__, "__qualname__", repr(type(self.__wrapped__)))
        return f"{self.place.module}.{function} of {self.workflow!r}"

    def __repr__(self) -> str:
        return f"<Trigger {self.name!r} of workflow {self.workflow!r} in {self.namespace!r}>"


AnyTrigger: TypeAlias = Trigger[Any, Any]


def trigger(
    workflow: str | Workflow,
    *,
    name: str | None = None,
    namespace: str | None = None,
    poll_interval: str | float | timedelta = POLL_INTERVAL,
    allow_concurrent: bool = False,
    dedup: Dedup | None = None,
    poll_timeout: str | float | timedelta = POLL_TIMEOUT,
) -> Callable[[Callable[P, R_co]], Trigger[P, R_co]]:
    """Make a trigger of a function, which each runner that loads it polls from then on.

    The function is called without arguments, or with the ``cursor`` if it has such a parameter; a
    ``def`` in a thread, an ``async def`` on the loop. It returns a `TriggerResult`, or True to fire
    without a context, or False. One that raises, returns something else, or takes longer than
    ``poll_timeout`` is logged and recorded, and polled less often until it works again.

    Args:
        workflow: what it starts: its name, which may be declared later, or the workflow itself.
        name: of the trigger, unique in its namespace; None: that of the function.
        namespace: of the trigger, and where the workflow's name is looked up; None: that of the
            workflow, or ``"default"``.
        poll_interval: ``"100ms"``, ``"5s"``, ``"1m"``, ``"1h"``, ...; 10 ms at least. The first
            poll is one interval after the runner has started, up to a tenth later.
        allow_concurrent: False: nothing starts while an execution that it started runs with an
            equal context, or an equal key if one is given.
        dedup: ``"forever"``: each key, or context, starts one execution, ever.
        poll_timeout: how long one poll may take.

    Raises:
        DefinitionError: an option makes no sense, or the function has other parameters; names the
            trigger.
    """
    if not isinstance(workflow, str | Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"@trigger is told what it starts, as @trigger(workflow='name'), not {workflow!r}"
        raise DefinitionError(text)

    def declare(function: Callable[P, R_co]) -> Trigger[P, R_co]:
        if not callable(function):
            text = f"@trigger is written above a function, not {function!r}"
            raise DefinitionError(text)
        made = Trigger(
            function,
            workflow,
            name=name,
            namespace=namespace,
            poll_interval=poll_interval,
            allow_concurrent=allow_concurrent,
            dedup=dedup,
            poll_timeout=poll_timeout,
        )
        current_declarations().register_trigger(made)
        return made

    return declare


def _flat(fires: "Iterable[Mapping[str, object] | TriggerResult]") -> Iterable[Fire]:
    if isinstance(fires, Mapping | TriggerResult) or not isinstance(fires, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"fire_many() takes an iterable of contexts or results of fire(), not {fires!r}"
        raise TypeError(text)
    for each in fires:
        if not isinstance(each, TriggerResult):
            yield _fire(_given(each), None)
        elif each.cursor_text is not KEEP:
            text = "in fire_many() the cursor is given once: fire_many([...], cursor=...)"
            raise ValueError(text)
        else:
            yield from each.fires


def _given(context: Mapping[str, object] | None) -> Mapping[str, object]:
    """Refuse None: in a backlog it is rather something that was forgotten than no context."""
    if context is None:
        text = "a context is made of a mapping of names to JSON values, not None; in fire_many() {}"
        raise TypeError(text)
    return context


def _fire(context: Mapping[str, object] | None, key: str | None) -> Fire:
    data = context if isinstance(context, Context) else Context(context)
    return Fire(data.to_texts(), None if key is None else _checked_key(key))


def _checked_key(key: str) -> str:
    text = storable_name(key, "the key of a fire")
    if len(text) > LONGEST_KEY:
        raise ValueError(
            f"the key of a fire has {len(text):,} characters, the limit is {LONGEST_KEY:,}: "
            "use a digest of it"
        )
    return text


def _cursor_text(cursor: object) -> str | Kept | None:
    if isinstance(cursor, Kept):
        return KEEP
    return None if cursor is None else to_json_text(cursor, "cursor")


def _place(workflow: str | Workflow, namespace: str | None, label: str) -> tuple[str, str]:
    """Return the name and the namespace of what it starts."""
    if not isinstance(workflow, Workflow):
        place = "default" if namespace is None else namespace
        name = checked_name(workflow, f"the workflow of {label}")
        return name, checked_name(place, f"the namespace of {label}")
    if namespace is not None and namespace != workflow.namespace:
        text = f"{label}: its namespace is that of its workflow, {workflow.namespace!r}"
        raise DefinitionError(text)
    return workflow.name, workflow.namespace


def _interval(value: str | float | timedelta, what: str) -> timedelta:
    try:
        return parse_duration(value, what)
    except ValueError as error:
        raise DefinitionError(str(error)) from error


def _checked_bool(value: object, label: str) -> bool:
    if not isinstance(value, bool):
        text = f"{label}: allow_concurrent is True or False, not {value!r}"
        raise DefinitionError(text)
    return value


def _takes_cursor(function: Callable[..., Any], label: str) -> bool:
    """Say whether a function wants the cursor; refuse one that wants anything else."""
    if any(is_it(function) for is_it in _NOT_POLLED):
        text = f"{label} is a function that returns what to start, not {function!r}"
        raise DefinitionError(text)
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C that does not tell
        return False
    takes = "cursor" in signature.parameters
    given = {"cursor": None} if takes else {}
    try:
        signature.bind(**given)
    except TypeError as error:
        text = f"{label}: its function is called without arguments, or with cursor=, but {error}"
        raise DefinitionError(text) from error
    return takes
