"""What may be a name: of a workflow, a namespace, a task, an execution, an event."""

from asyncflow.errors import DefinitionError


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
        text = f"{what} is a non-empty string, not {name!r}"
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


def event_key(key: object) -> str:
    """Return a key that an event may have; raises as `storable_name`."""
    return storable_name(key, "an event's key")


def execution_name(name: object) -> str:
    """Return what may be the name of a workflow execution; raises as `storable_name`."""
    return storable_name(name, "the name of a workflow execution")
