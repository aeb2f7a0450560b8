"""What an event shows, sent or born waiting: as values, as JSON, copied and compared."""

import copy
import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from asyncflow import Event, EventPhase, EventTypeError, JsonValue
from asyncflow._model.payload import PayloadType
from asyncflow._model.record import AwaitedRecord, EventRecord

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Approval(BaseModel):
    ok: bool


SENT = EventRecord(7, "build", '{"n":[1,"\\u00e4"]}', "ns", "w-1/t", AT, '"more"', run_name="w-1")
WAITING = AwaitedRecord(
    id=3,
    execution=1,
    run_name="w-1",
    namespace="ns",
    task_name="ship",
    sequence_number=2,
    name="ok?",
    place=1,
    data_type="bool",
    created=AT,
    prompt="## Ship?",
    prompt_type="markdown",
    description="to all",
    deadline=AT + timedelta(days=1),
)
SIGNALLED = replace(
    WAITING,
    phase=EventPhase.SUCCEEDED,
    value="true",
    ended=AT + timedelta(hours=1),
    sender="mail",
    comment="fine by me",
    offset=9,
)


def test_one_that_waits_shows_what_is_asked_and_no_answer() -> None:
    event = Event.born_waiting(WAITING)

    assert event.to_dict() == {
        "name": "ok?",
        "run_name": "w-1",
        "action_name": "ship-2-event-ok?-1",
        "phase": "RUNNING",
        "expected_type": "bool",
        "value": None,
        "namespace": "ns",
        "sender": None,
        "offset": None,
        "create_time": "2026-01-01T12:00:00+00:00",
        "context": None,
        "task_name": "ship",
        "prompt": "## Ship?",
        "prompt_type": "markdown",
        "description": "to all",
        "deadline": "2026-01-02T12:00:00+00:00",
        "signalled_by": None,
        "signalled_at": None,
        "end_time": None,
        "comment": None,
        "webhook_error": None,
    }


def test_one_that_was_signalled_shows_by_whom_when_and_why() -> None:
    event = Event.born_waiting(SIGNALLED)

    assert (event.phase, event.value, event.offset) == (EventPhase.SUCCEEDED, True, 9)
    assert (event.signalled_by, event.comment) == ("mail", "fine by me")
    assert event.signalled_at == event.end_time == AT + timedelta(hours=1)
    assert event.to_dict()["signalled_at"] == "2026-01-01T13:00:00+00:00"


@pytest.mark.parametrize("phase", [EventPhase.TIMED_OUT, EventPhase.FAILED, EventPhase.ABORTED])
def test_one_that_closed_without_an_answer_shows_when_and_names_nobody(phase: EventPhase) -> None:
    event = Event.born_waiting(replace(WAITING, phase=phase, ended=AT))

    assert (event.end_time, event.signalled_by, event.signalled_at) == (AT, None, None)
    assert event.to_dict()["phase"] == phase.value


def test_one_that_was_just_sent_has_no_type_and_no_question() -> None:
    shown = Event.of(SENT).to_dict()

    assert (shown["value"], shown["context"]) == ({"n": [1, "ä"]}, "more")
    assert (shown["phase"], shown["offset"], shown["run_name"]) == ("SUCCEEDED", 7, "w-1")
    nothing = ("expected_type", "task_name", "prompt", "deadline", "comment", "webhook_error")
    assert [shown[each] for each in nothing] == [None] * len(nothing)
    assert (shown["signalled_by"], shown["end_time"]) == ("w-1/t", "2026-01-01T12:00:00+00:00")


@pytest.mark.parametrize(
    "event", [Event.of(SENT), Event.born_waiting(WAITING), Event.born_waiting(SIGNALLED)]
)
async def test_its_json_is_its_dict_in_both_forms_on_any_thread(event: Event) -> None:
    assert json.loads(event.to_json()) == event.to_dict()
    assert await event.to_json.aio() == event.to_json()
    assert await event.to_dict.aio() == event.to_dict()


@pytest.mark.parametrize("value", ["\ud800", "\0", 10**400, [[]], {"": None}, None])
def test_every_value_that_a_store_keeps_has_a_json_text(value: JsonValue) -> None:
    event = Event("k", value)

    assert json.loads(event.to_json())["value"] == value
    assert event.to_json().isascii()


def test_a_model_that_is_known_here_is_its_type_and_else_a_dict() -> None:
    declared = PayloadType.of(Approval).text
    here = Event.born_waiting(replace(WAITING, data_type=declared))
    there = Event.born_waiting(replace(WAITING, data_type="model:their.module:Theirs"))

    assert (here.expected_type, here.to_dict()["expected_type"]) == (Approval, "Approval")
    assert (there.expected_type, there.to_dict()["expected_type"]) == (dict, "Theirs")


def test_events_are_equal_by_what_their_fields_say() -> None:
    assert Event("k", [1], offset=1) == Event("k", [1], offset=1)
    assert Event("k", [1], offset=1) != Event("k", [1], offset=2)
    assert Event.born_waiting(WAITING) == Event.born_waiting(WAITING)
    assert Event.born_waiting(WAITING) != Event.born_waiting(SIGNALLED)


@pytest.mark.parametrize("value", [None, 1, "x", [1], {"a": [1]}])
def test_events_of_any_value_can_be_in_a_set(value: JsonValue) -> None:
    assert len({Event("k", value, context=value), Event("k", value, context=value)}) == 1


def test_an_event_does_not_change() -> None:
    event: Any = Event("k")

    with pytest.raises(AttributeError):
        event.key = "other"
    with pytest.raises((AttributeError, TypeError)):
        event.other = 1


@pytest.mark.parametrize("record", [WAITING, SIGNALLED])
def test_copies_ask_for_and_show_the_same(record: AwaitedRecord) -> None:
    event = Event.born_waiting(record)

    for each in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert each == event
        assert each.to_dict() == event.to_dict()
        assert each.expected_type is bool


def test_a_sent_event_can_be_pickled() -> None:
    event = Event.of(SENT)

    again: Event = pickle.loads(pickle.dumps(event))

    assert again == event


def test_its_repr_names_the_execution_and_what_it_waits_for() -> None:
    assert repr(Event.born_waiting(WAITING)) == "<Event 'ok?' of 'w-1': RUNNING>"


def test_its_repr_shows_what_was_said_in_short() -> None:
    said = replace(WAITING, phase=EventPhase.SUCCEEDED, value="true")

    assert repr(Event.born_waiting(said)) == "<Event 'ok?' of 'w-1': True>"
    assert repr(Event("built", {"by": None})) == "<Event 'built': {'by': None}>"
    assert len(repr(Event("built", "x" * 1_000))) < 80


def test_the_type_of_a_payload_is_checked_by_its_text_alone() -> None:
    with pytest.raises(EventTypeError, match="takes a payload of type bool, not int"):
        PayloadType(WAITING.data_type).encoded(1, WAITING.name)
