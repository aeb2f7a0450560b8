"""Periodic tasks by a cron expression: a period is known by its tick, which counts once."""

from datetime import UTC, datetime, timedelta

import pytest

from asyncflow._core.commands import SetPeriod, StartTask
from asyncflow._core.periods import end_of, newest_passed, number_after
from asyncflow._core.plan import Plan
from asyncflow._model.schedule import Cron, Interval
from asyncflow._model.status import ExecutionType, TaskAction
from tests.core.play import NOON, Play
from tests.core.samples import Nothing, declared

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def ticking(
    expression: str = "cron@0 * * * *", zone: str | None = None, *, listens: bool = False
) -> Plan:
    with declared() as workflow:
        tick = Nothing("tick", periodic_expression=expression, periodic_timezone=zone)
        if listens:
            tick.action_on_event_received(TaskAction.START, "go")
    return Plan.of(workflow)


def set_for(tick: datetime) -> SetPeriod:
    return SetPeriod("tick", number_of(tick), tick)


def number_of(tick: datetime) -> int:
    return int(tick.timestamp())


def test_it_runs_at_once_and_again_at_each_tick() -> None:
    play = Play.of(ticking())
    play.at = NOON + 20 * SECOND

    begun = play.begin()
    play.run("tick")
    play.end("tick")
    play.at = NOON + HOUR + SECOND
    passed = play.pass_period("tick", number_of(NOON + HOUR))

    assert begun == (StartTask("tick", 1, 1, last=True), set_for(NOON + HOUR))
    assert passed == (StartTask("tick", 2, 1, last=True), set_for(NOON + 2 * HOUR))
    assert play.task("tick").execution_type is ExecutionType.PERIODIC


def test_its_ticks_are_by_the_clock_of_its_time_zone() -> None:
    play = Play.of(ticking("cron@30 2 * * *", "America/New_York"))
    play.at = datetime(2026, 3, 7, 12, tzinfo=UTC)

    assert play.begin()[-1] == set_for(datetime(2026, 3, 8, 7, 30, tzinfo=UTC))


def test_a_tick_counts_once() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + HOUR

    play.pass_period("tick", number_of(NOON + HOUR))

    assert play.pass_period("tick", number_of(NOON + HOUR)) == ()
    assert play.pass_period("tick", 1) == ()
    assert play.task("tick").sequence_number == 2


def test_of_several_ticks_that_passed_unheard_one_is_made_up_for() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + 7 * HOUR + SECOND

    commands = play.pass_period("tick", number_of(NOON + HOUR))

    assert commands == (StartTask("tick", 2, 1, last=True), set_for(NOON + 8 * HOUR))
    assert play.task("tick").period == number_of(NOON + 7 * HOUR)


@pytest.mark.parametrize("missed", [1, 4])
def test_ticks_that_passed_while_nobody_ran_are_made_up_for_once(missed: int) -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play = play.taken_over()
    play.at = NOON + missed * HOUR + 5 * SECOND
    newest = NOON + missed * HOUR

    assert play.recover() == (set_for(newest),)
    assert play.pass_period("tick", number_of(newest))[-1] == set_for(newest + HOUR)


def test_a_restart_between_two_ticks_waits_for_the_next() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play = play.taken_over()
    play.at = NOON + HOUR - SECOND

    assert play.recover() == (set_for(NOON + HOUR),)


def test_a_tick_that_was_counted_is_known_to_the_next_owner() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + HOUR
    play.pass_period("tick", number_of(NOON + HOUR))
    play.run("tick")
    play.end("tick")
    play = play.taken_over()

    assert play.pass_period("tick", number_of(NOON + HOUR)) == ()
    assert play.recover() == (set_for(NOON + 2 * HOUR),)


def test_a_run_that_a_crash_cut_short_waits_for_the_next_tick() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play = play.taken_over()
    play.at = NOON + 3 * HOUR + SECOND

    assert play.recover() == (StartTask("tick", 1, 2, last=True), set_for(NOON + 4 * HOUR))


def test_ticks_before_the_execution_began_are_not_missed() -> None:
    play = Play.begun(ticking("cron@0 0 1 * *", listens=True))
    play = play.taken_over()

    assert play.recover() == (set_for(datetime(2026, 4, 1, tzinfo=UTC)),)


@pytest.mark.parametrize("expression", ["cron@0 * * * *", "interval@0 1  "])
def test_a_clock_that_was_put_back_before_a_restart_doubles_no_period_and_ends_none(
    expression: str,
) -> None:
    play = Play.begun(ticking(expression))
    for hours in (1, 2):
        play.run("tick")
        play.end("tick")
        play.at = NOON + hours * HOUR
        number = hours if expression.startswith("i") else number_of(play.at)
        play.pass_period("tick", number)
    play.run("tick")
    play.end("tick")
    play = play.taken_over()
    play.at = NOON + HOUR + 5 * SECOND

    (command,) = play.recover()

    assert isinstance(command, SetPeriod)
    assert command.due == NOON + 3 * HOUR


def test_a_task_that_had_a_cron_expression_goes_on_with_its_interval() -> None:
    play = Play.begun(ticking())
    play.run("tick")
    play.end("tick")
    play.at = NOON + HOUR
    play.pass_period("tick", number_of(NOON + HOUR))
    play.run("tick")
    play.end("tick")
    play = play.taken_over()
    play.plan = ticking("interval@0 0 1 0")

    (command,) = play.recover()
    play.at = NOON + HOUR + 61 * SECOND

    assert command == SetPeriod("tick", 61, NOON + HOUR + 60 * SECOND)
    assert len(play.pass_period("tick", 61)) == 2
    assert play.taken_over().task("tick").period == 61


def test_a_task_that_had_an_interval_goes_on_with_its_cron_expression() -> None:
    play = Play.begun(ticking("interval@0 0 1 0"))
    play.at = NOON + 60 * SECOND
    play.pass_period("tick", 1)
    play.end("tick")
    play.run("tick")
    play.end("tick")
    play = play.taken_over()
    play.plan = ticking()

    assert play.recover() == (set_for(NOON + HOUR),)


SCHEDULES = [Cron("0 * * * *", "America/New_York"), Interval(timedelta(minutes=7))]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_period_is_over_when_it_ends_and_not_before(schedule: Cron | Interval) -> None:
    number = 0
    for _ in range(50):
        number = number_after(schedule, NOON, number)
        end = end_of(schedule, NOON, number)

        assert newest_passed(schedule, NOON, end) == number
        assert newest_passed(schedule, NOON, end, number) == number
        assert newest_passed(schedule, NOON, end - timedelta.resolution) < number


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_periods_go_on_until_time_ends(schedule: Cron | Interval) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    for number in (10**10, 10**12, 10**30):
        assert end_of(schedule, NOON, number_after(schedule, NOON, number)) <= last
        assert newest_passed(schedule, NOON, NOON, number) == number
    assert newest_passed(schedule, NOON, NOON - HOUR) == 0
