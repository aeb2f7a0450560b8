"""What may be a name: of a workflow, a namespace, a task, an event."""

from asyncflow.errors import DefinitionError


def checked_name(name: object, what: str) -> str:
    """Return a name that any store can keep.

    Raises:
        DefinitionError: it is no string, an empty one, or no Unicode text.
    """
    if not isinstance(name, str) or not name:
        text = f"{what} is a non-empty string, not {name!r}"
        raise DefinitionError(text)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        text = f"{what} is {name!r}, which has a lone surrogate and is no Unicode text"
        raise DefinitionError(text) from error
    return str.__str__(name)
