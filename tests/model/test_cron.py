"""What cron fields mean, against a slow reader of fields that goes from value to value."""

import random
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date

import pytest

from asyncflow._model.cron import CronFields, read_cron
from asyncflow._model.schedule import Cron

BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
DAY, MONTH, WEEKDAY = 3, 4, 5
LAST = 0
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


@dataclass
class Meaning:
    """What a field allows: its numbers, 0 for the last day; and n-th weekdays."""

    numbers: set[int] = field(default_factory=set[int])
    pairs: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])


def meaning(place: int, text: str) -> Meaning:
    """Read a field slowly; ValueError: it has no meaning."""
    found = Meaning()
    if text == "?" and place in (DAY, WEEKDAY):
        text = "*"
    for item in text.lower().split(","):
        if place == DAY and item == "l":
            found.numbers.add(LAST)
        elif place == WEEKDAY and item[:1] == "l" and item[1:]:
            found.pairs.add((one(place, digits(item[1:])), LAST))
        elif place == WEEKDAY and "#" in item and "/" not in item and "*" not in item:
            days, nth = item.split("#")
            which = int(digits(nth))
            if not 1 <= which <= 5:
                raise ValueError(item)
            found.pairs.update((day, which) for day in walk(place, days))
        else:
            found.numbers.update(walk(place, item))
    return found


def digits(text: str) -> str:
    if not text or set(text) - set("0123456789"):
        raise ValueError(text)
    return text


def one(place: int, text: str) -> int:
    if place == MONTH and text in MONTHS:
        return MONTHS.index(text) + 1
    if place == WEEKDAY and text in WEEKDAYS:
        return WEEKDAYS.index(text)
    number = int(digits(text))
    if place == WEEKDAY and number == 7:
        return 0
    if not BOUNDS[place][0] <= number <= BOUNDS[place][1]:
        raise ValueError(text)
    return number


def walk(place: int, text: str) -> list[int]:
    """Go from value to value, past the end of the field if that is where the way leads."""
    least, most = BOUNDS[place]
    way, slash, stepped = text.partition("/")
    step = int(digits(stepped)) if slash else 1
    begin, dash, end = way.partition("-")
    if step == 0 or (begin == "*" and dash):
        raise ValueError(text)
    at = least if begin == "*" else one(place, begin)
    if dash:
        goal = most if place == DAY and end == "l" else one(place, end)
    else:
        goal = most if begin == "*" or slash else at
    if place == WEEKDAY and dash and begin in ["0", "00", "sun"] and end in ["7", "07"]:
        goal = most
    found = [at]
    count = 0
    while at != goal:
        at = least if at == most else at + 1
        count += 1
        if at == least and slash and not (place == WEEKDAY and goal == 0):
            raise ValueError(text)
        if count % step == 0:
            found.append(at)
    return found


def comes(day: date, days: Meaning, weekdays: Meaning) -> bool:
    length = monthrange(day.year, day.month)[1]
    weekday = day.isoweekday() % 7
    by_day = day.day in days.numbers or (LAST in days.numbers and day.day == length)
    by_weekday = (
        weekday in weekdays.numbers
        or (weekday, (day.day - 1) // 7 + 1) in weekdays.pairs
        or ((weekday, LAST) in weekdays.pairs and day.day > length - 7)
    )
    if set(range(1, 32)) <= days.numbers or set(range(7)) <= weekdays.numbers:
        return by_day and by_weekday
    return by_day or by_weekday


def drawn(dice: random.Random, place: int) -> str:
    least, most = BOUNDS[place]
    names = {MONTH: MONTHS, WEEKDAY: WEEKDAYS}.get(place, [])
    odd = ("l", "?", "r", "h", "15w", "7", "0", "l5", "L7", "-1", "", "*5", "5l", "60", "x")

    def value() -> str:
        kind = dice.random()
        if names and kind < 0.4:
            name = dice.choice(names)
            return dice.choice((name, name.upper(), name.title()))
        if kind > 0.95:
            return dice.choice(odd)
        number = str(dice.choice((least, most, dice.randint(least, most), most + 1)))
        return "0" + number if kind > 0.85 else number

    def item() -> str:
        low = value()
        begin = dice.choice((low, low, f"{low}-{low}", f"{low}-{value()}", "*", f"{low}-L"))
        step = dice.choice(("", "", "/1", "/2", "/07", "/100", "/0", f"/{value()}"))
        nth = f"#{dice.randrange(7)}" if place == WEEKDAY and dice.random() < 0.3 else ""
        return begin + ("" if nth and dice.random() < 0.9 else step) + nth

    items = [item() for _ in range(dice.choice((1, 1, 1, 2, 3)))]
    if dice.random() < 0.05:
        items = [f"{least}-{most - 1}", dice.choice(("l", str(most), items[0]))]
    return ",".join(items + items[:1] * dice.choice((0, 0, 0, 1))) or "-"


def reads(place: int, text: str) -> CronFields | None:
    texts = ["*"] * 6
    texts[place] = text
    try:
        return read_cron(Cron(spaced(texts)).expression)
    except ValueError:
        return None


def spaced(texts: list[str]) -> str:
    return random.Random(texts[0]).choice((" ", "\t", " \t ")).join(texts)


@pytest.mark.parametrize("place", range(6))
def test_a_field_is_read_as_a_slow_reader_reads_it_or_refused(place: int) -> None:
    dice, accepted = random.Random(place), 0
    for _ in range(3000):
        text = drawn(dice, place)
        try:
            expected = meaning(place, text)
        except ValueError:
            assert reads(place, text) is None, text
            continue
        fields = reads(place, text)

        accepted += 1
        assert fields is not None, text
        if place in (DAY, WEEKDAY):
            days = expected if place == DAY else Meaning(set(range(1, 32)))
            weekdays = expected if place == WEEKDAY else Meaning(set(range(7)))
            agree(fields, days, weekdays, text)
        else:
            rest = (fields.seconds, fields.minutes, fields.hours, (), fields.months)
            assert rest[place] == tuple(sorted(expected.numbers)), text

    assert 500 < accepted < 2800


def agree(fields: CronFields, days: Meaning, weekdays: Meaning, text: str) -> None:
    for month in (1, 2, 3, 4):
        length = monthrange(2024, month)[1]
        dates = [date(2024, month, day + 1) for day in range(length)]
        expected = tuple(each.day for each in dates if comes(each, days, weekdays))
        assert fields.days_of(2024, month) == expected, text


def test_days_and_weekdays_are_put_together_as_a_slow_reader_does() -> None:
    dice, accepted = random.Random(7), 0
    whole = ("*", "?", "*/1", "*,1")
    while accepted < 1500:
        day = dice.choice((*whole, "1-31", "1-30,l", "2-31,l", *[drawn(dice, DAY)] * 7))
        weekday = dice.choice((*whole, "0-6", "*/7", "1#2,*", *[drawn(dice, WEEKDAY)] * 7))
        try:
            days, weekdays = meaning(DAY, day), meaning(WEEKDAY, weekday)
        except ValueError:
            continue
        accepted += 1

        agree(read_cron(f"0 0 {day} * {weekday}"), days, weekdays, f"{day} * {weekday}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("0 9-9 * * *", "0 9 * * *"), ("53-53 * * * *", "53 * * * *")),
        *(("0 0 * * 1-1", "0 0 * * 1"), ("0 0 * * mon-Mon", "0 0 * * 1")),
        *(("0 0 * jan-1 *", "0 0 * 1 *"), ("0 0 * * sat-6/2", "0 0 * * 6")),
        *(("5-5/2,7-7 0 0 * * *", "5,7 0 0 * * *"), ("0 0 31-l * *", "0 0 31 * *")),
        *(("0 0 * * 7-7", "0 0 * * 0"), ("0 0 * * 7-0", "0 0 * * 0")),
        *(("0 0 * * 0-0", "0 0 * * 0"), ("0 0 * * mon-mon#2", "0 0 * * 1#2")),
    ],
)
def test_a_range_from_a_value_to_itself_is_that_value(written: str, meant: str) -> None:
    assert shown(written) == shown(meant)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("0 0 * * 5-7", "0 0 * * 5,6,0"), ("0 0 * * 6-0", "0 0 * * 6,0")),
        *(("0 0 * * fri-mon", "0 0 * * 5,6,0,1"), ("0 0 * * 7-2", "0 0 * * 0,1,2")),
        *(("0 0 * * 0-7", "0 0 * * *"), ("0 0 * * 3-7/2", "0 0 * * 3,5,0")),
        *(("0 22-1 * * *", "0 22,23,0,1 * * *"), ("0 0 30-2 * *", "0 0 30,31,1,2 * *")),
    ],
)
def test_a_range_may_go_past_the_end_of_its_field(written: str, meant: str) -> None:
    assert shown(written) == shown(meant)


@pytest.mark.parametrize("wrong", ["50-10/7 * * * *", "0 0 * * 5-1/3", "0 0 * nov-feb/2 *"])
def test_a_step_past_the_end_of_a_field_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="one past the end of its field: list the values"):
        Cron(wrong)


@pytest.mark.parametrize("mixed", ["1#1,3", "3,1#1", "wed,mon#1"])
def test_a_weekday_and_an_nth_weekday_are_either_of_them(mixed: str) -> None:
    assert read_cron(f"0 0 * * {mixed}").days_of(2024, 5) == (1, 6, 8, 15, 22, 29)
    assert shown("0 0 * * 1,1#2") == shown("0 0 * * 1")


@pytest.mark.parametrize("day", ["*", "?", "*/1", "1-31"])
@pytest.mark.parametrize("weekday", ["*", "?", "*/1", "0-6", "1-7"])
def test_a_day_field_that_allows_all_its_values_is_not_restricted(day: str, weekday: str) -> None:
    assert shown(f"0 0 {day} * 1") == shown("0 0 * * 1")
    assert shown(f"0 0 {day} * */7") == shown("0 0 * * 0")
    assert shown(f"0 0 9 * {weekday}") == shown("0 0 9 * *")


def shown(expression: str) -> tuple[object, ...]:
    """Return all that an expression allows in four years."""
    fields = read_cron(expression)
    days = [fields.days_of(year, month) for year in range(2024, 2028) for month in range(1, 13)]
    return fields.seconds, fields.minutes, fields.hours, fields.months, days
