"""What the next owner does with what a dead one left."""

from datetime import timedelta
from itertools import pairwise

from asyncflow._core.commands import EndExecution, SetTimer, StartTask, StopTask
from asyncflow._core.decide import standing
from asyncflow._core.facts import ExecutionRecovered, RetryFellDue
from asyncflow._core.plan import Plan
from asyncflow._model.status import TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import Play
from tests.core.samples import Nothing, declared

INIT, QUEUED, RUNNING, SUCCESS, FAILED, STOPPING, STOPPED, RETRYING = TaskStatus
START, STOP, RESTART = TaskAction
LOST = StartTask("a", 1, 1, last=True, lost=True)


def parallel(*names: str, retries: int = 0, idempotent: bool = True) -> Plan:
    with declared() as workflow:
        for name in names:
            Nothing(name, retries=retries, idempotent=idempotent)
    return Plan.of(workflow)


def chain(*names: str) -> Plan:
    with declared() as workflow:
        tasks = [Nothing(name) for name in names]
        for before, after in pairwise(tasks):
            after.start_after(before)
    return Plan.of(workflow)


def test_a_queued_attempt_is_asked_for_again_as_the_same_try() -> None:
    play = Play.begun(parallel("a")).taken_over()

    assert play.recover() == (StartTask("a", 1, 1, last=True),)
    assert play.status("a") is QUEUED


def test_a_running_attempt_without_a_result_runs_again_as_another_try() -> None:
    play = Play.begun(parallel("a"))
    play.run("a")
    play = play.taken_over()

    assert play.recover() == (StartTask("a", 1, 2, last=True),)
    assert (play.status("a"), play.task("a").try_number) == (QUEUED, 2)


def test_what_a_letter_has_started_before_it_works_and_is_not_started_again() -> None:
    play = Play.begun(parallel("a", "b"))
    play.run("a")
    play.run("b")
    play = play.taken_over()
    recovered = ExecutionRecovered(play.at, attempts=frozenset({("a", 1, 1)}))

    assert play.tell(recovered).commands == (StartTask("a", 1, 2, last=True),)
    assert (play.status("b"), play.task("b").try_number) == (RUNNING, 1)


def test_a_crash_before_the_next_attempt_began_is_no_other_try() -> None:
    play = Play.begun(parallel("a"))
    play.run("a")

    again = [play.recover(), play.recover()]

    assert again == [(StartTask("a", 1, 2, last=True),)] * 2


def test_what_a_state_still_asks_for_can_be_told_again_and_changes_nothing() -> None:
    plan = parallel("queued", "running", "stopping", "done", "retrying", retries=1)
    play = Play.begun(plan)
    play.run("running", "stopping", "done", "retrying")
    play.act("stopping", STOP)
    play.end("done")
    (timer,) = play.fail("retrying")
    before = play.kept()

    told = standing(plan, play.state, play.at)

    assert told == (StartTask("queued", 1, 1, last=False), StopTask("stopping", 1, 1), timer)
    assert play.kept() == before


def test_a_parked_state_asks_for_nothing() -> None:
    play = Play.begun(parallel("a", "b")).taken_over(parallel("b"))
    play.recover()

    assert play.state.head.parked_reason is not None
    assert standing(play.plan, play.state, play.at) == ()


def test_a_rule_may_stop_what_a_recovery_has_just_asked_for() -> None:
    with declared() as workflow:
        a, b = Nothing("a", idempotent=False), Nothing("b")
        b.action_on_task_status(STOP, {a: FAILED})
    play = Play.begun(Plan.of(workflow))
    play.run("a", "b")
    play = play.taken_over()

    assert play.recover() == (LOST, StartTask("b", 1, 2, last=True))
    assert play.fail("a", retryable=False) == (StopTask("b", 1, 2),)
    assert play.recover() == (EndExecution(WorkflowStatus.FAILED),)  # the next crash stopped it


def test_a_recorded_result_is_never_run_again() -> None:
    play = Play.begun(parallel("a", "b"))
    play.run("a", "b")
    play.end("a")
    play = play.taken_over()

    assert [command.task for command in play.recover() if isinstance(command, StartTask)] == ["b"]
    assert play.status("a") is SUCCESS


def test_a_crash_does_not_use_up_a_retry() -> None:
    play = Play.begun(parallel("a", retries=1))
    for attempt in (2, 3, 4):
        play.run("a")
        play = play.taken_over()
        assert play.recover() == (StartTask("a", 1, attempt, last=False),)

    play.fail("a")

    assert play.status("a") is RETRYING
    assert play.fall_due("a") == (StartTask("a", 1, 5, last=True),)


def test_a_task_that_is_not_idempotent_fails_if_its_process_died() -> None:
    play = Play.begun(parallel("a", retries=3, idempotent=False))
    play.run("a")
    play = play.taken_over()

    lost = play.recover()
    again = play.taken_over().recover()
    end = play.fail("a", retryable=False)

    assert lost == again == (LOST,)
    assert end == (EndExecution(WorkflowStatus.FAILED),)
    assert "'a'" in (play.state.head.error or "")


def test_a_task_that_is_not_idempotent_and_did_not_begin_begins() -> None:
    play = Play.begun(parallel("a", idempotent=False)).taken_over()

    assert play.recover() == (StartTask("a", 1, 1, last=True),)


def test_rules_follow_from_what_the_crash_made_fail() -> None:
    with declared() as workflow:
        a, b = Nothing("a", idempotent=False), Nothing("b")
        b.action_on_task_status(START, {a: FAILED})
    play = Play.begun(Plan.of(workflow))
    play.run("a")
    play = play.taken_over()

    assert play.recover() == (LOST,)
    assert play.fail("a", retryable=False) == (StartTask("b", 1, 1, last=True),)


def test_a_stopping_task_is_stopped() -> None:
    play = Play.begun(parallel("a", "b"))
    play.run("a")
    play.act("a", STOP)
    play.end("b")
    play = play.taken_over()

    assert play.recover() == (EndExecution(WorkflowStatus.STOPPED),)
    assert play.status("a") is STOPPED


def test_a_start_that_waited_for_a_stop_is_made() -> None:
    play = Play.begun(parallel("a"))
    play.run("a")
    play.act("a", RESTART)
    play = play.taken_over()

    assert play.recover() == (StartTask("a", 2, 1, last=True),)
    assert play.rows["a", 1].state.status is STOPPED


def test_a_stopping_execution_goes_on_stopping() -> None:
    play = Play.begun(parallel("a"))
    play.stop()
    play = play.taken_over()

    assert play.recover() == (EndExecution(WorkflowStatus.STOPPED),)


def test_a_retry_falls_due_when_it_would_have() -> None:
    play = Play.begun(parallel("a", retries=1))
    (timer,) = play.fail("a")
    play = play.taken_over()
    play.at += timedelta(days=1)

    assert play.recover() == (timer,)
    assert isinstance(timer, SetTimer)
    assert play.status("a") is RETRYING
    assert play.tell(RetryFellDue(play.at, "a", 1, 1)).commands == (
        StartTask("a", 1, 2, last=True),
    )


def test_a_listening_task_still_listens() -> None:
    with declared() as workflow:
        Nothing("a").action_on_event_received(action=START, event_key="go")
    play = Play.begun(Plan.of(workflow)).taken_over()

    assert play.recover() == ()
    assert play.send("go") == (StartTask("a", 1, 1, last=True),)


def test_a_join_that_is_half_met_stays_so() -> None:
    with declared() as workflow:
        a, b, c = Nothing("a"), Nothing("b"), Nothing("c")
        c.start_after([a, b])
    play = Play.begun(Plan.of(workflow))
    play.end("a")
    play = play.taken_over()
    play.recover()

    assert play.end("b") == (StartTask("c", 1, 1, last=True),)


def test_an_execution_that_has_not_begun_has_nothing_to_recover() -> None:
    play = Play.of(parallel("a"))

    assert play.recover() == ()
    assert play.begin() == (StartTask("a", 1, 1, last=True),)


# Definitions that are gone


def parked() -> Play:
    """Task b ran when its process died; the next one does not know it any more."""
    play = Play.begun(parallel("a", "b"))
    play.run("a", "b")
    play = play.taken_over(chain("a", "c"))
    assert play.recover() == ()
    return play


def test_an_execution_that_still_needs_a_task_that_is_gone_is_parked() -> None:
    play = parked()

    assert play.state.head.status is WorkflowStatus.RUNNING
    assert "'b'" in (play.state.head.parked_reason or "")
    assert "'a'" not in (play.state.head.parked_reason or "")
    assert play.status("a") is RUNNING


def test_an_execution_whose_workflow_is_gone_is_parked() -> None:
    play = Play.begun(parallel("a"))
    play = play.taken_over(Plan.gone("release", "default"))

    assert play.recover() == ()

    assert "'release'" in (play.state.head.parked_reason or "")


def test_an_execution_whose_workflow_is_gone_is_parked_although_no_task_is_alive() -> None:
    with declared() as workflow:
        Nothing("a").action_on_event_received(action=START, event_key="go")
    play = Play.begun(Plan.of(workflow)).taken_over(Plan.gone("release", "default"))

    assert play.recover() == ()

    assert play.state.head.status is WorkflowStatus.RUNNING
    assert play.state.head.parked_reason is not None


def test_an_execution_that_cannot_begin_is_parked_and_begins_later() -> None:
    play = Play.of(Plan.gone("release", "default"))

    assert play.begin() == ()
    assert play.state.head.status is WorkflowStatus.INIT
    assert play.state.head.parked_reason is not None

    play = play.taken_over(parallel("a"))
    assert play.begin() == (StartTask("a", 1, 1, last=True),)
    assert play.state.head.parked_reason is None


def test_a_task_that_is_gone_but_has_ended_parks_nothing() -> None:
    play = Play.begun(parallel("a", "b"))
    play.end("b")
    play = play.taken_over(parallel("a"))

    assert play.recover() == (StartTask("a", 1, 1, last=True),)
    assert play.state.head.parked_reason is None


def test_a_parked_execution_starts_nothing() -> None:
    play = parked()

    assert play.act("c", START) == play.act("a", RESTART) == play.send("go") == ()


def test_a_parked_execution_stays_parked_if_it_is_taken_over_without_its_task() -> None:
    play = parked().taken_over()
    reason = play.state.head.parked_reason

    assert play.recover() == ()

    assert play.state.head.parked_reason == reason


def test_a_parked_execution_goes_on_when_its_task_is_back() -> None:
    play = parked().taken_over(parallel("a", "b"))

    commands = play.recover()

    assert commands == (StartTask("a", 1, 2, last=True), StartTask("b", 1, 2, last=True))
    assert play.state.head.parked_reason is None


def test_a_parked_execution_can_be_stopped() -> None:
    play = parked()

    play.stop()
    assert (play.status("a"), play.status("b")) == (STOPPING, STOPPING)
    play.end("a", STOPPED)

    assert play.end("b", STOPPED) == (EndExecution(WorkflowStatus.STOPPED),)
    assert play.state.head.parked_reason is None


def test_a_parked_execution_that_was_being_stopped_ends_at_recovery() -> None:
    play = parked()
    play.stop()
    play = play.taken_over()

    assert play.recover() == (EndExecution(WorkflowStatus.STOPPED),)


def test_a_parked_execution_that_has_not_begun_can_be_stopped() -> None:
    play = Play.of(Plan.gone("release", "default"))
    play.begin()

    assert play.stop() == (EndExecution(WorkflowStatus.STOPPED),)
