"""Periodic tasks: restarted when a period is over, counted from the begin of their execution."""

from datetime import timedelta

import pytest

from asyncflow._core.commands import CancelPeriods, SetPeriod, StartTask, StopTask
from asyncflow._core.decide import standing
from asyncflow._core.plan import Plan
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus, WorkflowStatus
from tests.core.play import NOON, Play
from tests.core.samples import Nothing, declared

SECOND = timedelta(seconds=1)
EVERY = 10 * SECOND


def ticking(*, listens: bool = False) -> Plan:
    with declared() as workflow:
        tick = Nothing("tick", periodic_expression="interval@0 0 0 10")
        Nothing("after").start_after(tick)
        if listens:
            tick.action_on_event_received(TaskAction.START, "go")
    return Plan.of(workflow)


def test_a_periodic_task_runs_at_once_and_its_first_period_ends_a_period_later() -> None:
    play = Play.of(ticking())

    assert play.begin() == (
        StartTask("tick", 1, 1, last=True),
        SetPeriod("tick", 1, NOON + EVERY),
    )
    assert play.task("tick").execution_type is ExecutionType.EVENT


def test_a_periodic_task_that_an_event_starts_does_not_run_at_once() -> None:
    play = Play.of(ticking(listens=True))

    assert play.begin() == (SetPeriod("tick", 1, NOON + EVERY),)


def test_a_period_that_is_over_starts_a_run_and_the_next_period_does_not_drift() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + EVERY + 3 * SECOND

    commands = play.pass_period("tick", 1)

    assert commands == (
        StartTask("tick", 2, 1, last=True),
        SetPeriod("tick", 2, NOON + 2 * EVERY),
    )
    assert play.task("tick").execution_type is ExecutionType.PERIODIC


def test_a_period_stops_the_run_of_the_one_before_first() -> None:
    play = Play.begun(ticking())
    play.run("tick")

    stop = play.pass_period("tick", 1)[0]
    start = play.end("tick", TaskStatus.STOPPED)

    assert stop == StopTask("tick", 1, 1)
    assert start == (StartTask("tick", 2, 1, last=True),)


def test_a_task_after_a_periodic_one_runs_each_time() -> None:
    play = Play.begun(ticking())
    for number in (1, 2, 3):
        play.run("tick")
        play.end("tick")
        play.run("after")
        play.end("after")
        play.pass_period("tick", number)

    assert play.task("after").sequence_number == 3


def test_a_period_counts_once() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.pass_period("tick", 1)

    assert play.pass_period("tick", 1) == ()
    assert play.pass_period("tick", 0) == ()
    assert play.task("tick").sequence_number == 2


def test_of_several_periods_that_passed_unheard_one_is_made_up_for() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + 7 * EVERY + SECOND

    commands = play.pass_period("tick", 1)

    assert commands[-1] == SetPeriod("tick", 8, NOON + 8 * EVERY)
    assert play.task("tick").sequence_number == 2


def test_an_execution_with_a_periodic_task_runs_until_it_is_stopped() -> None:
    play = Play.begun(ticking())
    for name in ("tick", "after"):
        play.run(name)
        play.end(name)
    before = play.state.head.status

    commands = play.stop()

    assert before is WorkflowStatus.RUNNING
    assert commands[0] == CancelPeriods()
    assert play.state.head.status is WorkflowStatus.STOPPED
    assert play.pass_period("tick", 1) == ()


def test_a_stopping_execution_restarts_nothing() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.stop()

    assert play.pass_period("tick", 1) == ()
    assert play.task("tick").again is None


@pytest.mark.parametrize(("passed", "due"), [(0, 1), (1, 1), (4, 4)])
def test_a_period_that_passed_while_nobody_ran_is_made_up_for_once(passed: int, due: int) -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play = play.taken_over()
    play.at = NOON + passed * EVERY + 5 * SECOND

    assert play.recover()[-1] == SetPeriod("tick", due, NOON + due * EVERY)
    assert play.pass_period("tick", due)[-1] == SetPeriod(
        "tick", passed + 1 if passed else 2, NOON + (passed + 1 if passed else 2) * EVERY
    )


def test_a_run_that_a_crash_cut_short_runs_again_and_waits_for_the_next_period() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play = play.taken_over()
    play.at = NOON + 3 * EVERY + SECOND

    assert play.recover() == (
        StartTask("tick", 1, 2, last=True),
        SetPeriod("tick", 4, NOON + 4 * EVERY),
    )


def test_a_state_in_doubt_asks_for_its_period_again() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.run("after")
    play.end("after")

    assert standing(play.plan, play.state, NOON + 5 * SECOND) == (
        SetPeriod("tick", 1, NOON + EVERY),
    )


def test_a_period_longer_than_time_itself_raises_nothing() -> None:
    with declared() as workflow:
        Nothing("tick", periodic_expression="interval@36525   ")
    play = Play.begun(Plan.of(workflow))

    play.pass_period("tick", 10**9)

    assert play.task("tick").again is ExecutionType.PERIODIC


def test_a_period_that_was_counted_is_known_to_the_next_owner() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + EVERY
    play.pass_period("tick", 1)
    play.run("tick")
    play.end("tick")
    play = play.taken_over()

    assert play.pass_period("tick", 1) == ()
    assert play.recover() == (
        StartTask("after", 1, 1, last=True),
        SetPeriod("tick", 2, NOON + 2 * EVERY),
    )


def test_a_run_between_two_periods_does_not_count_for_one() -> None:
    play = Play.begun(ticking(listens=True))
    play.at = NOON + EVERY
    play.pass_period("tick", 1)
    play.run("tick")
    play.end("tick")
    play.at = NOON + 2 * EVERY + SECOND
    play.send("go")
    play.run("tick")
    play.end("tick")
    play = play.taken_over()

    assert play.recover()[-1] == SetPeriod("tick", 2, NOON + 2 * EVERY)


def test_a_run_that_an_event_started_leaves_the_last_period_counted() -> None:
    play = Play.begun(ticking(listens=True))
    play.at = NOON + EVERY
    play.pass_period("tick", 1)
    play.run("tick")
    play.end("tick")
    play.send("go")
    play.run("tick")
    play.end("tick")
    play = play.taken_over()

    assert play.recover()[-1] == SetPeriod("tick", 2, NOON + 2 * EVERY)
