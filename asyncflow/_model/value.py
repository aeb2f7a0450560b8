"""JSON values: what may be stored, as the text in which it is stored.

Everything that users hand over becomes text here, or is refused with the place of the fault. It
must never guess: what JSON has no form for is an error, not a string that looks like it.
"""

import dataclasses
import json
import math
import reprlib
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, TypeAlias, cast

from pydantic import BaseModel

from asyncflow.errors import TooLargeError

JsonValue: TypeAlias = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
"""What `from_json_text` returns."""

MAX_DEPTH: Final = 200
"""Lists and dicts inside each other; far below where the decoders of other languages give up."""

MAX_PARTS: Final = 2_000_000
"""Values inside one value. A list that holds one list twice, and so on, is short in memory only."""

_LARGE: Final = 2**63
"""From here on an int is slow to write, and may have more digits than Python writes at all."""

PLAIN: Final = frozenset({bool, int, float, str, type(None)})
"""Types of values that have no others inside."""

_escaped: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
# The part of `json.loads` that is C: around it are four functions and two regular expressions.
_scan: Final[Callable[[str, int], tuple[Any, int]]] = cast("Any", json.JSONDecoder()).scan_once
_plain: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


class LargeValueWarning(UserWarning):
    """A value is so large that a database is not the place for it; it is stored all the same."""


@dataclasses.dataclass(frozen=True, slots=True)
class SizeLimits:
    """How many bytes of JSON a value may have, before it is warned of and before it is refused."""

    warn: int = 512 * 1024
    refuse: int = 2 * 1024 * 1024

    def __post_init__(self) -> None:
        for name, size in (("warn", self.warn), ("refuse", self.refuse)):
            if type(size) is not int or size < 0:
                text = f"SizeLimits({name}=...) is a number of bytes, 0 or more, not {size!r}"
                raise ValueError(text)

    def check(self, what: str, text_size: int) -> None:
        """Warn of a size, or refuse it, naming what has it.

        Raises:
            TooLargeError: it is over ``refuse``.
        """
        if text_size > self.refuse:
            raise TooLargeError(what, text_size, self.refuse)
        if text_size > self.warn:
            text = (
                f"{what} has {text_size:,} bytes of JSON, over {self.warn:,}: "
                "store the data elsewhere and pass a reference to it"
            )
            warnings.warn(text, LargeValueWarning, stacklevel=2)


def to_json_text(value: object, path: str = "value") -> str:
    """Return a value as compact JSON text that any store can keep.

    Pydantic models and dataclasses become objects, tuples lists, enums of strings strings.

    Args:
        value: what is stored.
        path: how errors call it; they add the place inside it, as in ``value['a'][3].b``.

    Raises:
        TypeError: JSON has no form for a value or a key in it.
        ValueError: NaN, an infinity, a number of too many digits, a value inside itself, or too
            many inside each other.
    """
    if type(value) is int and -_LARGE < value < _LARGE:
        return str(value)  # many results are small numbers; all else below does the same for them
    try:
        if _is_builtin(value):
            try:
                return _dumps(value)
            except ValueError:
                pass  # NaN or a very long number: the slow way finds its place
        return _dumps(_Reader().read(value, path, 0))
    except RecursionError as error:
        text = f"{path} is nested too deeply for what is left of the interpreter's stack"
        raise ValueError(text) from error


def from_json_text(text: str) -> JsonValue:
    """Return the value that a text of `to_json_text` stands for."""
    value: JsonValue
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        value, end = None, -1
    if end != len(text):  # another has written it: with spaces around it, or no JSON at all
        value = json.loads(text)
    return value


def byte_size(text: str) -> int:
    """Return how many bytes a text has as UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _dumps(value: object) -> str:
    text = _plain(value)
    # A lone surrogate is legal in JSON when it is escaped, but never in UTF-8.
    return text if _is_unicode(text) else _escaped(value)


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_builtin(value: object) -> bool:
    """Whether `json.dumps` alone does right with a value: exact builtin types, no cycle."""
    level, parts = [value], 0
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for each in level:
            if type(each) in PLAIN:
                continue
            inside = _builtin_parts(each)
            if inside is None or (parts := parts + len(inside)) > MAX_PARTS:
                return False
            below.extend(inside)
        if not below:
            return True
        level = below
    return all(type(each) in PLAIN for each in level)


def _builtin_parts(value: object) -> Collection[object] | None:
    kind = type(value)
    if kind is dict:
        items = cast("dict[object, object]", value)
        return items.values() if all(type(key) is str for key in items) else None
    return cast("Collection[object]", value) if kind is list or kind is tuple else None


class _Reader:
    """Reads one value into builtin types, knowing where it is."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._parts = 0

    def read(self, value: object, path: str, depth: int) -> object:
        """Return the value in builtin types."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            text = f"{path} is one part too many: a value may have {MAX_PARTS:,}"
            raise ValueError(text)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return _read_int(value, path)
        if isinstance(value, float):
            return _read_float(value, path)
        return self._enter(value, path, depth)

    def _enter(self, value: object, path: str, depth: int) -> object:
        if id(value) in self._open:
            text = f"{path} is a value that contains itself, which JSON cannot say"
            raise ValueError(text)
        if depth >= MAX_DEPTH:
            text = f"{_shortened(path)} is more than {MAX_DEPTH} levels deep"
            raise ValueError(text)
        self._open.add(id(value))
        try:
            return self._inside(value, path, depth + 1)
        finally:
            self._open.discard(id(value))

    def _inside(self, value: object, path: str, depth: int) -> object:
        if isinstance(value, (list, tuple)):
            parts = cast("list[object]", value)
            return [self.read(part, f"{path}[{i}]", depth) for i, part in enumerate(parts)]
        # By its mark: to import RootModel makes that class, which takes 30 ms.
        if isinstance(value, BaseModel) and value.__pydantic_root_model__:
            return self.read(_dump_model(value, path), path, depth)
        return {key: self.read(part, place, depth) for key, part, place in _members(value, path)}


def _members(value: object, path: str) -> Iterator[tuple[str, object, str]]:
    """Yield the members of what becomes a JSON object: name, value and place."""
    if isinstance(value, dict):
        for key, part in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                text = f"{path} has the key {key!r} of type {_name(key)}; keys of JSON are strings"
                raise TypeError(text)
            yield str.__str__(key), part, f"{path}[{reprlib.repr(str.__str__(key))}]"
    elif isinstance(value, BaseModel):
        for key, part in cast("dict[str, object]", _dump_model(value, path)).items():
            yield key, part, f"{path}.{key}"
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield field.name, _field(value, field.name, path), f"{path}.{field.name}"
    else:
        text = (
            f"{path} is of type {_name(value)}, which JSON has no form for: use None, bool, int, "
            "float, str, list, dict with str keys, a pydantic model or a dataclass"
        )
        raise TypeError(text)


def _field(value: object, name: str, path: str) -> object:
    try:
        return getattr(value, name)
    except AttributeError as error:
        text = f"{path}.{name} has no value: give the dataclass one"
        raise TypeError(text) from error


def _dump_model(model: BaseModel, path: str) -> object:
    try:
        return model.model_dump(mode="json")
    except ValueError as error:
        text = f"{path} is a {_name(model)} that has no JSON form: {error}"
        raise TypeError(text) from error


def _read_int(value: int, path: str) -> int:
    number = int.__int__(value)
    try:
        int.__repr__(number)
    except ValueError as error:
        text = f"{path} is a number of too many digits; store it as a hexadecimal string"
        raise ValueError(text) from error
    return number


def _read_float(value: float, path: str) -> float:
    if not math.isfinite(value):
        text = f"{path} is {float.__repr__(value)}, which JSON has no form for; use None"
        raise ValueError(text)
    return float.__float__(value)


def _shortened(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:100]}...{path[-60:]}"  # noqa: PLR2004  what one can read


def _name(value: object) -> str:
    return type(value).__qualname__
