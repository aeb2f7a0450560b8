"""Which ticks of a schedule run, and which are dropped, at one look. Pure: it starts nothing.

Usually one tick is due just now, and runs under every policy. After downtime, sleep or a jump of
the clock there may be many.
"""

from datetime import datetime, timedelta
from typing import Final, assert_never

from asyncflow._core.timetable import last_until, newest, next_after
from asyncflow._frozen import value
from asyncflow._model.schedule import CatchUp, Schedule

GRACE: Final = timedelta(seconds=10)
"""How late a tick may be and still run if missed ones do not."""

DEFAULT_MAX_CATCHUP: Final = 100

_LISTED: Final = 1000
"""How many dropped ticks are listed one by one."""


@value(frozen=True, slots=True)
class Due:
    """What is to be done about the ticks of a stretch of time; each of them is in one field.

    Attributes:
        run: in the order of time.
        dropped: the newest of those that do not run, at most 1,000, in the order of time.
        earlier: the first and the last of those that were dropped before, if there are any.
    """

    run: tuple[datetime, ...] = ()
    dropped: tuple[datetime, ...] = ()
    earlier: tuple[datetime, datetime] | None = None

    @property
    def newest(self) -> datetime | None:
        """The newest tick that is answered by this; None: there was none."""
        # What runs is always newer than what is dropped.
        return (self.run or self.dropped or (None,))[-1]


def due(
    schedule: Schedule,
    anchor: datetime,
    answered: datetime | None,
    now: datetime,
    *,
    catchup: CatchUp = "one",
    max_catchup: int = DEFAULT_MAX_CATCHUP,
) -> Due:
    """Return what becomes of the ticks that nobody has answered.

    Args:
        schedule: what ticks.
        anchor: where it begins.
        answered: the newest tick that was answered before; None: none was.
        now: where the stretch ends.
        catchup: ``"one"`` runs the newest, ``"all"`` the newest ``max_catchup``, ``"none"`` the
            newest if it is at most 10 seconds late.
        max_catchup: 1 to 1000.
    """
    after = anchor if answered is None else max(anchor, answered)
    most = _most(catchup, max_catchup)
    ticks = newest(schedule, anchor, after, now, most + _LISTED)
    if not ticks:
        return Due()
    run = ticks[-most:]
    if catchup == "none" and now - ticks[-1] > GRACE:
        run = ()
    dropped = ticks[: len(ticks) - len(run)][-_LISTED:]
    first = next_after(schedule, anchor, after)
    if not dropped or first is None or first >= dropped[0]:
        return Due(run, dropped)
    last = last_until(schedule, anchor, dropped[0] - timedelta.resolution)
    return Due(run, dropped, (first, first if last is None else last))


def _most(catchup: CatchUp, max_catchup: int) -> int:
    match catchup:
        case "one" | "none":
            return 1
        case "all":
            return max_catchup
        case _:
            assert_never(catchup)
