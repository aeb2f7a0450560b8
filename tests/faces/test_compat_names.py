"""The names of AIFlow's reference are at their paths, with the parameters that it says."""

import importlib
import inspect
from enum import Enum
from types import ModuleType

import pytest

from asyncflow.compat import ai_flow

NAMES = """
model.action TaskAction
model.condition Condition(expect_event_keys)
model.condition Condition.is_met(event, context)
model.context Context()
model.context Context.get_state(state_descriptor)
model.context Context.get_task_status(task_name)
model.execution_type ExecutionType
model.operator AIFlowOperator(task_name)
model.operator AIFlowOperator.start(context)
model.operator AIFlowOperator.stop(context)
model.operator AIFlowOperator.await_termination(context, timeout)
model.operator AIFlowOperator.get_metrics(context)
model.operator Operator(name)
model.operator Operator.action_on_condition(action, condition)
model.operator Operator.action_on_event_received(action, event_key)
model.operator Operator.action_on_task_status(action, upstream_task_status_dict)
model.operator Operator.start_after(tasks)
model.operator OperatorConfigItem
model.rule TaskRule(condition, action)
model.rule TaskRule.trigger(event, context)
model.rule WorkflowRule(condition)
model.rule WorkflowRule.trigger(event, context)
model.state State.clear()
model.state StateDescriptor(name)
model.state StateType
model.state ValueState.update(state)
model.state ValueState.value()
model.state ValueState.clear()
model.state ValueStateDescriptor(name)
model.status TaskStatus
model.status WorkflowStatus
model.task_execution TaskExecution(workflow_execution_id, task_name, sequence_number, \
execution_type, begin_date, end_date, status, id)
model.task_execution TaskExecutionKey(workflow_execution_id, task_name, seq_num)
model.workflow Workflow(name, namespace)
model.workflow Workflow.action_on_condition(task_name, action, condition)
model.workflow Workflow.action_on_event_received(task_name, event_key, action)
model.workflow Workflow.action_on_task_status(task_name, action, upstream_task_status_dict)
model.workflow WorkflowContextManager.get_current_workflow()
model.workflow WorkflowContextManager.pop_context_managed_workflow()
model.workflow WorkflowContextManager.push_context_managed_workflow(workflow)
model.internal.conditions SingleEventCondition(expect_event_key)
model.internal.conditions MeetAllCondition(name, conditions)
model.internal.conditions MeetAnyCondition(conditions)
operators.bash BashOperator(name, bash_command)
operators.python PythonOperator(name, python_callable, op_args, op_kwargs)
notification.notification_client AIFlowNotificationClient(server_uri)
notification.notification_client AIFlowNotificationClient.close()
notification.notification_client Event(key, value)
notification.notification_client ListenerProcessor.process(events)
"""


def module_of(path: str) -> ModuleType:
    return importlib.import_module(f"asyncflow.compat.ai_flow.{path}")


@pytest.mark.parametrize("line", NAMES.strip().splitlines())
def test_a_name_of_the_reference_is_at_its_path_with_its_parameters(line: str) -> None:
    path, _, wanted = line.partition(" ")
    name, calls, parameters = wanted.rstrip(")").partition("(")
    found: object = module_of(path)
    for each in name.split("."):
        found = getattr(found, each)
    assert name.split(".")[0] in module_of(path).__all__
    if not calls:
        return
    assert callable(found)

    has = list(inspect.signature(found).parameters.values())

    names = [each for each in parameters.split(", ") if each]
    ours = [each for each in has if each.name not in {"self", "_"}]
    assert [each.name for each in ours[: len(names)]] == names
    assert all(each.kind is each.POSITIONAL_OR_KEYWORD for each in ours[: len(names)])
    for more in ours[len(names) :]:
        assert more.default is not more.empty or more.kind in {more.VAR_KEYWORD, more.KEYWORD_ONLY}


MEMBERS = {
    "model.action.TaskAction": "START STOP RESTART",
    "model.execution_type.ExecutionType": "MANUAL EVENT PERIODIC",
    "model.status.TaskStatus": "INIT QUEUED RUNNING SUCCESS FAILED STOPPING STOPPED RETRYING",
    "model.status.WorkflowStatus": "INIT RUNNING SUCCESS FAILED STOPPED",
}


@pytest.mark.parametrize("name", MEMBERS)
def test_an_enumeration_has_the_members_of_the_reference(name: str) -> None:
    path, _, cls = name.rpartition(".")
    found = getattr(module_of(path), cls)

    assert issubclass(found, str)
    assert issubclass(found, Enum)
    assert sorted(each.value for each in found) == sorted(MEMBERS[name].split())
    assert [each.name for each in found] == [each.value for each in found]


def test_constants_and_the_fields_of_an_execution_are_those_of_the_reference() -> None:
    fields = ("workflow_id", "execution_type", "begin_date", "end_date", "status", "id")

    assert ai_flow.model.operator.OperatorConfigItem.PERIODIC_EXPRESSION == "periodic_expression"
    assert ai_flow.model.state.StateType.VALUE == "value"
    assert all(hasattr(ai_flow.model.workflow_execution.WorkflowExecution, each) for each in fields)
