"""Conditions made of conditions."""

from collections.abc import Awaitable
from typing import Any

import pytest

from asyncflow._model.condition import (
    Condition,
    MeetAllCondition,
    MeetAnyCondition,
    SingleEventCondition,
    TaskStatusCondition,
)
from asyncflow._model.context import Context
from asyncflow._model.event import Event
from asyncflow._model.status import TaskStatus
from asyncflow.errors import DefinitionError
from tests.model.test_state import Kept


class Large(Condition):
    """Met by a value over ten, and notes what it was asked."""

    def __init__(self, key: str) -> None:
        super().__init__(expect_event_keys=[key])
        self.asked: list[object] = []

    def is_met(self, event: Event, context: Context) -> bool:
        self.asked.append(event.value)
        return isinstance(event.value, int) and event.value > 10


class LargeLater(Large):
    """The same, asynchronous."""

    async def is_met(self, event: Event, context: Context) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  a hook may be either
        return super().is_met(event, context)


def x_and_y() -> MeetAllCondition:
    return MeetAllCondition("xy", [SingleEventCondition("x"), SingleEventCondition("y")])


def told(condition: Condition, *keys: str, cells: Kept | None = None) -> list[object]:
    context = Context.of({}, cells=cells or Kept(), frozen=True)
    return [condition.is_met(Event(key), context) for key in keys]


def test_all_is_met_once_per_complete_set_and_starts_again() -> None:
    said = told(x_and_y(), "x", "x", "y", "y", "x", "x", "y")

    assert said == [False, False, True, False, True, False, True]


def test_all_goes_on_from_its_state() -> None:
    cells = Kept()
    first = told(x_and_y(), "x", cells=cells)

    assert (first, told(x_and_y(), "y", cells=cells)) == ([False], [True])
    assert cells.texts == {}


def test_all_forgets_a_condition_that_an_event_does_not_meet_any_more() -> None:
    condition = MeetAllCondition("all", [Large("x"), SingleEventCondition("y")])
    context = Context.of({}, cells=Kept(), frozen=True)

    said = [
        condition.is_met(Event(key, value), context)
        for key, value in [("x", 11), ("x", 5), ("y", None), ("x", 12)]
    ]

    assert said == [False, False, False, True]


def test_any_is_met_by_each_event_that_meets_one_and_asks_all() -> None:
    first, second = Large("x"), Large("x")
    condition = MeetAnyCondition([first, second, SingleEventCondition("y")])
    context = Context.of({}, frozen=True)

    said = [condition.is_met(Event(key, 11), context) for key in ("x", "y", "x")]

    assert said == [True, True, True]
    assert first.asked == second.asked == [11, 11]


async def test_asynchronous_conditions_are_awaited_in_order() -> None:
    condition = MeetAllCondition("all", [LargeLater("x"), Large("x"), LargeLater("x")])
    context = Context.of({}, cells=Kept(), frozen=True)

    met = condition.is_met(Event("x", 11), context)
    assert isinstance(met, Awaitable)
    assert await met
    again = condition.is_met(Event("x", 5), context)
    assert isinstance(again, Awaitable)
    assert not await again


def test_the_keys_are_those_of_all_conditions() -> None:
    inner = MeetAnyCondition([SingleEventCondition("x"), SingleEventCondition("y")])

    condition = MeetAllCondition("all", [inner, SingleEventCondition("y"), Large("z")])

    assert list(condition.expect_event_keys) == ["x", "y", "z"]


@pytest.mark.parametrize(
    "wrong",
    [
        *([], None, "x", [None], [SingleEventCondition], SingleEventCondition("x")),
        [SingleEventCondition("x"), TaskStatusCondition({"a": TaskStatus.SUCCESS})],
    ],
)
def test_what_is_no_list_of_conditions_on_events_is_refused(wrong: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(DefinitionError):
        MeetAnyCondition(wrong)
    with pytest.raises(DefinitionError):
        MeetAllCondition("all", wrong)


def test_all_needs_a_name() -> None:
    with pytest.raises(DefinitionError, match="the name of a MeetAllCondition"):
        MeetAllCondition("", [SingleEventCondition("x")])
