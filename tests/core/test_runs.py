"""The life of one task: attempts, retries, stops and restarts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncflow._core.commands import CancelTimer, EndExecution, SetTimer, StartTask, StopTask
from asyncflow._core.execution import NOTHING
from asyncflow._core.facts import RetryFellDue, TaskActionRequested, TaskEnded, TaskStarted
from asyncflow._core.plan import Plan
from asyncflow._core.state import Outcome
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import NOON, Play
from tests.core.samples import Nothing, declared

INIT, QUEUED, RUNNING, SUCCESS, FAILED, STOPPING, STOPPED, RETRYING = TaskStatus
START, STOP, RESTART = TaskAction


def one(retries: int = 0, *, idempotent: bool = True) -> Play:
    """One task, running, beside one that keeps the execution from ending."""
    with declared() as workflow:
        Nothing("a", retries=retries, idempotent=idempotent)
        Nothing("keeper").action_on_event_received(action=START, event_key="never")
    play = Play.begun(Plan.of(workflow))
    play.run("a")
    return play


def test_an_attempt_begins_and_ends_when_its_body_does() -> None:
    play = one()
    now = play.at

    play.end("a")

    assert play.task("a").begin == NOON + timedelta(seconds=1)
    assert play.task("a").end == now


def test_an_end_that_overtakes_its_beginning_counts() -> None:
    with declared() as workflow:
        Nothing("a")
    play = Play.begun(Plan.of(workflow))

    assert play.end("a") == (EndExecution(WorkflowStatus.SUCCESS),)


def test_a_stop_before_an_end_that_overtook_its_beginning_leaves_the_beginning() -> None:
    with declared() as workflow:
        Nothing("a")
        Nothing("keeper").action_on_event_received(action=START, event_key="never")
    play = Play.begun(Plan.of(workflow))
    began = play.at
    play.act("a", STOP)

    play.tell(TaskEnded(play.at, "a", 1, 1, Outcome(SUCCESS), began=began))

    assert (play.task("a").status, play.task("a").begin) == (STOPPED, began)


@pytest.mark.parametrize(
    ("retries", "given", "kept"),
    [(0, SUCCESS, SUCCESS), (0, FAILED, FAILED), (1, FAILED, RETRYING)],
)
def test_an_end_that_overtook_its_beginning_tells_that_too(
    retries: int, given: TaskStatus, kept: TaskStatus
) -> None:
    with declared() as workflow:
        Nothing("a", retries=retries)
        Nothing("keeper").action_on_event_received(action=START, event_key="never")
    play = Play.begun(Plan.of(workflow))
    began = play.at
    play.at += timedelta(seconds=1)

    play.tell(replace(play.ended("a", given), began=began))

    assert (play.status("a"), play.task("a").begin) == (kept, began)


@pytest.mark.parametrize("given", [SUCCESS, FAILED])
def test_a_later_attempt_whose_end_overtook_its_beginning_leaves_that_of_the_first(
    given: TaskStatus,
) -> None:
    play = one(retries=1)
    first = play.task("a").begin
    play.fail("a")
    play.fall_due("a")

    play.tell(replace(play.ended("a", given), began=play.at))

    assert (play.status("a"), play.task("a").begin) == (given, first)


def test_an_outcome_is_kept_beside_the_row() -> None:
    play = one()
    outcome = Outcome(SUCCESS, result='"done"')

    decision = play.tell(TaskEnded(play.at, "a", 1, 1, outcome))

    assert [(row.state.status, row.outcome) for row in decision.tasks] == [(SUCCESS, outcome)]


# Retries


def test_a_failed_attempt_is_retried_after_a_pause() -> None:
    play = one(retries=2)
    failed = play.at

    (timer,) = play.fail("a")

    assert isinstance(timer, SetTimer)
    assert timer.due == failed + play.plan.tasks["a"].retry.delay_for(1, 0.0)
    assert play.task("a").due == timer.due
    assert play.status("a") is RETRYING


def test_a_retry_keeps_the_sequence_number_and_counts_the_try() -> None:
    play = one(retries=2)
    play.fail("a")

    assert play.fall_due("a") == (StartTask("a", 1, 2, last=False),)
    assert play.task("a").due is None
    assert play.task("a").execution_type is ExecutionType.EVENT


def test_the_last_attempt_is_told_so_and_its_failure_is_final() -> None:
    play = one(retries=2)
    play.fail("a")
    play.fall_due("a")
    play.fail("a")

    assert play.fall_due("a") == (StartTask("a", 1, 3, last=True),)
    assert play.fail("a") == ()
    assert play.status("a") is FAILED
    assert play.rows["a", 1].outcome == Outcome(FAILED, error="ValueError: no")


def test_a_task_without_retries_fails_at_once() -> None:
    play = one(retries=0)

    assert play.fail("a") == ()

    assert play.status("a") is FAILED


def test_what_can_only_fail_again_is_not_retried() -> None:
    play = one(retries=2)

    play.fail("a", retryable=False)

    assert play.status("a") is FAILED


def test_an_attempt_that_stopped_or_succeeded_is_not_retried() -> None:
    first, second = one(retries=2), one(retries=2)

    first.end("a", STOPPED)
    second.end("a", SUCCESS)

    assert (first.status("a"), second.status("a")) == (STOPPED, SUCCESS)


def test_the_error_of_a_failed_attempt_is_kept_while_it_retries() -> None:
    play = one(retries=1)

    play.fail("a")

    assert play.rows["a", 1].outcome == Outcome(RETRYING, error="ValueError: no")
    assert play.state.head.error is None


def test_a_retry_spreads_by_the_dice_of_the_fact() -> None:
    play = one(retries=1)
    fact = TaskEnded(play.at, "a", 1, 1, Outcome(FAILED, error="ValueError: no"), dice=0.5)

    play.tell(fact)

    assert play.task("a").due == fact.at + play.plan.tasks["a"].retry.delay_for(1, 0.5)


def test_a_new_run_has_all_its_retries_again() -> None:
    play = one(retries=1)
    play.fail("a")
    play.fall_due("a")
    play.fail("a")

    assert play.act("a", START) == (StartTask("a", 2, 1, last=False),)
    assert play.task("a").failures == 0


def test_stop_wins_over_a_retry() -> None:
    play = one(retries=1)
    play.fail("a")
    late = RetryFellDue(play.at, "a", 1, 1)

    assert play.act("a", STOP) == (CancelTimer("a", 1),)

    assert play.status("a") is STOPPED
    assert play.task("a").due is None
    assert play.tell(late) == NOTHING


def test_a_stopping_attempt_that_fails_is_not_retried() -> None:
    play = one(retries=2)
    play.act("a", STOP)

    play.fail("a")

    assert play.status("a") is STOPPED


def test_stop_of_the_execution_cancels_a_retry() -> None:
    play = one(retries=1)
    play.fail("a")

    assert play.stop() == (CancelTimer("a", 1), EndExecution(WorkflowStatus.STOPPED))


# Stops and restarts


@pytest.mark.parametrize("status", [SUCCESS, FAILED, STOPPED])
def test_a_stopping_task_is_stopped_however_its_body_ended(status: TaskStatus) -> None:
    play = one()
    play.act("a", STOP)

    play.tell(play.ended("a", status, context={"late": "1"}))

    assert play.status("a") is STOPPED
    assert play.rows["a", 1].outcome == Outcome(STOPPED)
    assert play.state.context == {}


def test_that_a_body_was_abandoned_is_kept() -> None:
    play = one()
    play.act("a", STOP)

    play.tell(TaskEnded(play.at, "a", 1, 1, Outcome(STOPPED, abandoned=True)))

    assert play.rows["a", 1].outcome == Outcome(STOPPED, abandoned=True)


def test_a_body_that_begins_after_it_was_told_to_stop_is_stopping() -> None:
    play = one()
    play.act("a", STOP)

    assert play.tell(TaskStarted(play.at, "a", 1, 1)) == NOTHING


def test_a_restarted_task_is_stopped_before_it_runs_again() -> None:
    play = one()

    assert play.act("a", RESTART) == (StopTask("a", 1, 1),)
    decision = play.tell(play.ended("a", STOPPED))

    assert decision.commands == (StartTask("a", 2, 1, last=True),)
    rows = [(row.state.sequence_number, row.state.status) for row in decision.tasks]
    assert rows == [(1, STOPPED), (2, QUEUED)]
    assert play.rows["a", 1].state.again is None


def test_several_pending_restarts_are_one() -> None:
    play = one()
    for _ in range(3):
        play.act("a", RESTART)

    play.end("a", STOPPED)
    play.end("a")

    assert play.task("a").sequence_number == 2
    assert play.status("a") is SUCCESS


def test_a_restart_of_what_waits_to_start_again_changes_nothing() -> None:
    play = one()
    play.act("a", RESTART)

    assert play.tell(TaskActionRequested(play.at, "a", RESTART)) == NOTHING


def test_a_start_while_stopping_waits_for_the_stop() -> None:
    play = one()
    play.act("a", STOP)

    assert play.act("a", START) == ()

    assert play.end("a", STOPPED) == (StartTask("a", 2, 1, last=True),)
    assert play.task("a").execution_type is ExecutionType.MANUAL


def test_a_pending_start_is_cancelled_by_a_stop() -> None:
    play = one()
    play.act("a", RESTART)

    assert play.act("a", STOP) == ()

    assert play.end("a", STOPPED) == ()
    assert (play.status("a"), play.task("a").sequence_number) == (STOPPED, 1)


def test_a_pending_start_is_cancelled_by_the_end_of_the_execution() -> None:
    play = one()
    play.act("a", RESTART)
    play.stop()

    assert play.end("a", STOPPED) == (EndExecution(WorkflowStatus.STOPPED),)


def test_a_pending_start_holds_the_execution() -> None:
    with declared() as workflow:
        Nothing("a")
    play = Play.begun(Plan.of(workflow))
    play.act("a", RESTART)

    play.end("a", STOPPED)

    assert play.state.head.status is WorkflowStatus.RUNNING


def test_rules_see_that_a_restarted_task_was_stopped() -> None:
    with declared() as workflow:
        a, b = Nothing("a", retries=1), Nothing("b")
        b.action_on_task_status(START, {a: STOPPED})
    play = Play.begun(Plan.of(workflow))
    play.fail("a")

    play.act("a", RESTART)

    assert (play.status("a"), play.status("b")) == (QUEUED, QUEUED)


# The context


def ended(play: Play, task: str, context: dict[str, str | None], status: TaskStatus) -> None:
    play.tell(play.ended(task, status, context=context))


def test_what_a_task_changed_is_merged_when_it_succeeds() -> None:
    play = one()
    play.state.context = {"kept": "1", "gone": "2", "changed": "3"}

    ended(play, "a", {"gone": None, "changed": "4", "new": "5"}, SUCCESS)

    assert play.state.context == {"kept": "1", "changed": "4", "new": "5"}


def test_changes_are_merged_in_order_of_success() -> None:
    with declared() as workflow:
        Nothing("a")
        Nothing("b")
    play = Play.begun(Plan.of(workflow), {"c": "0"})

    ended(play, "b", {"c": '"b"', "b": "1"}, SUCCESS)
    ended(play, "a", {"c": '"a"', "b": None}, SUCCESS)

    assert play.state.context == {"c": '"a"'}


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("status", [FAILED, STOPPED])
def test_an_attempt_that_did_not_succeed_changes_nothing(status: TaskStatus, retries: int) -> None:
    play = one(retries=retries)

    ended(play, "a", {"c": "1"}, status)

    assert play.state.context == {}


def test_a_context_in_the_hands_of_a_task_stays_as_it_was() -> None:
    play = one()
    held = play.state.context

    ended(play, "a", {"c": "1"}, SUCCESS)

    assert held == {}
