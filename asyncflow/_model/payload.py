"""What an event may be signalled with: its declared type, as text in a store, as a check of values.

The store has names only. A model is checked where its class is known; a name is never imported.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar, cast
from weakref import WeakSet

from pydantic import BaseModel, TypeAdapter, ValidationError

from asyncflow._frozen import value
from asyncflow._model.naming import check_text
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow.errors import EventTypeError

EventPayload: TypeAlias = bool | int | float | str | BaseModel | Mapping[str, Any]
"""What `Event.signal` takes; a mapping, or an instance, only for a pydantic model."""

PayloadT = TypeVar("PayloadT", bound=bool | int | float | str | BaseModel)
"""What a task gets that waits."""

_KINDS: Final = (bool, int, float, str)  # an `int | str` would be made anew for each question
_SCALARS: Final[Mapping[str, type]] = {kind.__name__: kind for kind in _KINDS}
_MODEL: Final = "model:"
_models: Final[defaultdict[str, WeakSet[type[BaseModel]]]] = defaultdict(WeakSet)


@value(frozen=True, slots=True)
class PayloadType:
    """The type of an event's payload: ``bool``, ``int``, ``float``, ``str``, or a pydantic model.

    Attributes:
        text: how a store keeps it: ``"bool"``, or ``"model:package.module:Approval"``.
    """

    text: str

    @classmethod
    def of(cls, data_type: object) -> "PayloadType":
        """Return what an author declares.

        Raises:
            TypeError: it is none of these types.
        """
        if not isinstance(data_type, type):
            text = f"data_type is bool, int, float, str or a pydantic model, not {data_type!r}"
            raise TypeError(text)
        if issubclass(data_type, BaseModel):
            text = _text_of(data_type)
            _models[text].add(data_type)
            return cls(text)
        name = next((name for name, kind in _SCALARS.items() if kind is data_type), None)
        if name is None:
            text = f"data_type is bool, int, float, str or a pydantic model, not {data_type!r}"
            raise TypeError(text)
        return cls(name)

    @property
    def name(self) -> str:
        """Return it as people call it: ``bool``, ``Approval``."""
        return self.text.removeprefix(_MODEL).rpartition(":")[2]

    @property
    def python_type(self) -> type:
        """The type itself; ``dict`` for a model whose class this process has not imported."""
        return _SCALARS.get(self.text) or next(iter(self._models), dict)

    @property
    def _models(self) -> list[type[BaseModel]]:
        """The models of that name: mostly one, but functions may make several."""
        if not self.text.startswith(_MODEL):
            return []
        return list(_models[self.text] or _imported(self.text))

    def encoded(self, payload: object, event: str) -> str:
        """Return a payload as JSON text, checked.

        Raises:
            EventTypeError: it is not of this type.
            TypeError: no event takes it, or JSON has no form for it.
            ValueError: it is NaN, an infinity, or no Unicode text.
        """
        if self.text.startswith(_MODEL):
            return self._encoded_model(payload, event)
        if not isinstance(payload, _KINDS):
            raise no_payload(payload)
        kind = _SCALARS[self.text]
        if type(payload) is kind and kind is not str:  # a text is checked in `_plain`
            return to_json_text(payload, "payload")
        plain = _plain(payload)
        if kind is float and type(plain) is int:
            plain = _as_float(plain)
        if type(plain) is not kind:
            raise EventTypeError(event, self.name, _shown(payload))
        return to_json_text(plain, "payload")

    def decoded(self, text: str, event: str, author: type | None = None) -> object:
        """Return the payload that a text stands for: of the very class that its author gave.

        Raises:
            EventTypeError: a model does not take it: it was signalled where its class is not known.
        """
        value = from_json_text(text)
        if author is not None and author in _SCALARS.values():
            if type(value) is author:
                return value
            # A later version of the task may declare another type than was asked for.
            return from_json_text(PayloadType(author.__name__).encoded(value, event))
        model = author or self.python_type
        if not issubclass(model, BaseModel):
            return value
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise EventTypeError(event, self.name, _shown(value, error)) from error

    def _encoded_model(self, payload: object, event: str) -> str:
        if not isinstance(payload, BaseModel | Mapping):
            raise EventTypeError(event, self.name, _shown(payload))
        payload = cast("BaseModel | Mapping[str, object]", payload)
        models = self._models
        for model in models[:-1]:
            with suppress(EventTypeError):
                return self._encoded_by(model, payload, event)
        if models:
            return self._encoded_by(models[-1], payload, event)
        if isinstance(payload, BaseModel):
            return to_json_text(_dumped(payload, type(payload)), "payload")
        return to_json_text(dict(payload), "payload")

    def _encoded_by(
        self, model: type[BaseModel], payload: BaseModel | Mapping[str, object], event: str
    ) -> str:
        if isinstance(payload, BaseModel) and not isinstance(payload, model):
            raise EventTypeError(event, self.name, _shown(payload))
        try:
            if not isinstance(payload, BaseModel):
                payload = _validated(model, dict(payload))
            text = to_json_text(_dumped(payload, model), "payload")
            if _fields(payload, model) != _fields(model.model_validate_json(text), model):
                given = f"a {self.name} that is another one when it is read from its JSON"
                raise EventTypeError(event, self.name, given)
        except ValidationError as error:
            raise EventTypeError(event, self.name, _shown(payload, error)) from error
        return text


def _validated(model: type[BaseModel], payload: dict[str, object]) -> BaseModel:
    """Return a model of its dict, which may have gone through JSON, as from an HTTP request."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        try:
            return model.model_validate_json(to_json_text(payload))
        except (TypeError, ValueError):
            raise error from None


def _dumped(payload: BaseModel, model: type[BaseModel]) -> object:
    """Return what the model reads again. Warnings of wrong values are none: reading finds them."""
    try:
        return TypeAdapter(model).dump_python(
            payload, mode="json", by_alias=True, round_trip=True, warnings=False
        )
    except ValueError as error:
        text = f"payload is a {_shown(payload)} that has no JSON form: {error}"
        raise TypeError(text) from error


def _fields(payload: BaseModel, model: type[BaseModel]) -> list[object]:
    return [getattr(payload, name, None) for name in model.model_fields]


def _imported(text: str) -> WeakSet[type[BaseModel]]:
    """Return the models of that name, also those that no task has declared yet."""
    kinds: list[type[BaseModel]] = [BaseModel]
    while kinds:
        kind = kinds.pop()
        if _text_of(kind) == text:
            _models[text].add(kind)
        kinds += kind.__subclasses__()
    return _models[text]


def _text_of(model: type[BaseModel]) -> str:
    return f"{_MODEL}{model.__module__}:{model.__qualname__}"


def no_payload(payload: object) -> TypeError:
    """Return the error for what no event takes."""
    kind = type(payload).__name__
    return TypeError(f"payload must be bool, int, float or str, not {kind}")


def plain_payload(payload: object) -> str:
    """Return as JSON text what an event without a declared type is signalled with.

    Raises:
        TypeError: it is no bool, int, float or str.
        ValueError: it is NaN, an infinity, or no Unicode text.
    """
    if not isinstance(payload, _KINDS):
        raise no_payload(payload)
    return to_json_text(_plain(payload), "payload")


def _plain(payload: bool | float | str) -> bool | int | float | str:
    """Return a payload of exactly one of the four types; an enum becomes its value."""
    if isinstance(payload, bool):
        return payload
    if isinstance(payload, str):
        plain = str.__str__(payload)
        check_text(plain, "payload")
        return plain
    return int.__int__(payload) if isinstance(payload, int) else float.__float__(payload)


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError as error:
        text = "payload is an int that no float can hold"
        raise ValueError(text) from error


def _shown(payload: object, error: ValidationError | None = None) -> str:
    """Return the type of what was given, and the first thing that its model finds wrong in it."""
    kind = type(payload).__name__
    if error is None:
        return kind
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{kind} ({place}: {first['msg']})" if place else f"{kind} ({first['msg']})"
