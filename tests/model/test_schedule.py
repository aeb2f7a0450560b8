"""Schedules as values: what is read, and what is refused when it is declared."""

import random
from datetime import timedelta
from time import process_time
from typing import Any

import pytest

from asyncflow._model.cron import read_cron
from asyncflow._model.duration import parse_duration
from asyncflow._model.schedule import (
    Cron,
    Interval,
    Schedule,
    check_catchup,
    check_overlap,
    parse_schedule,
)


@pytest.mark.parametrize(
    ("written", "schedule"),
    [
        ("cron@0 3 * * *", Cron("0 3 * * *")),
        ("0 3 * * *", Cron("0 3 * * *", "UTC")),
        (" 0  3 *\t* * ", Cron("0 3 * * *")),
        ("*/10 0 3 * * *", Cron("*/10 0 3 * * *")),
        ("@daily", Cron("@daily")),
        ("cron@@weekly", Cron("@weekly")),
        ("interval@0 0 1 30", Interval(timedelta(seconds=90))),
        ("1h30m", Interval(timedelta(minutes=90))),
        (timedelta(days=1), Interval(timedelta(days=1))),
        (0.01, Interval(timedelta(milliseconds=10))),
        (Cron("0 3 * * *", "Europe/Paris"), Cron("0 3 * * *", "Europe/Paris")),
        (Interval(timedelta(days=1)), Interval(timedelta(days=1))),
    ],
)
def test_a_schedule_is_read_however_it_was_written(written: Any, schedule: Schedule) -> None:  # noqa: ANN401  each kind
    assert parse_schedule(written, "s") == schedule


def test_a_time_zone_goes_with_cron_text() -> None:
    assert parse_schedule("@hourly", "s", "Asia/Kathmandu") == Cron("@hourly", "Asia/Kathmandu")


@pytest.mark.parametrize(
    "other", ["5s", "interval@0 0 1 0", Interval(timedelta(1)), Cron("@daily")]
)
def test_a_time_zone_that_goes_with_anything_else_is_refused(other: Any) -> None:  # noqa: ANN401  each kind
    with pytest.raises(ValueError, match=r"^s: a time zone goes with the text of a cron"):
        parse_schedule(other, "s", "UTC")


@pytest.mark.parametrize(
    "alias", ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"]
)
def test_cron_has_its_usual_names(alias: str) -> None:
    assert parse_schedule(alias, "s") == Cron(alias)


@pytest.mark.parametrize("sunday", ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "@weekly"])
def test_sunday_is_0_and_7(sunday: str) -> None:
    assert read_cron(sunday).weekdays == frozenset({0})


@pytest.mark.parametrize(
    "wrong",
    [
        *("", " ", "@reboot", "* * * *", "* * * * * * *", "cron@", "cron@5s", "60 * * * *"),
        *("* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "-1 * * * *"),
        *("R * * * *", "* r(1-5) * * *", "* H/2 * * *", "* * h * * *", "0 0 15W * *"),
        *("\u0663 * * * *", "* * * *\u00a0*", "* * * * *\0", "*\n* * * *", "five past two"),
        *("0 0 31 2 *", "0 0 30,31 2 ?", "0 0 31 4,6,9,11 *", "0 0 * 2 1#5"),
        *("0 " * 129, "@every 5s", "1-2-3 * * * *", "* * * * ?,2#3"),
    ],
)
def test_what_is_no_cron_expression_is_refused_when_it_is_declared(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"cron expression has five|has no date in eight years"):
        Cron(wrong)
    with pytest.raises(ValueError, match=r"^s is "):
        parse_schedule(wrong, "s")


@pytest.mark.parametrize(
    "rare", ["0 0 29 2 *", "0 0 31 2 1", "0 0 30 2 1#5", "0 0 * 1,2 1#5", "0 0 l 2 *"]
)
def test_what_comes_once_in_eight_years_is_taken(rare: str) -> None:
    if rare == "0 0 30 2 1#5":
        with pytest.raises(ValueError, match="has no date in eight years"):
            Cron(rare)
    else:
        assert Cron(rare).expression == rare


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "Mars", "../x", "../../etc/passwd", "/etc/localtime", "localtime", "posixrules"),
        *("Europe", "Europe/", "Europe//Paris", "right/UTC", "posix/UTC", "UTC\0", "x" * 300),
        *("zone.tab", "+VERSION", "Factory", 5, None, b"UTC"),
    ],
)
def test_what_is_no_time_zone_is_refused_with_one_that_is(wrong: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(ValueError, match=r'like "Europe/Paris" or "UTC"'):
        Cron("0 3 * * *", wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, [], True, float("nan"), 0, -1, "0s", "hourly", "interval@0 0 0 0", "9ms", 0.0099),
        *(timedelta(milliseconds=9), timedelta(days=36_526), 10**400),
    ],
)
def test_what_is_no_schedule_is_refused_by_its_name(wrong: Any) -> None:  # noqa: ANN401  all that is wrong
    with pytest.raises(ValueError, match=r"^s(:| is) "):
        parse_schedule(wrong, "s")


def test_schedules_are_values() -> None:
    assert {Cron("@daily"), Cron("@daily")} == {Cron("@daily", "UTC")}
    assert Cron("@daily") != Cron("@daily", "Europe/Paris")


@pytest.mark.parametrize("policy", ["one", "none", "all"])
def test_there_are_three_ways_to_catch_up(policy: str) -> None:
    assert check_catchup(policy, "catchup") == policy


@pytest.mark.parametrize("policy", ["skip", "allow", "restart"])
def test_there_are_three_ways_to_overlap(policy: str) -> None:
    assert check_overlap(policy, "overlap") == policy


@pytest.mark.parametrize("wrong", ["ALL", "", None, 1, [], "two"])
def test_other_policies_are_refused_with_the_choices(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^catchup is one of 'one', 'none', 'all', not "):
        check_catchup(wrong, "catchup")
    with pytest.raises(ValueError, match=r"^overlap is one of 'skip', 'allow', 'restart', not "):
        check_overlap(wrong, "overlap")


def test_20000_fuzzed_texts_are_refused_with_a_value_error_each_under_50_ms() -> None:
    dice, slowest, read = random.Random(4), 0.0, 0
    for number in range(20_000):
        text = _fuzzed(dice)
        begin = process_time()
        try:
            if number % 4:
                parse_schedule(text, "s")
            else:
                parse_duration(text, "d")
            read += 1
        except ValueError:
            pass
        slowest = max(slowest, process_time() - begin)

    assert 100 < read < 10_000
    assert slowest < 0.05


_PIECES = (
    *("*", "*/", "/", "-", ",", "#", "?", "l", "L", "w", "r", "h", "@", "0", "1", "5", "7", "29"),
    *("31", "59", "60", "99", "-1", "0-59", "1-5/2", "mon", "sun", "jan-dec", "feb", "2#5", "l5"),
    *("\u0663", "\uff15", "\n", "\0", "s", "m", "d", "ms", "h", ".", "e9", "nan", "()", "R(1-2)"),
    *("9" * 30, "*/1,", "1-59,"),
)
"""Of what fuzzed texts are made."""


def _fuzzed(dice: random.Random) -> str:
    match dice.randrange(5):
        case 0:
            return "".join(dice.choices(_PIECES, k=dice.randrange(12)))
        case 1:
            field = "".join(dice.choices(_PIECES, k=dice.randrange(1, 40)))
            return " ".join([field, *"****"])
        case 2:
            prefix = dice.choice(("cron@", "interval@", "@", ""))
            return prefix + " ".join(dice.choices(_PIECES, k=dice.randrange(1, 8)))
        case 3:
            count = dice.choice((5, 5, 6))
            fields = ("".join(dice.choices(_PIECES, k=dice.randrange(1, 3))) for _ in range(count))
            return " ".join(fields)
        case _:
            units = (f"{dice.randrange(10 ** dice.randrange(1, 30))}{unit}" for unit in "dhms")
            return "".join(each for each in units if dice.random() < 0.5)
