"""What a poll answers: fires, skips, cursors; and which fires are the same."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeAlias, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from asyncflow._model.context import Context
from asyncflow._model.trigger import KEEP, Fire, TriggerResult

Make: TypeAlias = Callable[[], object]


@dataclasses.dataclass
class Point:
    x: int


class Model(BaseModel):
    x: int


class Colour(StrEnum):
    RED = "red"


def fire(context: Mapping[str, object] | None = None, key: str | None = None) -> Fire:
    (only,) = TriggerResult.fire(context, key).fires
    return only


# --- fire, skip, fire_many ---


def test_a_skip_starts_nothing() -> None:
    skip = TriggerResult.skip()

    assert (skip.is_skip_result(), skip.is_fire_result(), skip.fires) == (True, False, ())


def test_a_fire_starts_one_with_its_context_and_key() -> None:
    result = TriggerResult.fire({"path": "a", "sizes": [1, None]}, "k")

    assert (result.is_skip_result(), result.is_fire_result()) == (False, True)
    assert [(dict(each.texts), each.key) for each in result.fires] == [
        ({"path": '"a"', "sizes": "[1,null]"}, "k")
    ]


@pytest.mark.parametrize("none", [None, {}, Context()])
def test_a_fire_without_a_context_has_an_empty_one(none: Mapping[str, object] | None) -> None:
    assert TriggerResult.fire(none) == TriggerResult.fire()
    assert fire(none).texts == {}


def test_a_context_is_taken_as_it_is_when_it_fires() -> None:
    inside = {"a": [1]}
    context = Context(inside)

    results = TriggerResult.fire(inside), TriggerResult.fire(context)
    inside["a"].append(2)
    context["b"] = 3

    assert [dict(result.fires[0].texts) for result in results] == [{"a": "[1]"}, {"a": "[1]"}]


def test_models_dataclasses_and_enums_are_what_they_are_as_json() -> None:
    result = TriggerResult.fire({"p": Point(1), "m": Model(x=2), "c": Colour.RED, "t": (1,)})

    assert result == TriggerResult.fire({"p": {"x": 1}, "m": {"x": 2}, "c": "red", "t": [1]})


def test_many_are_contexts_or_fires_with_keys_in_their_order() -> None:
    many = TriggerResult.fire_many(
        each for each in ({"n": 1}, TriggerResult.fire({"n": 2}, "two"), Context({"n": 3}))
    )

    assert [(dict(each.texts), each.key) for each in many.fires] == [
        ({"n": "1"}, None),
        ({"n": "2"}, "two"),
        ({"n": "3"}, None),
    ]


def test_many_of_none_are_a_skip_and_a_skip_in_many_starts_nothing() -> None:
    assert TriggerResult.fire_many([]) == TriggerResult.skip()
    assert TriggerResult.fire_many([TriggerResult.skip()]).is_skip_result()


# --- cursors ---

WAYS: Final[dict[str, Callable[..., TriggerResult]]] = {
    "fire": partial(TriggerResult.fire, {"a": 1}),
    "skip": TriggerResult.skip,
    "fire_many": partial(TriggerResult.fire_many, [{"a": 1}]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_cursor_is_kept_unless_it_is_given_and_none_clears_it(way: str) -> None:
    make = WAYS[way]

    assert make().cursor_text is KEEP
    assert make(cursor=KEEP) == make()
    assert make(cursor=None).cursor_text is None
    assert make(cursor={"at": [1, "é"]}).cursor_text == '{"at":[1,"é"]}'
    assert make(cursor=False).cursor_text == "false"
    assert repr(KEEP) == "KEEP"


def test_results_with_other_cursors_are_not_equal() -> None:
    made = [TriggerResult.skip(), *(TriggerResult.skip(cursor=each) for each in (None, 0, "", 1))]

    assert len(set(made)) == len(made)


def test_one_of_many_has_no_cursor_of_its_own() -> None:
    for one in (TriggerResult.fire(cursor=1), TriggerResult.skip(cursor=None)):
        with pytest.raises(ValueError, match=r"the cursor is given once: fire_many\(\[\.\.\.\], c"):
            TriggerResult.fire_many([one])


# --- what is refused ---


def given_as(value: object) -> Any:  # noqa: ANN401  whatever users without a type checker give
    return value


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: TriggerResult.fire({"a": [0, math.nan]}), ValueError, r"context\['a'\]\[1\] is n"),
        (
            lambda: TriggerResult.fire({"a": {"b": b""}}),
            TypeError,
            r"context\['a'\]\['b'\] is of",
        ),
        (lambda: TriggerResult.fire(given_as({1: 2})), TypeError, "has the key 1 of type int"),
        (lambda: TriggerResult.fire({"a\0": 2}), ValueError, "key of a context .* NUL character"),
        (lambda: TriggerResult.fire(given_as([1])), TypeError, r"mapping of names .*, not \[1\]"),
        (lambda: TriggerResult.fire(given_as("a")), TypeError, "mapping of names .*, not 'a'"),
        (lambda: TriggerResult.fire(key=""), ValueError, "the key of a fire is a non-empty string"),
        (lambda: TriggerResult.fire(key=given_as(5)), TypeError, "the key of a fire .*, not 5"),
        (lambda: TriggerResult.fire(key="\0"), ValueError, "the key of a fire .* NUL character"),
        (lambda: TriggerResult.fire(key="\udc80"), ValueError, "key of a fire .* lone surrogate"),
        (lambda: TriggerResult.fire(cursor={"a": {1}}), TypeError, r"cursor\['a'\] is of type set"),
        (lambda: TriggerResult.skip(cursor=[math.inf]), ValueError, r"cursor\[0\] is inf"),
        (lambda: TriggerResult.fire_many([], cursor=b""), TypeError, "cursor is of type bytes"),
        (lambda: TriggerResult.fire_many([{"a": b""}]), TypeError, r"context\['a'\] is of type"),
        (lambda: TriggerResult.fire_many(given_as([5])), TypeError, "mapping of names .*, not 5"),
        (
            lambda: TriggerResult.fire_many(given_as({"a": 1})),
            TypeError,
            "iterable of contexts or r",
        ),
        (lambda: TriggerResult.fire_many(given_as(5)), TypeError, "contexts or results .*, not 5"),
        (
            lambda: TriggerResult.fire_many(given_as(TriggerResult.fire())),
            TypeError,
            r"contexts or results of fire\(\), not TriggerResult",
        ),
        (lambda: TriggerResult.fire_many(given_as([None])), TypeError, "of names .*, not None"),
    ],
)
def test_what_has_no_form_is_refused_where_it_is_given(
    make: Make, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make()


# --- which are the same ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)
KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
FINITE = JSON.filter(lambda value: "Infinity" not in json.dumps(value))
CONTEXTS = st.dictionaries(KEYS, FINITE, max_size=4)


def reversed_keys(value: object) -> object:
    """Return the same value with the keys of each dict the other way round."""
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {key: reversed_keys(part) for key, part in reversed(items)}
    if isinstance(value, list):
        return [reversed_keys(part) for part in cast("list[object]", value)]
    return value


def written(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(CONTEXTS)
def test_the_order_of_keys_makes_no_difference_at_any_depth(context: dict[str, object]) -> None:
    one, other = fire(context), fire(cast("dict[str, object]", reversed_keys(context)))

    assert one.context_hash == other.context_hash
    assert one.identity == other.identity
    assert one == other
    assert hash(one) == hash(other)
    assert TriggerResult.fire(context).fires == (other,)


@given(CONTEXTS, CONTEXTS)
def test_contexts_are_the_same_if_and_only_if_their_json_is(
    one: dict[str, object], other: dict[str, object]
) -> None:
    same = written(one) == written(other)

    assert (fire(one).context_hash == fire(other).context_hash) is same
    assert (fire(one) == fire(other)) is same


@given(CONTEXTS, st.text())
def test_a_changed_value_makes_another_context(context: dict[str, object], text: str) -> None:
    changed = {**context, "changed": [text, "x"]}

    assert fire(changed) != fire({**changed, "changed": ["x", text + "y"]})
    assert fire(changed).identity != fire(context | {"changed": text}).identity


def test_the_hash_is_that_of_the_document() -> None:
    text = rb'{"a":{"c":[1,"\u00e9"],"d":null},"b":2}'

    found = fire({"b": 2, "a": {"d": None, "c": [1, "é"]}}).context_hash

    assert found == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, False), (0, None), ("1", 1), ([], {}), (0.0, -0.0)]
)
def test_what_json_writes_differently_differs(one: object, other: object) -> None:
    assert fire({"a": one}).context_hash != fire({"a": other}).context_hash


def test_a_key_alone_decides_where_it_is_given() -> None:
    assert fire({"a": 1}, "k").identity == fire({"a": 2}, "k").identity
    assert fire({"a": 1}, "k").identity != fire({"a": 1}, "l").identity
    assert fire({"a": 1}, "k") != fire({"a": 2}, "k")


def test_no_key_is_taken_for_a_context() -> None:
    plain = fire({"a": 1})

    assert fire(key=plain.identity).identity != plain.identity
    assert fire(key=plain.context_hash).identity != plain.identity


def test_a_fire_is_no_other_thing() -> None:
    assert fire() != {}
    assert fire() != TriggerResult.fire()
