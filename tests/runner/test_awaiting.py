"""What its owner knows of an awaited event is what the store would say of it."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

from asyncflow._model.record import AwaitedRecord
from asyncflow._model.status import EventPhase
from asyncflow._runner.awaiting import Answer

NOW = datetime(2026, 1, 1, tzinfo=UTC)

WAITING = AwaitedRecord(
    id=7,
    execution=8,
    run_name="w-1",
    namespace="n",
    task_name="t",
    sequence_number=2,
    name="go",
    place=3,
    data_type="bool",
    created=NOW,
    prompt="Go on?",
    prompt_type="markdown",
    description="why",
    deadline=NOW + timedelta(days=1),
    notified=NOW + timedelta(seconds=1),
    webhook_error="refused",
    label="3-2",
)
"""None of its fields is the default, but those that an answer sets."""


def test_an_answered_record_is_the_one_that_waited_with_the_fields_of_the_answer() -> None:
    answer = Answer(EventPhase.SUCCEEDED, NOW, "true", "ann", "fine", 9)

    answered = answer.of(WAITING)

    given = {each.name: getattr(answer, each.name) for each in fields(answer)}
    assert answered == replace(WAITING, **given)
    assert all(each.default != getattr(answered, each.name) for each in fields(answered))
