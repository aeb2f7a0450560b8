"""Triggers as declared: what is refused, and that a function stays what it was."""

import inspect
import threading
import types
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from asyncflow._model.registry import Registry, current_registry
from asyncflow._model.trigger import Trigger, TriggerResult, trigger
from asyncflow._model.workflow import RedeclaredWarning, Workflow
from asyncflow.errors import DefinitionError
from tests.core.samples import Nothing


def poll() -> TriggerResult:
    """Look around."""
    return TriggerResult.skip()


def declare(function: Callable[..., object] = poll, **options: object) -> Trigger[..., object]:
    """Declare a trigger of the workflow "w" in a registry of its own."""
    given = cast("dict[str, Any]", {"workflow": "w", **options})
    with Registry():
        return trigger(**given)(function)


def declared_workflow(namespace: str = "default") -> Workflow:
    with Registry(), Workflow("w", namespace) as workflow:
        Nothing("only")
    return workflow


# --- what is declared ---


def test_it_has_the_name_of_its_function_and_the_options_as_documented() -> None:
    made = declare()

    assert (made.name, made.workflow, made.namespace) == ("poll", "w", "default")
    assert made.poll_interval == timedelta(seconds=5)
    assert made.poll_timeout == timedelta(seconds=30)
    assert (made.allow_concurrent, made.dedup, made.takes_cursor) == (False, None, False)
    assert made.place.module == __name__
    assert repr(made) == "<Trigger 'poll' of workflow 'w' in 'default'>"


def test_what_is_given_is_kept() -> None:
    made = declare(
        name="t",
        namespace="team",
        poll_interval="1m",
        allow_concurrent=True,
        dedup="forever",
        poll_timeout=2.5,
    )

    assert (made.name, made.namespace) == ("t", "team")
    assert made.poll_interval == timedelta(minutes=1)
    assert made.poll_timeout == timedelta(seconds=2.5)
    assert (made.allow_concurrent, made.dedup) == (True, "forever")


@pytest.mark.parametrize("least", ["10ms", 0.01, timedelta(milliseconds=10)])
def test_ten_milliseconds_are_the_shortest_interval(least: object) -> None:
    assert declare(poll_interval=least).poll_interval == timedelta(milliseconds=10)


def test_a_workflow_itself_gives_its_name_and_namespace() -> None:
    made = declare(workflow=declared_workflow("team"))
    same = declare(workflow=declared_workflow("team"), namespace="team")

    assert (made.workflow, made.namespace) == (same.workflow, same.namespace) == ("w", "team")


def test_a_function_stays_callable_and_documented() -> None:
    @trigger("w")
    def adds(a: int = 1, *, b: int = 2) -> int:
        """Add."""
        return a + b

    with Registry():
        made = trigger("w")(adds)

    assert (adds(), adds(3, b=4), made(3)) == (3, 7, 5)
    assert (adds.__doc__, adds.__name__) == ("Add.", "adds")
    assert list(inspect.signature(adds).parameters) == ["a", "b"]
    del current_registry().triggers_by_name["default", "adds"]


async def test_a_coroutine_function_is_awaited_as_before() -> None:
    with Registry():

        @trigger("w")
        async def found() -> TriggerResult:
            return TriggerResult.fire({"a": 1})

    call: Coroutine[Any, Any, TriggerResult] = found()
    assert await call == TriggerResult.fire({"a": 1})


async def test_a_cursor_is_a_parameter_like_any_other() -> None:
    with Registry():

        @trigger("w")
        def plain(cursor: int | None) -> int:
            return (cursor or 0) + 1

        @trigger("w")
        async def later(*, cursor: int = 5) -> int:
            return cursor + 1

    assert (plain.takes_cursor, later.takes_cursor) == (True, True)
    assert (plain(1), plain(cursor=2), await later()) == (2, 3, 6)


def by_any_name(**others: int) -> bool:
    return bool(others)


def by_any_place(*others: int) -> bool:
    return bool(others)


def with_default(limit: int = 3) -> bool:
    return bool(limit)


def with_both(limit: int = 3, cursor: int | None = None) -> bool:
    return bool(limit and cursor)


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (by_any_name, False),
        (by_any_place, False),
        (with_default, False),
        (with_both, True),
        (partial(with_both, 3), True),
    ],
)
def test_a_function_gets_the_cursor_if_it_names_it(
    function: Callable[..., object], takes: bool
) -> None:
    assert declare(function, name="t").takes_cursor is takes


# --- what is refused ---


class Source:
    def poll(self) -> bool:
        return bool(self)

    def __call__(self) -> bool:
        return True


def needs(a: int) -> int:
    return a


def by_place(cursor: int, /) -> int:
    return cursor


SHORTEST = "trigger 'poll': poll_interval is {}; the shortest is '10ms'"
DURATION = "trigger 'poll': {} is {}, but a duration is text like"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"poll_interval": "9ms"}, SHORTEST.format("'9ms'")),
        ({"poll_interval": 0.009}, SHORTEST.format("0.009")),
        ({"poll_interval": "0s"}, DURATION.format("poll_interval", "'0s'")),
        ({"poll_interval": -1}, DURATION.format("poll_interval", "-1")),
        ({"poll_interval": "often"}, DURATION.format("poll_interval", "'often'")),
        ({"poll_interval": None}, DURATION.format("poll_interval", "None")),
        ({"poll_interval": "101y"}, DURATION.format("poll_interval", "'101y'")),
        ({"poll_timeout": "0s"}, DURATION.format("poll_timeout", "'0s'")),
        ({"poll_timeout": "late"}, DURATION.format("poll_timeout", "'late'")),
        ({"allow_concurrent": 1}, "trigger 'poll': allow_concurrent is True or False, not 1"),
        ({"dedup": "ever"}, "trigger 'poll': dedup is 'forever' or None, not 'ever'"),
        ({"dedup": True}, "trigger 'poll': dedup is 'forever' or None, not True"),
        ({"dedup": []}, r"trigger 'poll': dedup is 'forever' or None, not \[\]"),
        ({"name": ""}, "the name of a trigger is a non-empty string, not ''"),
        ({"name": 5}, "the name of a trigger is a non-empty string, not 5"),
        ({"name": "a\0"}, "the name of a trigger is .* NUL character"),
        ({"name": "a\udc80"}, "the name of a trigger is .* lone surrogate"),
        ({"workflow": ""}, "the workflow of trigger 'poll' is a non-empty string, not ''"),
        ({"workflow": None}, r"@trigger is told what it starts, as .*'name'\), not None"),
        ({"workflow": poll}, "@trigger is told what it starts, as .*, not <function poll"),
        ({"namespace": ""}, "the namespace of trigger 'poll' is a non-empty string, not ''"),
        ({"namespace": 3}, "the namespace of trigger 'poll' is a non-empty string, not 3"),
        (
            {"workflow": declared_workflow("team"), "namespace": "other"},
            "trigger 'poll': its namespace is that of its workflow, 'team'",
        ),
        ({"function": 5}, "@trigger is written above a function, not 5"),
        ({"function": partial(poll)}, r"has no name: write @trigger\(\.\.\., name=\.\.\.\)"),
        ({"function": Source()}, r"@trigger above <.*Source object.*>, which has no name"),
        ({"function": needs}, "trigger 'needs': .* without arguments, or with cursor=, but .*'a'"),
        ({"function": Source.poll}, "trigger 'poll': its function is called without .*'self'"),
        ({"function": by_place}, "trigger 'by_place': .* or with cursor=, but .*'cursor'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_not_registered(
    options: dict[str, object], text: str
) -> None:
    given = cast("dict[str, Any]", {"workflow": "w", **options})
    function = cast("Callable[..., object]", given.pop("function", poll))

    with Registry() as registry, pytest.raises(DefinitionError, match=text):
        trigger(**given)(function)

    assert registry.triggers() == ()


def test_without_its_brackets_it_is_refused_at_once() -> None:
    wrong = cast("Any", trigger)

    with pytest.raises(DefinitionError, match=r"told what it starts, as @trigger\(workflow='name'"):
        wrong(poll)


# --- where it is found ---


def test_triggers_are_found_by_namespace_and_name_in_the_order_of_their_names() -> None:
    with Registry() as registry:
        here = trigger("w", name="b")(poll)
        there = trigger("w", name="b", namespace="team")(poll)
        last = trigger("w", name="a")(poll)

    assert registry.triggers() == (here, there, last)
    assert registry.find_trigger("b") is here
    assert registry.find_trigger("b", "team") is there
    assert registry.find_trigger("c") is None


def test_the_innermost_registry_takes_it_and_the_default_one_outside() -> None:
    with Registry() as outer, Registry() as inner:
        trigger("w")(poll)
    made = trigger("w", name="test_trigger.default")(poll)
    try:
        assert [each.name for each in inner.triggers()] == ["poll"]
        assert outer.triggers() == ()
        assert current_registry().find_trigger("test_trigger.default") is made
    finally:
        del current_registry().triggers_by_name["default", "test_trigger.default"]


def test_a_module_that_declares_a_name_again_replaces_the_trigger_silently() -> None:
    with Registry() as registry:
        trigger("w")(poll)
        newest = trigger("w", poll_interval="1m")(poll)

    assert registry.triggers() == (newest,)


@pytest.mark.parametrize(
    ("workflow", "function"), [("w", by_any_name), ("other", poll)], ids=["function", "workflow"]
)
def test_a_trigger_of_another_function_or_workflow_does_not_replace_one_silently(
    workflow: str, function: Callable[..., object]
) -> None:
    with Registry() as registry:
        trigger("w", name="poll")(poll)
        with pytest.warns(RedeclaredWarning, match="trigger 'poll'.*which replaces it"):
            newest = trigger(workflow, name="poll")(function)

    assert registry.triggers() == (newest,)


def generates() -> Iterator[TriggerResult]:
    yield TriggerResult.skip()


async def generates_later() -> AsyncIterator[TriggerResult]:
    yield TriggerResult.skip()


@pytest.mark.parametrize("function", [generates, generates_later, dict])
def test_what_cannot_return_an_answer_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(DefinitionError, match="trigger 't' is a function that returns what to"):
        declare(function, name="t")


def test_a_result_is_made_by_its_class_methods_only() -> None:
    make = cast("Callable[..., object]", TriggerResult)

    with pytest.raises(TypeError, match=r"made by TriggerResult\.fire\(\)"):
        make(True)


def test_a_key_that_is_too_long_for_an_index_is_refused() -> None:
    with pytest.raises(ValueError, match="2,001 characters, the limit is 2,000: use a digest"):
        TriggerResult.fire(key="x" * 2_001)


def elsewhere(module: str) -> Trigger[..., object]:
    """Declare a trigger in a module of its own."""
    found = types.ModuleType(module)
    source = "def declare(trigger):\n    return trigger('w')(poll)\n\ndef poll(): ...\n"
    exec(compile(source, f"{module}.py", "exec"), vars(found))
    made = found.declare(trigger)
    assert isinstance(made, Trigger)
    return cast("Trigger[..., object]", made)


def test_another_module_that_declares_a_name_is_warned_of_both_places() -> None:
    text = r"trigger 'poll' in namespace 'default' .* at one\.py:2, .* at two\.py:2, which replaces"
    with Registry() as registry:
        elsewhere("one")
        with pytest.warns(RedeclaredWarning, match=text) as warned:
            newest = elsewhere("two")

    assert registry.triggers() == (newest,)
    assert warned[0].filename == "two.py"


def test_where_warnings_are_errors_the_older_trigger_stays() -> None:
    with Registry() as registry:
        older = elsewhere("one")
        with warnings.catch_warnings(action="error"), pytest.raises(RedeclaredWarning):
            elsewhere("two")

    assert registry.triggers() == (older,)


def test_a_watcher_is_called_after_each_declaration_until_it_ends() -> None:
    seen: list[int] = []
    with Registry() as registry:
        unwatch = registry.watch(lambda: seen.append(len(registry.triggers())))
        trigger("w", name="a")(poll)
        trigger("w", name="b")(poll)
        with Workflow("w"):
            Nothing("only")
        unwatch()
        trigger("w", name="c")(poll)

    assert seen == [1, 2, 2]


def test_one_watcher_of_two_ends_alone() -> None:
    first: list[str] = []
    second: list[str] = []
    with Registry() as registry:
        unwatch = registry.watch(lambda: first.append("told"))
        registry.watch(lambda: second.append("told"))
        unwatch()
        trigger("w")(poll)

    assert (first, second) == ([], ["told"])


def test_threads_declare_side_by_side_while_others_read() -> None:
    registry = Registry()
    ended = threading.Event()
    failed: list[BaseException] = []

    def declares(number: int) -> None:
        with registry:
            for each in range(200):
                trigger("w", name=f"{number}-{each}")(poll)

    def reads() -> None:
        while not ended.is_set():
            try:
                registry.triggers()
            except RuntimeError as error:
                failed.append(error)
                return

    writers = [threading.Thread(target=declares, args=(number,)) for number in range(4)]
    reader = threading.Thread(target=reads)
    for each in (reader, *writers):
        each.start()
    for each in writers:
        each.join()
    ended.set()
    reader.join()

    assert failed == []
    assert len(registry.triggers()) == 800
