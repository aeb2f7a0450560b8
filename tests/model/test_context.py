"""The context: a copy that knows what was changed in it, and refuses what cannot be stored."""

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import BaseModel

from asyncflow._model.context import Context, RunningTask
from asyncflow._model.status import TaskStatus
from asyncflow._model.value import from_json_text, to_json_text
from asyncflow.errors import TaskNotFoundError, TaskStopped, UsageError

TEXTS = {"a": "1", "list": "[1,2]", "none": "null"}
TASK = RunningTask("release-1", "build", 2, 3)


class Order(BaseModel):
    number: int


@dataclasses.dataclass
class Point:
    x: object


class Release:
    """Knows two tasks."""

    def status_of(self, task: str) -> TaskStatus | None:
        known = {"build": TaskStatus.RUNNING, "deploy": None}
        if task not in known:
            raise TaskNotFoundError(task, "release", tuple(known))
        return known[task]


def test_a_context_is_a_mapping_in_order_of_insertion() -> None:
    context = Context({"b": 1, "a": None})
    context.set("c", [2])
    context["b"] = 3
    del context["a"]
    context["a"] = 4

    assert list(context.items()) == [("b", 3), ("c", [2]), ("a", 4)]
    assert len(context) == 3
    assert "a" in context
    assert "z" not in context
    assert context.get("z", 0) == 0
    assert context == {"b": 3, "c": [2], "a": 4}
    assert repr(context) == "Context({'b': 3, 'c': [2], 'a': 4})"


def test_none_is_a_value_like_any_other() -> None:
    context = Context.of(TEXTS)

    assert "none" in context
    assert context["none"] is None


@pytest.mark.parametrize("use", [Context.__getitem__, Context.__delitem__, Context.pop])
def test_a_missing_key_is_a_key_error(use: Callable[[Context, str], object]) -> None:
    with pytest.raises(KeyError):
        use(Context.of(TEXTS), "z")


def test_a_deleted_key_is_gone_whether_it_was_read_or_not() -> None:
    context = Context.of(TEXTS)
    assert context["a"] == 1

    del context["a"], context["list"]

    assert dict(context) == {"none": None}
    with pytest.raises(KeyError):
        del context["a"]


def test_reading_changes_nothing() -> None:
    context = Context.of(TEXTS)

    assert dict(context) == {"a": 1, "list": [1, 2], "none": None}
    assert context.changes() == {}


def test_only_what_differs_at_the_end_is_a_change() -> None:
    context = Context.of(TEXTS)
    context["a"] = 2
    context["a"] = 1
    context["list"].append(3)
    context["list"].pop()
    context["new"] = 0
    del context["new"]
    del context["none"]
    context["none"] = None

    assert context.changes() == {}


def test_a_change_inside_a_value_counts() -> None:
    context = Context.of(TEXTS)
    mine: list[int] = []
    context["mine"] = mine

    context["list"].append(3)
    mine.append(1)

    assert context.changes() == {"list": "[1,2,3]", "mine": "[1]"}


def test_a_deletion_is_a_change_to_none() -> None:
    context = Context.of(TEXTS)
    del context["list"]
    context["none"] = 0

    assert context.changes() == {"list": None, "none": "0"}


def test_one_and_one_point_zero_and_true_are_different_values() -> None:
    context = Context.of({"a": "1", "b": "1"})
    context["a"], context["b"] = 1.0, True

    assert context.changes() == {"a": "1.0", "b": "true"}


def test_text_that_was_stored_in_another_style_is_no_change() -> None:
    context = Context.of({"a": '{"k": [1, "\\u00fc"]}'})

    assert context["a"] == {"k": [1, "ü"]}
    assert context.changes() == {}


def test_the_texts_that_it_is_made_of_never_change() -> None:
    texts = dict(TEXTS)
    context = Context.of(texts)

    context["list"].append(3)
    context["a"] = 2
    context.clear()
    context["z"] = 1

    assert texts == TEXTS
    assert context == {"z": 1}


def test_models_and_dataclasses_are_stored_as_json() -> None:
    context = Context({"order": Order(number=1)})
    context["point"] = Point(2)
    context["point"].x = 3

    assert context.to_texts() == {"order": '{"number":1}', "point": '{"x":3}'}


@pytest.mark.parametrize(
    ("value", "error", "place"),
    [
        (math.nan, ValueError, r"context\['k'\] is nan"),
        ([0, b""], TypeError, r"context\['k'\]\[1\] is of type bytes"),
        ({"a": {1: 1}}, TypeError, r"context\['k'\]\['a'\] has the key 1"),
        (Point(object()), TypeError, r"context\['k'\]\.x is of type object"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_where_it_is_set(
    value: object, error: type[Exception], place: str
) -> None:
    context = Context({"k": "before"})

    with pytest.raises(error, match=place):
        context.set("k", value)
    with pytest.raises(error, match=place):
        context.update(k=value)
    with pytest.raises(error, match=place):
        Context({"k": value})
    assert context == {"k": "before"}


def test_a_cycle_is_refused_where_it_is_set() -> None:
    cycle: list[object] = []
    cycle.append(cycle)

    with pytest.raises(ValueError, match=r"context\['k'\]\[0\] is a value that contains itself"):
        Context()["k"] = cycle


def test_a_bad_change_inside_a_value_is_refused_at_the_end_by_its_place() -> None:
    context = Context.of(TEXTS)
    context["list"].append({1})

    with pytest.raises(TypeError, match=r"context\['list'\]\[2\] is of type set"):
        context.changes()
    with pytest.raises(TypeError, match=r"context\['list'\]\[2\] is of type set"):
        context.to_texts()


@pytest.mark.parametrize("key", [1, None, b"k", ("a",)])
def test_a_key_that_is_no_string_is_refused(key: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(TypeError, match="its keys are strings"):
        Context()[key] = 1
    with pytest.raises(TypeError, match="its keys are strings"):
        Context({key: 1})


@pytest.mark.parametrize("key", ["a\0", "\ud800"])
def test_a_key_that_a_store_could_not_keep_as_text_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"a key of a context is .*(NUL|lone surrogate)"):
        Context()[key] = 1


@pytest.mark.parametrize("data", [[("a", 1)], "a", 1])
def test_a_context_is_made_of_a_mapping_only(data: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(TypeError, match="a context is made of a mapping"):
        Context(data)


def test_copies_share_nothing_with_the_original() -> None:
    context = Context.of(TEXTS, task=TASK, statuses=Release())
    context["list"].append(3)

    for twin in (context.copy(), copy.copy(context), copy.deepcopy(context)):
        assert twin == context
        twin["list"].append(4)
        twin["z"] = 1
        assert twin.changes() == {"list": "[1,2,3,4]", "z": "1"}
        assert twin.task_name == "build"
        assert twin.get_task_status("build") is TaskStatus.RUNNING
    assert context == {"a": 1, "list": [1, 2, 3], "none": None}


def test_a_task_finds_out_who_it_is() -> None:
    context = Context.of({}, task=TASK)

    assert context.execution_name == "release-1"
    assert context.task_name == "build"
    assert context.sequence_number == 2
    assert context.try_number == 3
    assert context.idempotency_key == "release-1/build/2"


def test_idempotency_keys_of_names_with_slashes_are_not_mistaken_for_each_other() -> None:
    names = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c")]
    tasks = [dataclasses.replace(TASK, execution_name=e, task_name=t) for e, t in names]

    keys = [Context.of({}, task=each).idempotency_key for each in tasks]

    assert keys == ["a/b%2Fc/2", "a%2Fb/c/2", "a%252Fb/c/2"]


def test_a_task_finds_out_that_it_goes_on() -> None:
    context = Context.of({}, task=TASK)

    assert context.stop_requested is False


def test_a_task_sees_when_it_is_told_to_stop() -> None:
    told = [False]
    task = dataclasses.replace(TASK, stop_requested=lambda: told[0])
    context = Context.of({}, task=task)

    assert not context.stop_requested
    told[0] = True
    assert context.stop_requested


def test_a_task_that_is_told_to_stop_is_answered_no_more_questions() -> None:
    task = dataclasses.replace(TASK, stop_requested=lambda: True)
    context = Context.of({"a": "1"}, task=task, statuses=Release())

    with pytest.raises(TaskStopped):
        context.get_task_status("build")
    assert context["a"] == 1


@pytest.mark.parametrize(
    "name",
    [
        *("execution_name", "task_name", "sequence_number", "try_number"),
        *("idempotency_key", "stop_requested"),
    ],
)
def test_outside_a_task_a_context_is_nobodys(name: str) -> None:
    with pytest.raises(UsageError, match=f"context.{name} is known only in"):
        getattr(Context(), name)


def test_what_one_context_keeps_and_deletes_no_other_sees() -> None:
    one, other = Context.of(TEXTS), Context.of(TEXTS)
    one["new"] = 1
    del one["a"]

    assert other.changes() == Context().changes() == {}
    assert "a" in other


def test_a_context_tells_the_statuses_of_the_tasks() -> None:
    context = Context.of({}, statuses=Release())

    assert context.get_task_status("build") is TaskStatus.RUNNING
    assert context.get_task_status("deploy") is None
    with pytest.raises(
        TaskNotFoundError, match=r"no task 'nope'; its tasks are: 'build', 'deploy'"
    ):
        context.get_task_status("nope")
    with pytest.raises(UsageError, match="belongs to no workflow execution"):
        Context().get_task_status("build")


WRITES: list[Callable[[Context], object]] = [
    lambda context: context.set("a", 1),
    lambda context: context.__setitem__("z", 1),
    lambda context: context.__delitem__("a"),
    lambda context: context.update(a=2),
    lambda context: context.pop("a"),
    lambda context: context.setdefault("z", 1),
    lambda context: context.clear(),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_frozen_context_can_be_read_only(write: Callable[[Context], object]) -> None:
    context = Context.of(TEXTS, frozen=True)

    with pytest.raises(UsageError, match=r"context\['.'\w*\] cannot be changed here"):
        write(context)

    assert context == {"a": 1, "list": [1, 2], "none": None}
    assert context.changes() == {}


values = st.none() | st.integers() | st.lists(st.integers(), max_size=2)
names = st.sampled_from("abcd")


class ContextIsLikeADict(RuleBasedStateMachine):
    """Whatever is done to a context and to a dict, they stay equal, and so do the changes."""

    def __init__(self) -> None:
        super().__init__()
        self.base = {"a": "1", "b": "[1]"}
        self.context = Context.of(self.base)
        self.model: dict[str, Any] = {"a": 1, "b": [1]}

    @rule(key=names, value=values)
    def set(self, key: str, value: object) -> None:
        self.context[key] = value
        self.model[key] = copy.deepcopy(value)

    @rule(key=names)
    def delete(self, key: str) -> None:
        assert self.context.pop(key, "none") == self.model.pop(key, "none")

    @rule(key=names)
    def append(self, key: str) -> None:
        if isinstance(self.model.get(key), list):
            self.context[key].append(7)
            self.model[key].append(7)

    @invariant()
    def they_are_equal(self) -> None:
        assert list(self.context) == list(self.model)
        assert dict(self.context) == self.model
        assert len(self.context) == len(self.model)
        assert merged(self.base, self.context.changes()) == self.model
        assert {k: from_json_text(t) for k, t in self.context.to_texts().items()} == self.model


def merged(base: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, object]:
    texts = {**base, **changes}
    return {key: from_json_text(text) for key, text in texts.items() if text is not None}


TestContextIsLikeADict = ContextIsLikeADict.TestCase


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), values))
def test_what_is_stored_is_what_was_set(data: dict[str, object]) -> None:
    context = Context(data)

    assert Context.of(context.to_texts()) == data
    assert context.changes() == {key: to_json_text(value) for key, value in data.items()}
