"""Who is dead, as far as beats tell."""

from datetime import UTC, datetime, timedelta

from asyncflow._runner.silence import Silence
from asyncflow._store.batch import Dead, RunnerRow

SECOND = timedelta(seconds=1)
PERIOD = SECOND / 4
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(name: str = "a", beat: int = 0, lease: timedelta = SECOND) -> RunnerRow:
    return RunnerRow(name, 1, "p", "elsewhere", NOON, lease=lease, beat=beat)


def silence() -> Silence:
    return Silence(PERIOD, lambda row: row.process == "gone")


def test_who_counts_no_beat_for_as_long_as_its_lease_is_dead() -> None:
    found = silence()

    looks = [found.dead([row(beat=7)], beats) for beats in range(3, 9)]

    assert looks == [(), (), (), (), (), (Dead("a", 7),)]


def test_a_beat_that_follows_a_look_at_once_is_no_period() -> None:
    found = silence()
    lease = PERIOD

    assert found.dead([row(lease=lease)], 3) == ()
    assert found.dead([row(lease=lease)], 4) == ()
    assert found.dead([row(lease=lease)], 5) == (Dead("a", 0),)


def test_who_has_counted_a_beat_since_lives() -> None:
    found = silence()
    found.dead([row(beat=7)], 0)

    assert found.dead([row(beat=8)], 100) == ()
    assert found.dead([row(beat=8)], 104) == ()
    assert found.dead([row(beat=8)], 105) == (Dead("a", 8),)


def test_who_counts_no_beats_itself_takes_nobody_for_dead() -> None:
    found = silence()

    assert [found.dead([row()], 3) for _ in range(100)] == [()] * 100


def test_who_has_no_lease_is_never_silent() -> None:
    found = silence()

    assert [found.dead([row(lease=timedelta())], beats) for beats in range(100)] == [()] * 100


def test_whose_process_is_gone_is_dead_at_once() -> None:
    gone = RunnerRow("b", 1, "gone", "here", NOON)

    assert silence().dead([row(), gone], 0) == (Dead("b", 0),)


def test_each_runner_is_judged_by_its_own_lease() -> None:
    found = silence()
    rows = [row("short"), row("long", lease=2 * SECOND)]
    found.dead(rows, 0)

    assert found.dead(rows, 5) == (Dead("short", 0),)
    assert found.dead(rows, 9) == (Dead("short", 0), Dead("long", 0))


def test_one_whose_row_was_away_is_heard_of_anew() -> None:
    found = silence()
    found.dead([row()], 0)
    found.dead([], 50)

    assert found.dead([row()], 100) == ()
