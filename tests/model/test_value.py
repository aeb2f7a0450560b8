"""JSON text: what is stored is what was meant, and a refusal says where the fault is."""

import dataclasses
import json
import math
from collections import OrderedDict
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from asyncflow._model.value import (
    MAX_DEPTH,
    LargeValueWarning,
    SizeLimits,
    byte_size,
    from_json_text,
    to_json_text,
)
from asyncflow.errors import TooLargeError


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Plain(Enum):
    ONE = 1


class Order(BaseModel):
    number: int
    weight: float = 1.5
    note: object = None


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0


@dataclasses.dataclass
class Unset:
    x: int = dataclasses.field(init=False)


class Pair(NamedTuple):
    a: int
    b: int


LONG = 10**5_000

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # what is no Unicode text may come back joined, see below
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


def nested(depth: int) -> Any:  # noqa: ANN401  lists all the way down
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@given(json_values)
def test_a_json_value_comes_back_as_it_was(value: object) -> None:
    assert from_json_text(to_json_text(value)) == value


@pytest.mark.parametrize("text", [" 1", "1\n", '{"a": [1, 2]}', "[1] "])
def test_text_that_others_have_written_may_have_spaces_around_it(text: str) -> None:
    assert from_json_text(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", " ", "{", "1 2", "nonsense", '"open'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        from_json_text(text)


@given(json_values)
def test_the_same_value_has_the_same_text_again(value: object) -> None:
    text = to_json_text(value)

    assert to_json_text(from_json_text(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        ((1, (2,)), "[1,[2]]"),
        (Pair(1, 2), "[1,2]"),
        ("ü", '"ü"'),
        (Colour.RED, '"red"'),
        ({Colour.RED: Level.HIGH}, '{"red":3}'),
        (OrderedDict[str, int](b=1, a=2), '{"b":1,"a":2}'),
        (Order(number=1), '{"number":1,"weight":1.5,"note":null}'),
        (RootModel[list[int]]([1, 2]), "[1,2]"),
        (Point(Point(1), [Colour.RED]), '{"x":{"x":1,"y":0},"y":["red"]}'),
    ],
)
def test_what_json_has_a_form_for_is_stored_in_it(value: object, text: str) -> None:
    assert to_json_text(value) == text


@pytest.mark.parametrize("value", ["\ud800", ["a", {"\udfff": "ü"}], Colour.RED + "\ud800"])
def test_lone_surrogates_are_escaped_so_that_sqlite_can_keep_them(value: object) -> None:
    text = to_json_text(value)

    assert text.encode()
    assert from_json_text(text) == value


@pytest.mark.parametrize(
    ("value", "error", "place"),
    [
        (math.nan, ValueError, "value is nan"),
        ([1, math.inf], ValueError, "value[1] is inf"),
        ({"a": (0, 1, 2, Point(-math.inf))}, ValueError, "value['a'][3].x is -inf"),
        (Order(number=1, weight=math.nan), ValueError, "value.weight is nan"),
        ([LONG], ValueError, "value[0] is a number of too many digits"),
        (Point(LONG), ValueError, "value.x is a number of too many digits"),
        ({"a": b"x"}, TypeError, "value['a'] is of type bytes"),
        ([{1, 2}], TypeError, "value[0] is of type set"),
        (datetime(2026, 1, 1), TypeError, "value is of type datetime"),  # noqa: DTZ001  none is taken
        (Plain.ONE, TypeError, "value is of type Plain"),
        (Point, TypeError, "value is of type type"),
        ({"a": {1: 2}}, TypeError, "value['a'] has the key 1 of type int"),
        (Order(number=1, note=object()), TypeError, "value is a Order that has no JSON form"),
        (Unset(), TypeError, "value.x has no value"),
    ],
)
def test_what_json_has_no_form_for_is_refused_by_its_place(
    value: object, error: type[Exception], place: str
) -> None:
    with pytest.raises(error) as raised:
        to_json_text(value)

    assert str(raised.value).startswith(place)


def test_a_long_key_does_not_make_a_long_message() -> None:
    with pytest.raises(TypeError) as raised:
        to_json_text({"k" * 1_000_000: b""})

    assert len(str(raised.value)) < 500


def test_a_value_inside_itself_is_refused_by_its_place() -> None:
    cycle: dict[str, Any] = {"a": [0]}
    cycle["a"].append(cycle)
    point = Point(0)
    point.x = [point]

    with pytest.raises(ValueError, match=r"value\['a'\]\[1\] is a value that contains itself"):
        to_json_text(cycle)
    with pytest.raises(ValueError, match=r"value\.x\[0\] is a value that contains itself"):
        to_json_text(point)


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = [1]

    assert to_json_text([shared, shared, Point(shared)]) == '[[1],[1],{"x":[1],"y":0}]'


def test_values_nest_two_hundred_deep_and_no_deeper() -> None:
    deepest = nested(MAX_DEPTH)

    assert to_json_text(deepest) == "[" * MAX_DEPTH + "]" * MAX_DEPTH
    with pytest.raises(ValueError, match="is more than 200 levels deep"):
        to_json_text(nested(MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="is more than 200 levels deep"):
        to_json_text([Point(nested(MAX_DEPTH - 1))])
    with pytest.raises(ValueError, match="is more than 200 levels deep"):
        to_json_text(nested(100_000))


def test_a_value_short_in_memory_only_is_refused_and_not_written_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asyncflow._model.value.MAX_PARTS", 1_000)
    value: object = 0
    for _ in range(60):
        value = [value, value]

    with pytest.raises(ValueError, match="one part too many"):
        to_json_text(value)


@given(st.text())
def test_the_size_is_that_of_utf_8(text: str) -> None:
    assert byte_size(text) == len(text.encode("utf-8", "surrogatepass"))


def test_a_large_value_warns_and_a_larger_one_is_refused() -> None:
    limits = SizeLimits(warn=10, refuse=20)

    limits.check("the result", 10)
    with pytest.warns(LargeValueWarning, match="the result has 11 bytes"):
        limits.check("the result", 11)
    with pytest.warns(LargeValueWarning):
        limits.check("the result", 20)
    with pytest.raises(TooLargeError, match="the result has 21 bytes of JSON, the limit is 20"):
        limits.check("the result", 21)


def test_the_limits_are_half_a_megabyte_and_two() -> None:
    assert SizeLimits() == SizeLimits(warn=524_288, refuse=2_097_152)


@pytest.mark.parametrize("size", [-1, 1.5, "2MB", True])
def test_a_limit_that_is_no_number_of_bytes_is_refused(size: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(ValueError, match="refuse"):
        SizeLimits(refuse=size)


def test_the_fast_and_the_slow_way_write_the_same() -> None:
    value = {"a": [1, {"b": [None, "ü", 0.1]}]}

    assert (
        to_json_text([Point(value)])
        == f'[{{"x":{json.dumps(value, ensure_ascii=False, separators=(",", ":"))},"y":0}}]'
    )
