"""When a trigger is polled next: on its own grid, never early, less often after failures."""

from hypothesis import given
from hypothesis import strategies as st

from asyncflow._core.polling import LONGEST_BACKOFF, backoff, first_poll, next_poll

SECONDS = st.floats(0, 1e6)
INTERVALS = st.floats(0.01, 1e5)


@given(SECONDS, INTERVALS, st.floats(0, 1, exclude_max=True))
def test_the_first_poll_is_one_interval_away_and_at_most_a_tenth_more(
    opened: float, interval: float, dice: float
) -> None:
    pause = first_poll(opened, interval, dice) - opened

    assert interval - 1e-6 <= pause <= 1.1 * interval + 1e-6


def test_first_polls_are_at_few_moments_whenever_each_was_loaded() -> None:
    dices = [number / 1000 for number in range(1000)]

    firsts = {round(first_poll(100.001 + dice / 1000, 1.0, dice), 9) for dice in dices}

    assert len(firsts) == 19
    assert max(firsts) - min(firsts) > 0.08


@given(SECONDS, INTERVALS, st.floats(0, 10), st.floats(0, 10))
def test_the_next_poll_is_after_the_end_of_the_last_and_within_an_interval_of_it(
    due: float, interval: float, late: float, took: float
) -> None:
    started = due + late * interval
    ended = started + took * interval

    following = next_poll(due, started, ended, interval, failures=0)

    assert ended - 1e-6 <= following <= ended + interval * (1 + 1e-6) + 1e-6


def test_one_that_is_a_little_late_keeps_its_phase() -> None:
    assert next_poll(10.0, 10.019, 10.02, interval=1.0, failures=0) == 11.0


def test_one_that_is_later_takes_a_new_phase() -> None:
    assert next_poll(10.0, 10.5, 10.6, interval=1.0, failures=0) == 11.5


def test_times_that_a_long_poll_has_missed_are_passed_over() -> None:
    assert next_poll(10.0, 10.0, 13.4, interval=1.0, failures=0) == 14.0


def test_the_pause_doubles_with_each_failure_up_to_ten_intervals() -> None:
    assert [backoff(1.0, failures) for failures in (1, 2, 3, 4, 5, 500)] == [2, 4, 8, 10, 10, 10]
    assert next_poll(10.0, 10.0, 10.5, interval=1.0, failures=2) == 14.5


@given(INTERVALS, st.integers(1, 10_000))
def test_the_pause_after_failures_is_at_most_five_minutes_and_never_under_the_interval(
    interval: float, failures: int
) -> None:
    assert interval <= backoff(interval, failures) <= max(interval, LONGEST_BACKOFF)
