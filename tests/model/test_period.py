"""Periods as the AIFlow documents write them."""

from datetime import timedelta
from typing import Any

import pytest

from asyncflow._model.period import parse_period


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("interval@0 0 0 1", timedelta(seconds=1)),
        ("interval@1 2 3 4", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("interval@ 1  ", timedelta(hours=1)),
        ("interval@0 0 90 0", timedelta(minutes=90)),
        ("interval@36525 0 0 0", timedelta(days=36525)),
    ],
)
def test_a_period_is_days_hours_minutes_and_seconds_and_what_is_left_out_is_zero(
    text: str, period: timedelta
) -> None:
    assert parse_period(text, "p") == period


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "5s", "interval", "interval@", "interval@5", "interval@0 0 0 0", "interval@   "),
        *("interval@1 0 0", "interval@1 0 0 0 0", "interval@0 0 0 -1", "interval@0 0 0 1.5"),
        *("interval@0 0 0 \u0661", "interval@0 0 0 1\n", "Interval@0 0 0 1", "every@0 0 0 1"),
        *("interval@36525 0 0 1", "interval@9999999999999 0 0 0", "interval0 0 10 0"),
        *(None, 5, timedelta(seconds=5), b"interval@0 0 0 1", "cron@0 0 * * *"),
    ],
)
def test_what_is_no_period_is_refused_with_the_grammar(wrong: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(
        ValueError, match=r'^p is .*, but a period is text like "interval@0 1 30 0"'
    ):
        parse_period(wrong, "p")
