"""When a trigger is polled next. Pure: seconds of a monotonic clock in and out, no clock read."""

from math import ceil
from typing import Final

MOMENTS: Final = 200
"""Of so many moments of its interval a first poll takes one; of the same, all need one wake-up."""

SPREAD: Final = 19
"""Over how many of these first polls are spread, so that not all come together: under a tenth."""

LATE: Final = 0.02
"""How much of its interval a poll may be late and the next one still come at its old time."""

MOST_INTERVALS: Final = 10
LONGEST_BACKOFF: Final = 300.0


def first_poll(opened: float, interval: float, dice: float) -> float:
    """Return when a trigger is polled first: an interval later, or up to a tenth of it more.

    Args:
        opened: when its runner loaded it.
        interval: seconds.
        dice: a number in [0, 1) that spreads those that were loaded together.
    """
    step = interval / MOMENTS
    return (ceil(opened / step) + MOMENTS + int(SPREAD * dice)) * step


def next_poll(due: float, started: float, ended: float, interval: float, failures: int) -> float:
    """Return when a trigger is polled next: an interval after its last time, never at once.

    One that the machine is too busy for in time moves to a later phase for good, so that those
    that are due together spread out. After failures the pause doubles, up to ten intervals and at
    most five minutes, but is never shorter than the interval.

    Args:
        due: when the last poll was due.
        started: when it began.
        ended: when it ended.
        interval: seconds.
        failures: how many polls have failed one after the other, this one too.
    """
    if failures:
        return ended + backoff(interval, failures)
    base = due if started - due <= interval * LATE else started
    following = base + interval
    if following > ended:
        return following
    return base + (int((ended - base) / interval) + 1) * interval


def backoff(interval: float, failures: int) -> float:
    """Return the seconds of pause after so many failures in a row."""
    growth: int = min(1 << min(failures, MOST_INTERVALS), MOST_INTERVALS)
    return max(interval, min(interval * growth, LONGEST_BACKOFF))
