"""Which public calls have both forms, and which are plain: both lists are pinned here.

Whatever may wait has both; what only computes is plain, and so are the hooks that users override.
A call that is new goes into one of the lists, on purpose.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

import asyncflow
from asyncflow import (
    Client,
    Event,
    ExecutionType,
    NotificationClient,
    Runner,
    TaskExecution,
    WorkflowExecution,
    new_event,
)
from asyncflow._client.wait_for import WaitFor
from asyncflow._dual import (
    Computed,
    Dual,
    DualIterator,
    Shutdown,
    computed_method,
    dual_classmethod,
    dual_iterator,
    dual_iterator_classmethod,
    dual_method,
)
from asyncflow._model.port import CURRENT_TASK, Port, TaskScope
from asyncflow._runner.ending import GracefulShutdown, Serve

AWAITED_CALLS = ("event", "events", "event_at", "waiting_events")

EVENT_CALLS = ("send_event", "list_events", "register_listener", "unregister_listener")

WORKFLOW_CALLS = (
    *("disable_workflow", "enable_workflow", "delete_workflow", "list_workflow_rules"),
    *("pause_workflow_rule", "resume_workflow_rule", "delete_workflow_rule"),
)

TRIGGER_CALLS = (
    *("list_trigger_schedules", "get_trigger_schedule", "set_trigger_enabled"),
    *("get_trigger_execution_history", "fire_trigger"),
)

SCHEDULE_CALLS = (
    *("register_schedule", "list_schedules", "get_schedule", "update_schedule"),
    *("enable_schedule", "disable_schedule", "delete_schedule"),
    *("get_schedule_history", "get_schedule_statistics"),
)

DUAL = {
    *(f"Client.{name}" for name in (*TRIGGER_CALLS, *SCHEDULE_CALLS)),
    *(f"Client.{name}" for name in WORKFLOW_CALLS),
    *("Runner.add_workflow_rule", "Runner.statistics"),
    *(f"Client.{name}" for name in ("start", "execute", "execution", "executions", "wait", "stop")),
    *(f"Client.{name}" for name in (*EVENT_CALLS, *AWAITED_CALLS)),
    *(f"Event.{name}" for name in ("get", "listall", "refresh", "signal", "wait", "wait_any")),
    *(f"NotificationClient.{name}" for name in EVENT_CALLS),
    *("WorkflowExecution.get", "WorkflowExecution.listall", "WorkflowExecution.refresh"),
    *("WorkflowExecution.task_executions", "WorkflowExecution.wait", "WorkflowExecution.stop"),
    *(f"WorkflowExecution.{verb}_task" for verb in ("start", "stop", "restart")),
    "TaskExecution.logs",
}

PORT = {
    *("find_execution", "find_executions", "find_task_executions", "find_context", "find_logs"),
    *("find_events", "listen", "stop_listening"),
    *("await_end", "request_stop", "request_action", "publish", "publish_from"),
    *("await_found", "awaited_by_name"),
    *("open_event", "find_awaited", "awaited", "signal"),
}
"""What handles ask of a client, on its home loop: coroutines, not for users."""

COMPUTED = {
    f"{name}.{verb}" for name in ("Event", "RunnerStatistics") for verb in ("to_dict", "to_json")
}
"""What only computes and has both forms all the same, as the text says that it follows."""

OWN_TYPES: dict[str, Any] = {
    "new_event": type(new_event),
    "Client.wait_for": WaitFor,
    "Runner.wait_for": WaitFor,
    "Runner.shutdown": GracefulShutdown,
    "Runner.serve": Serve,
}
"""Both forms of calls that no descriptor makes: overloads, and what opens or closes the home."""

CLOCK = {"now", "monotonic", "call_at", "call_at_time", "call_later", "pause", "deadline"}
HOOKS = {"start", "await_termination", "stop", "get_metrics"}
RULES = {"action_on_condition", "action_on_event_received", "action_on_task_status"}

PLAIN = {
    *(f"Client.{name}" for name in PORT),
    *("Client.current", "Client.end_listeners", "ListenerProcessor.process"),
    *("Client.await_closed", "Runner.publish", "Runner.open_event"),
    *(f"Clock.{name}" for name in CLOCK),
    *(f"SystemClock.{name}" for name in ("now", "monotonic", "call_at", "call_at_time")),
    *(f"VirtualClock.{name}" for name in ("now", "monotonic", "call_at", "call_at_time")),
    *(f"VirtualClock.{name}" for name in ("advance", "advance_to", "settle")),
    *("VirtualClock.next_deadline", "VirtualClock.add_settler"),
    *(f"Context.{name}" for name in ("set", "clear", "copy", "get_task_status")),
    *("Context.get_state", "State.clear", "ValueState.clear", "ValueState.update"),
    "ValueState.value",
    *(f"Context.{name}" for name in ("of", "changes", "to_texts")),
    *(
        "Condition.is_met",
        "SingleEventCondition.is_met",
        "MeetAllCondition.is_met",
        "MeetAnyCondition.is_met",
        "TaskStatusCondition.is_met",
        "TaskRule.trigger",
        "WorkflowRule.trigger",
    ),
    *("Event.born_waiting", "Webhook.body"),
    *("Event.of", "LogLine.of", "TaskExecution.of", "SizeLimits.check"),
    *(f"Operator.{name}" for name in HOOKS | RULES | {"start_after"}),
    *("BashOperator.start", "PythonOperator.start", "parse_duration", "task"),
    *(f"Registry.{name}" for name in ("find", "register", "workflow", "workflows")),
    *(f"Registry.{name}" for name in ("find_trigger", "register_trigger", "triggers", "watch")),
    *(f"TriggerResult.{name}" for name in ("fire", "fire_many", "skip")),
    *("TriggerResult.is_fire_result", "TriggerResult.is_skip_result", "trigger"),
    *(f"Workflow.{name}" for name in RULES | {"add", "check_open"}),
    *(f"WorkflowBuilder.{name}" for name in ("build", "description", "tag")),
    "WorkflowContextManager.get_current_workflow",
    "WorkflowContextManager.pop_context_managed_workflow",
    "WorkflowContextManager.push_context_managed_workflow",
}

COROUTINES = {
    *(f"Client.{name}" for name in PORT),
    *("Runner.publish", "Runner.open_event"),
    *("Clock.pause", "VirtualClock.advance", "VirtualClock.advance_to", "VirtualClock.settle"),
    "BashOperator.start",
}
"""The plain ones that must be awaited all the same: the port, the clock, and a hook."""

DESCRIPTORS = (dual_method, dual_classmethod, dual_iterator, dual_iterator_classmethod)
EXPORTED = {name: getattr(asyncflow, name) for name in asyncflow.__all__}


def members(name: str, cls: type) -> Iterator[tuple[str, object]]:
    """Yield what a class and its private bases define: what is exported itself is seen there."""
    bases = [base for base in cls.__mro__ if base.__module__.startswith("asyncflow")]
    seen = {base for each in bases[1:] if each in EXPORTED.values() for base in each.__mro__}
    for base in bases:
        if base not in seen:
            yield from ((f"{name}.{each}", value) for each, value in vars(base).items())


def surface() -> Iterator[tuple[str, object]]:
    for name, value in EXPORTED.items():
        if inspect.isclass(value):
            yield from members(name, value)
        else:
            yield name, value


def is_public(name: str) -> bool:
    return not name.rpartition(".")[2].startswith("_")


def function_of(value: object) -> object:
    return getattr(value, "__func__", value)


def plain() -> dict[str, object]:
    found = {name: function_of(value) for name, value in surface() if is_public(name)}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


def test_the_calls_with_both_forms_are_these() -> None:
    found = {name for name, value in surface() if isinstance(value, (*DESCRIPTORS, Dual))}

    assert found == DUAL


def test_what_computes_in_both_forms_is_this() -> None:
    found = {name for name, value in surface() if isinstance(value, computed_method)}

    assert found == COMPUTED
    for name in COMPUTED:
        owner, _, verb = name.partition(".")
        call = getattr(EXPORTED[owner].__new__(EXPORTED[owner]), verb)
        assert isinstance(call, Computed)
        assert inspect.iscoroutinefunction(call.aio)


@pytest.mark.parametrize("name", OWN_TYPES)
def test_what_has_overloads_has_the_same_signature_in_both_forms(name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    call: Any = getattr(EXPORTED[owner](":memory:"), attribute) if owner else EXPORTED[name]

    assert isinstance(call, OWN_TYPES[name])
    assert inspect.iscoroutinefunction(call.aio)
    assert type(call).__doc__
    assert inspect.signature(call.aio) == inspect.signature(call)


def test_the_plain_calls_are_these() -> None:
    assert set(plain()) == PLAIN


def test_of_the_plain_calls_these_alone_are_coroutines() -> None:
    assert {name for name, each in plain().items() if inspect.iscoroutinefunction(each)} == (
        COROUTINES
    )


def test_the_port_is_what_its_protocol_says() -> None:
    asked = {name for name, each in vars(Port).items() if inspect.iscoroutinefunction(each)}

    assert asked == PORT


def test_what_opens_has_both_forms_of_everything() -> None:
    for cls in (Client, Runner):
        assert {"__enter__", "__exit__", "__aenter__", "__aexit__"} <= set(dir(cls))
        assert isinstance(cls(":memory:").shutdown, Shutdown)
        assert inspect.iscoroutinefunction(cls(":memory:").shutdown.aio)


Bound = Dual[..., object] | DualIterator[..., object]


def bound() -> list[tuple[str, Bound, Callable[..., object]]]:
    """Return each dual call as users meet it, with the function that it was made of."""
    client = Runner(":memory:")
    scope = TaskScope(client, 1, "one", "default", "a task", 1, 1)
    token = CURRENT_TASK.set(scope)
    notifier = NotificationClient()
    CURRENT_TASK.reset(token)
    owners: dict[str, object] = {
        "Client": client,
        "Event": Event("a key"),
        "Runner": client,
        "NotificationClient": notifier,
        "TaskExecution": TaskExecution(1, "a task", 1, ExecutionType.MANUAL, port=client),
        "WorkflowExecution": WorkflowExecution(client, cast("Any", None)),
    }
    found: list[tuple[str, Bound, Callable[..., object]]] = []
    for name in sorted(DUAL):
        owner, _, attribute = name.partition(".")
        descriptor = inspect.getattr_static(owners[owner], attribute)
        found.append((name, getattr(owners[owner], attribute), descriptor._body))
    return found


@pytest.mark.parametrize(
    ("name", "call", "body"), [pytest.param(*each, id=each[0]) for each in bound()]
)
def test_both_forms_have_the_signature_and_the_docstring_of_the_one_body(
    name: str, call: Bound, body: Callable[..., object]
) -> None:
    hidden = 2 if isinstance(call, DualIterator) else 1  # self or cls; the cursor of a page
    expected = list(inspect.signature(body).parameters.values())[hidden:]

    assert list(inspect.signature(call).parameters.values()) == expected
    assert call.__doc__ == body.__doc__
    assert call.__doc__
    assert call.__name__ == name.rpartition(".")[2]
    assert inspect.iscoroutinefunction(call.aio) != isinstance(call, DualIterator)
