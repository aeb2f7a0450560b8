"""What type checkers must make of events that are awaited; nothing is run.

Each `type: ignore` stands where a wrong call must be rejected, as in `check_dual`.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from typing import Any, assert_type

from pydantic import BaseModel

from asyncflow import (
    Client,
    Event,
    Runner,
    SingleEventCondition,
    TaskStatus,
    TaskStatusCondition,
    WorkflowExecution,
    new_event,
)
from asyncflow._model.value import JsonValue


class Approval(BaseModel):
    by: str


async def check_that_the_payload_has_the_declared_type() -> None:
    assert_type(new_event("go"), Event[bool])
    assert_type(new_event("go", data_type=int), Event[int])
    assert_type(new_event("go", "Well?", "markdown", str), Event[str])
    assert_type(await new_event.aio("go", data_type=float, timeout="2d"), Event[float])
    assert_type(new_event("go").wait(), bool)
    assert_type(await new_event("go", data_type=int).wait.aio(timeout=5), int)
    event = await new_event.aio("go", data_type=Approval)
    assert_type(event, Event[Approval])
    assert_type(await event.wait.aio(), Approval)
    assert_type((await event.refresh.aio()).wait(), Approval)
    assert_type(event.value, JsonValue)
    assert_type(event.expected_type, type | None)


async def check_finding_and_signalling(client: Client, event: Event) -> None:
    assert_type(Event.get("go", "run"), Event[Any] | None)
    assert_type(await Event.get.aio("go", run_name="run", action_name="ask-1"), Event[Any] | None)
    assert_type(client.event("go", "run"), Event[Any] | None)
    assert_type(next(Event.listall("run", limit=1)), Event[Any])
    async for each in Event.listall.aio("run"):
        assert_type(each, Event[Any])
    async for each in await client.waiting_events.aio("go", namespace="team"):
        assert_type(each, Event[Any])
    event.signal(True)
    event.signal(Approval(by="me"), by="me", comment="fine")
    await event.signal.aio({"by": "me"})
    assert_type(await Event.wait_any.aio(event, event, timeout="1h"), Event[Any])
    assert_type(event.to_dict(), dict[str, JsonValue])
    assert_type(await event.to_json.aio(), str)


async def check_waiting_for_conditions(runner: Runner) -> None:
    statuses = TaskStatusCondition({"ask": TaskStatus.SUCCESS})
    said = SingleEventCondition("said")
    assert_type(runner.wait_for(statuses, execution="run"), WorkflowExecution)
    assert_type(await runner.wait_for.aio(statuses, execution="run"), WorkflowExecution)
    assert_type(runner.wait_for(said), Event[Any])
    assert_type(await runner.wait_for.aio(said, timeout=1, begin_offset=0), Event[Any])


async def check_wrong_calls(event: Event) -> None:
    new_event("go", data_type=bytes)  # type: ignore[type-var]
    new_event(name="go")  # type: ignore[call-overload]
    await new_event.aio("go", prompt_type="html")  # type: ignore[call-overload]
    event.signal(None)  # type: ignore[arg-type]
    event.signal(b"yes")  # type: ignore[arg-type]
    event.signal(True, "me")  # type: ignore[call-arg]
    await Event.wait_any.aio("go")  # type: ignore[arg-type]
