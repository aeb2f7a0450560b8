"""States: what conditions and tasks remember, as JSON."""

from typing import Any

import pytest

from asyncflow._model.context import Context
from asyncflow._model.state import (
    State,
    StateDescriptor,
    StateType,
    ValueState,
    ValueStateDescriptor,
)
from asyncflow.errors import UsageError


class Kept:
    """Cells in a dict."""

    def __init__(self, **texts: str) -> None:
        self.texts = dict(texts)

    def get(self, name: str) -> str | None:
        return self.texts.get(name)

    def put(self, name: str, text: str | None) -> None:
        if text is None:
            self.texts.pop(name, None)
        else:
            self.texts[name] = text


def test_a_state_is_none_until_it_is_set_and_after_it_is_cleared() -> None:
    cells = Kept()
    state = ValueState("sum", cells)

    before = state.value()
    state.update({"a": [1]})
    set_ = state.value()
    state.clear()

    assert (before, set_, state.value()) == (None, {"a": [1]}, None)
    assert cells.texts == {}


def test_none_is_a_value_that_can_be_kept() -> None:
    cells = Kept(sum="1")

    ValueState("sum", cells).update(None)

    assert cells.texts == {"sum": "null"}


def test_what_is_changed_in_a_value_is_not_kept_until_it_is_set() -> None:
    state = ValueState("seen", Kept(seen="[1]"))
    value: Any = state.value()

    value.append(2)
    unchanged = state.value()
    state.update(value)

    assert (unchanged, state.value()) == ([1], [1, 2])


def test_what_has_no_json_form_is_refused_with_its_place() -> None:
    cells = Kept()

    with pytest.raises(TypeError, match=r"state 'seen'\[0\] is of type set"):
        ValueState("seen", cells).update([{1}])
    assert cells.texts == {}


@pytest.mark.parametrize("name", ["", None, 5, "\ud800", "a\0"])
def test_a_state_needs_a_proper_name(name: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises((TypeError, ValueError), match="the name of a state"):
        ValueStateDescriptor(name)


def test_a_context_gives_the_state_that_is_described() -> None:
    context = Context.of({}, cells=Kept(sum="7"))

    state = context.get_state(ValueStateDescriptor("sum"))

    assert isinstance(state, State)
    assert state.value() == 7


def test_a_copy_of_a_context_gives_the_same_states() -> None:
    cells = Kept()
    Context.of({}, cells=cells).copy().get_state(ValueStateDescriptor("sum")).update(1)

    assert cells.texts == {"sum": "1"}


def test_a_frozen_context_has_states_that_can_be_changed() -> None:
    cells = Kept()

    Context.of({}, cells=cells, frozen=True).get_state(ValueStateDescriptor("sum")).update(1)

    assert cells.texts == {"sum": "1"}


def test_only_values_are_kept() -> None:
    with pytest.raises(TypeError, match="described by a ValueStateDescriptor, not "):
        Context.of({}, cells=Kept()).get_state(StateDescriptor("sum"))
    assert StateType.VALUE == "value"


def test_a_context_of_nobody_has_no_states() -> None:
    with pytest.raises(UsageError, match="get_state"):
        Context().get_state(ValueStateDescriptor("sum"))
