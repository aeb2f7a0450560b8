"""An execution that may be what ends its processes is given up, until somebody helps it."""

import pytest

from asyncflow._core.commands import EndExecution, StartTask
from asyncflow._core.decide import GAVE_UP, TRIES
from asyncflow._core.facts import ExecutionRecovered, RecoverySurvived
from asyncflow._core.plan import Plan
from asyncflow._model.status import TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import Play
from tests.core.samples import Nothing, declared

START, STOP, RESTART = TaskAction


def plan(*names: str, retries: int = 0, idempotent: bool = True) -> Plan:
    with declared() as workflow:
        for name in names:
            Nothing(name, retries=retries, idempotent=idempotent)
    return Plan.of(workflow)


def crashed(play: Play, times: int = 1) -> Play:
    """Let its process end so often while all that was started runs."""
    for _ in range(times):
        alive = [task.name for task in play.state.tasks.values() if task.status.alive]
        play.run(*alive)
        play = play.taken_over()
        play.recover()
    return play


def given_up(*names: str) -> Play:
    play = crashed(Play.begun(plan(*names)), TRIES + 1)
    assert play.state.head.parked_reason == GAVE_UP
    return play


def test_it_begins_again_five_times_and_is_then_parked() -> None:
    play = Play.begun(plan("a"))

    for count in range(1, TRIES + 1):
        play = crashed(play)
        assert (play.state.head.recoveries, play.state.head.parked_reason) == (count, None)
    play.run("a")
    play = play.taken_over()

    assert play.recover() == ()
    assert (play.state.head.recoveries, play.state.head.parked_reason) == (TRIES, GAVE_UP)


def test_an_attempt_that_was_asked_for_and_did_not_begin_counts_too() -> None:
    play = Play.begun(plan("a")).taken_over()

    told = [play.recover() for _ in range(TRIES + 1)]

    assert told == [*[(StartTask("a", 1, 1, last=True),)] * TRIES, ()]


def test_one_of_which_no_task_is_begun_again_does_not_count() -> None:
    with declared() as workflow:
        Nothing("a").action_on_event_received(action=START, event_key="go")
        Nothing("b", retries=1)
    play = Play.begun(Plan.of(workflow))
    play.fail("b")

    play = crashed(play, TRIES + 1)

    assert (play.state.head.recoveries, play.state.head.parked_reason) == (0, None)


@pytest.mark.parametrize("status", [TaskStatus.SUCCESS, TaskStatus.FAILED])
def test_the_end_of_a_task_begins_the_count_anew(status: TaskStatus) -> None:
    play = crashed(Play.begun(plan("a", "b")), TRIES)

    play.end("a", status)

    assert play.state.head.recoveries == 0
    assert crashed(play, TRIES).state.head.parked_reason is None


def test_an_attempt_that_fails_and_is_tried_again_begins_nothing_anew() -> None:
    play = crashed(Play.begun(plan("a", retries=1)), TRIES)

    play.fail("a")

    assert (play.status("a"), play.state.head.recoveries) == (TaskStatus.RETRYING, TRIES)


def test_the_last_attempt_of_a_task_that_fails_begins_the_count_anew() -> None:
    play = crashed(Play.begun(plan("a", "b", retries=1)), TRIES)
    play.fail("a")
    play.fall_due("a")

    play.fail("a")

    assert (play.status("a"), play.state.head.recoveries) == (TaskStatus.FAILED, 0)


def test_the_end_of_another_attempt_begins_nothing_anew() -> None:
    play = Play.begun(plan("a"))
    play.run("a")
    late = play.ended("a")
    play = crashed(play, TRIES)

    play.tell(late)

    assert play.state.head.recoveries == TRIES


def test_who_survives_has_its_last_recovery_taken_off() -> None:
    play = crashed(Play.begun(plan("a")), 3)

    play.tell(RecoverySurvived(play.at))

    assert play.state.head.recoveries == 2


def test_who_survives_when_nothing_is_counted_stays_as_it_is() -> None:
    play = crashed(Play.begun(plan("a", "b")), 1)
    play.end("a")

    play.tell(RecoverySurvived(play.at))

    assert play.state.head.recoveries == 0


def test_one_that_is_parked_survives_nothing() -> None:
    play = given_up("a")

    play.tell(RecoverySurvived(play.at))

    assert play.state.head.recoveries == TRIES


def test_it_stays_parked_at_later_recoveries() -> None:
    play = given_up("a")

    for _ in range(3):
        play = play.taken_over()
        assert play.recover() == ()

    assert (play.state.head.recoveries, play.state.head.parked_reason) == (TRIES, GAVE_UP)


def test_under_another_definition_the_count_begins_anew() -> None:
    play = given_up("a").taken_over(plan("a", "b"))

    commands = play.tell(ExecutionRecovered(play.at, redefined=True)).commands

    assert commands == (StartTask("a", 1, TRIES + 2, last=True),)
    assert (play.state.head.recoveries, play.state.head.parked_reason) == (1, None)


def test_a_start_by_a_call_lets_all_of_it_go_on() -> None:
    play = given_up("a", "b")

    commands = play.act("a", START)

    again = TRIES + 2
    assert commands == (StartTask("a", 1, again, last=True), StartTask("b", 1, again, last=True))
    assert (play.state.head.recoveries, play.state.head.parked_reason) == (0, None)


def test_a_restart_by_a_call_gives_its_task_a_new_run_and_lets_the_others_go_on() -> None:
    play = given_up("a", "b")

    commands = play.act("a", RESTART)

    assert set(commands) == {
        StartTask("a", 2, 1, last=True),
        StartTask("b", 1, TRIES + 2, last=True),
    }
    assert play.rows["a", 1].state.status is TaskStatus.STOPPED
    assert (play.state.head.recoveries, play.state.head.parked_reason) == (0, None)


def test_one_that_was_tried_again_is_given_up_again() -> None:
    play = given_up("a")
    play.act("a", START)

    assert crashed(play, TRIES + 1).state.head.parked_reason == GAVE_UP


def test_no_other_call_and_no_event_moves_it() -> None:
    play = given_up("a")

    assert play.act("a", STOP) == play.act("nobody", START) == play.send("go") == ()
    assert play.state.head.parked_reason == GAVE_UP


def test_it_can_be_stopped() -> None:
    play = given_up("a")

    play.stop()

    assert play.act("a", START) == ()
    assert play.end("a", TaskStatus.STOPPED) == (EndExecution(WorkflowStatus.STOPPED),)


def test_while_its_definition_is_gone_nobody_can_start_it() -> None:
    play = given_up("a", "b").taken_over(plan("b"))
    play.recover()

    assert play.act("b", START) == ()
    assert "'a'" in (play.state.head.parked_reason or "")
    assert play.state.head.recoveries == TRIES


def test_a_task_that_is_not_idempotent_is_counted_until_its_end_is_told() -> None:
    play = crashed(Play.begun(plan("a", idempotent=False)))

    assert play.state.head.recoveries == 1
    assert play.fail("a", retryable=False) == (EndExecution(WorkflowStatus.FAILED),)
    assert play.state.head.recoveries == 0
