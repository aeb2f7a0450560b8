"""When an execution ends, and with which status."""

import pytest

from asyncflow._core.commands import EndExecution
from asyncflow._core.plan import Plan
from asyncflow._model.status import TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import Play
from tests.core.samples import Nothing, declared

INIT, QUEUED, RUNNING, SUCCESS, FAILED, STOPPING, STOPPED, RETRYING = TaskStatus


def with_listener(*, finish_when_idle: bool = False) -> Plan:
    """Task a starts with the workflow, task b with the event `go`."""
    with declared(finish_when_idle=finish_when_idle) as workflow:
        Nothing("a")
        Nothing("b").action_on_event_received(action=TaskAction.START, event_key="go")
    return Plan.of(workflow)


def parallel() -> Plan:
    with declared() as workflow:
        Nothing("a")
        Nothing("b")
        Nothing("c")
    return Plan.of(workflow)


def status(play: Play) -> WorkflowStatus:
    return play.state.head.status


def test_an_execution_ends_when_its_last_task_ends() -> None:
    play = Play.begun(parallel())

    assert play.end("a") == play.end("b") == ()
    at = play.at
    assert play.end("c") == (EndExecution(WorkflowStatus.SUCCESS),)

    assert status(play) is WorkflowStatus.SUCCESS
    assert play.state.head.end == at


def test_a_task_that_waits_for_an_event_holds_the_execution() -> None:
    play = Play.begun(with_listener())

    play.end("a")

    assert status(play) is WorkflowStatus.RUNNING


def test_a_task_that_an_event_may_restart_holds_the_execution() -> None:
    with declared() as workflow:
        a, b = Nothing("a"), Nothing("b")
        b.action_on_task_status(TaskAction.START, {a: FAILED})
        b.action_on_event_received(action=TaskAction.RESTART, event_key="go")
    play = Play.begun(Plan.of(workflow))

    play.end("a")

    assert status(play) is WorkflowStatus.RUNNING


def test_a_task_that_an_event_can_only_stop_does_not_hold_the_execution() -> None:
    with declared() as workflow:
        a, b = Nothing("a"), Nothing("b")
        b.action_on_task_status(TaskAction.START, {a: FAILED})
        b.action_on_event_received(action=TaskAction.STOP, event_key="go")
    play = Play.begun(Plan.of(workflow))

    play.end("a")

    assert status(play) is WorkflowStatus.SUCCESS


def test_an_idle_execution_finishes_if_it_was_declared_so() -> None:
    play = Play.begun(with_listener(finish_when_idle=True))

    assert play.end("a") == (EndExecution(WorkflowStatus.SUCCESS),)


def test_a_pending_retry_is_not_idle() -> None:
    with declared(finish_when_idle=True) as workflow:
        Nothing("a", retries=1)
    play = Play.begun(Plan.of(workflow))

    play.fail("a")

    assert status(play) is WorkflowStatus.RUNNING


def test_a_task_that_waits_for_a_status_that_can_no_longer_come_does_not_hold() -> None:
    with declared() as workflow:
        a, b, c = Nothing("a"), Nothing("b"), Nothing("c")
        b.action_on_task_status(TaskAction.START, {a: FAILED})
        c.start_after(b)
    play = Play.begun(Plan.of(workflow))

    assert play.end("a") == (EndExecution(WorkflowStatus.SUCCESS),)
    assert play.status("b") is INIT


def test_an_event_task_that_ran_does_not_hold() -> None:
    play = Play.begun(with_listener())

    play.send("go")
    play.end("a")

    assert play.end("b") == (EndExecution(WorkflowStatus.SUCCESS),)


def test_an_execution_without_anything_to_start_waits_for_its_event() -> None:
    with declared() as workflow:
        Nothing("b").action_on_event_received(action=TaskAction.START, event_key="go")
    play = Play.begun(Plan.of(workflow))

    assert status(play) is WorkflowStatus.RUNNING
    play.send("go")
    assert play.end("b") == (EndExecution(WorkflowStatus.SUCCESS),)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((SUCCESS, SUCCESS, SUCCESS), WorkflowStatus.SUCCESS),
        ((SUCCESS, STOPPED, SUCCESS), WorkflowStatus.STOPPED),
        ((STOPPED, FAILED, SUCCESS), WorkflowStatus.FAILED),
        ((FAILED, SUCCESS, STOPPED), WorkflowStatus.FAILED),
        ((FAILED, FAILED, FAILED), WorkflowStatus.FAILED),
    ],
)
def test_failed_goes_before_stopped_goes_before_success(
    ends: tuple[TaskStatus, ...], expected: WorkflowStatus
) -> None:
    play = Play.begun(parallel())

    for task, end in zip("abc", ends, strict=True):
        play.end(task, end)

    assert status(play) is expected


def test_only_the_latest_run_of_a_task_counts() -> None:
    play = Play.begun(parallel())
    play.end("a", FAILED)

    play.act("a", TaskAction.START)
    for task in "abc":
        play.end(task)

    assert status(play) is WorkflowStatus.SUCCESS
    assert play.state.head.error == "task 'a': ValueError: no"


def test_the_first_error_is_the_executions() -> None:
    play = Play.begun(parallel())

    play.end("b", FAILED)
    play.end("a", FAILED)

    assert play.state.head.error == "task 'b': ValueError: no"


def test_stop_stops_every_task_and_then_the_execution() -> None:
    play = Play.begun(parallel())
    play.run("a", "b")
    play.end("b")

    play.stop()

    assert [play.status(task) for task in "abc"] == [STOPPING, SUCCESS, STOPPING]
    assert play.end("a") == ()
    assert play.end("c", STOPPED) == (EndExecution(WorkflowStatus.STOPPED),)


def test_a_stopped_execution_is_stopped_although_a_task_failed() -> None:
    play = Play.begun(parallel())
    play.end("a", FAILED)
    play.stop()

    play.end("b", STOPPED)
    play.end("c", STOPPED)

    assert status(play) is WorkflowStatus.STOPPED


def test_stop_ends_an_idle_execution_at_once() -> None:
    play = Play.begun(with_listener())
    play.end("a")

    assert play.stop() == (EndExecution(WorkflowStatus.STOPPED),)


def test_stop_ends_an_execution_that_has_not_begun() -> None:
    play = Play.of(parallel())

    assert play.stop() == (EndExecution(WorkflowStatus.STOPPED),)
    assert play.begin() == ()


def test_a_stopping_execution_starts_nothing() -> None:
    play = Play.begun(with_listener())
    play.stop()

    assert play.send("go") == play.act("b", TaskAction.RESTART) == ()

    assert play.status("b") is INIT


def test_an_execution_that_has_not_begun_hears_nothing() -> None:
    play = Play.of(with_listener())

    assert play.send("go") == play.act("b", TaskAction.START) == ()

    assert play.state.tasks == {}


def test_a_finished_execution_ignores_everything() -> None:
    play = Play.begun(with_listener(finish_when_idle=True))
    play.end("a")

    told = [play.begin(), play.send("go"), play.act("a", TaskAction.START), play.stop()]

    assert told == [(), (), (), ()]
    assert status(play) is WorkflowStatus.SUCCESS
