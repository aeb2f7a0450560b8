"""When schedules tick, against a slow oracle that looks at the clock on the wall."""

from datetime import datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow._core.timetable import last_until, newest
from asyncflow._model.schedule import Cron
from tests.core.oracle import (
    SECOND,
    START,
    Field,
    Fields,
    Window,
    all_ticks,
    changes,
    ticks,
    windows,
)

HOUR = timedelta(hours=1)

PLACES = (
    *(("America/New_York", 2026), ("Europe/Paris", 2026), ("Australia/Lord_Howe", 2026)),
    *(("America/Santiago", 2026), ("America/Havana", 2026)),
    *(("Antarctica/Troll", 2026), ("Africa/Casablanca", 2026), ("Asia/Kathmandu", 2026)),
    *(("Pacific/Apia", 2011), ("UTC", 2026), ("Europe/Dublin", 2026), ("America/St_Johns", 2010)),
    *(("Asia/Pyongyang", 2018), ("America/Sao_Paulo", 2018), ("Pacific/Kwajalein", 1993)),
)

NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""What a system keeps among its zones; a schedule refuses it."""

ZONES = sorted(available_timezones() - NO_ZONES)
ANYWHERE = st.sampled_from(PLACES) | st.tuples(st.sampled_from(ZONES), st.integers(2024, 2030))


def pieces(least: int, most: int) -> st.SearchStrategy[Field]:
    """Draw numbers, short ranges, some of a single number, and steps."""
    one = st.integers(least, most).map(lambda n: Field(f"{n}", frozenset({n})))
    part = st.tuples(st.integers(least, most), st.integers(0, 6), st.integers(1, 3)).map(
        lambda drawn: _range(drawn[0], min(drawn[0] + drawn[1], most), drawn[2])
    )
    return one | part


def _range(low: int, high: int, step: int) -> Field:
    text = f"{low}-{high}" if step == 1 else f"{low}-{high}/{step}"
    return Field(text, frozenset(range(low, high + 1, step)))


def _list(fields: list[Field]) -> Field:
    return Field(
        ",".join(each.text for each in fields),
        frozenset[int]().union(*(each.numbers for each in fields)),
    )


def stars(least: int, most: int, *steps: int) -> st.SearchStrategy[Field]:
    """Draw ``*``, or a step through the whole field."""
    stepped = st.sampled_from(steps).map(
        lambda step: Field(f"*/{step}", frozenset(range(least, most + 1, step)))
    )
    return st.just(Field("*", frozenset(range(least, most + 1)))) | stepped


EVERY_DAY = Field("*", frozenset(range(1, 32)))
EVERY_MONTH = Field("*", frozenset(range(1, 13)))
EVERY_WEEKDAY = Field("*", frozenset(range(7)))
MINUTES = st.one_of(
    *[st.lists(pieces(0, 59), min_size=1, max_size=3).map(_list)] * 6, stars(0, 59, 7, 15, 29)
)
HOURS = st.lists(pieces(0, 4) | pieces(0, 23), min_size=1, max_size=3).map(_list) | stars(
    0, 23, 2, 5, 12, 23
)
DAYS = st.just(EVERY_DAY) | pieces(1, 31) | stars(1, 31, 1, 2, 3)
MONTHS = st.just(EVERY_MONTH) | st.lists(pieces(1, 12), min_size=1, max_size=3).map(_list)
SUNDAY = Field("7", frozenset({0}))
WEEKDAYS = st.just(EVERY_WEEKDAY) | pieces(0, 6) | st.just(SUNDAY) | stars(0, 6, 1, 2, 7)
FIVE = st.builds(Fields, MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS).filter(
    # Others have no date at all, and are refused when they are declared.
    lambda fields: not fields.any_weekday or min(fields.day.numbers) <= 28
)


def agrees(fields: Fields, place: tuple[str, int]) -> None:
    zone, year = place
    schedule = Cron(fields.text, zone)

    for window in windows(zone, year):
        assert all_ticks(schedule, *window) == ticks(fields, zone, window)


@settings(max_examples=15, derandomize=True)
@given(FIVE, ANYWHERE)
def test_ticks_are_those_of_an_oracle_that_looks_at_the_clock_each_minute(
    fields: Fields, place: tuple[str, int]
) -> None:
    agrees(fields, place)


@pytest.mark.long
@pytest.mark.timeout(120)
@settings(max_examples=300, derandomize=True)
@given(FIVE, ANYWHERE)
def test_ticks_are_those_of_the_oracle_in_300_more_examples(
    fields: Fields, place: tuple[str, int]
) -> None:
    agrees(fields, place)


@settings(max_examples=40, derandomize=True)
@given(FIVE, ANYWHERE, st.integers(0, 9), st.integers(0, 9))
def test_the_newest_ticks_are_the_last_of_all_ticks(
    fields: Fields, place: tuple[str, int], which: int, most: int
) -> None:
    zone, year = place
    schedule = Cron(fields.text, zone)
    window = windows(zone, year)[which]
    expected = ticks(fields, zone, window)

    assert newest(schedule, START, *window, most) == tuple(expected[max(0, len(expected) - most) :])
    assert last_until(schedule, *window) == (expected[-1] if expected else None)


SECONDS = st.lists(pieces(0, 59), min_size=1, max_size=2).map(_list) | stars(0, 59, 20)
CHANGES = tuple((zone, at) for zone, year in PLACES for at in changes(zone, year))
SIX = st.builds(
    Fields,
    st.lists(pieces(0, 59), min_size=1, max_size=3).map(_list),
    HOURS,
    st.just(EVERY_DAY),
    st.just(EVERY_MONTH),
    st.just(EVERY_WEEKDAY),
    SECONDS,
)


@settings(max_examples=40, derandomize=True)
@given(SIX, st.sampled_from(CHANGES))
def test_ticks_are_those_of_an_oracle_that_looks_at_the_clock_each_second(
    fields: Fields, change: tuple[str, datetime]
) -> None:
    zone, at = change
    window = Window(at - HOUR, at + 2 * HOUR)

    found = all_ticks(Cron(fields.text, zone), *window)

    assert found == ticks(fields, zone, window, SECOND)
