"""Who of the other runners is dead, by the beats that they count. It compares no clocks.

While this runner counts beats of its own, time passes; where another counts none meanwhile, it is
silent. Who was stopped itself, or cannot write, counts nothing, and takes nobody for dead.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

from asyncflow._store.batch import Dead, RunnerRow


class Silence:
    """Remembers when each runner was heard last, in own beats."""

    def __init__(self, period: timedelta, is_gone: Callable[[RunnerRow], bool]) -> None:
        """Count own beats of this period; ``is_gone`` knows whose process has ended."""
        self._period = period
        self._is_gone = is_gone
        self._heard: dict[str, tuple[int, int]] = {}  # a runner's beat, and own beats by then

    def dead(self, rows: Iterable[RunnerRow], beats: int) -> tuple[Dead, ...]:
        """Return who is dead.

        Args:
            rows: of all other runners, as they are now.
            beats: how many beats this runner has counted by now.
        """
        rows, heard = tuple(rows), self._heard
        self._heard = {row.id: self._last_heard(row, heard.get(row.id), beats) for row in rows}
        return tuple(
            Dead(row.id, row.beat)
            for row in rows
            if self._is_gone(row) or self._is_silent(row, beats)
        )

    def _last_heard(
        self, row: RunnerRow, before: tuple[int, int] | None, beats: int
    ) -> tuple[int, int]:
        return before if before is not None and before[0] == row.beat else (row.beat, beats)

    def _is_silent(self, row: RunnerRow, beats: int) -> bool:
        """Between n beats there are n - 1 whole periods: the first may follow at once."""
        periods = beats - self._heard[row.id][1] - 1
        return bool(row.lease) and periods > 0 and periods * self._period >= row.lease
