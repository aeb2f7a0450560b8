"""Programs as AIFlow's documents have them run with only their imports changed."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from asyncflow import (
    DefinitionError,
    ExecutionNotFoundError,
    ExecutionType,
    Registry,
    Runner,
    TaskStatus,
    UsageError,
    Workflow,
    WorkflowDisabledError,
    WorkflowExecution,
    WorkflowInUseError,
    WorkflowStatus,
)
from asyncflow.compat import ai_flow
from asyncflow.compat.ai_flow import ops

ROOT = Path(__file__).resolve().parent.parent.parent

EVENT_STARTS_TASK = """
from ai_flow.model.action import TaskAction
from ai_flow.model.workflow import Workflow
from ai_flow.notification.notification_client import AIFlowNotificationClient
from ai_flow.operators.bash import BashOperator
from ai_flow.operators.python import PythonOperator

def announce():
    client = AIFlowNotificationClient("localhost:50052")
    client.send_event(key="trained", value="model-1")
    client.close()

with Workflow(name="event") as workflow:
    train = PythonOperator(name="train", python_callable=announce)
    deploy = BashOperator(name="deploy", bash_command="echo deployed")
    deploy.action_on_event_received(action=TaskAction.START, event_key="trained")
"""

LISTENER = """
import time
from typing import List

from ai_flow.model.action import TaskAction
from ai_flow.model.workflow import Workflow
from ai_flow.notification.notification_client import (
    AIFlowNotificationClient, Event, ListenerProcessor
)
from ai_flow.operators.python import PythonOperator

class Counter(ListenerProcessor):
    def __init__(self):
        self.counter = 0

    def process(self, events: List[Event]):
        self.counter += len(events)

def listen(expected):
    counter = Counter()
    client = AIFlowNotificationClient("localhost:50052")
    listener_id = client.register_listener(listener_processor=counter, event_keys=["sample"])
    client.send_event(key="listening", value=None)
    while counter.counter < expected:
        time.sleep(0.01)  # as in the documents
    client.unregister_listener(listener_id)
    client.send_event(key="counted", value=str(counter.counter))

def send(number):
    client = AIFlowNotificationClient("localhost:50052")
    for _ in range(number):
        client.send_event(key="other", value="x")
        client.send_event(key="sample", value="x")

with Workflow(name="listener") as workflow:
    listener = PythonOperator(name="listener", python_callable=listen, op_args=[3])
    sender = PythonOperator("sender", send, None, {"number": 3})
    sender.action_on_event_received(action=TaskAction.START, event_key="listening")
"""

CONDITION = """
import time

from ai_flow.model.action import TaskAction
from ai_flow.model.condition import Condition
from ai_flow.model.context import Context
from ai_flow.model.state import ValueState, ValueStateDescriptor
from ai_flow.model.status import TaskStatus
from ai_flow.model.workflow import Workflow
from ai_flow.notification.notification_client import AIFlowNotificationClient, Event
from ai_flow.operators.bash import BashOperator
from ai_flow.operators.python import PythonOperator

class EnoughNumbers(Condition):
    def __init__(self, event_key, enough):
        super().__init__([event_key])
        self.enough = enough

    def is_met(self, event: Event, context: Context) -> bool:
        state: ValueState = context.get_state(ValueStateDescriptor(name="sum"))
        total = (state.value() or 0) + int(event.value)
        state.update(total)
        return total >= self.enough

def produce():
    client = AIFlowNotificationClient("localhost:50052")
    while True:
        client.send_event(key="number", value="7")
        time.sleep(0.01)  # as in the documents

with Workflow(name="condition") as workflow:
    producer = PythonOperator(name="producer", python_callable=produce)
    consumer = BashOperator(name="consumer", bash_command="echo enough")
    consumer.action_on_condition(TaskAction.START, EnoughNumbers("number", 50))
    producer.action_on_task_status(TaskAction.STOP, {consumer: TaskStatus.SUCCESS})
"""

STATUS = """
from ai_flow.model.action import TaskAction
from ai_flow.model.operator import AIFlowOperator
from ai_flow.model.status import TaskStatus
from ai_flow.model.workflow import Workflow
from ai_flow.operators.bash import BashOperator
from ai_flow.operators.python import PythonOperator

class Job(AIFlowOperator):
    def __init__(self, name, steps, **kwargs):
        super().__init__(name, **kwargs)
        self.steps = steps

    def start(self, context):
        self.log.info("steps: %d", self.steps)

    def await_termination(self, context, timeout=None):
        if self.steps < 0:
            raise ValueError("no steps")

    def get_metrics(self, context):
        return {"steps": self.steps}

with Workflow(name="status") as workflow:
    good = Job("good", 2, owner="me")
    bad = Job("bad", -1)
    after = PythonOperator(name="after", python_callable=object)  # returns what is no JSON
    after.start_after([good])
    mend = BashOperator(name="mend", bash_command="true")
    workflow.action_on_task_status(
        "mend", TaskAction.START, {good: TaskStatus.SUCCESS, bad: TaskStatus.FAILED}
    )
"""

TRIGGER = """
import ai_flow
from ai_flow import ops
from ai_flow.model.internal.conditions import MeetAllCondition, SingleEventCondition
from ai_flow.model.rule import WorkflowRule
from ai_flow.model.workflow import Workflow
from ai_flow.notification.notification_client import AIFlowNotificationClient
from ai_flow.operators.bash import BashOperator
from ai_flow.operators.python import PythonOperator

def send_events():
    client = AIFlowNotificationClient(server_uri="localhost:50052")
    client.send_event(key="x", value=None)
    client.send_event(key="y", value=None)

with Workflow(name="sends") as first:
    PythonOperator(name="send", python_callable=send_events)

with Workflow(name="follows") as second:
    BashOperator(name="follow", bash_command="echo I follow")

if __name__ == "__main__":
    with Runner(":memory:") as runner:
        print([each.name for each in ops.upload_workflows(__file__)])
        both = MeetAllCondition("both", [SingleEventCondition("x"), SingleEventCondition("y")])
        ops.add_workflow_trigger(rule=WorkflowRule(condition=both), workflow_name="follows")
        ops.get_workflow_execution(ops.start_workflow_execution("sends")).wait()
        (execution,) = ai_flow.ops.list_workflow_executions("follows")
        print(execution.execution_type, execution.wait().status)
"""


def changed(program: str) -> str:
    """Change a program's imports, and nothing else of it."""
    program = program.replace(
        "\nimport ai_flow\n", "\nimport asyncflow.compat.ai_flow as ai_flow\n"
    )
    program = program.replace("\nfrom ai_flow import", "\nfrom asyncflow.compat.ai_flow import")
    return re.sub(r"^from ai_flow\.", "from asyncflow.compat.ai_flow.", program, flags=re.MULTILINE)


@pytest.fixture
def runner() -> Generator[Runner]:
    with Registry() as registry, Runner(":memory:", registry=registry) as runner:
        yield runner


def uploaded(folder: Path, program: str) -> Workflow:
    file = folder / "program.py"
    file.write_text(changed(program), encoding="utf-8")
    (workflow,) = ops.upload_workflows(str(file))
    return workflow


def run(folder: Path, program: str) -> tuple[WorkflowExecution, dict[str, TaskStatus]]:
    """Run the one workflow of a program; return its execution and how its tasks went."""
    id_ = ops.start_workflow_execution(uploaded(folder, program).name)
    execution = ops.get_workflow_execution(id_)
    assert execution is not None
    done = execution.wait(timeout="10s")
    return done, {each.task_name: each.status for each in ops.list_task_executions(id_)}


@pytest.mark.usefixtures("runner")
def test_an_event_of_a_task_starts_a_command(tmp_path: Path) -> None:
    done, tasks = run(tmp_path, EVENT_STARTS_TASK)

    assert done.status is WorkflowStatus.SUCCESS
    assert tasks == {"train": TaskStatus.SUCCESS, "deploy": TaskStatus.SUCCESS}


def test_a_listener_in_a_task_counts_the_events_of_its_keys(tmp_path: Path, runner: Runner) -> None:
    done, _ = run(tmp_path, LISTENER)

    assert done.status is WorkflowStatus.SUCCESS
    assert [event.value for event in runner.list_events("counted")] == ["3"]


def test_a_condition_sums_in_a_state_and_an_endless_task_is_stopped(
    tmp_path: Path, runner: Runner
) -> None:
    done, tasks = run(tmp_path, CONDITION)

    assert done.status is WorkflowStatus.STOPPED
    assert tasks == {"producer": TaskStatus.STOPPED, "consumer": TaskStatus.SUCCESS}
    assert len(list(runner.list_events("number"))) >= 8


@pytest.mark.usefixtures("runner")
def test_tasks_follow_success_and_failure_of_users_operators(tmp_path: Path) -> None:
    done, tasks = run(tmp_path, STATUS)

    assert done.status is WorkflowStatus.FAILED
    assert tasks == {
        "good": TaskStatus.SUCCESS,
        "bad": TaskStatus.FAILED,
        "after": TaskStatus.SUCCESS,
        "mend": TaskStatus.SUCCESS,
    }
    good = next(each for each in done.task_executions() if each.task_name == "good")
    assert good.metrics == {"steps": 2}
    assert [line.text for line in good.logs()] == ["steps: 2"]


def test_a_program_uploads_itself_and_has_one_workflow_start_another(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(f"from asyncflow import Runner\n{changed(TRIGGER)}", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", file],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['sends', 'follows']\nEVENT SUCCESS\n"


def test_an_operator_takes_its_name_by_either_word() -> None:
    class Job(ai_flow.model.operator.AIFlowOperator):
        def start(self, context: ai_flow.model.context.Context) -> None:
            """Do nothing."""

    with Workflow("names"):
        names = [Job("a").name, Job(task_name="b").name, Job(name="c").name]
        with pytest.raises(DefinitionError, match="the name of a task"):
            Job()

    assert names == ["a", "b", "c"]


# --- ops ---


WAITS = """
from ai_flow.model.action import TaskAction
from ai_flow.model.workflow import Workflow
from ai_flow.operators.bash import BashOperator

with Workflow(name="waits") as workflow:
    last = BashOperator(name="last", bash_command="true")
    last.action_on_event_received(TaskAction.START, "never")
"""


@pytest.mark.usefixtures("runner")
def test_executions_are_listed_stopped_and_deleted_with_their_workflow(tmp_path: Path) -> None:
    uploaded(tmp_path, WAITS)
    ids = [ops.start_workflow_execution("waits") for _ in range(3)]

    listed = [each.id for each in ops.list_workflow_executions("waits", limit=1, offset=1)]
    missing = ops.get_workflow_execution(min(ids) - 1)
    ops.stop_workflow_execution(ids[0])
    with pytest.raises(WorkflowInUseError):
        ops.delete_workflow("waits")
    ops.stop_workflow_executions("waits")
    found = [ops.get_workflow_execution(each) for each in ids]
    ends = [each.wait(timeout="10s").status for each in found if each is not None]
    ops.delete_workflow("waits")

    assert listed == [ids[1]]
    assert missing is None
    assert ends == [WorkflowStatus.STOPPED] * 3
    assert ops.list_workflow_executions("waits") == []
    assert ops.get_workflow_execution(ids[1]) is None
    with pytest.raises(ExecutionNotFoundError):
        ops.stop_workflow_execution(ids[1])


@pytest.mark.usefixtures("runner")
def test_a_task_is_started_and_stopped_by_a_call(tmp_path: Path) -> None:
    uploaded(tmp_path, WAITS)
    execution = ops.start_workflow_execution("waits")

    ops.stop_task_execution(execution, "last")
    ops.start_task_execution(execution, "last")
    found = ops.get_workflow_execution(execution)
    assert found is not None
    done = found.wait(timeout="10s")

    assert done.status is WorkflowStatus.SUCCESS
    assert [run.task_name for run in ops.list_task_executions(execution)] == ["last"]


@pytest.mark.usefixtures("runner")
def test_a_disabled_workflow_is_not_started_until_it_is_enabled(tmp_path: Path) -> None:
    uploaded(tmp_path, WAITS)

    ops.disable_workflow("waits")
    with pytest.raises(WorkflowDisabledError):
        ops.start_workflow_execution("waits")
    ops.enable_workflow("waits")

    assert ops.start_workflow_execution("waits")


def test_a_trigger_is_paused_resumed_and_deleted_by_its_id(tmp_path: Path, runner: Runner) -> None:
    uploaded(tmp_path, WAITS)
    rule = ai_flow.model.rule.WorkflowRule(
        ai_flow.model.internal.conditions.SingleEventCondition("go")
    )
    first, second = (ops.add_workflow_trigger(rule, "waits") for _ in range(2))
    assert ops.list_workflow_triggers("waits", limit=5) == [first, second]

    for each in (first, second):
        ops.pause_workflow_trigger(each.id)
    runner.send_event("go")
    assert ops.list_workflow_executions("waits") == []
    paused = ops.get_workflow_trigger(first.id)
    assert paused is not None
    assert paused.is_paused

    ops.resume_workflow_trigger(first.id)
    runner.send_event("go")
    (execution,) = ops.list_workflow_executions("waits")
    assert execution.execution_type is ExecutionType.EVENT

    ops.delete_workflow_trigger(first.id)
    assert ops.get_workflow_trigger(first.id) is None
    ops.delete_workflow_triggers("waits")
    assert ops.list_workflow_triggers("waits") == []


def test_without_an_open_runner_a_call_says_so() -> None:
    with pytest.raises(UsageError, match=r"Client\.current\(\) finds no open Client or Runner"):
        ops.start_workflow_execution("waits")


REFUSED = """add_namespace get_namespace update_namespace list_namespace delete_namespace
get_workflow list_workflows delete_workflow_execution
get_task_execution
get_workflow_snapshot list_workflow_snapshots delete_workflow_snapshot delete_workflow_snapshots"""


@pytest.mark.parametrize("name", REFUSED.split())
def test_what_needs_a_server_is_refused_by_name_and_in_the_page(name: str) -> None:
    page = (ROOT / "docs/migrate-from-aiflow.md").read_text(encoding="utf-8")

    with pytest.raises(UsageError, match=rf"asyncflow has no {name}\(\): "):
        getattr(ops, name)(1, namespace="default")

    assert f"`{name}`" in page
