"""What an author may ask for with `new_event`, checked before anything is stored."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from asyncflow import Webhook
from asyncflow._model.awaited import PROMPT, EventWish, action_of, run_of, wishes_of
from asyncflow._model.port import Tally
from tests.model.test_event import WAITING


class Approval(BaseModel):
    by: str


def wish(name: object = "go", **options: object) -> EventWish:
    asked: dict[str, Any] = {
        "prompt": PROMPT,
        "prompt_type": "text",
        "data_type": bool,
        "description": "",
        "timeout": None,
        "webhook": None,
        **options,
    }
    return EventWish.of(name, **asked)  # type: ignore[arg-type]


def test_what_is_asked_for_is_kept_as_it_is() -> None:
    hook = Webhook("http://127.0.0.1/hook")
    found = wish("go", prompt="Well?", prompt_type="markdown", timeout="1h30m", webhook=hook)

    assert (found.name, found.prompt, found.prompt_type) == ("go", "Well?", "markdown")
    assert (found.timeout, found.webhook) == (timedelta(minutes=90), hook)
    assert found.payload.python_type is bool


@pytest.mark.parametrize("data_type", [bool, int, float, str, Approval])
def test_these_are_the_types_of_payloads(data_type: type) -> None:
    assert wish(data_type=data_type).payload.python_type is data_type


@pytest.mark.parametrize(
    "data_type",
    [None, list, dict, bytes, object, True, "bool", int | str, type(None), Approval(by="me")],
)
def test_no_other_type_is_one(data_type: object) -> None:
    with pytest.raises(TypeError, match="data_type is bool, int, float, str or a pydantic model"):
        wish(data_type=data_type)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": ""}, ValueError),
        ({"name": 1}, TypeError),
        ({"prompt": None}, TypeError),
        ({"prompt": "\ud800"}, ValueError),
        ({"description": 1}, TypeError),
        ({"prompt_type": "html"}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": "-1s"}, ValueError),
        ({"timeout": "soon"}, ValueError),
        ({"timeout": True}, ValueError),
        ({"webhook": "http://127.0.0.1/"}, TypeError),
    ],
    ids=str,
)
def test_what_is_not_of_its_kind_is_refused(
    options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        wish(**options)


@pytest.mark.parametrize("task", ["ask", "ask-2", "a-event-b", "a-1-event-b-2"])
@pytest.mark.parametrize("name", ["go", "go-1", "x-event-y"])
def test_an_id_leads_back_to_its_task_and_name(task: str, name: str) -> None:
    found = replace(WAITING, task_name=task, name=name, sequence_number=3, place=4)
    wishes = wishes_of(1, action_of(found))

    assert (task, 3, name) in {(each.task, each.sequence_number, each.name) for each in wishes}


@pytest.mark.parametrize(
    ("action_name", "run"),
    [
        ("ask-1", ("ask", 1)),
        ("ask-2-1", ("ask-2", 1)),
        ("ask", None),
        ("ask-0", None),
        ("ask-01", None),
        ("-1", None),
        ("ask-1x", None),
        ("ask-\u0661", None),
    ],
)
def test_a_run_is_a_task_and_a_number_from_one(
    action_name: str, run: tuple[str, int] | None
) -> None:
    assert run_of(action_name) == run


def test_events_of_several_names_are_counted_apart() -> None:
    tally = Tally()

    counted = [tally.add(name) for name in ("a", "b", "a", "b", "c")]

    assert counted == [1, 1, 2, 2, 1]


def test_an_event_that_was_refused_is_not_counted() -> None:
    tally = Tally()

    for name in ("a", "b"):
        tally.add(name)
        tally.add(name, -1)

    assert [tally.add("a"), tally.add("b")] == [1, 1]
