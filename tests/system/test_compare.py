"""A comparison of the benchmarks goes on where it stopped, with the settings that it began with."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.contest.field import ASYNCFLOW, FLOOR
from benchmarks.contest.plan import UNFINISHED, asked, names
from benchmarks.contest.records import Record, Records
from benchmarks.contest.table import markdown

SETTINGS = asked([])[1].settings
W1 = Record("floor", "W1", 100, 0, 0.5, 0.1, {"ms": [1.0]})


def begun(folder: Path, *records: Record) -> Records:
    """Begin a run that has some records."""
    run = Records(folder)
    run.begin(SETTINGS)
    for record in records:
        run.add(record)
    return run


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    """Call the program with a folder for its results; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["compare", "--results", str(folder), *words])
    return compare.main()


def test_a_name_may_have_a_comma() -> None:
    text, valid = "floor,Flyte local, cache,W7 1,000", ["W7 1,000", "floor", "Flyte local, cache"]

    assert names(text, valid) == ["floor", "Flyte local, cache", "W7 1,000"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "nobody"], "'nobody' is none of: asyncflow; floor; DBOS;"),
        (["--only", ""], "'' is none of"),
        (["--quick", "--only", "DBOS"], "'DBOS' is none of: asyncflow; floor\n"),
        (["--events", "W1,W99"], "'W99' is none of: W1; W2;"),
        (["--only", "Prefect", "--events", "W6"], "nobody of --only takes part"),
        (["--rounds", "0"], "at least 1"),
        (["--seconds", "0"], "more than 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(words)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_help_names_contestants_events_and_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        asked(["--help"])

    shown = " ".join(capsys.readouterr().out.split())
    for text in ("llama-index (memory); llama;", "W7 1,000", "default: 20; with --quick 5"):
        assert text in shown


@pytest.mark.parametrize(
    ("words", "seconds"),
    [([], 20), (["--quick"], 5), (["--quick", "--seconds", "3"], 3), (["--seconds", "3"], 3)],
)
def test_seconds_count_in_both_courses(words: list[str], seconds: float) -> None:
    assert asked(words)[1].seconds == seconds


def test_a_module_stands_for_all_of_its_contestants() -> None:
    _, plan = asked(["--only", "flyte,floor", "--events", "W7,W1"])

    assert [each.name for each in plan.contestants] == [
        *("floor", "Flyte local", "Flyte local, cache")
    ]
    assert [each.name for each in plan.events] == ["W1", "W7 1,000", "W7 10,000"]


def test_every_second_round_is_in_turned_order() -> None:
    _, plan = asked(["--only", "asyncflow,floor", "--events", "W1", "--rounds", "2"])

    assert [(round_, who) for round_, who, _, _ in plan.heats()] == [
        *((0, ASYNCFLOW), (0, FLOOR)),
        *((1, FLOOR), (1, ASYNCFLOW)),
    ]


def test_without_a_record_there_is_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = call(monkeypatch, tmp_path, "--table")

    assert status == 0
    assert capsys.readouterr().out.strip() == "nothing measured yet"


def test_a_budget_that_is_too_small_for_anything_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = call(monkeypatch, tmp_path, "--only", "floor", "--budget", "1")

    assert status == UNFINISHED
    assert "nothing measured yet" in capsys.readouterr().out


def test_a_torn_last_record_is_left_out_and_cut_off_by_the_next(tmp_path: Path) -> None:
    begun(tmp_path, W1)
    with (tmp_path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"contestant": "floor", "ev')

    again = Records(tmp_path)
    left = list(again.all)
    again.add(replace(W1, round=1))
    again.add(replace(W1, round=2))

    assert left == [W1]
    assert [each.round for each in Records(tmp_path).all] == [0, 1, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loop", "asyncio"], "the loop of this run is uvloop, not asyncio"),
        (["--seconds", "3"], "the seconds of this run is 20.0, not 3.0"),
        (["--quick"], "the course of this run is full, not quick"),
    ],
)
def test_a_run_goes_on_with_its_own_settings_only(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun(tmp_path, W1)

    status = call(monkeypatch, tmp_path, *words, "--budget", "1")

    assert status == 2
    assert said in capsys.readouterr().err
    assert Records(tmp_path).all == [W1]


def test_a_run_goes_on_with_events_of_the_same_size_only(tmp_path: Path) -> None:
    run = begun(tmp_path, replace(W1, many=99))

    assert asked([])[1].differs(run) == "this run has 99 in W1 of floor, not 100"


def test_a_run_goes_on_with_the_same_sources_only(tmp_path: Path) -> None:
    run = begun(tmp_path, W1)
    run.about["sources"] = "others"

    assert asked([])[1].differs(run) == "the sources have changed since this run began"


def test_fresh_begins_with_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(tmp_path, W1)

    status = call(monkeypatch, tmp_path, "--loop", "asyncio", "--fresh", "--budget", "1")

    assert status == UNFINISHED
    assert Records(tmp_path).all == []
    assert Records(tmp_path).about["loop"] == "asyncio"


@pytest.mark.parametrize(
    ("ended", "changed", "kept"), [(False, False, 1), (True, False, 0), (False, True, 0)]
)
def test_a_quick_run_goes_on_until_it_is_done_or_the_sources_change(
    ended: bool, changed: bool, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Records(tmp_path)
    run.begin(asked(["--quick"])[1].settings)
    run.add(W1)
    if ended:
        run.end()
    if changed:
        monkeypatch.setattr(compare, "digest", lambda: "of other sources")

    status = call(monkeypatch, tmp_path, "--quick", "--budget", "1")

    assert status == UNFINISHED
    assert len(Records(tmp_path).all) == kept


def test_what_has_failed_is_tried_again_after_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path, replace(W1, figures={}, error="broken"))
    only = ("--only", "floor", "--events", "W1", "--rounds", "2")

    status = call(monkeypatch, tmp_path, *only)

    shown = capsys.readouterr().out
    assert status == 0
    assert shown.index("round 2: W1, floor") < shown.index("round 1: W1, floor")
    assert [each.error for each in Records(tmp_path).of("floor", "W1")] == ["", ""]
    assert "broken" not in markdown(Records(tmp_path))


def test_a_failure_that_there_is_no_time_to_repeat_leaves_a_run_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = replace(W1, figures={}, error="broken", seconds=100)
    begun(tmp_path, failed, replace(W1, round=1))
    only = ("--only", "floor", "--events", "W1", "--rounds", "2")

    assert call(monkeypatch, tmp_path, *only, "--budget", "1") == 0


def test_a_run_fails_if_the_floor_has_no_figures_in_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path, replace(W1, figures={}, error="broken", seconds=100))
    only = ("--only", "floor", "--events", "W1", "--rounds", "1")

    status = call(monkeypatch, tmp_path, *only, "--budget", "1")

    assert status == 1
    assert "floor has no figures in W1" in capsys.readouterr().err


def test_the_head_names_only_who_ran_and_counts_the_rounds(tmp_path: Path) -> None:
    one = markdown(begun(tmp_path / "one", W1))
    two = markdown(begun(tmp_path / "two", replace(W1, contestant="DBOS"), replace(W1, round=1)))
    peers = markdown(begun(tmp_path / "peers", replace(W1, contestant="DBOS")))
    once = markdown(begun(tmp_path / "once", W1, replace(W1, round=1), replace(W1, event="W5")))

    assert ", the floor on uvloop; one round;" in one
    assert "; medians of 2 rounds;" in two
    assert "; medians of 2 rounds, of W5 fewer;" in once
    assert "uvloop" not in peers
    assert "| wanted |" not in peers
