"""Each part of the benchmarks says what it can be asked, and ends with what it has found."""

import runpy
import sys
from pathlib import Path

import pytest

from benchmarks import growth, yardstick
from benchmarks.yardstick import judge, run

FOLDER = Path(yardstick.__file__).parent
PARTS = sorted({path.stem for path in FOLDER.glob("*.py")} - {"compare", "yardstick"})


@pytest.fixture(autouse=True)
def nothing_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test as a process begins."""
    monkeypatch.setattr(yardstick, "BEYOND", [])


def call(monkeypatch: pytest.MonkeyPatch, part: str, *words: str) -> object:
    """Call a part; return its exit status."""
    monkeypatch.setattr(sys, "argv", [str(FOLDER / f"{part}.py"), *words])
    monkeypatch.delitem(sys.modules, f"benchmarks.{part}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{part}", run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize("part", PARTS)
def test_help_is_shown_and_nothing_is_measured(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = call(monkeypatch, part, "--help")

    assert status == 0
    assert f"usage: python -m benchmarks.{part}" in capsys.readouterr().out


def test_a_part_of_growth_that_there_is_not_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = call(monkeypatch, "growth", "nonsense")

    assert status == 2
    assert "'nonsense' (choose from 'history', 'tasks', 'memory')" in capsys.readouterr().err


def test_all_parts_of_growth_are_chosen_where_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["growth"])

    assert growth.chosen() == ["history", "tasks", "memory"]


def test_figures_within_their_limits_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        judge("start", 5, "s", 5, "median 4")
        judge("rate", 3000, "events/s", 3000, least=True)

    with pytest.raises(SystemExit) as ended:
        run(main)

    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "start: 5.00 s (at most 5 s; median 4)",
        "rate: 3,000 events/s (at least 3,000 events/s)",
    ]


@pytest.mark.parametrize(("found", "least"), [(6, False), (4, True)])
def test_a_figure_beyond_its_limit_fails_the_part_at_its_end(found: float, *, least: bool) -> None:
    def main() -> None:
        judge("start", found, "s", 5, least=least)
        judge("other", 5, "s", 5)

    with pytest.raises(SystemExit) as ended:
        run(main)

    assert ended.value.code == "beyond the limit: start"


def test_an_interrupt_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(main)

    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped before the end\n"
