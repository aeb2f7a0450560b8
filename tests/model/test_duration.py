"""Durations and retry policies: read once, refused with the grammar, never overflowing."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncflow._model.duration import MAX_DURATION, duration_text, parse_duration
from asyncflow._model.policy import Backoff, Retry
from asyncflow.errors import DefinitionError

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("5s", 5),
        ("1m", 60),
        ("1h", 3_600),
        ("2d", 172_800),
        ("1h30m", 5_400),
        ("1d2h3m4s5ms", 93_784.005),
        ("1m100ms", 60.1),
        ("007s", 7),
        (90, 90),
        (0.25, 0.25),
        (timedelta(minutes=1), 60),
        (MAX_DURATION, 36_525 * 86_400),
        ("36525d", 36_525 * 86_400),
    ],
)
def test_a_duration_is_text_a_number_of_seconds_or_a_timedelta(
    text: str | float | timedelta, seconds: float
) -> None:
    assert parse_duration(text, "timeout") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "5", "s", "5 s", " 5s", "5s ", "5s\n", "+5s", "-5s", "1.5s", "5S", "5sec", "1w"),
        *("30m1h", "1s1s", "1h30", "1e3s", "0x5s", "5_0s"),
        *("\u0665s", "\u00b2s", "5µs", "\ud800", "\x00"),
        *("36526d", "99999999999999999999d", "9" * 13 + "d"),
        *("0s", "0h0m", 0, 0.0, -0.0, 1e-9, timedelta(0)),
        *(-1, -0.5, math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e300),
        *(timedelta(seconds=-1), timedelta.max, MAX_DURATION + timedelta.resolution),
        *(True, False, None, b"5s", ["5s"], object()),
    ],
)
def test_what_is_no_interval_is_refused_with_the_grammar(value: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(ValueError, match="a duration is text like") as raised:
        parse_duration(value, "poll_interval")

    assert str(raised.value).startswith("poll_interval is ")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("text", ["", "0", "-0s"])
def test_what_is_no_duration_is_not_zero_either(text: str) -> None:
    with pytest.raises(ValueError, match=r"grace is .* not negative"):
        parse_duration(text, "grace", zero=True)


@pytest.mark.parametrize("value", ["1" * 100_000 + "s", 10**5_000], ids=["text", "number"])
def test_a_monster_is_refused_with_a_short_message(value: str | float) -> None:
    with pytest.raises(ValueError, match="a duration is text like") as raised:
        parse_duration(value, "timeout")

    assert len(str(raised.value)) < 400


def test_the_message_names_the_text() -> None:
    with pytest.raises(ValueError, match=r"^timeout is '5 minutes', but .* more than zero"):
        parse_duration("5 minutes", "timeout")


@pytest.mark.parametrize("value", ["0s", "0d0ms", 0, 0.0, timedelta(0)])
def test_zero_is_read_where_it_means_something(value: str | float | timedelta) -> None:
    assert parse_duration(value, "grace", zero=True) == timedelta(0)


@given(
    st.text()
    | st.text("0123456789dhms ")
    | st.from_regex(r"([0-9]{1,20}(d|h|m|s|ms)){1,6}", fullmatch=True)
    | st.integers()
    | st.floats()
    | st.timedeltas()
)
@example("9" * 12 + "d")
def test_anything_is_read_or_refused_and_nothing_else_happens(
    value: str | float | timedelta,
) -> None:
    try:
        found = parse_duration(value, "timeout", zero=True)
    except ValueError:
        return

    assert timedelta(0) <= found <= MAX_DURATION


@given(st.integers(0, 36_524), *[st.integers(0, n) for n in (23, 59, 59, 999)])
def test_every_combination_of_units_adds_up(
    days: int, hours: int, minutes: int, seconds: int, milliseconds: int
) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s{milliseconds}ms"

    assert parse_duration(text, "timeout", zero=True) == timedelta(
        days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
    )


# --- retry ---


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [("fixed", [2, 2, 2, 2, 2]), ("linear", [2, 4, 6, 8, 9]), ("exponential", [2, 4, 8, 9, 9])],
)
def test_the_delay_grows_as_the_backoff_says_up_to_its_limit(
    backoff: Backoff, seconds: list[int]
) -> None:
    retry = Retry(5, 2 * SECOND, backoff, 9 * SECOND, jitter=0)

    delays = [retry.delay_for(failures, 0.5) for failures in range(1, 6)]

    assert delays == [timedelta(seconds=each) for each in seconds]


def test_jitter_only_ever_adds() -> None:
    retry = Retry(1, 10 * SECOND, jitter=0.5)

    assert retry.delay_for(1, 0) == 10 * SECOND
    assert retry.delay_for(1, 0.5) == 12.5 * SECOND


def test_a_delay_over_five_minutes_is_not_cut_short() -> None:
    assert Retry(1, 3_600 * SECOND, jitter=0).delay_for(1, 0) == 3_600 * SECOND
    assert Retry(1, jitter=0).delay_for(50, 0) == 300 * SECOND


retries = st.builds(
    Retry,
    retries=st.just(1),
    delay=st.timedeltas(timedelta(0), MAX_DURATION),
    backoff=st.sampled_from(("fixed", "linear", "exponential")),
    max_delay=st.none() | st.just(MAX_DURATION),
    jitter=st.floats(0, 1),
)


@given(retries, st.integers(0, 10**30), st.floats(0, 1, exclude_max=True))
def test_no_delay_overflows_or_comes_too_early(retry: Retry, failures: int, dice: float) -> None:
    assert retry.delay <= retry.delay_for(failures, dice) <= 2 * MAX_DURATION


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("retries", value) for value in (-1, 1.0, "3", True, None)),
        *(("retry_delay", value) for value in (-SECOND, "soon", None, timedelta.max)),
        *(("retry_max_delay", value) for value in (-SECOND, "soon", timedelta.max)),
        *(("retry_backoff", value) for value in ("quadratic", None, 2)),
        *(("retry_jitter", value) for value in (-0.1, 1.1, math.nan, "0.1", True, None)),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_its_option(
    field: str,
    value: Any,  # noqa: ANN401  all that is wrong
) -> None:
    with pytest.raises(DefinitionError, match=f"^{field} is "):
        Retry(**{field.removeprefix("retry_"): value})


def test_a_limit_below_the_delay_is_refused() -> None:
    with pytest.raises(DefinitionError, match="retry_max_delay 0:00:01 is shorter"):
        Retry(1, 2 * SECOND, max_delay=SECOND)


@given(st.timedeltas(timedelta(milliseconds=1), MAX_DURATION))
def test_a_duration_is_written_as_it_is_read(duration: timedelta) -> None:
    duration -= duration % timedelta(milliseconds=1)

    assert parse_duration(duration_text(duration), "it") == duration


def test_a_duration_is_written_with_its_largest_units_first() -> None:
    assert duration_text(timedelta(hours=6)) == "6h"
    assert duration_text(timedelta(days=2, minutes=90, milliseconds=5)) == "2d1h30m5ms"


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(microseconds=1), -timedelta(days=1)])
def test_a_duration_that_has_no_text_is_refused(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="whole milliseconds, more than zero"):
        duration_text(duration)
