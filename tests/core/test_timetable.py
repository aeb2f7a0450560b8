"""When schedules tick: the table of clock changes, and the edges of time."""

import threading
from datetime import UTC, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest

from asyncflow._core.timetable import last_until, newest, next_after
from asyncflow._model.schedule import Cron, Interval, Schedule
from tests.core.oracle import DAY, SECOND, START, all_ticks

NEW_YORK, PARIS, HOWE = "America/New_York", "Europe/Paris", "Australia/Lord_Howe"
SANTIAGO, HAVANA = "America/Santiago", "America/Havana"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def shown_on(expression: str, zone: str, month: int, day: int) -> list[str]:
    """Return what the clock of a zone shows at each tick of a day of 2026."""
    place = ZoneInfo(zone)
    begin = datetime(2026, month, day, tzinfo=place).astimezone(UTC)
    end = datetime(2026, month, day, 23, 59, tzinfo=place).astimezone(UTC)
    found = all_ticks(Cron(expression, zone), begin - SECOND, end)
    return [each.astimezone(place).isoformat(timespec="minutes")[11:] for each in found]


@pytest.mark.parametrize(
    ("expression", "zone", "month", "day", "shown"),
    [
        ("30 2 * * *", NEW_YORK, 3, 8, "03:30-04:00"),
        ("30 1 * * *", NEW_YORK, 11, 1, "01:30-04:00"),
        ("0 0 * * *", SANTIAGO, 9, 6, "01:00-03:00"),
        ("0 0 * * *", HAVANA, 11, 1, "00:00-04:00"),
        ("15 2 * * *", HOWE, 10, 4, "02:45+11:00"),
        ("45 1 * * *", HOWE, 4, 5, "01:45+11:00"),
        ("30 2 * * *", PARIS, 3, 29, "03:30+02:00"),
        ("30 2 * * *", PARIS, 10, 25, "02:30+02:00"),
    ],
)
def test_a_time_of_the_day_comes_once_on_a_day_when_the_clock_is_changed(
    expression: str, zone: str, month: int, day: int, shown: str
) -> None:
    assert shown_on(expression, zone, month, day) == [shown]


@pytest.mark.parametrize(
    ("expression", "month", "day", "count", "first"),
    [
        ("0 * * * *", 3, 8, 23, ["00:00-05:00", "01:00-05:00", "03:00-04:00", "04:00-04:00"]),
        ("0 * * * *", 11, 1, 25, ["00:00-04:00", "01:00-04:00", "01:00-05:00", "02:00-05:00"]),
        ("*/15 * * * *", 11, 1, 100, ["00:00-04:00", "00:15-04:00", "00:30-04:00", "00:45-04:00"]),
    ],
)
def test_a_pattern_of_hours_goes_on_through_a_day_when_the_clock_is_changed(
    expression: str, month: int, day: int, count: int, first: list[str]
) -> None:
    shown = shown_on(expression, NEW_YORK, month, day)

    assert len(shown) == count
    assert shown[:4] == first


def test_a_time_that_is_skipped_merges_with_the_one_that_is_there() -> None:
    assert shown_on("30 2,3 * * *", NEW_YORK, 3, 8) == ["03:30-04:00"]


def test_times_in_a_short_gap_come_in_the_order_of_instants() -> None:
    assert shown_on("10,35 2 * * *", HOWE, 10, 4) == ["02:35+11:00", "02:40+11:00"]


def test_times_in_a_short_gap_come_in_the_order_of_instants_from_afar() -> None:
    change = datetime(2026, 10, 3, 15, 30, tzinfo=UTC)

    tick = next_after(Cron("10,35 2 4 10 *", HOWE), START, change - 100 * DAY)

    assert tick == change + timedelta(minutes=5)


def test_the_second_of_two_midnights_is_not_lost_on_the_only_day_of_the_year() -> None:
    assert shown_on("30 */24 1 11 *", HAVANA, 11, 1) == ["00:30-04:00", "00:30-05:00"]


def test_intervals_count_from_their_anchor_and_do_not_drift() -> None:
    every = Interval(timedelta(seconds=7))

    assert next_after(every, NOON, NOON - DAY) == NOON + 7 * SECOND
    assert next_after(every, NOON, NOON) == NOON + 7 * SECOND
    assert next_after(every, NOON, NOON + 6.9 * SECOND) == NOON + 7 * SECOND
    assert next_after(every, NOON, NOON + 7 * SECOND) == NOON + 14 * SECOND
    assert next_after(every, NOON, NOON + 700_001 * SECOND) == NOON + 700_007 * SECOND


def test_an_interval_is_so_long_in_any_zone() -> None:
    day = Interval(DAY)
    change = datetime(2026, 3, 8, 6, tzinfo=UTC)

    assert next_after(day, change - DAY, change) == change + DAY


def test_nothing_ticks_before_its_anchor() -> None:
    for schedule in (Cron("0 * * * *"), Interval(HOUR)):
        assert next_after(schedule, NOON, START) == NOON + HOUR
        assert last_until(schedule, NOON, NOON) is None
        assert newest(schedule, NOON, START, NOON + HOUR, 5) == (NOON + HOUR,)


@pytest.mark.parametrize("schedule", [Cron("*/10 * * * * *"), Interval(10 * SECOND)])
def test_the_latest_tick_is_the_last_that_has_come(schedule: Schedule) -> None:
    assert last_until(schedule, NOON, NOON + 25 * SECOND) == NOON + 20 * SECOND
    assert last_until(schedule, NOON, NOON + 20 * SECOND) == NOON + 20 * SECOND
    assert last_until(schedule, NOON, NOON + 9 * SECOND) is None


@pytest.mark.parametrize("schedule", [Cron("* * * * * *"), Interval(SECOND)])
def test_the_newest_of_a_month_of_missed_seconds_are_found_at_once(schedule: Schedule) -> None:
    end = NOON + 30 * DAY
    begin = process_time()

    found = newest(schedule, NOON, NOON, end, 2000)

    assert process_time() - begin < 0.5
    assert found == tuple(end - n * SECOND for n in reversed(range(2000)))


@pytest.mark.parametrize("month", ["* * * * 1 *", "* * * 1 * *", "*/2 * 0 1 1 *"])
def test_the_newest_of_bursts_are_found_at_once(month: str) -> None:
    begin = process_time()

    found = newest(Cron(month), START, START, datetime(2026, 1, 1, tzinfo=UTC), 1000)

    assert process_time() - begin < 0.5
    assert len(found) == 1000
    assert list(found[:-1]) == all_ticks(Cron(month), found[0] - SECOND, found[-2])


@pytest.mark.parametrize("most", [1, 59, 60, 61, 62, 100, 150, 400])
def test_the_newest_are_the_newest_also_where_ticks_come_in_bursts(most: int) -> None:
    schedule = Cron("* 0 0 * * *")
    expected = all_ticks(schedule, NOON - 30 * DAY, NOON)

    assert newest(schedule, START, START, NOON, most) == tuple(expected[-most:])


def test_the_newest_of_a_fast_interval_are_the_newest() -> None:
    every = Interval(timedelta(milliseconds=10))

    assert newest(every, NOON, NOON, NOON + DAY, 1) == (NOON + DAY,)
    assert newest(every, NOON, NOON, NOON + DAY, 0) == ()


@pytest.mark.parametrize(
    ("expression", "tick"),
    [
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 l 2 *", datetime(2027, 2, 28, tzinfo=UTC)),
        ("0 0 31 2 mon", datetime(2027, 2, 1, tzinfo=UTC)),
        ("0 0 * * 1#5", datetime(2026, 6, 29, tzinfo=UTC)),
        ("0 0 * * l5", datetime(2026, 6, 26, tzinfo=UTC)),
        ("0 0 15 * 1#1", datetime(2026, 6, 15, tzinfo=UTC)),
        ("@monthly", datetime(2026, 7, 1, tzinfo=UTC)),
        ("@weekly", datetime(2026, 6, 7, tzinfo=UTC)),
        ("0 12 1 6 ?", datetime(2027, 6, 1, 12, tzinfo=UTC)),
    ],
)
def test_rare_days_are_found(expression: str, tick: datetime) -> None:
    assert next_after(Cron(expression), START, NOON) == tick


def test_a_leap_day_that_a_century_leaves_out_comes_four_years_later() -> None:
    leap = datetime(2096, 2, 29, tzinfo=UTC)

    assert next_after(Cron("0 0 29 2 *"), START, leap) == leap.replace(year=2104)


@pytest.mark.parametrize("schedule", [Cron("0 0 1 1 *", "Asia/Tokyo"), Interval(36_525 * DAY)])
def test_time_ends_with_the_year_9998(schedule: Schedule) -> None:
    end = datetime.max.replace(tzinfo=UTC)

    assert next_after(schedule, START, datetime(9998, 12, 31, 23, tzinfo=UTC)) is None
    assert next_after(schedule, START, end) is None
    assert (last_until(schedule, START, end) or START).year >= 9968
    assert len(newest(schedule, START, START, end, 3)) == 3


def test_time_may_begin_anywhere() -> None:
    first = datetime.min.replace(tzinfo=UTC)

    assert next_after(Cron("@yearly", "America/New_York"), first, first) is not None
    assert next_after(Interval(DAY), first, first) == first + DAY


def test_one_schedule_may_be_asked_by_many_threads() -> None:
    schedule, end = Cron("*/7 * * * *", NEW_YORK), NOON + 5 * DAY
    expected = all_ticks(schedule, NOON, end)
    found: list[bool] = []

    def ask() -> None:
        found.append(all_ticks(schedule, NOON, end) == expected)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 8
