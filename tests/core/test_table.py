"""The whole table: what each action does in each status."""

from dataclasses import dataclass

import pytest

from asyncflow._core.commands import CancelTimer, Command, StartTask, StopTask
from asyncflow._core.plan import Plan
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus
from tests.core.play import Play
from tests.core.samples import Nothing, declared

INIT, QUEUED, RUNNING, SUCCESS, FAILED, STOPPING, STOPPED, RETRYING = TaskStatus
START, STOP, RESTART = TaskAction


@pytest.fixture(scope="module")
def plan() -> Plan:
    with declared() as workflow:
        subject = Nothing("subject", retries=1)
        for action in TaskAction:
            subject.action_on_event_received(action=action, event_key=action)
        keeper = Nothing("keeper")  # never runs, so that the execution does not end
        keeper.action_on_event_received(action=START, event_key="never")
    return Plan.of(workflow)


def in_status(plan: Plan, status: TaskStatus) -> Play:
    """Bring the task there as real life would."""
    play = Play.begun(plan)
    if status is not INIT:
        play.send(START)
    if status not in {INIT, QUEUED}:
        play.run("subject")
    match status:
        case TaskStatus.SUCCESS:
            play.end("subject")
        case TaskStatus.FAILED | TaskStatus.RETRYING:
            play.fail("subject", retryable=status is RETRYING)
        case TaskStatus.STOPPING | TaskStatus.STOPPED:
            play.send(STOP)
        case _:
            pass
    if status is STOPPED:
        play.end("subject", STOPPED)
    assert play.status("subject") is status
    return play


FIRST = StartTask("subject", 1, 1, last=False)
SECOND = StartTask("subject", 2, 1, last=False)
KILL = StopTask("subject", 1, 1)
FORGET = CancelTimer("subject", 1)


@dataclass(frozen=True, slots=True)
class Expected:
    """Where the task is after the action, and what is asked of the worker."""

    status: TaskStatus
    number: int
    commands: tuple[Command, ...] = ()
    again: bool = False


NEVER_RAN = Expected(INIT, 0)
STARTED = Expected(QUEUED, 1, (FIRST,))
STARTED_ANEW = Expected(QUEUED, 2, (SECOND,))
STOPPING_NOW = Expected(STOPPING, 1, (KILL,))
STOPPING_STILL = Expected(STOPPING, 1)
STOPPING_FIRST = Expected(STOPPING, 1, (KILL,), again=True)
PENDING = Expected(STOPPING, 1, again=True)


def as_it_was(status: TaskStatus) -> Expected:
    return Expected(status, 1)


TABLE = {
    (INIT, START): STARTED,
    (INIT, STOP): NEVER_RAN,
    (INIT, RESTART): STARTED,
    (QUEUED, START): as_it_was(QUEUED),
    (QUEUED, STOP): STOPPING_NOW,
    (QUEUED, RESTART): STOPPING_FIRST,
    (RUNNING, START): as_it_was(RUNNING),
    (RUNNING, STOP): STOPPING_NOW,
    (RUNNING, RESTART): STOPPING_FIRST,
    (SUCCESS, START): STARTED_ANEW,
    (SUCCESS, STOP): as_it_was(SUCCESS),
    (SUCCESS, RESTART): STARTED_ANEW,
    (FAILED, START): STARTED_ANEW,
    (FAILED, STOP): as_it_was(FAILED),
    (FAILED, RESTART): STARTED_ANEW,
    (STOPPING, START): PENDING,
    (STOPPING, STOP): STOPPING_STILL,
    (STOPPING, RESTART): PENDING,
    (STOPPED, START): STARTED_ANEW,
    (STOPPED, STOP): as_it_was(STOPPED),
    (STOPPED, RESTART): STARTED_ANEW,
    (RETRYING, START): as_it_was(RETRYING),
    (RETRYING, STOP): Expected(STOPPED, 1, (FORGET,)),
    (RETRYING, RESTART): Expected(QUEUED, 2, (FORGET, SECOND)),
}


@pytest.mark.parametrize("by_rule", [True, False], ids=["by a rule", "by a call"])
@pytest.mark.parametrize(("status", "action"), list(TABLE))
def test_an_action_does_in_each_status_what_the_table_says(
    plan: Plan, status: TaskStatus, action: TaskAction, *, by_rule: bool
) -> None:
    play, expected = in_status(plan, status), TABLE[status, action]
    before = play.task("subject")

    commands = play.send(action) if by_rule else play.act("subject", action)

    kind = ExecutionType.EVENT if by_rule else ExecutionType.MANUAL
    task = play.task("subject")
    assert (task.status, task.sequence_number) == (expected.status, expected.number)
    assert commands == expected.commands
    assert task.again == (kind if expected.again else None)
    if StartTask in map(type, commands):
        assert task.execution_type is kind
    elif not commands and not expected.again:
        assert task == before


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {(status, action) for status in TaskStatus for action in TaskAction}
