"""Inputs and outputs of tasks on their way to a store and back: what annotations say, as JSON."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError

OUTPUT: Final = "return"


class Interface:
    """What a function takes and returns."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.signature = inspect.signature(function)
        self._hints = _hints(function)

    def stored(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the inputs of a call by name, as JSON values.

        Raises:
            TypeError: they are not those of the function, or have no JSON form.
        """
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given: dict[str, object] = {}
        for name, value in bound.arguments.items():
            if self.signature.parameters[name].kind in {
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.VAR_KEYWORD,
            }:
                text = f"a task has parameters of its own, not {name!r} for any number of them"
                raise TypeError(text)
            given[name] = self._dumped(name, value)
        return given

    def call(self, function: Callable[..., Any], inputs: Mapping[str, object]) -> Any:  # noqa: ANN401  what it returns
        """Call the function with stored inputs."""
        bound = self.signature.bind_partial()
        for name, value in inputs.items():
            bound.arguments[name] = self._loaded(name, value)
        return function(*bound.args, **bound.kwargs)

    def inputs(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """Return stored inputs as the function gets them."""
        return {name: self._loaded(name, value) for name, value in inputs.items()}

    def result(self, value: object) -> object:
        """Return what is stored of what the function returned."""
        return self._dumped(OUTPUT, value)

    def outputs(self, stored: object) -> tuple[object, ...]:
        """Return what the function returned, one for each output."""
        hint = self._hints.get(OUTPUT, Any)
        if hint is type(None) or (hint is Any and stored is None):
            return ()
        value = self._loaded(OUTPUT, stored)
        several = get_origin(hint) is tuple and Ellipsis not in get_args(hint)
        return tuple(value) if several else (value,)

    def _adapter(self, name: str) -> TypeAdapter[Any]:
        hint = self._hints.get(name, Any)
        try:
            return TypeAdapter(hint)
        except PydanticSchemaGenerationError as error:
            text = (
                f"{name!r} is of type {hint!r}, which has no JSON form: pass plain values, "
                "a pydantic model or a dataclass, or a path to the data"
            )
            raise TypeError(text) from error

    def _dumped(self, name: str, value: object) -> object:
        found = self._adapter(name)
        return found.dump_python(found.validate_python(value), mode="json", round_trip=True)

    def _loaded(self, name: str, value: object) -> Any:  # noqa: ANN401  what the annotation says
        found = self._adapter(name)
        return found.validate_json(json.dumps(value))


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # user code: an annotation for type checkers only
        return {}
