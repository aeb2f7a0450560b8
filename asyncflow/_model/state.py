"""Users' own state: durable cells of JSON that conditions and tasks keep from event to event.

A cell is memory of whoever owns it: of a workflow execution for its tasks and their rules, of a
workflow for its workflow rules. Nothing here stores one; `Cells` does.
"""

from abc import ABC, abstractmethod
from typing import Any, Final, Protocol

from asyncflow._model.naming import storable_name
from asyncflow._model.value import from_json_text, to_json_text


class StateType:
    """Kinds of state, after the documents of AIFlow."""

    VALUE: Final = "value"


class StateDescriptor:
    """Names a state.

    Args:
        name: equal names in one scope are one state.

    Raises:
        TypeError, ValueError: the name is no non-empty string.
    """

    def __init__(self, name: str) -> None:
        self.name = storable_name(name, "the name of a state")


class ValueStateDescriptor(StateDescriptor):
    """Names a state that holds one value."""


class Cells(Protocol):
    """Where states are kept: JSON text by name."""

    def get(self, name: str) -> str | None:
        """Return what is kept under a name, None if nothing is."""
        ...

    def put(self, name: str, text: str | None) -> None:
        """Keep a text under a name; None clears it."""
        ...


class State(ABC):
    """Something that a condition or a task remembers."""

    @abstractmethod
    def clear(self) -> None:
        """Forget it, as if it had never been set."""


class ValueState(State):
    """Remembers one JSON value; `Context.get_state` returns it.

    In a condition what is changed is stored with the event that the condition is asked about, or
    not at all if it raises. In a task each change is on its way to the store at once, whatever
    becomes of the task; the last writer wins.
    """

    def __init__(self, name: str, cells: Cells) -> None:
        self._name = name
        self._cells = cells

    def value(self) -> Any:  # noqa: ANN401  JSON: only its reader knows its shape
        """Return a copy of the value; None if it was never set, or was cleared."""
        text = self._cells.get(self._name)
        return None if text is None else from_json_text(text)

    def update(self, state: object) -> None:
        """Set the value.

        Raises:
            TypeError, ValueError: it has no JSON form; names the place.
            TooLargeError: it is over the limit.
        """
        self._cells.put(self._name, to_json_text(state, f"state {self._name!r}"))

    def clear(self) -> None:
        """Forget the value."""
        self._cells.put(self._name, None)
