"""Cloacina's `Context`: its methods, over data that asyncflow keeps. It holds nothing itself."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, cast

from asyncflow import Context as _Context
from asyncflow import UsageError


class Context(Mapping[str, Any]):
    """A mapping of names to JSON values, which is changed by the methods of Cloacina.

    A task's is a view of the execution's data: what is changed in it, also inside the values,
    counts. It is a mapping, so that asyncflow's own calls take it; `update` is Cloacina's.

    Args:
        data: what it holds at first.

    Raises:
        TypeError, ValueError: a value has no JSON form, or a key is no string; names the place.
    """

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[str, object] | None = None) -> None:
        self._data = _Context(data)

    @classmethod
    def over(cls, data: _Context) -> "Context":
        """Return a view of asyncflow's context: what is changed in one is changed in both."""
        context = cls()
        context._data = data
        return context

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401  JSON: only its reader knows its shape
        return self._data[key]

    def __setitem__(self, key: str, value: object) -> None:
        self._data[key] = value

    def __delitem__(self, key: str) -> None:
        del self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"Context({self.to_json()})"

    def set(self, key: str, value: object) -> None:
        """Set a value, whether there was one or not."""
        self[key] = value

    def insert(self, key: str, value: object) -> None:
        """Set a value that is not there yet.

        Raises:
            ValueError: there is one.
        """
        if key in self:
            text = f"Key already exists: {key}; update() changes it, set() does either"
            raise ValueError(text)
        self[key] = value

    def update(self, key: str, value: object) -> None:
        """Set a value that is there already; `update_from_dict` sets several.

        Raises:
            KeyError: there is none.
        """
        if key not in self:
            raise KeyError(key)
        self[key] = value

    def update_from_dict(self, data: Mapping[str, object]) -> None:
        """Set all values of a mapping."""
        for key, value in data.items():
            self[key] = value

    def remove(self, key: str) -> Any:  # noqa: ANN401  as `__getitem__`
        """Delete a value and return it, None if there is none."""
        if key not in self:
            return None
        value = self[key]
        del self[key]
        return value

    def replace(self, data: Mapping[str, object]) -> None:
        """Hold what ``data`` holds, and nothing else."""
        kept = dict(data)
        for key in [key for key in self if key not in kept]:
            del self[key]
        self.update_from_dict(kept)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy, as plain JSON values."""
        return {key: json.loads(text) for key, text in self._data.to_texts().items()}

    def to_json(self) -> str:
        """Return it as the text of a JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, json_str: str) -> "Context":
        """Return the context that a text of a JSON object says.

        Raises:
            ValueError: it is no JSON, or no object.
        """
        data = json.loads(json_str)
        if not isinstance(data, dict):
            text = f"a context is read from a JSON object, not from {json_str!r}"
            raise ValueError(text)  # noqa: TRY004  Cloacina's, as for what is no JSON at all
        return cls(cast("dict[str, object]", data))

    def secret(self, name: str) -> NoReturn:
        """Raise `UsageError`: there are no secrets."""
        text = f"asyncflow keeps no secrets: read {name!r} from os.environ, where it is needed"
        raise UsageError(text)

    def secret_field(self, name: str, field: str) -> NoReturn:
        """Raise `UsageError`: there are no secrets."""
        self.secret(f"{name}.{field}")
