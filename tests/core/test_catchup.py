"""Which ticks run and which are dropped after a sleep, with each policy."""

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from asyncflow._core.catchup import GRACE, Due, due
from asyncflow._model.schedule import CatchUp, Cron, Interval, Schedule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TEN = 10 * SECOND
ASLEEP = timedelta(minutes=78)
SCHEDULES: list[Schedule] = [Cron("*/10 * * * * *"), Interval(TEN)]
MISSED = tuple(NOON + n * TEN for n in range(1, 6 * 78 + 1))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_after_78_minutes_asleep_one_runs_the_newest_tick(schedule: Schedule) -> None:
    found = due(schedule, NOON, None, NOON + ASLEEP + SECOND)

    assert found == Due(run=MISSED[-1:], dropped=MISSED[:-1])
    assert found.newest == NOON + ASLEEP


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_after_78_minutes_asleep_none_runs_only_a_tick_that_is_hardly_late(
    schedule: Schedule,
) -> None:
    found = due(schedule, NOON, None, NOON + ASLEEP + SECOND, catchup="none")

    assert found == Due(run=MISSED[-1:], dropped=MISSED[:-1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_after_78_minutes_asleep_all_runs_the_newest_in_their_order(schedule: Schedule) -> None:
    found = due(schedule, NOON, None, NOON + ASLEEP + SECOND, catchup="all", max_catchup=5)

    assert found == Due(run=MISSED[-5:], dropped=MISSED[:-5])


def test_all_runs_what_was_missed_if_it_is_not_more_than_a_hundred() -> None:
    found = due(Interval(TEN), NOON, None, NOON + 100 * TEN, catchup="all")

    assert found == Due(run=MISSED[:100])
    assert due(Interval(TEN), NOON, None, NOON + 101 * TEN, catchup="all").dropped == MISSED[:1]


@pytest.mark.parametrize(("late", "runs"), [(GRACE, 1), (GRACE + timedelta.resolution, 0)])
def test_none_runs_a_tick_that_is_ten_seconds_late_and_no_later(late: timedelta, runs: int) -> None:
    tick = NOON + timedelta(hours=1)

    found = due(Cron("@hourly"), NOON, None, tick + late, catchup="none")

    assert found == (Due(run=(tick,)) if runs else Due(dropped=(tick,)))
    assert found.newest == tick


@pytest.mark.parametrize("catchup", ["one", "none", "all"])
def test_a_tick_that_is_due_just_now_runs_under_every_policy(catchup: CatchUp) -> None:
    for schedule in SCHEDULES:
        assert due(schedule, NOON, NOON, NOON + TEN, catchup=catchup) == Due(run=(NOON + TEN,))


@pytest.mark.parametrize("catchup", ["one", "none", "all"])
def test_what_was_answered_is_not_due_again(catchup: CatchUp) -> None:
    for schedule in SCHEDULES:
        at = NOON + 7 * TEN
        assert due(schedule, NOON, at, at + 9 * SECOND, catchup=catchup) == Due()
        assert due(schedule, NOON, at, at - 5 * TEN, catchup=catchup) == Due()
        assert due(schedule, NOON, None, NOON, catchup=catchup).newest is None


def test_a_schedule_owes_nothing_from_before_its_anchor() -> None:
    assert due(Interval(TEN), NOON, NOON - ASLEEP, NOON + TEN) == Due(run=(NOON + TEN,))


@pytest.mark.parametrize("catchup", ["one", "none", "all"])
def test_a_month_of_missed_seconds_is_answered_at_once_and_each_is_accounted_for(
    catchup: CatchUp,
) -> None:
    now, begin = NOON + timedelta(days=30), process_time()

    found = due(Cron("* * * * * *"), NOON, None, now, catchup=catchup, max_catchup=1000)

    assert process_time() - begin < 0.5
    most = 1000 if catchup == "all" else 1
    assert found.run == tuple(now - n * SECOND for n in reversed(range(most)))
    assert found.dropped == tuple(found.run[0] - n * SECOND for n in reversed(range(1, 1001)))
    assert found.earlier == (NOON + SECOND, found.dropped[0] - SECOND)


def test_a_single_earlier_tick_is_its_own_range() -> None:
    found = due(Interval(TEN), NOON, None, NOON + 1002 * TEN)

    assert found.earlier == (NOON + TEN, NOON + TEN)
    assert len(found.dropped) == 1000


def test_late_ticks_that_no_policy_runs_are_all_listed() -> None:
    found = due(Interval(timedelta(days=1)), NOON, None, NOON + timedelta(days=3.5), catchup="none")

    assert found == Due(dropped=tuple(NOON + timedelta(days=n) for n in (1, 2, 3)))


def test_of_many_late_ticks_that_no_policy_runs_the_newest_are_listed() -> None:
    hour = timedelta(hours=1)

    found = due(Interval(hour), NOON, None, NOON + 1500.5 * hour, catchup="none")

    assert found.run == ()
    assert found.dropped == tuple(NOON + n * hour for n in range(501, 1501))
    assert found.earlier == (NOON + hour, NOON + 500 * hour)
