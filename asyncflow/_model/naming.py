"""What may be a name: of a workflow, a namespace, a task, an execution, an event."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from asyncflow.errors import DefinitionError

MISSPELT: Final = 0.75
"""How alike an unknown option must be to a known one to be taken for it: ``retrys``, ``timout``."""


def checked_name(name: object, what: str) -> str:
    """Return a name that any store can keep.

    Raises:
        DefinitionError: it is no string, an empty one, or no Unicode text.
    """
    try:
        return storable_name(name, what)
    except (TypeError, ValueError) as error:
        raise DefinitionError(str(error)) from error


def storable_name(name: object, what: str) -> str:
    """Return a name that any store can keep; for calls, where `checked_name` is for declarations.

    Raises:
        TypeError: it is no string.
        ValueError: it is an empty one, or no Unicode text.
    """
    if not isinstance(name, str):
        way_out = ": give its .name" if isinstance(getattr(name, "name", None), str) else ""
        text = f"{what} is a non-empty string, not {name!r}{way_out}"
        raise TypeError(text)
    if not name:
        text = f"{what} is a non-empty string, not {name!r}"
        raise ValueError(text)
    check_text(name, what)
    return str.__str__(name)


def check_text(text: str, what: str) -> None:
    """Refuse what one of the stores could not keep as text: SQLite or PostgreSQL.

    Raises:
        ValueError: it has a lone surrogate or a NUL character.
    """
    if "\0" in text:
        message = f"{what} is {text!r}, which has a NUL character"
        raise ValueError(message)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"{what} is {text!r}, which has a lone surrogate and is no Unicode text"
        raise ValueError(message) from error


def check_spelling(given: Mapping[str, object], known: Iterable[str], label: str) -> None:
    """Refuse what is all but an option: kept as something of the user's, it would do nothing.

    Raises:
        DefinitionError: one of them is nearly a known option; names both.
    """
    options = list(known)
    for each in given:
        for meant in get_close_matches(each, options, n=1, cutoff=MISSPELT):
            text = f"{label}: there is no option {each!r}, did you mean {meant!r}?"
            raise DefinitionError(text)


def event_key(key: object) -> str:
    """Return a key that an event may have; raises as `storable_name`."""
    return storable_name(key, "an event's key")


def execution_name(name: object) -> str:
    """Return what may be the name of a workflow execution; raises as `storable_name`."""
    return storable_name(name, "the name of a workflow execution")
