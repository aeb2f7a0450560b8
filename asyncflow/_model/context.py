"""What a task, a condition and a callback see: the data of their execution, and their place in it.

It computes and remembers; it never waits, and what is changed in it is stored by others.
"""

import reprlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from asyncflow._model.naming import check_text
from asyncflow._model.state import Cells, StateDescriptor, ValueState, ValueStateDescriptor
from asyncflow._model.status import TaskStatus
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow.errors import TaskStopped, UsageError

_NO_TEXTS: Final[Mapping[str, str]] = {}

# Most contexts are never written to, and many thousands of them may wait: these two, which nobody
# may change, stand for their empty dictionaries.
_NO_VALUES: Final[dict[str, Any]] = {}
_NONE_GONE: Final[dict[str, None]] = {}


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RunningTask:
    """The task execution that a context was given to.

    Attributes:
        stop_requested: asks whether it was told to stop.
    """

    execution_name: str
    task_name: str
    sequence_number: int
    try_number: int
    stop_requested: Callable[[], bool] = _never


class TaskPlace(Protocol):
    """What a context says of the task execution that it was given to; see `RunningTask`."""

    @property
    def execution_name(self) -> str: ...
    @property
    def task_name(self) -> str: ...
    @property
    def sequence_number(self) -> int: ...
    @property
    def try_number(self) -> int: ...
    @property
    def stop_requested(self) -> Callable[[], bool]: ...


class Statuses(Protocol):
    """Tells the latest status of tasks. An object: a bound method would be one more, in each."""

    def status_of(self, task: str, /) -> TaskStatus | None:
        """Return it, None if the task never ran; or raise `TaskNotFoundError`."""
        ...


@dataclass(frozen=True, slots=True)
class KnownStatuses:
    """Some statuses by name; of other tasks it says that they never ran."""

    known: Mapping[str, TaskStatus]

    def status_of(self, task: str) -> TaskStatus | None:
        """Return the status of a task."""
        return self.known.get(task)


class Context(MutableMapping[str, Any]):
    """The data of a workflow execution, as a mapping of names to JSON values.

    A task has its own copy. What it changes, also inside the values, is merged into the
    execution's when the task succeeds; what a failed attempt changed is dropped. Pydantic models
    and dataclasses may be set: until the task ends they read back as they are, later as JSON.

    Args:
        data: what it holds at first.

    Raises:
        TypeError, ValueError: a value has no JSON form; names the place, as ``context['a'][0]``.
            A key is no string, or no Unicode text.
    """

    __slots__ = ("_base", "_cells", "_frozen", "_gone", "_statuses", "_task", "_values")

    def __init__(self, data: Mapping[str, object] | None = None, /) -> None:
        self._base = _NO_TEXTS
        self._values = _NO_VALUES
        self._gone = _NONE_GONE
        self._task: TaskPlace | None = None
        self._statuses: Statuses | None = None
        self._cells: Cells | None = None
        self._frozen = False
        if data is not None:
            for key, value in _items(data):
                self[key] = value

    @classmethod
    def of(
        cls,
        texts: Mapping[str, str],
        *,
        task: TaskPlace | None = None,
        statuses: "Statuses | None" = None,
        cells: Cells | None = None,
        frozen: bool = False,
    ) -> "Context":
        """Return a context on stored data. For the engine.

        Args:
            texts: JSON text by key. It is shared and must not change; values are decoded when
                they are read.
            task: the task that it is for.
            statuses: tells the latest status of a task.
            cells: keeps users' states.
            frozen: whether it can only be read, as in conditions and callbacks.
        """
        context = cls()
        context._base = texts
        context._task = task
        context._statuses = statuses
        context._cells = cells
        context._frozen = frozen
        return context

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401  JSON: only its reader knows its shape
        if key in self._values:
            return self._values[key]
        if key in self._gone or key not in self._base:
            raise KeyError(key)
        value = from_json_text(self._base[key])
        self._keep(key, value)
        return value

    def __setitem__(self, key: str, value: object) -> None:
        self._check_writable(key)
        key = _plain_key(key)
        to_json_text(value, _place(key))
        self._keep(key, value)

    def __delitem__(self, key: str) -> None:
        self._check_writable(key)
        if key not in self:
            raise KeyError(key)
        if key in self._values:
            del self._values[key]
        if key in self._base:
            if self._gone is _NONE_GONE:
                self._gone = {}
            self._gone[key] = None

    def __contains__(self, key: object) -> bool:
        return key in self._values or (key in self._base and key not in self._gone)

    def __iter__(self) -> Iterator[str]:
        yield from [key for key in self._base if key not in self._gone]
        yield from [key for key in self._values if self._added(key)]

    def __len__(self) -> int:
        return len(self._base) - len(self._gone) + sum(map(self._added, self._values))

    def __repr__(self) -> str:
        return f"Context({dict(self)!r})"

    def __copy__(self) -> "Context":
        return self.copy()

    def __deepcopy__(self, memo: dict[int, object]) -> "Context":
        return self.copy()

    def set(self, key: str, value: object) -> None:
        """Set ``context[key]``.

        Raises:
            TypeError, ValueError: the value has no JSON form; names the place.
            UsageError: the context can only be read.
        """
        self[key] = value

    def clear(self) -> None:
        """Delete all of it."""
        for key in tuple(self):
            del self[key]

    def copy(self) -> "Context":
        """Return a copy that shares nothing and may be changed; nothing in it counts as changed."""
        texts, cells = self.to_texts(), self._cells
        return Context.of(texts, task=self._task, statuses=self._statuses, cells=cells)

    def get_task_status(self, task_name: str) -> TaskStatus | None:
        """Return the latest status of a task of this workflow execution, None if it never ran.

        Raises:
            TaskNotFoundError: the workflow has no such task.
            TaskStopped: in a task that was told to stop.
            UsageError: the context belongs to no workflow execution.
        """
        if self._statuses is None:
            text = (
                "this context belongs to no workflow execution: get_task_status() works in the one "
                "that a task, a condition or a callback was given"
            )
            raise UsageError(text)
        if self._told_to_stop():
            raise TaskStopped
        return self._statuses.status_of(task_name)

    def get_state(self, state_descriptor: StateDescriptor) -> ValueState:
        """Return a state of the user's: one that is kept from event to event, and through crashes.

        In tasks and their conditions it belongs to the workflow execution, in workflow rules to
        the workflow.

        Raises:
            TypeError: the descriptor is no `ValueStateDescriptor`.
            TaskStopped: in a task that was told to stop.
            UsageError: the context was not given to a task or a condition.
        """
        if not isinstance(state_descriptor, ValueStateDescriptor):
            text = f"a state is described by a ValueStateDescriptor, not {state_descriptor!r}"
            raise TypeError(text)
        if self._cells is None:
            text = (
                "this context has no states: get_state() works in the one that a task or a "
                "condition was given"
            )
            raise UsageError(text)
        if self._told_to_stop():
            raise TaskStopped
        return ValueState(state_descriptor.name, self._cells)

    # --- in a task ---

    @property
    def execution_name(self) -> str:
        """The name of the workflow execution."""
        return self._in_task("execution_name").execution_name

    @property
    def task_name(self) -> str:
        """The name of the task."""
        return self._in_task("task_name").task_name

    @property
    def sequence_number(self) -> int:
        """Which run of the task in its workflow execution this is, from 1; retries are one run."""
        return self._in_task("sequence_number").sequence_number

    @property
    def try_number(self) -> int:
        """Which attempt of this run this is, from 1."""
        return self._in_task("try_number").try_number

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this run, and no other's: hand it to what must act once.

        It is ``"{execution}/{task}/{sequence_number}"``; a slash in a name becomes ``%2F``.
        """
        task = self._in_task("idempotency_key")
        names = _escaped(task.execution_name), _escaped(task.task_name)
        return f"{names[0]}/{names[1]}/{task.sequence_number}"

    @property
    def stop_requested(self) -> bool:
        """Whether the task was told to stop: one in a thread should look, and return soon."""
        return self._in_task("stop_requested").stop_requested()

    # --- for the engine ---

    def changes(self) -> dict[str, str | None]:
        """Return what differs from the data it was made of: JSON text by key, None if deleted.

        Raises:
            TypeError, ValueError: a value was changed into one that has no JSON form.
        """
        changed: dict[str, str | None] = {}
        if self._gone:
            changed = {key: None for key in self._gone if key not in self._values}
        for key, value in self._values.items():
            text = to_json_text(value, _place(key))
            if not _is_same(text, self._base.get(key)):
                changed[key] = text
        return changed

    def to_texts(self) -> dict[str, str]:
        """Return all of it, as JSON text by key.

        Raises:
            TypeError, ValueError: as `changes`.
        """
        values, base = self._values, self._base
        return {
            key: to_json_text(values[key], _place(key)) if key in values else base[key]
            for key in self
        }

    def _told_to_stop(self) -> bool:
        return self._task is not None and self._task.stop_requested()

    def _keep(self, key: str, value: object) -> None:
        if self._values is _NO_VALUES:
            self._values = {}
        self._values[key] = value

    def _added(self, key: str) -> bool:
        return key not in self._base or key in self._gone

    def _check_writable(self, key: object) -> None:
        if self._frozen:
            text = f"context[{key!r}] cannot be changed here: conditions and callbacks only read it"
            raise UsageError(text)

    def _in_task(self, name: str) -> TaskPlace:
        if self._task is None:
            text = f"context.{name} is known only in the context that a task was given"
            raise UsageError(text)
        return self._task


def _items(data: Mapping[str, object] | None) -> Iterator[tuple[str, object]]:
    if data is None:
        return
    if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"a context is made of a mapping of names to JSON values, not {data!r}"
        raise TypeError(text)
    yield from data.items()


def _plain_key(key: object) -> str:
    if not isinstance(key, str):
        kind = type(key).__qualname__
        text = f"a context has the key {key!r} of type {kind}; its keys are strings"
        raise TypeError(text)
    check_text(key, "a key of a context")
    return str.__str__(key)


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


def _place(key: str) -> str:
    return f"context[{reprlib.repr(key)}]"


def _is_same(text: str, base: str | None) -> bool:
    if text == base:
        return True
    # The stored text may have been written with other spaces or escapes.
    return base is not None and text == to_json_text(from_json_text(base))
